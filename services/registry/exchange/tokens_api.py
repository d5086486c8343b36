"""Tokens of parties, and our public keys."""

import base64
import binascii
from typing import Any
from urllib.parse import parse_qsl, unquote

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from services.registry.commands import command
from services.registry.exchange import auditing, keypair, parties, tokens
from services.registry.exchange.gateway import ExchangeDep
from services.registry.exchange.schemas import TokenError, TokenOut
from shared import errors
from shared.errors import Problem

routes = APIRouter(tags=["exchange"])
_LONGEST = 8192
_FORM = "application/x-www-form-urlencoded"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                    },
                }
            }
        },
    }
}


@routes.post(
    "/oauth2/client/token",
    operation_id="dci_token",
    summary="A bearer token for DCI 获取令牌",
    response_model=TokenOut,
    responses={
        400: {"model": TokenError, "description": "Not such a request 请求有误"},
        401: {"model": TokenError, "description": "Unknown client, or the wrong secret 客户端认证失败"},
    },
    openapi_extra=_BODY,
)
async def token(request: Request, exchange: ExchangeDep) -> JSONResponse:
    """Client credentials (RFC 6749, section 4.4), in the form or as HTTP Basic; the token lives 15 minutes."""
    form = await _form(request)
    if form is None or "grant_type" not in form:
        return _failed(400, "invalid_request")
    if form["grant_type"] != "client_credentials":
        return _failed(400, "unsupported_grant_type")
    client_id, secret = _credentials(request, form)
    async with command(exchange.registry.runtime) as pg:
        party = await parties.recognise(pg, client_id, secret)
        if party is not None:
            await auditing.note(pg, exchange, party, "party.token_issued", str(party.id))
    if party is None:
        return _failed(401, "invalid_client")
    issued = tokens.issue(exchange.key, exchange.name, party.id, exchange.now())
    content = TokenOut(access_token=issued, expires_in=int(tokens.LIFE.total_seconds()))
    return JSONResponse(content.model_dump(), headers={"Cache-Control": "no-store"})


@routes.get("/.well-known/jwks.json", operation_id="dci_jwks", summary="Our public keys 公钥")
async def jwks(exchange: ExchangeDep) -> dict[str, Any]:
    """With which our signatures and tokens are checked (RFC 7517)."""
    return keypair.public_jwks(exchange.key)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form; None when it is none. Raises 413 for one that is far too long."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LONGEST:
            raise Problem(errors.TOO_LARGE)
    try:
        pairs = parse_qsl(raw.decode("ascii"), max_num_fields=20, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) and "\x00" not in "".join(v for _, v in pairs) else None


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and "client_id" not in form:
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
        except (binascii.Error, ValueError):
            return "", ""
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _failed(status: int, error: Any) -> JSONResponse:
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Basic"} if status == 401 else {})
    return JSONResponse(TokenError(error=error).model_dump(), status, headers)
