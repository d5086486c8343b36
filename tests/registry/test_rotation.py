"""The vault's keys: both ciphers, changing the master key while the service runs, and one index a number throughout."""

import base64
import os
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from services.registry.ciphers import Sm4Gcm
from services.registry.identity import IndexKeys, KeyMissingError, OtherKeyError, UnreadableError, Vault
from services.registry.rotation import service
from services.registry.rotation.command import rotate_keys
from services.registry.settings import vault_of
from tests.registry.audit import entries
from tests.registry.conftest import app_on, client_of, faults, household, id_number, make, matching, member

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
IDENTITY = {"phone": "13800000000", "bank_card": "6217000000000018"}


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.fixture
def changed_key(monkeypatch: pytest.MonkeyPatch, secrets: None) -> Any:
    """Call it to make NEW the key and OLD an older one."""

    def change(cipher: str = "aes-gcm", older: str = encoded(OLD)) -> None:
        monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", encoded(NEW))
        monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEYS_OLD", older)
        monkeypatch.setenv("BANGFU_REGISTRY_CIPHER", cipher)

    return change


def test_both_ciphers_open_what_either_sealed() -> None:
    row = uuid4()
    aes, sm4 = Vault(OLD), Vault(OLD, cipher="sm4-gcm")
    for one, other, number in ((aes, sm4, 1), (sm4, aes, 2)):
        sealed = one.seal("测试甲", "name", row)
        assert sealed[0] == number
        assert other.open(sealed, "name", row) == "测试甲"
        for place in (("phone", row), ("name", uuid4())):
            with pytest.raises(UnreadableError):
                other.open(sealed, *place)
        for broken in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:17], sealed[:20], b""):
            with pytest.raises(UnreadableError):
                other.open(broken, "name", row)


