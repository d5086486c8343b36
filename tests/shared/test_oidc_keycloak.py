"""Tokens and keys in the shapes that Keycloak 26.7.3 was seen to give, set up as the README says."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import OctKey

from shared.auth import Caller
from shared.clock import SystemClock
from shared.oidc import OidcTokens
from shared.settings import Settings
from tests.shared.issuer import AUDIENCE, Issuer, ec, okp, rsa, running

GIVEN_TO_EVERYBODY: dict[str, dict[str, Any]] = {
    "realm_access": {"roles": ["default-roles-nanyang", "offline_access", "uma_authorization"]},
    "resource_access": {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
}
USER: dict[str, Any] = {
    **GIVEN_TO_EVERYBODY,
    "aud": [AUDIENCE, "account"], "sub": "66f7bcb6-1358-46a1-828f-8de77cebffe0", "auth_time": 1795694909,
    "jti": "onrtac:ef9aba3c-e86a-7f80-ccbc-3a1d5a63efbd", "azp": "desk", "sid": "OJ9XCZbVWatiRVNWy0JsIYVJ", "acr": "1",
    "allowed-origins": ["https://desk.nanyang.example"], "scope": "openid profile email", "email_verified": True,
    "name": "测 试", "preferred_username": "wang", "given_name": "测", "family_name": "试", "email": "wang@id.example",
    "bangfu_divisions": ["411323000000", "411325000000"],
}  # fmt: skip
"""Of a person, by the authorization code flow; roles come with each test."""
SERVICE: dict[str, Any] = {
    **GIVEN_TO_EVERYBODY,
    "aud": [AUDIENCE, "account"], "sub": "89df384f-839e-4997-a7c1-d963a66b22c2",
    "jti": "trrtcc:ecff8d9c-2175-642e-dc37-180728a7d0a9", "azp": "sync", "acr": "1", "scope": "profile email",
    "clientHost": "10.20.0.7", "clientAddress": "10.20.0.7", "client_id": "sync", "email_verified": False,
    "preferred_username": "service-account-sync", "bangfu_divisions": ["411323000000"],
}  # fmt: skip
LIGHTWEIGHT: dict[str, Any] = {
    "aud": None, "azp": "sync", "scope": "profile email", "preferred_username": None, "realm_access": None,
    "bangfu_divisions": None,
}  # fmt: skip
"""Of a client that "always uses lightweight access tokens"."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running() as made:
        yield made


@pytest.fixture
def tokens(issuer: Issuer) -> OidcTokens:
    environ = {
        "BANGFU_DATABASE_URL": "postgresql://x",
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": "x",
        "BANGFU_OIDC_ISSUER": issuer.url,
        "BANGFU_OIDC_AUDIENCE": AUDIENCE,
    }
    return OidcTokens(Settings.load("ranking", environ), SystemClock())


async def caller_of(tokens: OidcTokens, token: str) -> Caller:
    caller = await tokens.caller(token)
    assert caller is not None
    return caller


async def test_a_person_with_realm_roles(tokens: OidcTokens, issuer: Issuer) -> None:
    roles = {"roles": ["recorder", "identity:reveal", "janitor", *GIVEN_TO_EVERYBODY["realm_access"]["roles"]]}
    caller = await caller_of(tokens, issuer.token(**USER | {"realm_access": roles}))
    assert (caller.name, set(caller.roles)) == ("wang", {"recorder", "identity:reveal"})
    assert caller.divisions == ("411323000000", "411325000000")


async def test_a_service_account_with_roles_of_the_client(tokens: OidcTokens, issuer: Issuer) -> None:
    roles = {**GIVEN_TO_EVERYBODY["resource_access"], AUDIENCE: {"roles": ["recorder", "reader"]}}
    caller = await caller_of(tokens, issuer.token(**SERVICE | {"resource_access": roles}))
    assert (caller.name, set(caller.roles)) == ("service-account-sync", {"recorder", "reader"})
    assert caller.divisions == ("411323000000",)


async def test_without_full_scope_nothing_but_the_audience_is_there(tokens: OidcTokens, issuer: Issuer) -> None:
    nothing = {"aud": AUDIENCE, "realm_access": None, "resource_access": None}
    caller = await caller_of(tokens, issuer.token(**SERVICE | nothing))
    assert (caller.roles, caller.divisions) == (frozenset(), ("411323000000",))


async def test_a_user_without_divisions_has_no_such_claim(tokens: OidcTokens, issuer: Issuer) -> None:
    caller = await caller_of(tokens, issuer.token(**USER | {"bangfu_divisions": None}))
    assert caller.divisions == ()


async def test_keys_come_with_certificates_and_beside_others(tokens: OidcTokens, issuer: Issuer) -> None:
    certificate = {"x5c": ["MIICmzCCAYMCBgGiF8"], "x5t": "deWslJ4qlfkxBO9xoZ07VEOxT9M", "x5t#S256": "_fng6mpQUx8Tf5M"}
    issuer.keys = [
        {**rsa("encryption").as_dict(private=False), **certificate, "use": "enc", "alg": "RSA-OAEP"},
        {**rsa("rotated").as_dict(private=False), **certificate, "alg": "RS512"},
        {**rsa("first").as_dict(private=False), **certificate, "alg": "RS256"},
        {**ec("second").as_dict(private=False), "alg": "ES256"},
        {**okp("third").as_dict(private=False), "alg": "EdDSA"},
    ]
    for key in (rsa("first"), ec("second"), okp("third")):
        assert (await caller_of(tokens, issuer.token(key, **USER))).name == "wang"


async def test_why_a_token_is_refused_is_in_the_log(
    tokens: OidcTokens, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    realm = issuer.url
    faults: list[tuple[dict[str, Any], str]] = [
        (USER | {"aud": "account"}, "invalid_claim aud"),  # no audience mapper
        (LIGHTWEIGHT, "missing_claim aud"),
        (USER | {"sub": None}, "missing_claim sub"),  # a client without the scope "basic"
        (USER | {"iss": realm.replace("127.0.0.1", "localhost")}, "invalid_claim iss"),
        (USER | {"exp": int(time.time()) - 60}, "expired_token exp"),
        (USER | {"aud": [AUDIENCE, "desk"], "typ": "ID"}, "claim typ"),
    ]
    caplog.set_level(logging.INFO, "bangfu.oidc")
    for claims, reason in faults:
        caplog.clear()
        assert await tokens.caller(issuer.token(**claims)) is None
        assert [record.getMessage() for record in caplog.records] == [f"a token was refused: {reason}"]
    caplog.clear()
    assert await tokens.caller(issuer.token(rsa("stranger"), **USER)) is None
    assert [record.getMessage() for record in caplog.records] == ["a token was refused: unknown key"]


async def test_a_refresh_token_costs_the_issuer_no_question(tokens: OidcTokens, issuer: Issuer) -> None:
    """Else one sent by mistake would have tokens with a new key wait for ``COOLDOWN_SECONDS``."""
    secret = OctKey.generate_key(512, {"kid": "e34c35f1-36f0-4eee-9f73-869caca3ed3e"})
    refresh = issuer.token(secret, header={"alg": "HS512"}, typ="Refresh", aud=issuer.url)
    assert await tokens.caller(refresh) is None
    assert issuer.answers == 0
    assert (await caller_of(tokens, issuer.token(**USER))).name == "wang"
