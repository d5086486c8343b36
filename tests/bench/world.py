"""A made-up city of the article's size: divisions, households, an API key and action events; the same every time.

Nothing here uses the services' code, except the contracts they share: what the benchmark expects is its own count.
"""

import random
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property

from shared.auth import new_secret
from shared.clock import SHANGHAI
from shared.contracts.action import ActionEvent
from shared.contracts.division import DivisionEvent, Path
from shared.contracts.household import HouseholdEvent, HouseholdState
from shared.contracts.key import KeyEvent

CITY = "411300000000"
COUNTIES, TOWNSHIPS, VILLAGES = 17, 14, 10
"""17 units; townships of each; villages of each township: 17, 238 and 2,380."""
SINCE = date(2010, 1, 1)
STRIDE = 11
"""Households one after another live in villages this far apart, so that few in a row share a township."""
SECTORS = ("poverty_office", "education", "health", "housing", "civil_affairs", "agriculture", "disabled_federation")
PROGRAMMES = ("visit", "education_grant", "medical_aid", "house_repair", "dibao", "small_loan", "barrier_free")
FIRST_DAY, DAYS = date(2018, 10, 6), 10
"""When the actions of B3 happened: 100,000 are what 144,000 households see in ten days, half of them every week."""

Cell = tuple[str, str, str]
"""Cadence, first day of the period, managing unit."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a unit should show for a period."""

    actions: int
    amount_fen: int
    households: int


def path_of(number: int) -> Path:
    """The path of the n-th village, counted round."""
    rest, village = divmod(number % (COUNTIES * TOWNSHIPS * VILLAGES), VILLAGES)
    county, township = divmod(rest, TOWNSHIPS)
    code = f"4113{county + 1:02}"
    return Path(
        city=CITY,
        county=f"{code}000000",
        township=f"{code}1{township + 1:02}000",
        village=f"{code}1{township + 1:02}2{village + 1:02}",
        managing_unit=f"{code}000000",
    )


def divisions() -> Iterator[DivisionEvent]:
    """The city and everything below it."""
    seen: set[str] = set()
    for number in range(COUNTIES * TOWNSHIPS * VILLAGES):
        path = path_of(number)
        above: str | None = None
        for level in ("city", "county", "township", "village"):
            code = getattr(path, level)
            if code not in seen:
                seen.add(code)
                yield DivisionEvent(
                    code=code, version=1, name=code, level=level, parent=above, valid_from=SINCE,
                    sort_order=len(seen), source="bench",
                )  # fmt: skip
            above = code


def households(count: int) -> Iterator[HouseholdEvent]:
    """Poor households, spread over all villages; their numbers are 1 to ``count`` with leading zeros."""
    draw = random.Random(1)
    for seq in range(1, count + 1):
        state = HouseholdState(valid_from=date(2014, 1, 1), standing="poor", path=path_of(seq * STRIDE))
        yield HouseholdEvent(
            id=_uuid(draw), version=1, status="active", number=f"{seq:014d}", seq=seq, timeline=[state]
        )


def key() -> tuple[str, KeyEvent]:
    """An API key that may do anything in the city: its plain text and its event."""
    prefix, plain, digest = new_secret()
    return plain, KeyEvent(
        id=uuid.uuid4(), version=1, status="active", prefix=prefix, secret_sha256=digest, name="bench",
        roles=["admin", "recorder", "reader"], divisions=[CITY],
    )  # fmt: skip


@dataclass(frozen=True)
class Actions:
    """So many actions over some days in the order in which they happened, and what they add up to."""

    count: int
    first_day: date = FIRST_DAY
    days: int = DAYS
    households: int = 144_000

    def events(self) -> Iterator[ActionEvent]:
        draw = random.Random(2)
        start = datetime(self.first_day.year, self.first_day.month, self.first_day.day, tzinfo=SHANGHAI)
        step = timedelta(days=self.days) / self.count
        for number in range(self.count):
            yield _action(draw, number, start + number * step, draw.randrange(self.households) + 1)

    @cached_property
    def expected(self) -> dict[Cell, Count]:
        """Every county's count of every day, week, month and quarter."""
        return self.count_of(None)

    def count_of(self, ids: frozenset[str] | None) -> dict[Cell, Count]:
        """The same for some of the actions; None means all."""
        cells: defaultdict[Cell, tuple[list[int], set[int]]] = defaultdict(lambda: ([], set()))
        for event in self.events():
            if ids is None or str(event.id) in ids:
                for cadence, first in periods(event.occurred_at.astimezone(SHANGHAI).date()):
                    amounts, reached = cells[cadence, first.isoformat(), event.path.managing_unit]
                    amounts.append(event.amount_fen)
                    reached.add(event.household_seq or 0)
        return {cell: Count(len(amounts), sum(amounts), len(reached)) for cell, (amounts, reached) in cells.items()}


def periods(day: date) -> Sequence[tuple[str, date]]:
    """The day, ISO week, month and quarter that a day lies in, by their first days."""
    return (
        ("day", day),
        ("week", day - timedelta(days=day.weekday())),
        ("month", day.replace(day=1)),
        ("quarter", date(day.year, (day.month - 1) // 3 * 3 + 1, 1)),
    )


def _action(draw: random.Random, number: int, occurred_at: datetime, household: int) -> ActionEvent:
    path = path_of(household * STRIDE)
    kind = draw.randrange(len(SECTORS))
    recorded_at = occurred_at + timedelta(minutes=draw.randrange(30 * 60))
    return ActionEvent.model_validate(
        {
            "id": _uuid(draw), "version": 1, "status": "recorded", "first_recorded_at": recorded_at,
            "recorded_at": recorded_at, "occurred_at": occurred_at, "programme": PROGRAMMES[kind], "class": "help",
            "sector": SECTORS[kind], "kind": "household_visit",
            "household_id": uuid.UUID(int=household), "household_seq": household,
            "persons": [uuid.UUID(int=household * 10 + person) for person in range(number % 3)],
            "actor_id": uuid.UUID(int=number % 5000), "division": path.village, "path": path, "quantity": 1,
            "amount_fen": draw.randrange(0, 500_000, 100),
        }
    )  # fmt: skip


def _uuid(draw: random.Random) -> uuid.UUID:
    return uuid.UUID(int=draw.getrandbits(128), version=4)
