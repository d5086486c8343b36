"""Use cases of divisions: load, look up, add, designate; every change with its version and its event."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry, digest_of
from services.registry.context import Registry, today, within
from services.registry.divisions import rules
from services.registry.divisions.loading import load_divisions
from services.registry.divisions.schemas import DesignationLine, DivisionIn
from services.registry.instants import settled
from services.registry.reports import Tally
from shared import errors, outbox
from shared.auth import Caller
from shared.contracts.division import DIVISION, DesignationKind, DivisionEvent, DivisionTree
from shared.db import Pg
from shared.errors import Fault, Problem, fault
from shared.http.etag import check_version
from shared.outbox import Event
from shared.settings import Settings
from shared.watched import RAISE_REVISION, Watched

REVISION = "division"
NOTHING = DivisionTree(())
_PATHS = 0x70617468
"""The lock on paths: shared by whoever freezes paths into households, exclusive for whoever changes them."""
_CHANGED = """
SELECT body FROM division LEFT JOIN unnest($1::text[], $2::int[]) AS held (code, version) USING (code)
WHERE held.version IS DISTINCT FROM division.version"""
_KNOWN = """
SELECT DISTINCT ON (code) body FROM division_version WHERE recorded_at <= $1 ORDER BY code, version DESC"""


def watched_divisions() -> Watched[DivisionTree]:
    """The tree in memory, at most a second old."""
    return Watched(REVISION, loader())


def loader(held: DivisionTree = NOTHING) -> Callable[[Pg], Awaitable[DivisionTree]]:
    """Loads the tree again and again, each time what has changed since the last time, or since the tree ``held``.

    To read five thousand divisions holds up every other request of the process, while a merger waits for it, and
    whoever registers waits for the merger.
    """

    async def load(pg: Pg) -> DivisionTree:
        nonlocal held
        held = await load_tree(pg, held)
        return held

    return load


async def load_tree(pg: Pg, held: DivisionTree = NOTHING) -> DivisionTree:
    """The tree as this transaction sees it; divisions of the tree ``held`` are not read again in the same version."""
    rows = await pg.fetch(_CHANGED, [division.code for division in held], [division.version for division in held])
    return with_changes(held, [DivisionEvent.model_validate_json(row["body"]) for row in rows])


def with_changes(tree: DivisionTree, made: Sequence[DivisionEvent]) -> DivisionTree:
    """A tree in which some divisions are new, or as they are now; in order of code."""
    return DivisionTree(sorted([*tree, *made], key=attrgetter("code"))) if made else tree


async def known_tree(registry: Registry, now: DivisionTree, known_at: datetime | None) -> DivisionTree:
    """The divisions as they were known at an instant, or as they are. Raises what ``settled`` does."""
    if known_at is None:
        return now
    await settled(registry.runtime, known_at)
    async with registry.runtime.database.driver() as pg:
        # what was recorded until then is in the tree by now
        return await _tree_known_at(pg, known_at, await registry.divisions.latest(pg))


async def _tree_known_at(pg: Pg, instant: datetime, now: DivisionTree) -> DivisionTree:
    """The tree as it was known at an instant, which is that of now if nothing changed since; empty before the first."""
    if not await pg.fetchval("SELECT EXISTS (SELECT FROM division_version WHERE recorded_at > $1)", instant):
        return now
    rows = await pg.fetch(_KNOWN, instant)
    return DivisionTree(DivisionEvent.model_validate_json(row["body"]) for row in rows)


async def versions(pg: Pg, code: str) -> Sequence[Any]:
    """The rows of every version of a division, oldest first."""
    return await pg.fetch(
        "SELECT version, body, recorded_at, changed_by, reason FROM division_version WHERE code = $1 ORDER BY version",
        code,
    )


async def lock_paths(pg: Pg, watched: Watched[DivisionTree]) -> DivisionTree:
    """The tree as it stands: nobody else changes paths, or freezes any, until this transaction ends.

    Before this transaction changes any itself.
    """
    await pg.execute("SELECT pg_advisory_xact_lock($1)", _PATHS)
    return await watched.latest(pg)


async def current_tree(pg: Pg, watched: Watched[DivisionTree]) -> DivisionTree:
    """The tree as it stands until this transaction ends: nobody changes paths meanwhile."""
    await pg.execute("SELECT pg_advisory_xact_lock_shared($1)", _PATHS)
    return await watched.latest(pg)


async def seed(pg: Pg, settings: Settings, now: datetime) -> int:
    """Load the real divisions into an empty table; returns how many were loaded, 0 if there were any."""
    await pg.execute("LOCK TABLE division IN SHARE ROW EXCLUSIVE MODE")
    if await pg.fetchval("SELECT EXISTS (SELECT FROM division)"):
        return 0
    loaded = load_divisions()
    await store(pg, settings, loaded, now, None)
    return len(loaded)


async def republish(pg: Pg, settings: Settings) -> int:
    """Write every division's present state to the outbox; returns how many."""
    rows = await pg.fetch(
        "SELECT d.body, v.recorded_at FROM division d JOIN division_version v USING (code, version) ORDER BY code"
    )
    events = [_event(DivisionEvent.model_validate_json(row["body"]), row["recorded_at"]) for row in rows]
    await outbox.write(pg, outbox.rows(settings, events))
    return len(events)


