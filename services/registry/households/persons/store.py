"""Writing persons without a household: state, history, event and audit entry in one transaction."""

from collections.abc import Sequence

from services.registry.context import Registry
from services.registry.households import store
from services.registry.households.persons.records import Unattached
from shared import outbox
from shared.contracts.household import PERSON
from shared.db import Pg
from shared.outbox import Event


async def write(pg: Pg, registry: Registry, persons: Sequence[Unattached]) -> None:
    """First versions, and next versions of persons whose rows are locked.

    Raises ``asyncpg.UniqueViolationError`` when a number or an ID number is taken.
    """
    if not persons:
        return
    rows = [(person, store.person_row(registry.vault, person, _where(person))) for person in persons]
    await store.write_persons(pg, rows)
    await outbox.write(pg, outbox.rows(registry.runtime.settings, events_of(persons)))


def events_of(persons: Sequence[Unattached]) -> list[Event]:
    """The events that publish persons as they are; of those placed the household tells."""
    return [
        Event(PERSON, each.verb(), str(each.id), each.event(), each.author.now, each.version)
        for each in persons
        if each.status != "transferred"
    ]


def _where(person: Unattached) -> tuple[str | None, ...]:
    path = person.path
    place = (path.city, path.county, path.managing_unit, path.township, path.village)
    return None, None, None, None, *place, store.dated_text(person.residences)
