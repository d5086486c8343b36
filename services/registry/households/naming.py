"""Households by the names that other systems know them by."""

from collections.abc import Sequence

from services.registry.households import reading
from services.registry.households.records import Household
from services.registry.identity import Vault
from shared.db import Pg

ExternalName = tuple[str, str]
"""``source_system`` and ``external_id``."""


async def locked_by_name(pg: Pg, names: Sequence[ExternalName], vault: Vault) -> dict[ExternalName, Household]:
    """The households that hold these names, wherever they are, locked until the transaction ends."""
    if not names:
        return {}
    rows = await pg.fetch(
        "SELECT id FROM household JOIN unnest($1::text[], $2::text[]) AS wanted (source_system, external_id) "
        "USING (source_system, external_id)",
        *zip(*names, strict=True),
    )
    if not rows:
        return {}
    found = await reading.several(pg, [row["id"] for row in rows], vault, lock=True)
    return {
        (each.source_system, each.external_id): each
        for each in found
        if each.source_system is not None and each.external_id is not None
    }
