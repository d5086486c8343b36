"""The keys that importers encrypt identities to."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from services.registry.context import RegistryDep
from services.registry.submissions.keys import Keys, public_jwk
from shared.watched import Watched

routes = APIRouter(tags=["intake"])


class PublicKey(BaseModel):
    """A public key 公钥 as RFC 7517 has it."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str
    use: Literal["enc"]
    alg: Literal["ECDH-ES+A256KW"]
    kid: str = Field(description="Goes into the header of every JWE 密钥编号.")


class PublicKeys(BaseModel):
    """A JSON Web Key Set."""

    keys: list[PublicKey]


async def _keys(request: Request) -> Watched[Keys]:
    keys: Watched[Keys] = request.app.state.submission_keys
    return keys


@routes.get(
    "/.well-known/submission-keys.json",
    operation_id="get_submission_keys",
    summary="The key to encrypt identities to 报送加密公钥",
    response_model=PublicKeys,
)
async def get_submission_keys(registry: RegistryDep, keys: Annotated[Watched[Keys], Depends(_keys)]) -> dict[str, Any]:
    """The key set (RFC 7517) whose one key encrypts the `identity` of household submissions; no credentials needed.

    Fetch it anew every day: after another key was made, the one before still opens for 30 days.
    """
    async with registry.runtime.database.driver() as pg:
        newest = (await keys.get(pg))[0]
    return {"keys": [public_jwk(newest)]}
