"""Destroying a member's identity, in every version of it; what is counted stays (architecture rule 2)."""

import os
from dataclasses import replace
from uuid import UUID

from services.registry.commands import command
from services.registry.context import Registry
from services.registry.households import reading, store
from services.registry.households.records import Household, Person, next_version
from services.registry.households.service import author_of
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem
from shared.http.etag import check_version

_FORGET_PERSON = (
    "UPDATE person_version SET name = NULL, id_number = NULL, id_number_index = NULL, phone = NULL, "
    "disability_number = NULL, bank_card = NULL, birth_date = date_trunc('year', birth_date)::date WHERE id = $1"
)


async def erase(
    registry: Registry, caller: Caller, name: str, member_id: UUID, expected: int, reason: str
) -> Household:
    """The household whose member has no identity any more; as it was where there was none left.

    Also of a household off the register, whose retention 保存期 may be over. Raises 404, 412.
    """
    async with command(registry.runtime) as pg:
        old = await reading.find(pg, name, caller, registry.vault, lock=True)
        check_version(old.version, expected)
        member = old.member(member_id)
        if member is None:
            raise Problem(errors.NOT_FOUND)
        if member.status == "erased":
            return old
        new = replace(old, members=tuple(_erased(each) if each.id == member_id else each for each in old.members))
        household = next_version(old, replace(new, content=os.urandom(32)), author_of(registry, caller, reason))
        await store.change_one(pg, registry, old, household)
        await _forget(pg, household, member_id)
    return household


def _erased(member: Person) -> Person:
    """Without what names or finds a person; of the birth the year is left, which events tell and figures need."""
    return replace(
        member,
        status="erased",
        name="",
        id_number=None,
        phone=None,
        disability_number=None,
        bank_card=None,
        birth_date=member.birth_date.replace(month=1, day=1),
    )


async def _forget(pg: Pg, household: Household, member_id: UUID) -> None:
    """Earlier versions lose the identity too, and the index of what was registered, which could confirm a guess."""
    await pg.execute(_FORGET_PERSON, member_id)
    await pg.execute("UPDATE household_version SET content = $2 WHERE id = $1", household.id, household.content)
