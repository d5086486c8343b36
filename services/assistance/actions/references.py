"""Finding what actions refer to: one statement for a whole batch, with only the branches it needs."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.assistance.actions.rules import References
from services.assistance.actions.schemas import ActionContent
from services.assistance.actors import service as actors
from services.assistance.mirror import service as mirror
from shared.contracts.household import HouseholdEvent, PersonEvent
from shared.db import Pg


async def resolve(pg: Pg, contents: Iterable[ActionContent]) -> References:
    """Look up every household, person and actor that the contents name."""
    wanted = _Wanted()
    for content in contents:
        wanted.add(content)
    households: dict[UUID | str, HouseholdEvent] = {}
    persons: dict[UUID | str, PersonEvent] = {}
    found_actors: dict[UUID | tuple[str, str], UUID] = {}
    for kind, identifier, body in await wanted.fetch(pg):
        if kind == "household":
            _add_household(households, HouseholdEvent.model_validate_json(body))
        elif kind == "person":
            person = PersonEvent.model_validate_json(body)
            persons[person.id] = persons[person.number] = person
        else:
            found_actors[identifier] = identifier
            if body is not None:
                found_actors[actors.external_name(body)] = identifier
    await _add_homes(pg, households, persons, wanted.homeless)
    return References(households, persons, found_actors)


def _add_household(households: dict[UUID | str, HouseholdEvent], household: HouseholdEvent) -> None:
    households[household.id] = household
    rival = households.get(household.number)
    if rival is None or rival.status != "active":
        households[household.number] = household


async def _add_homes(
    pg: Pg,
    households: dict[UUID | str, HouseholdEvent],
    persons: dict[UUID | str, PersonEvent],
    homeless: Iterable[UUID | str],
) -> None:
    """Households of persons whose action names none."""
    homes = {persons[ref].household_id for ref in homeless if ref in persons} - {None} - households.keys()
    if homes:
        for _, _, body in await pg.fetch(mirror.HOUSEHOLD_BY_ID.format("$1"), list(homes)):
            _add_household(households, HouseholdEvent.model_validate_json(body))


class _Wanted:
    """The references of a batch, by the way they are named."""

    def __init__(self) -> None:
        self.household_ids: set[UUID] = set()
        self.household_numbers: set[str] = set()
        self.person_ids: set[UUID] = set()
        self.person_numbers: set[str] = set()
        self.actor_ids: set[UUID] = set()
        self.actor_names: set[tuple[str, str]] = set()
        self.homeless: set[UUID | str] = set()

    def add(self, content: ActionContent) -> None:
        if (household := content.household) is not None:
            _sort(household.id, self.household_ids, household.number, self.household_numbers)
        for person in content.persons:
            _sort(person.id, self.person_ids, person.number, self.person_numbers)
            if household is None and content.division is None:
                self.homeless.add(person.id or person.number or "")
        if (actor := content.actor) is not None:
            if actor.id is not None:
                self.actor_ids.add(actor.id)
            else:
                self.actor_names.add((actor.source_system or "", actor.external_id or ""))

    async def fetch(self, pg: Pg) -> list[Any]:
        branches: list[str] = []
        arguments: list[list[Any]] = []
        for branch, values in (
            (mirror.HOUSEHOLD_BY_ID, self.household_ids),
            (mirror.HOUSEHOLD_BY_NUMBER, self.household_numbers),
            (mirror.PERSON_BY_ID, self.person_ids),
            (mirror.PERSON_BY_NUMBER, self.person_numbers),
            (actors.ACTOR_BY_ID, self.actor_ids),
        ):
            if values:
                arguments.append(list(values))
                branches.append(branch.format(f"${len(arguments)}"))
        if self.actor_names:
            systems, names = zip(*sorted(self.actor_names), strict=True)
            arguments += [list(systems), list(names)]
            branches.append(actors.ACTOR_BY_NAME.format(f"${len(arguments) - 1}", f"${len(arguments)}"))
        return await pg.fetch(" UNION ALL ".join(branches), *arguments) if branches else []


def _sort(identifier: UUID | None, ids: set[UUID], number: str | None, numbers: set[str]) -> None:
    if identifier is not None:
        ids.add(identifier)
    elif number is not None:
        numbers.add(number)
