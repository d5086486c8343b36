"""Finding what actions refer to: one statement for a whole batch, with only the branches it needs."""

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

from services.assistance.actions.rules import References
from services.assistance.actions.schemas import ActionContent, RegisterRef
from services.assistance.actors import service as actors
from services.assistance.mirror import service as mirror
from shared.contracts.household import HouseholdEvent, PersonEvent
from shared.db import Pg

_BRANCHES = {
    "household_id": mirror.HOUSEHOLD_BY_ID,
    "household_number": mirror.HOUSEHOLD_BY_NUMBER,
    "person_id": mirror.PERSON_BY_ID,
    "person_number": mirror.PERSON_BY_NUMBER,
    "actor_id": actors.ACTOR_BY_ID,
    "actor_name": actors.ACTOR_BY_NAME,
}
Wanted = dict[str, set[Any]]
"""References by the way they are named: a key of ``_BRANCHES``."""


async def resolve(pg: Pg, contents: Iterable[ActionContent]) -> References:
    """Look up every household, person and actor that the contents name."""
    wanted: Wanted = {}
    homeless: list[UUID | str] = []
    for content in contents:
        _want(wanted, content)
        if content.persons and content.household is None and content.division is None:
            homeless += [person.id or person.number or "" for person in content.persons]
    households: dict[UUID | str, HouseholdEvent] = {}
    persons: dict[UUID | str, PersonEvent] = {}
    found_actors: dict[UUID | tuple[str, str], UUID] = {}
    for kind, identifier, body in await _fetch(pg, wanted):
        if kind == "household":
            _add_household(households, HouseholdEvent.model_validate_json(body))
        elif kind == "person":
            person = PersonEvent.model_validate_json(body)
            persons[person.id] = persons[person.number] = person
        else:
            found_actors[identifier] = identifier
            if body is not None:
                found_actors[actors.external_name(body)] = identifier
    if homeless:
        await _add_homes(pg, households, persons, homeless)
    return References(households, persons, found_actors)


def _want(wanted: Wanted, content: ActionContent) -> None:
    if (household := content.household) is not None:
        _add(wanted, "household", household)
    for person in content.persons:
        _add(wanted, "person", person)
    if (actor := content.actor) is not None:
        if actor.id is not None:
            wanted.setdefault("actor_id", set()).add(actor.id)
        else:
            wanted.setdefault("actor_name", set()).add((actor.source_system, actor.external_id))


def _add(wanted: Wanted, kind: str, ref: RegisterRef) -> None:
    if ref.id is not None:
        wanted.setdefault(f"{kind}_id", set()).add(ref.id)
    else:
        wanted.setdefault(f"{kind}_number", set()).add(ref.number)


async def _fetch(pg: Pg, wanted: Wanted) -> list[Any]:
    if not wanted:
        return []
    names = tuple(name for name in _BRANCHES if name in wanted)
    arguments: list[list[Any]] = [list(wanted[name]) for name in names if name != "actor_name"]
    if "actor_name" in wanted:
        arguments += map(list, zip(*wanted["actor_name"], strict=True))
    return list(await pg.fetch(_statement(names), *arguments))


@cache
def _statement(names: tuple[str, ...]) -> str:
    """One statement of the branches named; a name of an actor takes two parameters and comes last."""
    branches = [
        _BRANCHES[name].format(f"${position}", f"${position + 1}") for position, name in enumerate(names, start=1)
    ]
    return " UNION ALL ".join(branches)


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
        for _, _, body in await pg.fetch(_statement(("household_id",)), list(homes)):
            _add_household(households, HouseholdEvent.model_validate_json(body))
