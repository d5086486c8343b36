"""Plans are kept: made while the register is small, they must not be used when an import has filled it."""

from collections.abc import Iterator
from typing import Any

import httpx
from fastapi import FastAPI

from services.registry.commands import plan_anew
from services.registry.households import auditing, collisions, registering, upserting
from services.registry.households.models import HOUSEHOLD, PERSON
from shared.db import Pg
from tests.registry.conftest import make
from tests.registry.recording import let_in

_OWN = {
    "household": {
        "id": "uuidv7()",
        "seq": "seq + n",
        "number": "lpad(n::text, 14, '0')",
        "content": "sha256(n::text::bytea)",
    },
    "person": {"id": "uuidv7()", "number": "lpad(n::text, 14, '0')", "id_number_index": "sha256(n::text::bytea)"},
}


LOOKED_UP = {
    "names_that_are_taken": registering.SAME_NAMES,
    "id_numbers": collisions.HELD,
    "households_to_update": upserting.HELD,
    "households_for_the_log": auditing.NOTE_HOUSEHOLDS,
    "persons_for_the_log": auditing.NOTE_PERSONS,
}
_BY_INDEX = {"Index Cond", "Recheck Cond"}


async def fill(pg: Pg) -> None:
    """Twenty thousand more of what is there, so far unknown to the statistics that plans are made by."""
    for table, columns in (("household", HOUSEHOLD), ("person", PERSON)):
        values = ", ".join(_OWN[table].get(name, name) for name in columns)
        await pg.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, generate_series(1, 20_000) AS n"
        )


async def scans(pg: Pg, name: str) -> list[dict[str, Any]]:
    """How a prepared statement reads tables, whatever its values."""
    count = await pg.fetchval(
        "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = lower($1)", name
    )
    [explained] = await pg.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ({', '.join(['NULL'] * count)})")
    return [each for each in _nodes(explained["Plan"]) if "Scan" in each["Node Type"] and "Relation Name" in each]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


async def test_what_an_import_looks_up_it_finds_by_index(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    await make(own_registry)
    async with own_app.state.runtime.database.driver() as pg:
        await let_in(pg)
        await pg.execute("ANALYZE household, person")
        async with pg.transaction():
            await pg.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            for name, statement in LOOKED_UP.items():
                await pg.execute(f"PREPARE {name} AS {statement}")
            small = [await scans(pg, name) for name in LOOKED_UP]
            await fill(pg)
            assert [await scans(pg, name) for name in LOOKED_UP] == small  # kept
            await plan_anew(pg)
            found = {name: await scans(pg, name) for name in LOOKED_UP}
    assert all(found.values())
    assert [name for name, read in found.items() if not all(each.keys() & _BY_INDEX for each in read)] == []
