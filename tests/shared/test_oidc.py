"""Tokens of an OpenID Connect issuer: reliability.md 4, tests 14 to 17 and 19, against a real issuer over HTTP."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import OctKey
from pydantic import ValidationError

from shared import jwks
from shared.auth import Caller
from shared.oidc import OidcTokens
from shared.settings import Settings
from tests.shared.issuer import AUDIENCE, Issuer, ec, okp, rsa, running, signed
from tests.shared.toy import client_of, give_key, toy_app

THING = {"name": "a", "amount_fen": 1}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running() as made:
        yield made


@pytest.fixture
async def app(database_url: Callable[[str | None], str], issuer: Issuer) -> FastAPI:
    return await toy_app(database_url(None), oidc_issuer=issuer.url, oidc_audience=AUDIENCE)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app, None) as ready:
        yield ready


async def ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/things", json=THING, headers={"Authorization": f"Bearer {token}"})


async def refused(client: httpx.AsyncClient, token: str) -> bool:
    answer = await ask(client, token)
    assert answer.status_code in (201, 401), answer.text
    return answer.status_code == 401


async def caller_of(app: FastAPI, token: str) -> Caller:
    tokens = app.state.authenticators[0]
    assert isinstance(tokens, OidcTokens)
    caller = await tokens.caller(token)
    assert caller is not None
    return caller


# Who calls


async def test_a_token_opens_beside_keys(app: FastAPI, client: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.publish(rsa("first"), ec("second"), okp("third"))
    for key in (rsa("first"), ec("second"), okp("third")):
        assert (await ask(client, issuer.token(key))).status_code == 201
    plain, _ = await give_key(app, "recorder")
    assert (await ask(client, plain)).status_code == 201
    reader = issuer.token(realm_access={"roles": ["reader"]})
    assert (await ask(client, reader)).status_code == 403


async def test_roles_and_divisions_come_from_claims(app: FastAPI, issuer: Issuer) -> None:
    first = await caller_of(app, issuer.token())
    assert (first.name, set(first.roles), first.divisions) == ("wang", {"recorder"}, ("411323000000",))
    claims: dict[str, Any] = {
        "realm_access": {"roles": ["reader", "god", 7]},
        "resource_access": {AUDIENCE: {"roles": ["signer"]}, "other": {"roles": ["admin"]}},
        "bangfu_divisions": "411323000000 411325000000 4113 x １１１１１１１１１１１１",
        "preferred_username": None,
    }
    second = await caller_of(app, issuer.token(**claims))
    assert (second.name, set(second.roles), [*second.divisions]) == (
        "9a1f", {"reader", "signer"}, ["411323000000", "411325000000"]
    )  # fmt: skip
    assert first.key_id == second.key_id != (await caller_of(app, issuer.token(sub="b2"))).key_id
    for nothing in (None, [], "", {"a": 1}, 411323000000, [411323000000]):
        nobody = await caller_of(app, issuer.token(bangfu_divisions=nothing, realm_access=nothing))
        assert (nobody.roles, nobody.divisions) == (frozenset(), ())


async def test_claims_are_named_by_settings(database_url: Callable[[str | None], str], issuer: Issuer) -> None:
    app = await toy_app(
        database_url(None), oidc_issuer=issuer.url, oidc_audience=AUDIENCE, oidc_jwks_url=f"{issuer.url}/certs",
        oidc_roles_claims=r"groups, https://id\.example/roles", oidc_divisions_claim="org.divisions",
    )  # fmt: skip
    claims: dict[str, Any] = {
        "groups": "reader",
        "https://id.example/roles": ["signer"],
        "org": {"divisions": ["411300000000"]},
    }
    caller = await caller_of(app, issuer.token(**claims))
    assert (set(caller.roles), caller.divisions) == ({"reader", "signer"}, ("411300000000",))
    assert issuer.answers == 1  # no discovery


# Forged and foreign tokens


async def test_signatures_are_those_agreed_on(client: httpx.AsyncClient, issuer: Issuer) -> None:
    good = issuer.token()
    assert not await refused(client, good)
    head, body, signature = good.split(".")
    algorithms: list[Any] = [
        "none",
        "None",
        "NONE",
        "HS256",
        "RS512",
        "PS256",
        "EdDSA",
        "ES256",
        "",
        [],
        None,
        {"a": 1},
    ]
    for algorithm in algorithms:
        other_head = signed({"alg": algorithm, "typ": "JWT", "kid": "first"}, {}).split(".")[0]
        for tail in ("", signature):
            assert await refused(client, f"{other_head}.{body}.{tail}"), algorithm
    public = rsa("first")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    for secret in (public.as_pem(private=False), public.as_der(private=False)):

        def with_the_public_key(text: bytes, secret: bytes = secret) -> bytes:
            return hmac.digest(secret, text, "sha256")

        for algorithm in ("HS256", "RS256"):
            header = {"alg": algorithm, "typ": "JWT", "kid": "first"}
            assert await refused(client, signed(header, claims, with_the_public_key))
    assert await refused(client, issuer.token(rsa("stranger"), header={"kid": "first"}))
    assert await refused(client, issuer.token(ec("first")))  # another kind of key under a known id
    changed = signed({}, claims | {"sub": "b2"}).split(".")[1]
    assert await refused(client, f"{head}.{changed}.{signature}")


async def test_a_symmetric_key_in_the_issuers_set_is_no_key(client: httpx.AsyncClient, issuer: Issuer) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared"})
    encryption = {**rsa("stranger").as_dict(private=False), "use": "enc"}
    broken = [{"kty": "RSA", "kid": "broken", "n": "x"}, {"kty": "EC", "kid": []}, {"kid": "x"}, 7]
    issuer.keys = [secret.as_dict(private=True), encryption, *broken, rsa("first").as_dict(private=False)]
    assert not await refused(client, issuer.token())
    assert await refused(client, issuer.token(secret))
    assert await refused(client, issuer.token(rsa("stranger")))


async def test_headers_do_not_choose_the_key(client: httpx.AsyncClient, issuer: Issuer) -> None:
    stranger = ec("stranger")
    with running() as other:
        other.publish(stranger)
        for header in (
            {"jku": f"{other.url}/certs"},
            {"x5u": f"{other.url}/certs"},
            {"jwk": stranger.as_dict(private=False)},
            {"jwk": stranger.as_dict(private=False), "kid": "first"},
            {"kid": f"{other.url}/certs"},
        ):
            assert await refused(client, issuer.token(stranger, header=header)), header
        assert other.answers == 0
    for kid in ("../../dev/null", "first' OR '1'='1", "first\x00", "", "x" * 300, None):
        assert await refused(client, issuer.token(header={"kid": kid})), kid
    assert not await refused(client, issuer.token(header={"jku": "http://127.0.0.1:1/", "unheard-of": 1}))


async def test_what_is_critical_must_be_understood(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for extension in ({"crit": ["exp"], "exp": 1}, {"crit": ["b64"], "b64": True}):
        assert await refused(client, issuer.token(header=extension)), extension
    for crit in ([], "b64", 7, [["b64"]]):
        assert await refused(client, issuer.token(header={"crit": crit})), crit


async def test_only_access_tokens_open(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for typ in ("JWT", "at+jwt", "application/at+jwt", None):
        assert not await refused(client, issuer.token(header={"typ": typ})), typ
    for typ in ("logout+jwt", "dpop+jwt", "JOSE", ""):
        assert await refused(client, issuer.token(header={"typ": typ})), typ
    for kind in ("ID", "Refresh", "DPoP", ["Bearer"]):
        assert await refused(client, issuer.token(typ=kind)), kind


CLOSED: list[dict[str, Any]] = [
    {"exp": -31}, {"exp": None}, {"exp": "2099"}, {"exp": True}, {"exp": []},
    {"nbf": 60}, {"iat": 60}, {"nbf": "x"},
    {"iss": None}, {"iss": "http://127.0.0.1/realms/nanyang"}, {"iss": []},
    {"aud": None}, {"aud": "account"}, {"aud": []}, {"aud": ["bangfu-web"]}, {"aud": {"bangfu": 1}},
    {"sub": None}, {"sub": ""}, {"sub": 7},
]  # fmt: skip


async def test_claims_that_close(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for claims in CLOSED:
        assert await refused(client, issuer.token(**_from_now(claims))), claims


async def test_clocks_may_differ_by_half_a_minute(client: httpx.AsyncClient, issuer: Issuer) -> None:
    for claims in ({"exp": -20}, {"nbf": 20}, {"iat": 20}):
        assert not await refused(client, issuer.token(**_from_now(claims))), claims


def _from_now(claims: dict[str, Any]) -> dict[str, Any]:
    """Times given as seconds from now."""
    return {name: int(time.time()) + value if type(value) is int and name != "sub" else value
            for name, value in claims.items()}  # fmt: skip


async def test_nonsense_is_refused_like_everything_else(client: httpx.AsyncClient) -> None:
    bodies: list[Any] = [{}, [], 7, "alg", ["alg"], b"\xff", b"[" * 5000, b'{"alg":"RS256","kid":' + b"[" * 5000, b"{"]
    tokens = [signed(header, body) for header in bodies for body in (b"[" * 3000, {"a": 1})]
    for token in [*tokens, "..", "a..b", "a.b.c", "%.%.%", "." * 40, "a.b." + "c" * 20_000]:
        assert await refused(client, token), token[:80]


# Keys come and go


async def test_a_new_key_is_fetched_a_revoked_one_forgotten(
    client: httpx.AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await refused(client, issuer.token())
    issuer.publish(rsa("first"), ec("second"))
    assert await refused(client, issuer.token(ec("second")))  # it was asked just now
    monkeypatch.setattr(jwks, "COOLDOWN_SECONDS", 0.0)
    assert not await refused(client, issuer.token(ec("second")))
    issuer.publish(ec("second"))
    asked = issuer.answers
    assert not await refused(client, issuer.token())
    assert issuer.answers == asked  # a known key costs no question
    monkeypatch.setattr(jwks, "FRESH_SECONDS", -1.0)
    assert await refused(client, issuer.token())
    assert not await refused(client, issuer.token(ec("second")))


async def test_an_issuer_that_is_away(app: FastAPI, client: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.stop()
    answer = await ask(client, issuer.token())
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "2")
    plain, _ = await give_key(app, "recorder")
    assert (await ask(client, plain)).status_code == 201
    assert await refused(client, signed({"alg": "RS256"}, {}))  # wrong whatever the issuer would say


async def test_another_issuers_discovery_document_is_not_believed(client: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.claimed_issuer = "http://127.0.0.1:1/realms/nanyang"
    assert (await ask(client, issuer.token())).status_code == 503


# Settings and documents


def test_settings_are_checked_at_start() -> None:
    base = {"BANGFU_DATABASE_URL": "postgresql://x", "BANGFU_KAFKA_BOOTSTRAP_SERVERS": "x"}
    issuer = {**base, "BANGFU_OIDC_ISSUER": "https://id.example/realms/nanyang", "BANGFU_OIDC_AUDIENCE": AUDIENCE}
    assert Settings.load("ranking", issuer).oidc_algorithms == ("RS256", "ES256", "EdDSA")
    with pytest.raises(ValidationError, match="BANGFU_OIDC_AUDIENCE"):
        Settings.load("ranking", {**issuer, "BANGFU_OIDC_AUDIENCE": ""})
    for wrong in ("none", "HS256", "RS256,HS512", " "):
        with pytest.raises(ValidationError, match="oidc_algorithms"):
            Settings.load("ranking", {**issuer, "BANGFU_OIDC_ALGORITHMS": wrong})


async def test_documents_tell_of_both(client: httpx.AsyncClient, issuer: Issuer) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"api_key", "oidc"}
    assert document["paths"]["/v1/things"]["post"]["security"] == [{"api_key": []}, {"oidc": []}]
    url = document["components"]["securitySchemes"]["oidc"]["openIdConnectUrl"]
    assert (await httpx.AsyncClient(trust_env=False).get(url)).json()["issuer"] == issuer.url
