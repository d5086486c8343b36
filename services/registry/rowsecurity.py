"""Row-level security of the register: the backstop behind the scope in every query, never in its place.

Reads on behalf of a caller happen in ``scoped``. Commands do not: they must see whether a number or an ID number is
taken anywhere in the city, and the setting would cost them more than a backstop may (performance.md, B1).
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.app import Runtime
from shared.auth import Caller
from shared.db import Pg

logger = logging.getLogger("bangfu.registry")
CALLER_SCOPE = """
CREATE FUNCTION caller_scope() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('bangfu.scope', true), '')::text[]
"""
"""The divisions of the caller this transaction reads for; null where it reads for nobody."""


@asynccontextmanager
async def scoped(runtime: Runtime, caller: Caller) -> AsyncIterator[Pg]:
    """A transaction, all as of one moment, to read in for a caller: the database shows its divisions and no others."""
    async with runtime.database.driver() as pg, pg.transaction(isolation="repeatable_read", readonly=True):
        # For this transaction alone: the connection goes back to a pool. `{}` is a scope too, and an empty one.
        await pg.execute("SELECT set_config('bangfu.scope', $1, true)", f"{{{','.join(caller.divisions)}}}")
        yield pg


async def warn_unless_bound(pg: Pg) -> None:
    """Say so in the log when this role is none that row-level security binds."""
    if await pg.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"):
        logger.warning("the database role bypasses row-level security; give registry a role that is no superuser")


def by_division(table: str) -> list[str]:
    """Statements that protect a table whose rows hold the divisions above them."""
    return _protected(table, "ARRAY[city, managing_unit, township, village] && (SELECT caller_scope())")


def by_household(table: str, column: str) -> list[str]:
    """Statements that protect a table whose rows are seen by whoever sees the household that a column names."""
    return _protected(table, f"EXISTS (SELECT FROM household seen WHERE seen.id = {table}.{column})")


FORMER_DIVISIONS = (
    "ALTER POLICY scope ON household USING ((SELECT caller_scope()) IS NULL "
    "OR ARRAY[city, managing_unit, township, village] && (SELECT caller_scope()) "
    "OR (former_divisions <> '' AND string_to_array(former_divisions, ' ') && (SELECT caller_scope())))",
    "ALTER POLICY scope ON household_period USING ((SELECT caller_scope()) IS NULL "
    "OR ARRAY[city, managing_unit, township, village] && (SELECT caller_scope()))",
)
"""Statements that let a household be seen where it once lay too: as of a day it belongs there (architecture rule 9).

A stretch of its days is seen where it lay in these.
"""
PERSONS_ALONE = (
    "ALTER POLICY scope ON person USING ((SELECT caller_scope()) IS NULL "
    "OR ARRAY[city, managing_unit, township, village] && (SELECT caller_scope()) "
    "OR EXISTS (SELECT FROM household seen WHERE seen.id = person.household_id))",
    "ALTER POLICY scope ON person_version USING ((SELECT caller_scope()) IS NULL "
    "OR (household_id IS NULL AND EXISTS (SELECT FROM person seen WHERE seen.id = person_version.id)) "
    "OR EXISTS (SELECT FROM household seen WHERE seen.id = person_version.household_id))",
)
"""Statements that let persons without a household be seen where they belong, and their past with them."""


def _protected(table: str, within: str) -> list[str]:
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        # The sub-select is computed once a statement, the function itself would be once a row.
        f"CREATE POLICY scope ON {table} USING ((SELECT caller_scope()) IS NULL OR {within})",
    ]