async def at_version(pg: Pg, code: str, version: int) -> DivisionEvent:
    """A division as one of its versions said."""
    body = await pg.fetchval("SELECT body FROM division_version WHERE code = $1 AND version = $2", code, version)
    return DivisionEvent.model_validate_json(body)


async def register(pg: Pg, registry: Registry, caller: Caller, content: DivisionIn) -> DivisionEvent:
    """Add a division below another of the caller's. Raises 409 for a code in use, 422 where it does not fit."""
    tree = await lock_paths(pg, registry.divisions)
    parent = tree.get(content.parent)
    if parent is not None and not within(caller, tree, parent.code, today(registry)):
        parent = None
    faults = rules.placement_faults(content.code, content.level, parent, content.valid_from)
    if faults:
        raise errors.invalid(*faults)
    if tree.get(content.code) is not None:
        raise Problem(rules.CODE_TAKEN)
    made = DivisionEvent(**content.model_dump(), version=1, source="local")
    await store(pg, registry.runtime.settings, [made], registry.runtime.clock.now(), caller.key_id)
    return made


async def designate(
    pg: Pg, registry: Registry, caller: Caller, code: str, kind: DesignationKind, valid_from: date, expected: int
) -> DivisionEvent:
    """Give a designation from a day on. Raises 404, 412, 422."""
    found = await locked(pg, registry, caller, code, expected)
    return await changed(pg, registry, caller, found, rules.designated(found, kind, valid_from))


async def end_designation(
    pg: Pg, registry: Registry, caller: Caller, code: str, kind: DesignationKind, valid_to: date, expected: int | None
) -> DivisionEvent:
    """End a designation; ``valid_to`` is the first day it no longer holds. Raises 404, 412, 422.

    Without an expected version, that of the moment, for a command that this one belongs to: it has found the division
    in the caller's scope, and may have ended another designation.
    """
    if expected is None:
        [found] = await lock(pg, [code])
    else:
        found = await locked(pg, registry, caller, code, expected)
    return await changed(pg, registry, caller, found, rules.undesignated(found, kind, valid_to))


async def designate_many(
    pg: Pg, registry: Registry, caller: Caller, lines: Sequence[DesignationLine | list[Fault]], *, each: bool
) -> Tally:
    """Give designations line by line: unless ``each``, a single refusal leaves everything as it was."""
    tree = await registry.divisions.get(pg)
    codes = {line.code for line in lines if isinstance(line, DesignationLine)}
    before = {d.code: d for d in await lock(pg, codes) if within(caller, tree, d.code, today(registry))}
    after = dict(before)
    tally = Tally(received=len(lines))
    for row, line in enumerate(lines, start=1):
        if isinstance(line, list):
            tally.reject(row, line)
            continue
        found = after.get(line.code)
        if found is None:
            tally.reject(row, [fault("/code", "division_unknown", "no such division of yours", "辖区内无此区划")])
            continue
        try:
            changed = rules.designated(found, line.kind, line.valid_from)
        except Problem as refused:
            tally.reject(row, refused.faults)
            continue
        tally.created += changed is not found
        tally.unchanged += changed is found
        after[line.code] = changed.model_copy(update={"version": before[line.code].version + (changed is not found)})
    if each or not tally.rejected:
        made = [new for code, new in after.items() if new.designations != before[code].designations]
        await store(pg, registry.runtime.settings, made, registry.runtime.clock.now(), caller.key_id)
    return tally


