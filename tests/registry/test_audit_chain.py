"""What was sealed into the audit log's chain cannot be changed unseen."""

from collections.abc import Awaitable, Callable

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry.audit import service
from services.registry.audit.command import verify_audit
from services.registry.audit.rules import BrokenError, Head
from shared.db import Pg
from tests.registry.audit import seal
from tests.registry.conftest import make


class _UndoneError(Exception):
    """Ends a transaction that has failed."""


async def test_nothing_in_it_can_be_changed(registry: httpx.AsyncClient, app: FastAPI, url: str) -> None:
    await seal(app)
    pg = await asyncpg.connect(url)
    try:
        for statement in (
            "UPDATE audit_entry SET reason = 'x'",
            "UPDATE audit_entry SET position = NULL, hash = NULL",
            "DELETE FROM audit_entry",
            "TRUNCATE audit_entry",
            "UPDATE audit_anchor SET position = 7",
            "DELETE FROM audit_anchor",
            "TRUNCATE audit_anchor",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute(statement)
        async with pg.transaction():  # nobody seals it before it is committed, which it never is
            await pg.execute(
                "INSERT INTO audit_entry (id, recorded_at, operation, object_id, divisions) "
                "VALUES (gen_random_uuid(), now(), 'household.changed', 'x', '{}')"
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute(
                    "UPDATE audit_entry SET reason = 'x', position = 99, hash = 'x' WHERE position IS NULL"
                )
            raise _UndoneError
    except _UndoneError:
        pass
    finally:
        await pg.close()


async def _verified(pg: Pg, noted: Head | None = None) -> Head:
    async with pg.transaction(isolation="repeatable_read", readonly=True):
        return await service.verify(pg, noted)


async def _change(pg: Pg) -> int:
    await pg.execute("UPDATE audit_entry SET reason = 'another' WHERE position = 3")
    return 3


async def _hide_who(pg: Pg) -> int:
    await pg.execute("UPDATE audit_entry SET key_id = NULL WHERE position = 3")
    return 3


async def _delete(pg: Pg) -> int:
    await pg.execute("DELETE FROM audit_entry WHERE position = 3")
    return 3


async def _close_the_gap(pg: Pg) -> int:
    await pg.execute("DELETE FROM audit_entry WHERE position = 3")
    await pg.execute("UPDATE audit_entry SET position = -position WHERE position > 3")
    await pg.execute("UPDATE audit_entry SET position = -position - 1 WHERE position < 0")
    return 3


async def _swap(pg: Pg) -> int:
    await pg.execute("UPDATE audit_entry SET position = -position WHERE position IN (3, 4)")
    await pg.execute("UPDATE audit_entry SET position = 7 + position WHERE position < 0")
    return 3


async def _cut_the_tail(pg: Pg) -> int:
    newest = await pg.fetchval("SELECT max(position) FROM audit_entry")
    await pg.execute("DELETE FROM audit_entry WHERE position = $1", newest)
    return int(newest)


async def _unseal(pg: Pg) -> int:
    await pg.execute("UPDATE audit_entry SET position = NULL, hash = NULL WHERE position = 2")
    return 2


@pytest.mark.parametrize(
    "tamper", [_change, _hide_who, _delete, _close_the_gap, _swap, _cut_the_tail, _unseal], ids=lambda f: f.__name__
)
async def test_tampering_is_found_and_named(
    registry: httpx.AsyncClient,
    app: FastAPI,
    owner: Pg,
    tamper: Callable[[Pg], Awaitable[int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(3):
        await make(registry)
    await seal(app)
    assert (await _verified(owner)).position >= 7
    settings = app.state.runtime.settings
    assert await verify_audit(settings, []) == 0
    position = await tamper(owner)
    with pytest.raises(BrokenError) as found:
        await _verified(owner)
    assert found.value.position == position
    capsys.readouterr()
    assert await verify_audit(settings, []) == 1
    assert f"BROKEN at entry {position}:" in capsys.readouterr().err


async def test_a_chain_made_anew_does_not_fit_a_head_noted_elsewhere(
    registry: httpx.AsyncClient, app: FastAPI, owner: Pg
) -> None:
    await make(registry)
    await seal(app)
    told = (await registry.get("/v1/audit/head")).json()
    noted = f"{told['position']}:{told['hash']}"
    settings = app.state.runtime.settings
    await owner.execute("UPDATE audit_entry SET reason = 'another' WHERE position = 2")
    await owner.execute("UPDATE audit_entry SET position = NULL, hash = NULL")
    await owner.execute("TRUNCATE audit_anchor")
    await seal(app)
    assert await verify_audit(settings, []) == 0
    assert await verify_audit(settings, ["--head", noted]) == 1
    await make(registry)
    await seal(app)
    later = (await registry.get("/v1/audit/head")).json()
    assert later["unsealed"] == 0
    assert await verify_audit(settings, ["--head", f"{later['position']}:{later['hash']}"]) == 0
    await owner.execute("TRUNCATE audit_entry, audit_anchor")
    assert await verify_audit(settings, ["--head", noted]) == 1


async def test_one_seals_at_a_time_and_late_commits_come_after(
    registry: httpx.AsyncClient, app: FastAPI, url: str
) -> None:
    await make(registry)
    await seal(app)
    before = (await registry.get("/v1/audit/head")).json()["position"]
    other = await asyncpg.connect(url)
    try:
        async with other.transaction():  # an entry with an id older than all that follow, not committed yet
            early = "INSERT INTO audit_entry (id, recorded_at, operation, object_id, divisions) VALUES "
            await other.execute(early + "('00000000-0000-7000-8000-000000000000', now(), 'test.done', 'x', '{}')")
            await make(registry)
            await seal(app)
            async with app.state.runtime.database.driver() as pg, pg.transaction():
                await pg.execute("SELECT pg_advisory_xact_lock($1)", service._LOCK)  # once the service's own lets go
                await service.seal(pg, app.state.runtime.clock.now())
                assert await service.seal(other, app.state.runtime.clock.now()) == 0
        await seal(app)
        assert (await _verified(other)).position == before + 3
        last = await other.fetchval("SELECT object_id FROM audit_entry ORDER BY position DESC LIMIT 1")
        assert last == "x"
    finally:
        await other.close()
