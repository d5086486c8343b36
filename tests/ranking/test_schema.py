"""The migrated schema and the declared tables say the same."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table

from services.ranking.facts import models as facts
from services.ranking.indicators import models as indicators
from services.ranking.metadata import metadata
from services.ranking.mirror import models as mirror
from services.ranking.versions import models as versions
from tests.ranking.world import World

SLICES = (facts, indicators, mirror, versions)


async def test_tables_are_as_declared(world: World) -> None:
    declared = {table.name for module in SLICES for table in vars(module).values() if isinstance(table, Table)}
    assert declared == set(metadata.tables)

    def differences(connection: Connection) -> list[object]:
        def ours(_object: object, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name in declared

        options = {"include_object": ours}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with world.runtime.database.transaction() as conn:
        assert await conn.run_sync(differences) == []