async def locked(pg: Pg, registry: Registry, caller: Caller, code: str, expected: int) -> DivisionEvent:
    """A division whose row is locked. Raises 404 outside the caller's divisions, 412 for another version."""
    found = next(iter(await lock(pg, [code])), None)
    if found is None or not within(caller, await registry.divisions.get(pg), code, today(registry)):
        raise Problem(errors.NOT_FOUND)
    check_version(found.version, expected)
    return found


async def lock(pg: Pg, codes: Iterable[str]) -> list[DivisionEvent]:
    """Divisions by code, in order of code, their rows locked."""
    rows = await pg.fetch("SELECT body FROM division WHERE code = ANY($1) ORDER BY code FOR UPDATE", list(codes))
    return [DivisionEvent.model_validate_json(row["body"]) for row in rows]


async def changed(
    pg: Pg, registry: Registry, caller: Caller, found: DivisionEvent, new: DivisionEvent, reason: str | None = None
) -> DivisionEvent:
    """A division as decided, written if that changes anything."""
    if new is not found:
        await store(pg, registry.runtime.settings, [new], registry.runtime.clock.now(), caller.key_id, reason)
    return new


async def store(
    pg: Pg,
    settings: Settings,
    made: Sequence[DivisionEvent],
    now: datetime,
    changed_by: UUID | None,
    reason: str | None = None,
) -> None:
    """Write the next version of divisions, with what explains it, and publish them."""
    if not made:
        return
    codes, versions = [d.code for d in made], [d.version for d in made]
    bodies = [d.model_dump_json() for d in made]
    await pg.execute(
        "INSERT INTO division (code, version, body) SELECT * FROM unnest($1::text[], $2::int[], $3::text[]) "
        "ON CONFLICT (code) DO UPDATE SET version = excluded.version, body = excluded.body",
        codes,
        versions,
        bodies,
    )
    await pg.execute(
        "INSERT INTO division_version (code, version, body, recorded_at, changed_by, reason) "
        "SELECT code, version, body, $4, $5, $6 "
        "FROM unnest($1::text[], $2::int[], $3::text[]) AS given (code, version, body)",
        codes,
        versions,
        bodies,
        now,
        changed_by,
        reason,
    )
    await pg.execute(RAISE_REVISION, REVISION)
    await outbox.write(pg, outbox.rows(settings, [_event(d, now) for d in made]))
    await audit.record(pg, list(_audited(made, bodies, now, changed_by, reason)))


def _audited(
    made: Sequence[DivisionEvent], bodies: Sequence[str], now: datetime, changed_by: UUID | None, reason: str | None
) -> Iterator[Entry]:
    """An entry for each change; one for an edition that is loaded as a whole. Divisions are open to every admin."""
    if changed_by is None:
        yield Entry(
            recorded_at=now,
            key_id=None,
            operation="divisions.loaded",
            object_id=made[0].source,
            digest=digest_of(bodies),
        )
        return
    for division, body in zip(made, bodies, strict=True):
        yield Entry(
            recorded_at=now,
            key_id=changed_by,
            operation=f"division.{_verb(division)}",
            object_id=division.code,
            version=division.version,
            reason=reason,
            digest=digest_of([body]),
        )


def _event(made: DivisionEvent, now: datetime) -> Event:
    return Event(DIVISION, _verb(made), made.code, made, now, version=made.version)


def _verb(made: DivisionEvent) -> str:
    return "registered" if made.version == 1 else "changed"
