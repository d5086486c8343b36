"""Registered submission sources 报送来源: the systems that may submit, and what each may reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem, Text
from shared.http.etag import check_version
from shared.http.fields import Division, Name
from shared.ids import uuid7
from shared.watched import RAISE_REVISION, Watched

SOURCES_REVISION = "source"
_COLUMNS = "id, version, name, label, mode, status, divisions, changed_at"


@dataclass(frozen=True, slots=True)
class Source:
    """A registered submission source 报送来源; ``caller`` is what it may reach."""

    id: UUID
    name: str
    test: bool
    caller: Caller


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
    changed_at: datetime


def sources() -> Watched[Mapping[str, Source]]:
    """Active sources by name, kept in memory; one of them lives as long as the process."""
    return Watched(SOURCES_REVISION, _load)


async def _load(pg: Pg) -> Mapping[str, Source]:
    rows = await pg.fetch("SELECT id, name, mode, divisions FROM source WHERE status = 'active'")
    return {row["name"]: _source(row["id"], row["name"], row["mode"], row["divisions"]) for row in rows}


def _source(source_id: UUID, name: str, mode: str, divisions: Sequence[str]) -> Source:
    caller = Caller(source_id, name, frozenset({"recorder"}), tuple(divisions))
    return Source(source_id, name, mode == "test", caller)


async def register(pg: Pg, content: SourceContent, *, name: str, by: UUID, now: datetime) -> SourceOut:
    """Add a source, in the open transaction of ``pg``. Raises 409 when the name is taken."""
    row = await pg.fetchrow(
        "INSERT INTO source (id, version, name, label, mode, status, divisions, changed_by, changed_at) "
        "VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING "
        f"RETURNING {_COLUMNS}",
        uuid7(), name, content.label, content.mode, content.status, content.divisions, by, now,
    )  # fmt: skip
    if row is None:
        raise Problem(errors.CONFLICT, Text("the source is registered already", "该来源已登记"))
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))


async def find(pg: Pg, source_id: UUID) -> SourceOut:
    """One source. Raises 404."""
    row = await pg.fetchrow(f"SELECT {_COLUMNS} FROM source WHERE id = $1", source_id)
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
        f"changed_by = $7, changed_at = $8 WHERE id = $1 AND version = $2 RETURNING {_COLUMNS}",
        source_id, expected, content.label, content.mode, content.status, content.divisions, by, now,
    )  # fmt: skip
    if row is None:
        check_version((await find(pg, source_id)).version, expected)
        raise Problem(errors.CONFLICT)
    await pg.execute(RAISE_REVISION, SOURCES_REVISION)
    return SourceOut(**dict(row))
