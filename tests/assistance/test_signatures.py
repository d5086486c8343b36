"""Signed submissions: where others may write to the broker, a record shows that it is its source's.

Input 73 of reliability.md.
"""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from services.assistance.app import build
from services.assistance.intake.contracts import ACTION_SUBMISSIONS
from shared.intake.signing import SigningSecretError
from shared.record import Poison, Record
from shared.settings import Settings
from tests.assistance.test_intake import Importer
from tests.assistance.world import XIXIA, World

CONTENT = {"label": "测试", "divisions": [XIXIA]}


def signed(record: Record, secret: str, **changes: bytes) -> Record:
    """A record with the signature that the README tells of; ``changes`` are made to the record afterwards."""
    said = dict(record.headers)
    text = b"".join((said[name] or b"") + b"\n" for name in ("ce_source", "ce_id", "ce_type")) + (record.value or b"")
    digest = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    headers = [*record.headers, ("ce_signature", b"v1," + base64.b64encode(digest))]
    value = changes.pop("value", record.value)
    return record._replace(value=value, headers=[(name, changes.get(name, text)) for name, text in headers])


async def issue(world: World, source: dict[str, Any], *, keep: int = 0) -> str:
    """Another secret for a source, whose version moves on."""
    answer = await world.send(
        "POST",
        f"/v1/sources/{source['id']}/secrets",
        body={"keep_previous_days": keep},
        if_match=f'"{source["version"]}"',
    )
    assert answer.status_code == 201, answer.text
    source["version"] += 1
    secret: str = answer.json()["secret"]
    return secret


async def codes(importer: Importer, *records: Record) -> list[str]:
    """Why each record is no submission; empty where it is one."""
    verdicts = await importer.submit(*records)
    poisons = [verdicts.get(index) for index in range(len(records))]
    assert all(poison.origin == "" for poison in poisons if isinstance(poison, Poison)), "the source must not pay"
    return [str(poison or "") for poison in poisons]


@pytest.fixture
async def importer(world: World) -> Importer:
    return Importer(world)


async def test_a_signed_record_is_taken_in_and_a_forged_one_is_not(importer: Importer, world: World) -> None:
    source = await importer.register(signature="required")
    secret = await issue(world, source)
    good = importer.message("1")
    other = importer.message("2")
    right = dict(signed(good, secret).headers)["ce_signature"] or b""
    before = REGISTRY.get_sample_value("bangfu_bad_signatures_total", {"topic": ACTION_SUBMISSIONS.name}) or 0
    forged = [
        signed(good, secret[:-1] + ("A" if secret[-1] != "A" else "B")),
        signed(good, secret, value=other.value or b""),
        signed(good, secret, ce_id=b"2"),
        signed(good, secret, ce_type=b"cn.bangfu.assistance.action-submissions.replaced.v1"),
        signed(good, secret, ce_signature=b""),
        signed(good, secret, ce_signature=right.removeprefix(b"v1,")),
        signed(signed(good, secret), secret),
        good._replace(headers=[*good.headers, ("ce_signature", None)]),
    ]
    assert await codes(importer, *forged) == ["bad_signature"] * len(forged)
    assert await codes(importer, good) == ["unsigned"]
    assert await world.value("SELECT count(*) FROM inbox") == 0, "no receipt for what is not the source's"
    after = REGISTRY.get_sample_value("bangfu_bad_signatures_total", {"topic": ACTION_SUBMISSIONS.name})
    assert after == before + len(forged) + 1
    assert await codes(importer, signed(good, secret), signed(other, secret)) == ["", ""]
    assert (await importer.outcome("1"))["outcome"] == "accepted"
    assert await codes(importer, signed(good, secret)) == [""], "sent again by whomever, it is decided once"
    assert await world.value("SELECT count(*) FROM action") == 2


async def test_a_signature_that_is_there_must_be_right_though_it_is_optional(importer: Importer, world: World) -> None:
    source = await importer.register()
    assert await codes(importer, importer.message("1")) == [""]
    assert await codes(importer, signed(importer.message("2"), "no secret was issued")) == ["bad_signature"]
    secret = await issue(world, source)
    assert await codes(importer, importer.message("3"), signed(importer.message("4"), secret)) == ["", ""]
    wrong = signed(importer.message("5"), secret + "x")
    assert await codes(importer, wrong) == ["bad_signature"]
    content = {**CONTENT, "signature": "required"}
    demanded = await world.send("PUT", f"/v1/sources/{source['id']}", body=content, if_match='"2"')
    assert demanded.status_code == 200, demanded.text
    later = Importer(world)  # a change takes effect within a second, and here at once
    assert await codes(later, later.message("6"), signed(later.message("7"), secret)) == ["unsigned", ""]


async def test_required_before_a_secret_is_issued_lets_nothing_through(importer: Importer) -> None:
    source = await importer.register(signature="required")
    assert source["secret_issued_at"] is None
    assert await codes(importer, importer.message("1"), signed(importer.message("1"), "")) == [
        "unsigned", "bad_signature",
    ]  # fmt: skip


