"""Whose record a household is: the source that submitted it, and the last version it had there."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from shared.db import Pg


class Provenance(NamedTuple):
    """A household's source, and the version of its record that was last taken in."""

    source: str
    source_version: int | None


async def of(pg: Pg, households: Sequence[UUID]) -> dict[UUID, Provenance]:
    """Those that sources have spoken of; read after the households were locked."""
    rows = await pg.fetch(
        "SELECT household_id, source, source_version FROM submitted_household WHERE household_id = ANY($1)", households
    )
    return {row["household_id"]: Provenance(row["source"], row["source_version"]) for row in rows}


async def note(pg: Pg, spoken_of: Sequence[tuple[UUID, Provenance]]) -> None:
    """Households are, from the first word of it on, their source's; a version is never lowered or forgotten."""
    if not spoken_of:
        return
    rows = sorted((household, source, version) for household, (source, version) in spoken_of)
    await pg.execute(
        "INSERT INTO submitted_household (household_id, source, source_version) "
        "SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) ON CONFLICT (household_id) DO UPDATE SET "
        "source_version = greatest(submitted_household.source_version, excluded.source_version)",
        *zip(*rows, strict=True),
    )
