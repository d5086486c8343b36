"""Use cases of the catalogue."""

from datetime import datetime
from uuid import UUID

from services.assistance.catalogue.rules import Catalogue, programme_faults
from services.assistance.catalogue.vocabulary import article_programmes, sectors, terms
from shared import errors, outbox
from shared.contracts.division import DivisionTree
from shared.contracts.programme import PROGRAMME, ProgrammeEvent
from shared.db import Pg
from shared.errors import Problem, Text, invalid
from shared.http.etag import check_version
from shared.outbox import Event
from shared.settings import Settings
from shared.watched import RAISE_REVISION, Watched

PROGRAMMES_REVISION = "programme"

_INSERT = (
    "INSERT INTO programme (code, version, body, changed_by) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING "
    "RETURNING code"
)
_UPDATE = (
    "UPDATE programme SET version = $2, body = $3, changed_by = $4 WHERE code = $1 AND version = $2 - 1 RETURNING code"
)
_VERSION = "INSERT INTO programme_version (code, version, body, changed_by, recorded_at) VALUES ($1, $2, $3, $4, $5)"


def catalogue() -> Watched[Catalogue]:
    """The catalogue, kept in memory; one of them lives as long as the process."""
    return Watched(PROGRAMMES_REVISION, _load)


async def _load(pg: Pg) -> Catalogue:
    rows = await pg.fetch("SELECT body FROM programme ORDER BY code")
    return Catalogue(ProgrammeEvent.model_validate_json(row["body"]) for row in rows)


async def find(pg: Pg, code: str) -> ProgrammeEvent:
    """One programme as it is now. Raises 404."""
    body = await pg.fetchval("SELECT body FROM programme WHERE code = $1", code)
    if body is None:
        raise Problem(errors.NOT_FOUND)
    return ProgrammeEvent.model_validate_json(body)


def check(programme: ProgrammeEvent, tree: DivisionTree) -> None:
    """Raises 422 with what is wrong with an entry."""
    places = {programme.issuer, *(step.division for step in programme.rollout)}
    found = programme_faults(
        programme,
        sectors=sectors(),
        tags={term.tag for term in terms()},
        divisions={code for code in places if tree.get(code) is not None},
    )
    if found:
        raise invalid(*found)


async def publish(pg: Pg, settings: Settings, programme: ProgrammeEvent, *, by: UUID, now: datetime) -> None:
    """Add a programme, in the open transaction of ``pg``. Raises 409 when its code is taken."""
    if not await _write(pg, settings, _INSERT, "published", programme, by=by, now=now):
        raise Problem(errors.CONFLICT, Text("the code is taken", "项目代码已存在"))


async def change(
    pg: Pg, settings: Settings, programme: ProgrammeEvent, *, expected: int, by: UUID, now: datetime
) -> None:
    """Replace a programme, in the open transaction of ``pg``. Raises 404, and 412 when it has moved on."""
    current = await find(pg, programme.code)
    check_version(current.version, expected)
    verb = "retired" if programme.status == "retired" else "changed"
    if not await _write(pg, settings, _UPDATE, verb, programme, by=by, now=now):
        raise Problem(errors.PRECONDITION_FAILED)


async def seed(pg: Pg, settings: Settings, now: datetime) -> int:
    """Bring the article's programmes into the catalogue; those that people have changed stay as they are.

    Returns how many were added or renewed.
    """
    written = 0
    async with pg.transaction():
        rows = await pg.fetch("SELECT code, body, changed_by FROM programme")
        present = {row["code"]: row for row in rows}
        for shipped in article_programmes():
            row = present.get(shipped.code)
            if row is None:
                written += await _write(pg, settings, _INSERT, "published", shipped, by=None, now=now)
                continue
            current = ProgrammeEvent.model_validate_json(row["body"])
            renewed = shipped.model_copy(update={"version": current.version + 1})
            if row["changed_by"] is None and current.model_copy(update={"version": shipped.version}) != shipped:
                written += await _write(pg, settings, _UPDATE, "changed", renewed, by=None, now=now)
    return written


async def _write(
    pg: Pg, settings: Settings, statement: str, verb: str, programme: ProgrammeEvent, *, by: UUID | None, now: datetime
) -> bool:
    body = programme.to_json().decode()
    if await pg.fetchval(statement, programme.code, programme.version, body, by) is None:
        return False
    await pg.execute(_VERSION, programme.code, programme.version, body, by, now)
    event = Event(PROGRAMME, verb, programme.code, programme, now, programme.version)
    await outbox.write(pg, outbox.rows(settings, [event]))
    await pg.execute(RAISE_REVISION, PROGRAMMES_REVISION)
    return True


async def republish(pg: Pg, settings: Settings, now: datetime) -> int:
    """Write every programme's present state to the outbox again."""
    rows = await pg.fetch("SELECT body FROM programme ORDER BY code")
    bodies = [ProgrammeEvent.model_validate_json(row["body"]) for row in rows]
    events = [Event(PROGRAMME, "changed", body.code, body, now, body.version) for body in bodies]
    await outbox.write(pg, outbox.rows(settings, events))
    return len(events)
