"""Tables as code and tables as migrated are the same; everything can be published again; documents are valid."""

import json
from collections.abc import Callable

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from openapi_spec_validator import validate
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.assistance.app import build
from services.assistance.publishing import republisher
from services.assistance.tables import metadata
from shared.clock import SystemClock
from shared.contracts.action import ACTION
from shared.contracts.programme import PROGRAMME, TARGET
from shared.settings import Settings
from tests.assistance.test_targets import target
from tests.assistance.world import World

SHARED_TABLES = {
    "outbox", "outbox_sent", "log_state", "published_position", "consumed_position", "dead_letter", "parked_record",
    "idempotency", "api_key", "table_revision", "alembic_version",
}  # fmt: skip


def _differences(connection: Connection) -> list[object]:
    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        return kind != "table" or (name not in SHARED_TABLES and not str(name).startswith("outbox_sent"))

    context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_tables_are_as_described(database_url: Callable[[str | None], str]) -> None:
    url = database_url("assistance").replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
        assert (await connection.execute(text("SELECT count(*) FROM alembic_version"))).scalar_one() == 1
    await engine.dispose()


async def test_everything_can_be_published_again(world: World) -> None:
    for number in range(3):
        await world.record(source_system="s", external_id=str(number))
    action = (await world.record()).json()["id"]
    await world.send("POST", f"/v1/actions/{action}/revocation", body={"reason": "重复"}, if_match='"1"')
    await world.send("POST", "/v1/targets", body=target())
    before = await _payloads(world)
    await world.rows("DELETE FROM outbox")
    async with world.runtime.database.driver() as pg, pg.transaction():
        written = await republisher(world.runtime.settings, SystemClock())(pg)
    after = await _payloads(world)
    assert after == before
    assert written == len(after)


async def _payloads(world: World) -> dict[tuple[str, str], object]:
    """The newest payload of every aggregate in the outbox."""
    rows = await world.rows(
        "SELECT DISTINCT ON (aggregatetype, aggregateid) aggregatetype, aggregateid, id, payload FROM outbox "
        "WHERE aggregatetype = ANY($1) ORDER BY aggregatetype, aggregateid, pos DESC",
        [ACTION.name, PROGRAMME.name, TARGET.name],
    )
    return {(row["aggregatetype"], row["aggregateid"]): (row["id"], json.loads(row["payload"])) for row in rows}


def test_the_api_document_is_valid() -> None:
    settings = Settings(service="assistance", database_url="postgresql://x/y", kafka_bootstrap_servers="x:1")
    app, _ = build(settings, "api")
    document = app.openapi()
    validate(document)
    operations = [o for path in document["paths"].values() for o in path.values()]
    assert all(each.get("summary") and each.get("description") and each.get("operationId") for each in operations)
    assert len({each["operationId"] for each in operations}) == len(operations)
