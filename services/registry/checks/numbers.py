"""ID numbers, disability cards and telephones 证件号码与电话."""

import re
from collections.abc import Iterator

from services.registry.checks.rules import Facts, MemberFacts, Rule, rule
from shared.idnumbers import (
    WRONG_ID_NUMBER,
    BadIdNumberError,
    IdNumber,
    read_disability_number,
    read_id_number,
)


def _id_number_rule(code: str) -> Rule:
    def check(facts: Facts) -> Iterator[str]:
        for member in facts.members:
            if member.id_number is not None and _wrong(member.id_number) == code:
                yield f"{member.pointer}/id_number"

    return rule(code, "error", *WRONG_ID_NUMBER[code], "members.id_number", source="GB 11643")(check)


def _wrong(number: str) -> str | None:
    try:
        read_id_number(number)
    except BadIdNumberError as error:
        return error.code
    return None


def _said(member: MemberFacts) -> IdNumber | None:
    """What a member's ID number says, where it is one."""
    try:
        return None if member.id_number is None else read_id_number(member.id_number)
    except BadIdNumberError:
        return None


@rule("id_number_twice", "error", "two members have one ID number", "身份号码重复", "members.id_number")
def id_number_twice(facts: Facts) -> Iterator[str]:
    seen: set[str] = set()
    for member in facts.members:
        if member.id_number is not None:
            if member.id_number in seen:
                yield f"{member.pointer}/id_number"
            seen.add(member.id_number)


@rule("id_number_taken", "error", "the ID number is registered already", "身份号码已登记", "members.id_number")
def id_number_taken(_: Facts) -> Iterator[str]:
    """A number is one person's in the whole register, which is asked where a record comes in: within one household,
    or once registered, there is nothing to find."""
    return iter(())


@rule("sex_differs", "error", "differs from the ID number", "与身份号码不符", "members.sex", "members.id_number",
       source="GB 11643")  # fmt: skip
def sex_differs(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        said = _said(member)
        if said is not None and member.sex in ("male", "female") and member.sex != said.sex:
            yield f"{member.pointer}/sex"


@rule(
    "birth_differs", "error", "differs from the ID number", "与身份号码不符", "members.birth_date", "members.id_number",
    source="GB 11643",
)  # fmt: skip
def birth_differs(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        said = _said(member)
        if said is not None and member.birth_date != said.birth_date:
            yield f"{member.pointer}/birth_date"


@rule(
    "disability_number_format", "error", "not the number of a disability card", "残疾人证号无效",
    "members.disability_number", source="GB/T 26341",
)  # fmt: skip
def disability_number_format(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if member.disability_number is not None and read_disability_number(member.disability_number) is None:
            yield f"{member.pointer}/disability_number"


@rule(
    "disability_number_differs", "error", "differs from ID number, sex, birth, kind or level",
    "残疾人证号与身份号码、性别、出生日期、类别或等级不符",
    "members.disability_number", "members.id_number", "members.sex", "members.birth_date",
    "members.attributes.disability_kind", "members.disability_level",
    source="GB/T 26341",
)  # fmt: skip
def disability_number_differs(facts: Facts) -> Iterator[str]:
    """The card holds an ID number, which also says sex and birth of those without one of their own."""
    for member in facts.members:
        card = None if member.disability_number is None else read_disability_number(member.disability_number)
        if card is None:
            continue
        stated = (member.id_number, member.attributes.disability_kind, member.disability_level)
        differs = any(own is not None and own != on_card for own, on_card in zip(stated, card, strict=True))
        if differs or (member.id_number is None and _is_another(member, read_id_number(card.id_number))):
            yield f"{member.pointer}/disability_number"


def _is_another(member: MemberFacts, said: IdNumber) -> bool:
    """Whether an ID number is of somebody of the other sex, or born on another day."""
    return member.birth_date != said.birth_date or (member.sex in ("male", "female") and member.sex != said.sex)


@rule("disability_number_twice", "error", "two members have one disability card", "残疾人证号重复",
       "members.disability_number", source="GB/T 26341")  # fmt: skip
def disability_number_twice(facts: Facts) -> Iterator[str]:
    """Whatever kind and level a reissued card says: its first eighteen characters are one person's."""
    seen: set[str] = set()
    for member in facts.members:
        card = None if member.disability_number is None else read_disability_number(member.disability_number)
        if card is None:
            continue
        if card.id_number in seen:
            yield f"{member.pointer}/disability_number"
        seen.add(card.id_number)


MOBILE = re.compile(r"1[0-9]{10}")


@rule("phone_format", "error", "not a mobile number: eleven digits, the first of them 1", "须为 1 开头的 11 位手机号码",
       "members.phone")  # fmt: skip
def phone_format(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        if member.phone is not None and not MOBILE.fullmatch(member.phone):
            yield f"{member.pointer}/phone"


RULES: tuple[Rule, ...] = (
    *(_id_number_rule(code) for code in WRONG_ID_NUMBER),
    id_number_twice,
    id_number_taken,
    sex_differs,
    birth_differs,
    disability_number_format,
    disability_number_differs,
    disability_number_twice,
    phone_format,
)
