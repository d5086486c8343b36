"""The databases of these tests refuse, at commit, what is recorded without the others being told before.

So every test that writes is one of ``services.registry.instants``: also of use cases that are still to come.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from services.registry.instants import EPOCH, LOCK
from shared.clock import Clock
from shared.db import Pg

DATED = ("household", "person", "division_version", "rural_population")
"""What a question with ``known_at`` reads; the entries of statistics are of the instants of their households."""
_REFUSING = f"""
CREATE FUNCTION refuse_what_nobody_was_told_of() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND classid::bigint = {LOCK}
        AND objid::bigint <= greatest(floor(extract(epoch FROM new.recorded_at - '{EPOCH.isoformat()}')), 0)
    ) THEN
        RAISE 'nobody was told (services.registry.instants) that a row of % would be recorded', tg_table_name;
    END IF;
    IF new.recorded_at < nullif(current_setting('test.begun', true), '')::timestamptz THEN
        RAISE 'a row of % is recorded at an instant read before others were told', tg_table_name;
    END IF;
    RETURN NULL;
END $$"""


_BEGUN = "SELECT set_config('test.begun', coalesce(nullif(current_setting('test.begun', true), ''), $1), true)"
"""To the microsecond: the lock tells the second."""


def telling(begin: Callable[[Pg, Clock], Awaitable[None]]) -> Callable[[Pg, Clock], Awaitable[None]]:
    """``instants.begin`` that also tells the database of the clock it is given, which may be none that goes."""

    async def told(pg: Pg, clock: Clock) -> None:
        begun = clock.now().isoformat()
        await begin(pg, clock)
        await pg.execute(_BEGUN, begun)

    return told


def guarded(url: str) -> str:
    """The same database, which refuses from now on."""
    with ThreadPoolExecutor(1) as thread:  # a test's own event loop may be running in ours
        thread.submit(asyncio.run, _guard(url)).result()
    return url


async def let_in(pg: Pg) -> None:
    """Refuse nothing any more: for rows that no use case records."""
    for table in DATED:
        await pg.execute(f"ALTER TABLE {table} DISABLE TRIGGER told")


async def _guard(url: str) -> None:
    pg = await asyncpg.connect(url)
    try:
        await pg.execute(_REFUSING)
        for table in DATED:
            await pg.execute(
                f"CREATE CONSTRAINT TRIGGER told AFTER INSERT OR UPDATE OF recorded_at ON {table} "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_what_nobody_was_told_of()"
            )
    finally:
        await pg.close()
