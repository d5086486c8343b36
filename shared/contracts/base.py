"""The base of every contract and the catalogue that binds models to topics and CloudEvents types."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints


@lru_cache(maxsize=256)  # the events of one command bear one instant
def rfc3339(value: datetime) -> str:
    """An instant as everything of ours writes it: UTC, microseconds, ``Z``. ``strftime`` takes twice as long."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Instant = Annotated[
    AwareDatetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    Field(description="Instant, RFC 3339 with offset; published in UTC with microseconds."),
]
DivisionCode = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{12}$"),
    Field(description="Division code 行政区划代码, 12 digits."),
]
Number14 = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$")]
Fen = Annotated[int, Field(ge=-(2**53), le=2**53, description="Money in fen 分 (1/100 yuan), an integer.")]
Day = Annotated[date, Field(description="Day in Asia/Shanghai, ISO 8601.")]


class Contract(BaseModel):
    """A published payload. Readers accept fields they do not know (a publisher may add some)."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)

    def to_json(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode()


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic and what travels on it."""

    name: str
    model: type[BaseModel]
    types: tuple[str, ...]
    summary: str
    readers: tuple[str, ...] = ()
    """Consumer groups of ours that read it: a log is drained when all of them have."""
    partitions: int = 12

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dlt"

    def type(self, verb: str) -> str:
        """The CloudEvents type of one past-tense verb, for example ``recorded``."""
        name = f"cn.{self.name.removesuffix('.v1')}.{verb}.v1"
        if name not in self.types:
            raise ValueError(f"{self.name} publishes no {verb!r} event")
        return name


def topic(
    name: str, model: type[BaseModel], verbs: tuple[str, ...], summary: str, readers: tuple[str, ...] = ()
) -> Topic:
    """Declare ``bangfu.<service>.<aggregate>.v1`` with types ``cn.bangfu.<service>.<aggregate>.<verb>.v1``."""
    types = tuple(f"cn.bangfu.{name}.{verb}.v1" for verb in verbs)
    return Topic(f"bangfu.{name}.v1", model, types, summary, readers)


def json_schema(model: type[BaseModel], identifier: str) -> dict[str, Any]:
    """JSON Schema 2020-12 of a contract, as served at its ``ce_dataschema``."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier, **schema}
