"""What happened that subscribers may have to hear of: written down in the transaction in which it happens.

A queue, not a cursor over versions: rows appear when their transaction commits and are deleted when they are handled,
so that none is overlooked however late it commits (libraries.md 2).
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from shared.db import Pg

REGISTER, NEW_MEMBER = "REGISTER", "NewHouseHoldMember"
EVENTS = (REGISTER, NEW_MEMBER)
Change = tuple[UUID, Sequence[UUID]]
"""A household and those of its members whom the change is about."""
_NOTE = """
INSERT INTO exchange_change (event_type, household_id, person_ids)
SELECT $1, given.household_id, string_to_array(given.person_ids, ',')::uuid[]
FROM unnest($2::uuid[], $3::text[]) AS given (household_id, person_ids)
WHERE EXISTS (SELECT FROM exchange_subscription WHERE event_type = $1 AND ended_at IS NULL)"""


async def note(pg: Pg, event_type: str, changes: Iterable[Change]) -> None:
    """Write changes down, unless nobody subscribes to their kind."""
    given = list(changes)
    if given:
        persons = [",".join(map(str, person_ids)) for _, person_ids in given]
        await pg.execute(_NOTE, event_type, [household_id for household_id, _ in given], persons)
