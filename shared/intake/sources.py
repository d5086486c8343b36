"""Registered submission sources 报送来源: the systems that may submit, and what each may reach."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.etag import check_version
from shared.http.fields import Division, Name
from shared.ids import uuid7
from shared.intake import signing
from shared.intake.signing import Secret, Signature, Signing, SigningSecretError
from shared.settings import Settings
from shared.watched import RAISE_REVISION, Watched

SOURCES_REVISION = "source"
_COLUMNS = (
    "id, version, name, label, mode, status, divisions, signature, changed_at, "
    "(SELECT max(issued_at) FROM source_secret WHERE source_id = source.id) AS secret_issued_at"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A registered submission source 报送来源; ``caller`` is what it may reach."""

    id: UUID
    name: str
    test: bool
    caller: Caller
    signing: Signing


class SourceContent(BaseModel):
    """What a source may do; a change sends the whole of it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    label: Name = Field(description="Name people know it by 名称.")
    divisions: Annotated[list[Division], Field(min_length=1, max_length=100)] = Field(
        description="Division scope 辖区: where its submissions may count."
    )
    mode: Literal["live", "test"] = Field(
        default="live", description="live 正式, test 测试: checked and receipted, never counted."
    )
    status: Literal["active", "disabled"] = Field(default="active", description="active 启用, disabled 停用.")
    signature: Signature = Field(
        default="optional",
        description="required 必须签名: a record without `ce_signature` is refused; optional 可不签名.",
    )


class SourceIn(SourceContent):
    """A new submission source 报送来源."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "https://fupin.xixia.example/exports",
                    "label": "西峡县扶贫信息平台",
                    "divisions": ["411323000000"],
                    "mode": "test",
                }
            ]
        }
    )

    name: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")] = Field(
        description="`ce_source` of its CloudEvents, a URI reference 来源标识."
    )


class SourceOut(BaseModel):
    """A registered submission source 报送来源."""

    id: UUID
    version: int
    name: str
    label: str
    divisions: list[str]
    mode: Literal["live", "test"]
    status: Literal["active", "disabled"]
    signature: Signature
    secret_issued_at: datetime | None = Field(description="When its present signing secret was issued 密钥签发时间.")
    changed_at: datetime


class SecretIn(BaseModel):
    """A signing secret to issue."""

    model_config = ConfigDict(strict=True, extra="forbid", json_schema_extra={"examples": [{"keep_previous_days": 7}]})

    keep_previous_days: Annotated[int, Field(ge=0, le=30)] = Field(
        description="How long the secret before it still signs, in days 旧密钥保留天数; 0 where it is known to others."
    )


class NewSecretOut(SourceOut):
    """A source and the signing secret 签名密钥 just issued for it."""

    secret: str = Field(description="Shown this once only 仅显示一次; the HMAC key is its text.")


Verb = Literal["registered", "changed", "secret_issued"]
Noted = Callable[[Pg, Verb, SourceOut, UUID, datetime], Awaitable[None]]
"""What else a service does when a source was registered or changed, and by whom, in the same transaction."""


async def unnoted(pg: Pg, verb: Verb, source: SourceOut, changed_by: UUID, now: datetime) -> None:
    """Nothing: the service has no audit log, and the source itself says who changed it last."""


def sources(settings: Settings) -> Watched[Mapping[str, Source]]:
    """Active sources by name, kept in memory; one of them lives as long as the process.

    Its ``get`` raises ``SigningSecretError``.
    """
    return Watched(SOURCES_REVISION, partial(_load, settings))


async def _load(settings: Settings, pg: Pg) -> Mapping[str, Source]:
    rows = await pg.fetch(
        "SELECT id, name, mode, divisions, signature, ARRAY(SELECT (number, digest, until) FROM source_secret "
        "WHERE source_id = source.id AND (until IS NULL OR until > now()) ORDER BY number) AS secrets "
        "FROM source WHERE status = 'active'"
    )
    return {row["name"]: _source(settings, row) for row in rows}