async def test_a_secret_that_was_replaced_signs_as_long_as_was_said(importer: Importer, world: World) -> None:
    source = await importer.register(signature="required")
    first = await issue(world, source)
    second = await issue(world, source, keep=7)
    both = [signed(importer.message("1"), first), signed(importer.message("2"), second)]
    assert await codes(importer, *both) == ["", ""]
    later = signed(importer.message("3", age=-timedelta(days=7)), first)
    assert await codes(importer, later) == ["bad_signature"]
    third = await issue(world, source)
    records = [signed(importer.message(str(n)), secret) for n, secret in enumerate((first, second, third), start=4)]
    assert await codes(importer, *records) == ["bad_signature", "bad_signature", ""]
    shown = (await world.send("GET", f"/v1/sources/{source['id']}")).json()
    assert (shown["version"], shown["signature"], "secret" in shown) == (4, "required", False)
    assert shown["secret_issued_at"] == shown["changed_at"]


async def test_each_source_has_its_own_secret(importer: Importer, world: World) -> None:
    ours, theirs = await importer.register(), await importer.register("urn:other")
    secret, other = await issue(world, ours), await issue(world, theirs)
    assert secret != other
    records = [signed(importer.message("1"), other), signed(importer.message("1", source="urn:other"), secret)]
    assert await codes(importer, *records) == ["bad_signature"] * 2


async def test_a_structured_event_is_signed_as_it_is_sent(importer: Importer, world: World) -> None:
    secret = await issue(world, await importer.register(signature="required"))
    plain = importer.message("1")
    said = {name.removeprefix("ce_"): (text or b"").decode() for name, text in plain.headers}
    value = (
        b'{"data": ' + (plain.value or b"") + b"".join(f', "{n}": "{text}"'.encode() for n, text in said.items()) + b"}"
    )
    ours = signed(plain._replace(value=value), secret)
    headers = [("content-type", b"application/cloudevents+json"), ("ce_signature", dict(ours.headers)["ce_signature"])]
    sent = ours._replace(headers=headers)
    assert await codes(importer, sent._replace(value=value.replace(b"household_visit", b"household_visit "))) == [
        "bad_signature"
    ]
    assert await codes(importer, sent) == [""]


async def test_secrets_are_kept_nowhere(importer: Importer, world: World) -> None:
    secret = await issue(world, await importer.register())
    rows = await world.rows("SELECT s::text FROM source s UNION ALL SELECT x::text FROM source_secret x")
    assert len(rows) == 2
    assert not any(secret in row[0] or secret.encode().hex() in row[0] for row in rows)
    listed = await world.send("GET", "/v1/sources")
    assert secret not in listed.text


async def test_issuing_needs_the_version_and_a_setting(importer: Importer, world: World) -> None:
    source = await importer.register()
    url = f"/v1/sources/{source['id']}/secrets"
    body = {"keep_previous_days": 7}
    assert (await world.send("POST", url, body=body)).status_code == 428
    assert (await world.send("POST", url, body=body, if_match='"2"')).status_code == 412
    assert (await world.send("POST", url, body={"keep_previous_days": 31}, if_match='"1"')).status_code == 422
    runtime = world.runtime
    runtime.settings = runtime.settings.model_copy(update={"signing_secrets": ()})
    refused = await world.send("POST", url, body=body, if_match='"1"')
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "BANGFU_SIGNING_SECRETS" in refused.json()["detail"]


async def test_what_secrets_are_made_from_can_be_changed_and_must_not_be_lost(importer: Importer, world: World) -> None:
    source = await importer.register(signature="required")
    secret = await issue(world, source)
    fresh, held = SecretStr("another thing to make secrets from"), world.runtime.settings.signing_secrets

    async def start(*made_from: SecretStr) -> None:
        app, runtime = build(_with(world.runtime.settings, *made_from), "api")
        async with app.router.lifespan_context(app):
            await runtime.database.check_version()

    with pytest.raises(SigningSecretError):
        await start(fresh)
    with pytest.raises(SigningSecretError):
        await start()
    await start(fresh, *held)
    world.runtime.settings = _with(world.runtime.settings, fresh, *held)
    later = Importer(world)
    assert await codes(later, signed(later.message("1"), secret)) == [""]
    await issue(world, source)
    await start(fresh)


def _with(settings: Settings, *made_from: SecretStr) -> Settings:
    return settings.model_copy(update={"signing_secrets": made_from})


async def test_a_secret_issued_by_another_process_is_known_at_once(importer: Importer, world: World) -> None:
    """The consumer has looked at its sources a moment ago, and looks again before it refuses."""
    source = await importer.register()
    assert await codes(importer, importer.message("1")) == [""]
    secret = await issue(world, source)
    assert await codes(importer, signed(importer.message("2"), secret)) == [""]