def test_sm4_gcm_is_what_the_standard_says() -> None:
    """RFC 8998, appendix A.1."""
    cipher = Sm4Gcm(bytes.fromhex("0123456789abcdeffedcba9876543210"))
    nonce = bytes.fromhex("00001234567800000000abcd")
    bound = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plain = b"".join(bytes([each]) * 8 for each in bytes.fromhex("aabbccddeeffeeaa"))
    sealed = bytes.fromhex(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert cipher.encrypt(nonce, plain, bound) == sealed
    assert cipher.decrypt(nonce, sealed, bound) == plain


def test_the_index_follows_the_cipher_a_register_begins_with() -> None:
    aes, sm4 = Vault(OLD), Vault(OLD, cipher="sm4-gcm")
    assert aes.index("1", "id_number") != sm4.index("1", "id_number")
    assert (aes.index_keys.algorithm, sm4.index_keys.algorithm) == ("sha256", "sm3")
    assert IndexKeys.read(sm4.index_keys.text()) == sm4.index_keys
    assert aes.index("1", "id_number").hex() not in repr(aes.index_keys)


def test_keys_and_cipher_are_read_from_the_environment() -> None:
    given = {"BANGFU_REGISTRY_DATA_KEY": encoded(NEW), "BANGFU_REGISTRY_DATA_KEYS_OLD": f" {encoded(OLD)}, "}
    row = uuid4()
    assert vault_of(given).open(Vault(OLD).seal("x", "name", row), "name", row) == "x"
    for wrong in ({"BANGFU_REGISTRY_CIPHER": "rot13"}, {"BANGFU_REGISTRY_DATA_KEYS_OLD": "short"}):
        with pytest.raises(KeyMissingError):
            vault_of({**given, **wrong})


async def _heads(app: FastAPI) -> set[bytes]:
    async with app.state.runtime.database.driver() as pg:
        rows = await pg.fetch(
            "SELECT name, id_number, phone, bank_card FROM person "
            "UNION ALL SELECT name, id_number, phone, bank_card FROM person_version"
        )
    return {value[:5] for row in rows for value in row if value is not None}


@pytest.mark.parametrize("cipher", ["aes-gcm", "sm4-gcm"])
async def test_the_key_is_changed_while_the_service_runs(
    url: str, changed_key: Any, cipher: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "BATCH", 3)
    number = id_number()
    async with client_of(app_on(url)) as before:
        made = await make(before, members=[member(id_number=number, **IDENTITY), *(member("other") for _ in range(4))])
        head = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
        assert (await before.patch(head, json={"name": "新名"}, headers=matching(1))).status_code == 200
        await make(before)
    changed_key(cipher)
    app = app_on(url)
    async with client_of(app) as client:
        taken = household(members=[member(id_number=number)])
        assert faults(await client.post("/v1/households", json=taken), 409) == {
            ("/members/0/id_number", "id_number_taken")
        }
        newer = id_number(sequence=3)
        await make(client, members=[member(id_number=newer)])
        old, new = Vault(OLD).head, Vault(NEW, cipher=cipher).head  # type: ignore[arg-type]
        assert await _heads(app) == {old, new}
        asked = {"purpose": "verification", "id_numbers": [number, newer]}
        answers = (await client.post("/v1/persons/lookup", json=asked)).json()["items"]
        shown = (await client.get(f"/v1/households/{made['id']}")).json()
        assert await rotate_keys(app.state.runtime.settings, []) == 0
        assert capsys.readouterr().out.startswith("9 rows sealed anew")  # our own key pairs too
        assert await _heads(app) == {new}
        assert (await client.get(f"/v1/households/{made['id']}")).json() == shown
        assert (await client.post("/v1/persons/lookup", json=asked)).json()["items"] == answers
        assert (await client.post("/v1/households", json=taken)).status_code == 409
        assert [each["found"] for each in answers] == [True, True]
        assert await rotate_keys(app.state.runtime.settings, []) == 0
        assert capsys.readouterr().out.startswith("0 rows sealed anew")
        assert len(await entries(client, app, operation="data_key.rotated")) == 1
    changed_key(cipher, older="")
    async with client_of(app_on(url)) as after:  # the old key is not needed any more
        assert (await after.get(f"/v1/households/{made['id']}")).json() == shown
        assert (await after.post("/v1/households", json=taken)).status_code == 409
    monkeypatch.setenv("BANGFU_REGISTRY_DATA_KEY", encoded(OLD))
    with pytest.raises(OtherKeyError):
        async with client_of(app_on(url)):
            pass


async def test_the_cipher_is_changed_and_changed_back_under_one_key(
    registry: httpx.AsyncClient, app: FastAPI, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys of the index are sealed anew, too: nothing stays under the other cipher."""
    number = id_number()
    await make(registry, members=[member(id_number=number, **IDENTITY)])
    taken = household(members=[member(id_number=number)])
    for cipher in ("sm4-gcm", "aes-gcm"):
        monkeypatch.setenv("BANGFU_REGISTRY_CIPHER", cipher)
        head = Vault(OLD, cipher=cipher).head
        async with client_of(app_on(url)) as client:
            assert await rotate_keys(app.state.runtime.settings, []) == 0
            assert await _heads(app) == {head}
            async with app.state.runtime.database.driver() as pg:
                assert [row["index_keys"][:5] for row in await pg.fetch("SELECT index_keys FROM data_key")] == [head]
            assert (await client.post("/v1/households", json=taken)).status_code == 409


async def test_rotation_waits_for_nobody_and_goes_on_where_it_was(
    registry: httpx.AsyncClient, app: FastAPI, changed_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 1)
    made = await make(registry, members=[member(), member("other")])
    changed_key()
    database, vault = app.state.runtime.database, vault_of()
    async with database.driver() as holder, holder.transaction():
        await holder.fetch("SELECT FROM person WHERE id = $1 FOR UPDATE", made["members"][0]["id"])
        assert await service._sweep(database, vault, service.PLACES[0]) == 1
    # The one that was held, and our own key pairs.
    assert await service.rotate(database, vault, app.state.runtime.clock.now()) == 3


async def test_rotation_without_the_old_key_changes_nothing(
    registry: httpx.AsyncClient, app: FastAPI, changed_key: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await make(registry)
    changed_key(older=encoded(os.urandom(32)))
    before = await _heads(app)
    assert await rotate_keys(app.state.runtime.settings, []) == 1
    assert "not finished" in capsys.readouterr().err
    assert await _heads(app) == before


async def test_a_register_from_before_keeps_its_index(
    registry: httpx.AsyncClient, app: FastAPI, changed_key: Any, url: str
) -> None:
    """Index keys were derived from the one master key, and noted nowhere."""
    taken = household(members=[member(id_number=id_number())])
    assert (await registry.post("/v1/households", json=taken)).status_code == 201
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("UPDATE data_key SET index_keys = NULL")
    changed_key("sm4-gcm")
    again = app_on(url)
    async with client_of(again) as client:
        assert (await client.post("/v1/households", json={**taken, "cause": "disability"})).status_code == 409
        assert again.state.registry.vault.index_keys == IndexKeys.of(OLD, "aes-gcm")


async def test_a_key_that_is_still_needed_somewhere_is_not_forgotten(
    registry: httpx.AsyncClient, app: FastAPI, changed_key: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = Vault(OLD).seal("x", "somewhere", uuid4())
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("CREATE TABLE somewhere (sealed bytea)")
        try:
            await pg.execute("INSERT INTO somewhere VALUES ($1)", sealed)
            changed_key()
            assert await rotate_keys(app.state.runtime.settings, []) == 1
            assert "somewhere.sealed" in capsys.readouterr().err
            assert await pg.fetchval("SELECT count(*) FROM data_key") == 2
            await pg.execute("DELETE FROM somewhere")
            assert await rotate_keys(app.state.runtime.settings, []) == 0
            assert await pg.fetchval("SELECT count(*) FROM data_key") == 1
        finally:
            await pg.execute("DROP TABLE somewhere")


async def test_places_may_be_bound_to_more_than_their_column(
    registry: httpx.AsyncClient, app: FastAPI, changed_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = service.Place("parts", {"id": "uuid", "part": "int"}, "id", {"sealed": "parts.{part}"})
    monkeypatch.setattr(service, "PLACES", (*service.PLACES, place))
    row = uuid4()
    database = app.state.runtime.database
    async with database.driver() as pg:
        await pg.execute("CREATE TABLE parts (id uuid, part int, sealed bytea)")
        try:
            await pg.execute("INSERT INTO parts VALUES ($1, 7, $2)", row, Vault(OLD).seal("x", "parts.7", row))
            changed_key()
            assert await service.rotate(database, vault_of(), app.state.runtime.clock.now()) == 3
            assert Vault(NEW).open(await pg.fetchval("SELECT sealed FROM parts"), "parts.7", row) == "x"
        finally:
            await pg.execute("DROP TABLE parts")
