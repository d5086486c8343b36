"""What idempotency knows a request by is keyed: whoever reads the table cannot try out ID numbers against it."""

import hashlib

import httpx
from fastapi import FastAPI

from services.registry.identity import Vault
from shared.http.idempotency import plain_fingerprint
from tests.registry.conftest import household, id_number, member
from tests.registry.sheets import head, send, workbook


def test_it_depends_on_the_key_and_outlives_its_rotation() -> None:
    old, other = Vault(bytes(32)), Vault(bytes(range(32)))
    renewed = Vault(bytes(range(32)), older=[bytes(32)])
    renewed.index_keys = old.index_keys  # as ``agree_on_keys`` finds them beside the data
    assert old.fingerprint(b"asked") == renewed.fingerprint(b"asked")
    assert len({old.fingerprint(b"asked"), other.fingerprint(b"asked"), old.fingerprint(b"else")}) == 3
    assert old.fingerprint(b"asked") != plain_fingerprint(b"asked")


async def test_a_request_cannot_be_guessed_from_what_is_kept(registry: httpx.AsyncClient, app: FastAPI) -> None:
    headers = {"Idempotency-Key": "one"}
    body = household(members=[member(id_number=id_number())])
    made = await registry.post("/v1/households", json=body, headers=headers)
    asked = b"POST /v1/households?\n" + made.request.content
    again = await registry.post("/v1/households", json=body, headers=headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (made.json()["id"], "true")
    other = await registry.post("/v1/households", json=household(), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    file = workbook([head("41132300000001", 5)])
    assert (await send(registry, file, key="two")).status_code == 202
    assert (await send(registry, file, key="two")).status_code == 200
    async with app.state.runtime.database.driver() as pg:
        kept = {row["key"]: row["fingerprint"] for row in await pg.fetch("SELECT key, fingerprint FROM idempotency")}
    assert kept["one"] == app.state.registry.vault.fingerprint(asked)  # the guess is right but for the key
    assert kept["one"] != hashlib.sha256(asked).digest()
    assert kept["two"] not in (hashlib.sha256(file).digest(), hashlib.sha256(file + b"[]").digest())
