"""HTTP shapes of parties 交换方 and tokens."""

from typing import Annotated, Literal
from uuid import UUID

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from shared.contracts.base import Instant
from shared.errors import unfit
from shared.http.fields import Division, Name

Purpose = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,60}$")]


class PublicKey(BaseModel):
    """An Ed25519 public key as JWK (RFC 8037)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    kid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA", "Ed25519"] = "EdDSA"

    def loaded(self) -> OKPKey:
        return OKPKey.import_key({"kty": self.kty, "crv": self.crv, "x": self.x, "kid": self.kid})


def _usable(key: PublicKey) -> PublicKey:
    try:
        _ = key.loaded().public_key
    except (JoseError, ValueError) as error:
        raise unfit("key", "not an Ed25519 public key", "不是 Ed25519 公钥") from error
    return key


class PartyIn(BaseModel):
    """A system that may search and subscribe."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sender_id": "health.example.org", "name": "市卫健委", "public_keys": [], "status": "active",
                    "callback_uri": "https://health.example.org/dci", "divisions": ["411323000000"],
                    "purposes": ["medical-aid"],
                }
            ]
        },
    )  # fmt: skip

    sender_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,99}$")] = Field(
        description="What it calls itself in headers."
    )
    name: Name = Field(description="Who it is 名称.")
    public_keys: Annotated[list[Annotated[PublicKey, AfterValidator(_usable)]], Field(max_length=5)] = Field(
        default=[], description="Its public keys; from the first on, everything it sends must be signed 公钥."
    )
    callback_uri: Annotated[str, StringConstraints(max_length=300, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")] = (
        Field(description="Base address of its callbacks; `/on-search` and alike are put behind it 回调地址.")
    )
    divisions: Annotated[list[Division], Field(min_length=1, max_length=500)] = Field(description="What it sees 辖区.")
    purposes: Annotated[list[Purpose], Field(max_length=50)] = Field(
        default=[], description="Purposes it may name; names stay masked for all of them 用途."
    )
    status: Literal["active", "blocked"] = "active"


class PartyOut(PartyIn):
    """A party without its secret."""

    id: UUID
    version: int
    client_id: str


class NewPartyOut(PartyOut):
    """A party just registered."""

    client_secret: str | None = Field(
        description="Shown this once only 仅显示一次; null in a dry run, and where the request is repeated: "
        "then draw another."
    )


class CallbackOut(BaseModel):
    """A callback that is still to be made, or was given up 未送达的回调."""

    id: UUID = Field(description="Its `message_id`.")
    action: str = Field(description="`on-search`, `on-subscribe`, `on-unsubscribe`, `txn-on-status` or `notify`.")
    attempts: int = Field(description="How often it was tried 次数.")
    failure: str | None = Field(description="Why it was not taken the last time 失败原因.")
    due_at: Instant = Field(description="When it is tried, or was last due 下次时间.")
    given_up_at: Instant | None = Field(description="When it was given up, after almost three days 放弃时间.")


class TokenOut(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Seconds.")


class TokenError(BaseModel):
    """RFC 6749, section 5.2."""

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type"]
