"""Rules of the register as pure functions: ID numbers, masks, kinship, dated states, stretches to count."""

import base64
from datetime import date, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.checks import catalogue
from services.registry.checks.rules import Facts, MemberFacts, pointer_of
from services.registry.codes.rules import Welfare
from services.registry.households import rules
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from services.registry.households.rules import Membership, Since, Standings, Welfares
from services.registry.identity import KeyMissingError, UnreadableError, Vault
from services.registry.masking import masked_id_number, masked_name, masked_phone
from shared.contracts.division import DivisionEvent, DivisionTree, ManagingUnit
from shared.contracts.household import HouseholdEvent, Standing
from shared.idnumbers import BadIdNumberError, check_digit, read_id_number
from tests.registry.conftest import CITY, XIPING, XIXIA, id_number

SINCE = date(2010, 1, 1)
ZONE, A, B = "411391000000", "411323102201", "411323102202"


# ID numbers and masks


def test_an_id_number_tells_birth_and_sex() -> None:
    number = read_id_number(id_number("19680312", 1))
    assert (number.birth_date, number.sex) == (date(1968, 3, 12), "male")
    assert read_id_number(id_number("20000229", 2)).sex == "female"


@pytest.mark.parametrize(
    ("given_number", "code"),
    [
        ("", "id_number_format"),
        ("41139919680312001", "id_number_format"),
        ("411399-96803120014", "id_number_format"),
        ("X" * 18, "id_number_format"),
        (id_number("19680312")[:17] + "A", "id_number_format"),
        ("41139919680230001" + check_digit("41139919680230001"), "id_number_birth"),
        ("411399196803120012", "id_number_check"),
    ],
)
def test_what_is_no_id_number(given_number: str, code: str) -> None:
    with pytest.raises(BadIdNumberError) as caught:
        read_id_number(given_number)
    assert caught.value.code == code


@given(st.dates(date(1900, 1, 1), date(2020, 1, 1)), st.integers(1, 999), st.integers(0, 16), st.integers(1, 9))
def test_a_digit_mistyped_is_always_noticed(born: date, sequence: int, place: int, step: int) -> None:
    number = id_number(f"{born:%Y%m%d}", sequence)
    wrong = number[:place] + str((int(number[place]) + step) % 10) + number[place + 1 :]
    with pytest.raises(BadIdNumberError):
        read_id_number(wrong)


@pytest.mark.parametrize(
    ("name", "masked"),
    [("张三丰", "张*丰"), ("张三", "张*"), ("张", "*"), ("欧阳修", "欧阳*"), ("欧阳小峰", "欧阳*峰"), ("司马", "司*"),
     ("阿卜杜拉", "阿**拉"), ("\U00020000\U00020001", "\U00020000*"), ("淳于海燕", "淳于*燕"), ("Li Ming", "L****g"),
     ("买买提·吐尔逊", "买****逊"), ("张 三", "张*"), ("张\u3000三", "张*"), ("阿·丁", "阿*"), ("阿.丁", "阿*"),
     ("欧 阳 修", "欧阳*"), ("· ", "*")],
)  # fmt: skip
def test_masked_names(name: str, masked: str) -> None:
    assert masked_name(name) == masked


def test_masked_numbers() -> None:
    assert masked_id_number("411399196803120014") == "4" + "*" * 15 + "14"
    assert masked_phone("13812345678") == "138****5678"


# Sealing


def test_a_sealed_value_opens_only_in_its_place() -> None:
    vault, row = Vault(bytes(32)), uuid4()
    sealed = vault.seal("张三丰", "name", row)
    assert vault.open(sealed, "name", row) == "张三丰"
    assert "张三丰".encode() not in sealed
    for place in (("name", uuid4()), ("phone", row)):
        with pytest.raises(UnreadableError):
            vault.open(sealed, *place)
    with pytest.raises(UnreadableError):
        vault.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "name", row)
    with pytest.raises(UnreadableError):
        Vault(b"1" * 32).open(sealed, "name", row)


def test_nonces_are_not_repeated() -> None:
    vault, row = Vault(bytes(32)), uuid4()
    assert len({vault.seal("x", "name", row)[5:17] for _ in range(10_000)}) == 10_000


def test_blind_indexes_differ_by_column_and_key() -> None:
    one, other = Vault(bytes(32)), Vault(b"1" * 32)
    assert one.index("x", "id_number") == one.index("x", "id_number")
    assert len({one.index("x", "id_number"), one.index("x", "content"), other.index("x", "id_number")}) == 3


@pytest.mark.parametrize("key", ["", "short", "!!!", base64.b64encode(bytes(31)).decode()])
def test_no_vault_without_a_key(key: str) -> None:
    with pytest.raises(KeyMissingError):
        Vault.of(key)


# Kinship


@pytest.mark.parametrize(
    ("members", "codes"),
    [
        ([("head", "male"), ("spouse", "female"), ("son", "male"), ("mother", "female")], []),
        ([("spouse", "female")], ["one_head"]),
        ([("head", "male"), ("head", "female")], ["one_head"]),
        ([("head", "male"), ("spouse", "female"), ("spouse", "female")], ["one_spouse"]),
        ([("head", "male"), ("spouse", "male")], ["spouse_sex"]),
        ([("head", "male"), ("daughter", "male")], ["relation_sex"]),
        ([("head", "unknown"), ("spouse", "unknown"), ("son", "unspecified")], []),
    ],
)
def test_kinship(members: list[tuple[rules.Relation, rules.Sex]], codes: list[str]) -> None:
    facts = Facts(
        day=date(2018, 10, 8),
        standing="poor",
        welfare="none",
        cause="illness",
        attributes=HouseholdAttributes(),
        incomes=[],
        members=[_member(place, *member) for place, member in enumerate(members)],
    )
    assert [each.rule.code for each in catalogue.errors(facts)] == codes


