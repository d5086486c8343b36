"""Whether households may be registered: rules, references, and what the register holds already."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.households import rules
from services.registry.households.models import household, person
from services.registry.households.rules import Kin, Sex
from services.registry.households.schemas import HouseholdIn, MemberIn
from services.registry.identity import Vault
from shared.auth import Caller
from shared.contracts.division import DivisionTree, Path
from shared.errors import Fault, fault

EARLIEST = date(2010, 1, 1)


@dataclass(slots=True)
class Checked:
    """A household that was looked at: where and since when it belongs, or what is wrong with it."""

    content: HouseholdIn
    registered_on: date
    path: Path | None
    indexes: list[bytes | None]
    faults: list[Fault] = field(default_factory=list)


async def check(
    conn: AsyncConnection,
    contents: Sequence[HouseholdIn],
    *,
    tree: DivisionTree,
    vault: Vault,
    caller: Caller,
    today: date,
) -> list[Checked]:
    """Look at a batch; three look-ups in all, whatever its size."""
    checked = [_look_at(content, tree, vault, caller, today) for content in contents]
    await _look_up(conn, checked)
    return checked


def _look_at(content: HouseholdIn, tree: DivisionTree, vault: Vault, caller: Caller, today: date) -> Checked:
    day = content.registered_on or today
    path = tree.path(content.village, day)
    indexes = [vault.index(m.id_number, "id_number") if m.id_number else None for m in content.members]
    found = Checked(content, day, path, indexes)
    if not EARLIEST <= day <= today:
        found.faults.append(
            fault("/registered_on", "day_out_of_range", "between 2010 and today", "须在 2010 年至今日之间")
        )
    if path is None or path.village is None or not caller.reaches(path):
        found.faults.append(fault("/village", "division_unknown", "no such village of yours", "辖区内无此村"))
    members = content.members
    for position, member in enumerate(members):
        found.faults += (f.below(f"/members/{position}") for f in _member_faults(member, today))
    found.faults += rules.kinship_faults([Kin(m.relation, sex_of(m)) for m in members])
    return found


def sex_of(member: MemberIn) -> Sex:
    """The sex stated, or else the one in the ID number."""
    if member.sex is not None:
        return member.sex
    number = member.id_number or ""
    return rules.sex_of(number) if number[16:17].isdecimal() else "unknown"


def born_on(member: MemberIn) -> date:
    """The day of birth stated, or else the one in the ID number."""
    born = member.birth_date or rules.birth_date(member.id_number or "")
    if born is None:
        raise ValueError("a checked member has a day of birth")
    return born


def _member_faults(member: MemberIn, today: date) -> list[Fault]:
    if member.birth_date is not None and not date(1850, 1, 1) <= member.birth_date <= today:
        return [fault("/birth_date", "day_out_of_range", "not a day of birth", "出生日期无效")]
    if member.id_number is None:
        return []
    wrong = rules.id_number_fault(member.id_number, today)
    if wrong is not None:
        return [fault("/id_number", *wrong)]
    found = []
    if member.sex in ("male", "female") and member.sex != rules.sex_of(member.id_number):
        found.append(fault("/sex", "sex_differs", "differs from the ID number", "与身份号码不符"))
    if member.birth_date is not None and member.birth_date != rules.birth_date(member.id_number):
        found.append(fault("/birth_date", "birth_differs", "differs from the ID number", "与身份号码不符"))
    return found


async def _look_up(conn: AsyncConnection, checked: Sequence[Checked]) -> None:
    """Numbers, external names and ID numbers that are taken, in the register or earlier in the batch."""
    indexes = await _taken(conn, person.c.id_number_index, [i for c in checked for i in c.indexes if i])
    numbers = await _taken(conn, household.c.number, [c.content.number for c in checked if c.content.number])
    people = await _taken(conn, person.c.number, [m.number for c in checked for m in c.content.members if m.number])
    names = await _names_taken(conn, [_name(c.content) for c in checked if c.content.external_id])
    for entry in checked:
        content = entry.content
        if content.number and _repeats(numbers, content.number):
            entry.faults.append(fault("/number", "number_taken", "the number is in use", "户编号已使用"))
        if content.external_id and _repeats(names, _name(content)):
            entry.faults.append(fault("/external_id", "external_id_taken", "registered already", "该来源编号已登记"))
        for position, member in enumerate(content.members):
            if member.number and _repeats(people, member.number):
                pointer = f"/members/{position}/number"
                entry.faults.append(fault(pointer, "number_taken", "the number is in use", "人编号已使用"))
            index = entry.indexes[position]
            if index and _repeats(indexes, index):
                pointer = f"/members/{position}/id_number"
                entry.faults.append(fault(pointer, "id_number_taken", "registered already", "该身份号码已登记"))


def _repeats(seen: "Counter[Any]", value: Any) -> bool:
    seen[value] += 1
    return seen[value] > 1


def _name(content: HouseholdIn) -> tuple[str | None, str | None]:
    return content.source_system, content.external_id


async def _taken(conn: AsyncConnection, column: Any, values: list[Any]) -> "Counter[Any]":
    if not values:
        return Counter()
    return Counter((await conn.execute(select(column).where(column.in_(values)))).scalars())


async def _names_taken(conn: AsyncConnection, names: list[Any]) -> "Counter[Any]":
    if not names:
        return Counter()
    columns = (household.c.source_system, household.c.external_id)
    found = await conn.execute(select(*columns).where(tuple_(*columns).in_(names)))
    return Counter((row.source_system, row.external_id) for row in found)
