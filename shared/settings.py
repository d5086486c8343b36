"""Settings of a service, read from the environment once, in ``main()``; nothing happens at import."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

ServiceName = Literal["registry", "assistance", "ranking"]


class Settings(BaseModel):
    """What every service can be told.

    A setting ``x`` is taken from ``BANGFU_<SERVICE>_X``, else from ``BANGFU_X`` (which then holds for all
    three services), else from its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    demonstration: bool = Field(default=False, description="mark everything shown as demonstration data 演示数据")
    cursor_secret: SecretStr = Field(default=SecretStr(""), description="signs cursors; default: drawn at start")
    max_body_mb: int = Field(default=64, ge=1, description="largest bulk request body in MB")
    log_level: str = Field(default="INFO")

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