def _member(place: int, relation: rules.Relation, sex: rules.Sex) -> MemberFacts:
    return MemberFacts(
        pointer=pointer_of(place),
        relation=relation,
        sex=sex,
        birth_date=date(1968, 3, 12),
        id_number=None,
        phone=None,
        disability_number=None,
        employable="full",
        in_school=False,
        disability_level=None,
        attributes=PersonAttributes(),
    )


# Dated states


def _division(code: str, level: str, parent: str | None, units: list[ManagingUnit] | None = None) -> DivisionEvent:
    return DivisionEvent.model_validate(
        {"code": code, "version": 1, "name": code, "level": level, "parent": parent, "valid_from": SINCE,
         "sort_order": 1, "source": "test", "managing_units": units or []}
    )  # fmt: skip


def tree(*units: ManagingUnit) -> DivisionTree:
    return DivisionTree([
        _division(CITY, "city", None), _division(XIXIA, "county", CITY), _division(ZONE, "county", CITY),
        _division(XIPING, "township", XIXIA, list(units)), _division(A, "village", XIPING),
        _division(B, "village", XIPING),
    ])  # fmt: skip


def day(n: int) -> date:
    return date(2018, 1, 1) + timedelta(days=n)


def test_states_follow_moves_standings_and_handovers() -> None:
    handed = tree(ManagingUnit(unit=ZONE, valid_from=day(10), valid_to=day(20)))
    states = rules.timeline(
        handed, [Since(day(0), A), Since(day(15), B)], [Since(day(0), "poor"), Since(day(5), "exited")]
    )
    told = [(s.valid_from, s.path.village, s.path.managing_unit, s.standing) for s in states]
    assert told == [
        (day(0), A, XIXIA, "poor"), (day(5), A, XIXIA, "exited"), (day(10), A, ZONE, "exited"),
        (day(15), B, ZONE, "exited"), (day(20), B, XIXIA, "exited"),
    ]  # fmt: skip


def test_a_village_unknown_then_is_refused() -> None:
    for village, since in (("411323102299", day(0)), (A, date(2009, 12, 31)), (XIPING, day(0))):
        with pytest.raises(rules.NotValidThenError):
            rules.timeline(tree(), [Since(since, village)], [Since(since, "poor")])


POSSIBLE: tuple[Standing, ...] = ("poor", "pre_exit", "exited")
changes = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(POSSIBLE)), max_size=8)


@given(changes)
def test_dated_changes_hold_from_their_day_until_the_next(entered: list[tuple[int, Standing]]) -> None:
    entries: Standings = (Since(day(0), "poor"),)
    starts: dict[int, Standing] = {0: "poor"}

    def expected(n: int) -> Standing:
        return starts[max(start for start in starts if start <= n)]

    for first, value in entered:
        entries = rules.dated(entries, Since(day(first), value))
        if expected(first) != value:
            starts[first] = value
    assert [rules.value_on(entries, day(n)) for n in range(40)] == [expected(n) for n in range(40)]


CATEGORIES: tuple[Welfare, ...] = ("none", "dibao", "tekun")
categories = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(CATEGORIES)), max_size=8)


@given(categories)
def test_spells_say_of_each_day_what_the_entries_say_and_nothing_twice(entered: list[tuple[int, Welfare]]) -> None:
    entries = _categories(entered)
    spells = tuple(rules.spells(entries))
    assert [rules.value_on(spells, day(n)) for n in range(40)] == [rules.value_on(entries, day(n)) for n in range(40)]
    assert all(before.value != after.value for before, after in pairwise(spells))


def _categories(entered: list[tuple[int, Welfare]]) -> Welfares:
    entries: Welfares = (Since(day(0), "none"),)
    for first, value in entered:
        entries = rules.dated(entries, Since(day(first), value))
    return entries


members = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20) | st.none()), min_size=1, max_size=4)


@given(changes, categories, members, st.integers(1, 35) | st.none())
def test_periods_say_of_each_day_what_timeline_welfare_and_memberships_say(
    entered: list[tuple[int, Standing]],
    helped: list[tuple[int, Welfare]],
    stays: list[tuple[int, int | None]],
    end: int | None,
) -> None:
    standings: Standings = (Since(day(0), "poor"),)
    for first, value in entered:
        standings = rules.dated(standings, Since(day(first), value))
    states = rules.timeline(tree(), [Since(day(0), A)], standings)
    valid_to = None if end is None else day(end)
    present = [Membership(day(a), None if n is None else day(a + n)) for a, n in stays]
    household = HouseholdEvent(
        id=uuid4(), version=1, status="active", number="1" * 14, seq=1, timeline=states, valid_to=valid_to
    )
    welfares = _categories(helped)
    periods = rules.periods(states, welfares, valid_to, present)
    for n in range(-1, 40):
        state = household.state_on(day(n))
        found = [p for p in periods if p.valid_from <= day(n) and (p.valid_to is None or day(n) < p.valid_to)]
        told = [(p.standing, p.welfare, p.path, p.people) for p in found]
        people = sum(member.holds_on(day(n)) for member in present)
        welfare = rules.value_on(welfares, day(n))
        assert told == ([] if state is None else [(state.standing, welfare, state.path, people)])
