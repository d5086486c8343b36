"""API keys: what may be given away, who may take it back, the bootstrap key."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from services.registry.app import build
from tests.registry.audit import entries
from tests.registry.conftest import CITY, KEY, XIXIA, app_on, client_of, events, faults, issue, matching
from tests.shared.issuer import AUDIENCE, Issuer, running

ROLES = ["reader", "recorder"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running() as made:
        yield made


async def test_a_key_is_shown_once_and_kept_as_a_hash(registry: httpx.AsyncClient, app: FastAPI) -> None:
    body = {"name": "西峡县扶贫办", "roles": ROLES, "divisions": [XIXIA]}
    headers = {"Idempotency-Key": "key"}
    made = await registry.post("/v1/keys", json=body, headers=headers)
    assert made.status_code == 201
    plain = made.json()["key"]
    again = await registry.post("/v1/keys", json=body, headers=headers)
    assert again.json() == {**made.json(), "key": None}
    assert (await registry.get("/v1/households", headers={"Authorization": f"Bearer {plain}"})).status_code == 200
    listed = (await registry.get("/v1/keys")).json()["items"]
    assert [key["name"] for key in listed] == ["bootstrap", "西峡县扶贫办"]
    secret = plain.split(".")[1]
    assert secret not in str(listed) + str(await events(app, "key"))


async def test_a_key_gives_away_no_more_than_its_issuer_holds(registry: httpx.AsyncClient) -> None:
    county = await issue(registry, ["admin"], [XIXIA])
    body = {"name": "x", "roles": ["reader"], "divisions": [XIXIA]}

    async def ask(headers: dict[str, str], **more: object) -> httpx.Response:
        return await registry.post("/v1/keys", json={**body, **more}, headers=headers)

    assert (await ask(county)).status_code == 201
    assert (await ask(county, divisions=["411323102000", "411323102217"])).status_code == 201
    for division in (CITY, "411325000000", "411302102000", "999999999999"):
        assert faults(await ask(county, divisions=[XIXIA, division])) == {("/divisions/1", "division_unknown")}
    assert faults(await ask(county, roles=["reader", "identity:reveal"])) == {("/roles/1", "role_not_held")}
    assert faults(await ask({}, expires_at="2018-01-01T00:00:00+08:00")) == {("/expires_at", "in_past")}
    recorder = await issue(registry, ROLES, [XIXIA])
    assert (await ask(recorder)).status_code == 403


async def test_a_key_lasts_no_longer_than_the_key_that_issues_it(registry: httpx.AsyncClient) -> None:
    body = {"name": "x", "roles": ["admin"], "divisions": [XIXIA]}

    async def ask(headers: dict[str, str], **more: object) -> httpx.Response:
        return await registry.post("/v1/keys", json={**body, **more}, headers=headers)

    passing = (await ask({}, expires_at="2999-01-01T00:00:00+08:00")).json()
    headers = {"Authorization": f"Bearer {passing['key']}"}
    for longer in ({}, {"expires_at": None}, {"expires_at": "2999-01-01T00:00:01+08:00"}):
        assert faults(await ask(headers, **longer)) == {("/expires_at", "outlives_issuer")}
    for as_long in ("2999-01-01T00:00:00+08:00", "2998-12-31T16:00:00Z", "2100-01-01T00:00:00+08:00"):
        made = await ask(headers, expires_at=as_long)
        assert made.status_code == 201, made.text
    assert (await ask({})).json()["expires_at"] is None


async def test_a_key_issued_with_a_token_may_outlast_the_token(
    app: FastAPI, url: str, secrets: None, issuer: Issuer
) -> None:
    """A token lasts minutes, the person it names does not end with it."""
    settings = app.state.runtime.settings.model_copy(update={"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE})
    async with client_of(build(settings, "api")[0]) as client:
        token = issuer.token(realm_access={"roles": ["admin"]}, bangfu_divisions=[XIXIA])
        body = {"name": "x", "roles": ["reader"], "divisions": [XIXIA]}
        made = await client.post("/v1/keys", json=body, headers={"Authorization": f"Bearer {token}"})
        assert (made.status_code, made.json()["expires_at"]) == (201, None), made.text


async def test_keys_are_seen_and_revoked_within_ones_divisions(registry: httpx.AsyncClient, app: FastAPI) -> None:
    county = await issue(registry, ["admin"], [XIXIA])
    clerk = await issue(registry, ["reader"], ["411323102000"])
    bootstrap, admin, ours = (await registry.get("/v1/keys")).json()["items"]
    listed = (await registry.get("/v1/keys", headers=county)).json()["items"]
    assert [key["id"] for key in listed] == [admin["id"], ours["id"]]
    refused = await registry.post(f"/v1/keys/{bootstrap['id']}/revocation", headers={**county, **matching(1)})
    assert refused.status_code == 404
    assert (await registry.post(f"/v1/keys/{ours['id']}/revocation", headers=county)).status_code == 428
    revoked = await registry.post(f"/v1/keys/{ours['id']}/revocation", headers={**county, **matching(1)})
    assert (revoked.json()["status"], revoked.headers["etag"]) == ("revoked", '"2"')
    assert (await events(app, "key"))[-1]["status"] == "revoked"
    assert (await registry.get("/v1/households", headers=clerk)).status_code == 401


async def test_what_outlives_a_lost_key_is_found_by_it(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """Parties and sources are offices' own and go on without the key that registered them."""
    lost = await issue(registry, ["admin", "reader"], [CITY])
    [_, key] = (await registry.get("/v1/keys")).json()["items"]
    party = {
        "sender_id": "x.example.org", "name": "未知单位", "divisions": [XIXIA], "callback_uri": "https://x.example.org"
    }  # fmt: skip
    source = {"name": "https://x.example", "label": "未知来源", "divisions": [XIXIA]}
    another = {"name": "未知密钥", "roles": ["reader"], "divisions": [XIXIA]}
    made = [
        await registry.post(f"/v1/{where}", json=body, headers=lost)
        for where, body in (("exchange/parties", party), ("sources", source), ("keys", another))
    ]
    assert [answer.status_code for answer in made] == [201] * 3
    revoked = await registry.post(f"/v1/keys/{key['id']}/revocation", headers=matching(1))
    assert revoked.status_code == 200
    assert [(each["operation"], each["object_id"]) for each in await entries(registry, app, key=key["id"])] == [
        (operation, answer.json()["id"])
        for operation, answer in zip(("party.registered", "source.registered", "key.issued"), made, strict=True)
    ]


async def test_the_bootstrap_key_is_seeded_once_and_renewed(app: FastAPI, url: str) -> None:
    async with client_of(app):
        pass
    async with client_of(app_on(url)) as client:
        assert len((await client.get("/v1/keys")).json()["items"]) == 1


async def test_a_new_secret_replaces_the_old(app: FastAPI, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_of(app):
        pass
    renewed = KEY.split(".")[0] + "." + "another-secret-of-the-bootstrap-key-"
    monkeypatch.setenv("BANGFU_BOOTSTRAP_KEY", renewed)
    second = app_on(url)
    async with client_of(second) as client:
        assert (await client.get("/v1/keys")).status_code == 401
        answer = await client.get("/v1/keys", headers={"Authorization": f"Bearer {renewed}"})
        assert [key["version"] for key in answer.json()["items"]] == [2]
