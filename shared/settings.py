"""Settings of a service, read from the environment once, in ``main()``; nothing happens at import."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

ServiceName = Literal["registry", "assistance", "ranking"]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]  # fmt: skip
"""Signatures that tokens may have; never ``none``, never a secret shared with the issuer (HS256 and alike)."""


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


Words = BeforeValidator(_words)
"""Several values in one variable, parted by spaces or commas."""


class Settings(BaseModel):
    """What every service can be told.

    A setting ``x`` is taken from ``BANGFU_<SERVICE>_X``, else from ``BANGFU_X`` (which then holds for all
    three services), else from its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    service: ServiceName
    database_url: str = Field(description="postgresql://user:password@host:port/database, PostgreSQL 18 or later")
    database_pool: int = Field(default=20, ge=2, description="connections this process may hold")
    kafka_bootstrap_servers: str = Field(description="host:port[,host:port]")
    kafka_idempotence: bool = Field(default=True, description="idempotent producer; off for the embedded broker")
    kafka_fetch_wait_ms: int = Field(
        default=500, ge=1, description="how long a fetch may wait; 20 for the embedded broker, which does not wake it"
    )
    kafka_replication_factor: int = Field(default=1, ge=1, description="of topics that Bangfu creates")
    kafka_prefix: str = Field(default="", description="prepended to topics and groups, to share a broker")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=0, description="port to listen on; 0 takes the service's own")
    public_url: str | None = Field(default=None, description="address others reach the service at")
    trusted_proxies: str = Field(
        default="", description="addresses or networks, with commas, whose X-Forwarded-For says where a caller is"
    )
    demonstration: bool = Field(default=False, description="mark everything shown as demonstration data 演示数据")
    cursor_secret: SecretStr = Field(default=SecretStr(""), description="signs cursors; default: drawn at start")
    signing_secrets: Annotated[tuple[Annotated[SecretStr, Field(min_length=32)], ...], Words] = Field(
        default=(), description="what secrets of sources are made from: the first makes new ones, all make them again"
    )
    max_body_mb: int = Field(default=64, ge=1, description="largest bulk request body in MB")
    log_level: str = Field(default="INFO")
    oidc_issuer: str | None = Field(
        default=None, pattern="^https?://", description="OpenID Connect issuer whose tokens are taken beside API keys"
    )
    oidc_audience: str | None = Field(default=None, description="what `aud` of a token must name")
    oidc_jwks_url: str | None = Field(
        default=None, pattern="^https?://", description="the issuer's keys; default: what its discovery document says"
    )
    oidc_algorithms: Annotated[tuple[Algorithm, ...], Words] = Field(
        default=("RS256", "ES256", "EdDSA"), min_length=1, description="signatures that are accepted"
    )
    oidc_roles_claims: Annotated[tuple[str, ...], Words] = Field(
        default=(), description="claims that hold roles; default: realm_access.roles, resource_access.<audience>.roles"
    )
    oidc_divisions_claim: str = Field(default="bangfu_divisions", description="claim that holds division codes 辖区")

    @classmethod
    def load(cls, service: ServiceName, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings of one service. Raises ``pydantic.ValidationError`` naming what is missing."""
        values: dict[str, object] = {"service": service}
        for name in cls.model_fields:
            for variable in (f"BANGFU_{service}_{name}".upper(), f"BANGFU_{name}".upper()):
                if environ.get(variable):
                    values[name] = environ[variable]
                    break
        values["service"] = service
        return cls.model_validate(values)

    @model_validator(mode="after")
    def _tokens_are_for_us(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_audience:
            raise ValueError("BANGFU_OIDC_ISSUER needs BANGFU_OIDC_AUDIENCE, else tokens for others would be taken")
        return self

    @property
    def listen_port(self) -> int:
        return self.port or {"registry": 8101, "assistance": 8102, "ranking": 8103}[self.service]

    @property
    def base_url(self) -> str:
        """Where the service's documents and schemas are reached."""
        return (self.public_url or f"http://{self.host}:{self.listen_port}").rstrip("/")

    def topic(self, name: str) -> str:
        """The name of a topic or group on the broker in use."""
        return f"{self.kafka_prefix}{name}"


def project_root() -> Path:
    """The checkout that this code runs from."""
    return Path(__file__).resolve().parent.parent


def project_version() -> str:
    """What pyproject.toml says: the checkout is run where it lies, and installed nowhere."""
    told: str = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return told