def _source(settings: Settings, row: asyncpg.Record) -> Source:
    secrets = [
        Secret(signing.again(settings, row["id"], number, digest), until) for number, digest, until in row["secrets"]
    ]
    caller = Caller(row["id"], row["name"], frozenset({"recorder"}), tuple(row["divisions"]))
    return Source(row["id"], row["name"], row["mode"] == "test", caller, Signing(row["signature"], secrets))


async def register(pg: Pg, content: SourceContent, *, name: str, by: UUID, now: datetime) -> SourceOut:
    """Add a source, in the open transaction of ``pg``. Raises 409 when the name is taken."""
    row = await pg.fetchrow(
        "INSERT INTO source (id, version, name, label, mode, status, divisions, signature, changed_by, changed_at) "
        "VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING "
        f"RETURNING {_COLUMNS}",
        uuid7(), name, content.label, content.mode, content.status, content.divisions, content.signature, by, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.CONFLICT, Text("the source is registered already", "该来源已登记"))
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))


async def find(pg: Pg, source_id: UUID, *, lock: bool = False) -> SourceOut:
    """One source. Raises 404."""
    row = await pg.fetchrow(f"SELECT {_COLUMNS} FROM source WHERE id = $1 {'FOR UPDATE' if lock else ''}", source_id)
    if row is None:
        raise Problem(errors.NOT_FOUND)
    return SourceOut(**dict(row))


async def named_before(pg: Pg, text: str) -> list[SourceOut]:
    """The sources whose name and a slash begin a text; the longest name, which says most, first."""
    rows = await pg.fetch(
        f"SELECT {_COLUMNS} FROM source WHERE starts_with($1, name || '/') ORDER BY length(name) DESC", text
    )
    return [SourceOut(**dict(row)) for row in rows]


async def listed(pg: Pg) -> list[SourceOut]:
    """Every source in order of registration; there are as many as there are systems that submit."""
    return [SourceOut(**dict(row)) for row in await pg.fetch(f"SELECT {_COLUMNS} FROM source ORDER BY id")]


async def change(
    pg: Pg, source_id: UUID, content: SourceContent, *, expected: int, by: UUID, now: datetime
) -> SourceOut:
    """Replace what a source may do, in the open transaction of ``pg``. Raises 404, 412."""
    row = await pg.fetchrow(
        "UPDATE source SET version = version + 1, label = $3, mode = $4, status = $5, divisions = $6, "
        "signature = $7, changed_by = $8, changed_at = $9 WHERE id = $1 AND version = $2 "
        f"RETURNING {_COLUMNS}",
        source_id, expected, content.label, content.mode, content.status, content.divisions, content.signature, by,
        now,
    )  # fmt: skip
    if row is None:
        check_version((await find(pg, source_id)).version, expected)
        raise Problem(errors.CONFLICT)
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))


async def issue_secret(
    pg: Pg, settings: Settings, source_id: UUID, content: SecretIn, *, expected: int, by: UUID, now: datetime
) -> tuple[SourceOut, str]:
    """Give a source another signing secret, in the open transaction of ``pg``. Raises 404, 409, 412."""
    check_version((await find(pg, source_id, lock=True)).version, expected)
    number = await pg.fetchval("SELECT coalesce(max(number), 0) + 1 FROM source_secret WHERE source_id = $1", source_id)
    try:
        secret = signing.issue(settings, source_id, number)
    except SigningSecretError as error:
        raise Problem(errors.CONFLICT, Text(str(error), "未配置 BANGFU_SIGNING_SECRETS")) from error
    until = now + timedelta(days=content.keep_previous_days)
    await pg.execute("UPDATE source_secret SET until = least(until, $2) WHERE source_id = $1", source_id, until)
    await pg.execute(
        "INSERT INTO source_secret (source_id, number, digest, issued_at) VALUES ($1, $2, $3, $4)",
        source_id, number, signing.digest_of(secret), now,
    )  # fmt: skip
    await pg.execute(
        "UPDATE source SET version = version + 1, changed_by = $2, changed_at = $3 WHERE id = $1", source_id, by, now
    )
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return await find(pg, source_id), secret
