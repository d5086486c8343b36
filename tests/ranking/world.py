"""A small city for ranking's tests: its events, and ranking itself in this process on a real database."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from pyroaring import BitMap

from services.ranking.facts.consumers import FactsHandler
from services.ranking.facts.reading import read_batch
from services.ranking.mirror.consumers import MirrorHandler
from shared.app import Runtime
from shared.clock import FixedClock
from shared.contracts.action import ACTION, ActionEvent
from shared.contracts.base import Contract, Topic
from shared.contracts.division import DIVISION, Designation, DesignationKind, DivisionEvent, Level, Path
from shared.contracts.household import HOUSEHOLD, HouseholdEvent, HouseholdState, Standing
from shared.contracts.key import KEY, KeyEvent, Role
from shared.contracts.programme import PROGRAMME, TARGET, ProgrammeEvent, TargetEvent
from shared.db import Pg
from shared.events import CloudEvent, encode
from shared.ids import uuid7
from shared.record import Record, Verdict

CITY = "411300000000"
WAN, WO, XI, ZONE = "411302000000", "411303000000", "411323000000", "411391000000"
"""Two ordinary counties, a poverty county, and a zone that runs a township of Wan."""
START = date(2010, 1, 1)
NOW = datetime(2018, 10, 10, 4, 0, tzinfo=UTC)
"""Wednesday noon in Shanghai, in 2018-W41: Monday to Wednesday have passed, Saturday and Sunday are free."""


def township(county: str, number: int = 1) -> str:
    return f"{county[:6]}{100 + number:03}000"


def village(county: str, number: int = 1) -> str:
    return f"{county[:6]}101{200 + number:03}"


def path(county: str = WAN, number: int = 1, unit: str | None = None) -> Path:
    """The path of a county's ``number``-th village of its first township."""
    return Path(
        city=CITY,
        county=county,
        township=township(county),
        village=village(county, number),
        managing_unit=unit or county,
    )


def action(**changes: Any) -> ActionEvent:
    """A visit on the morning of NOW's day, recorded an hour later; ``changes`` replace fields."""
    occurred = changes.pop("occurred_at", NOW - timedelta(hours=3))
    first = changes.pop("first_recorded_at", occurred + timedelta(hours=1))
    where: Path = changes.pop("path", path())
    values: dict[str, Any] = {
        "id": uuid7(),
        "version": 1,
        "status": "recorded",
        "first_recorded_at": first,
        "recorded_at": first,
        "occurred_at": occurred,
        "programme": "visit",
        "programme_class": "help",
        "sector": "poverty-relief",
        "kind": "household_visit",
        "household_id": UUID(int=changes.get("household_seq") or 1),
        "household_seq": 1,
        "actor_id": UUID(int=7),
        "division": where.village or where.county,
        "path": where,
        "quantity": 1,
        "amount_fen": 0,
    }
    return ActionEvent(**(values | changes))


def household(seq: int, *states: tuple[date, Standing, Path], version: int = 1, **changes: Any) -> HouseholdEvent:
    """A household whose dated states are given; by default poor in Wan since 2018."""
    timeline = [HouseholdState(valid_from=day, standing=standing, path=where) for day, standing, where in states]
    values: dict[str, Any] = {
        "id": UUID(int=seq),
        "version": version,
        "status": "active",
        "number": f"{seq:014}",
        "seq": seq,
        "timeline": timeline or [HouseholdState(valid_from=date(2018, 1, 1), standing="poor", path=path())],
    }
    return HouseholdEvent(**(values | changes))


def division(
    code: str, name: str, level: Level, parent: str | None, order: int, *kinds: DesignationKind, **changes: Any
) -> DivisionEvent:
    values: dict[str, Any] = {
        "code": code,
        "version": 1,
        "name": name,
        "level": level,
        "parent": parent,
        "valid_from": START,
        "sort_order": order,
        "source": "test",
        "designations": [Designation(kind=kind, valid_from=START) for kind in kinds],
    }
    return DivisionEvent(**(values | changes))


def divisions() -> list[DivisionEvent]:
    """The city, three counties and a zone, each with a township and three villages."""
    made = [
        division(CITY, "南阳市", "city", None, 1),
        division(WAN, "宛城区", "county", CITY, 1),
        division(WO, "卧龙区", "county", CITY, 2),
        division(XI, "西峡县", "county", CITY, 3, "national_poverty_county"),
        division(ZONE, "官庄工区", "county", CITY, 4, "zone"),
    ]
    for county in (WAN, WO, XI, ZONE):
        made.append(division(township(county), f"{county[4:6]}镇", "township", county, 1))
        for number in (1, 2, 3):
            made.append(division(village(county, number), f"{number}村", "village", township(county), number))
    return made


def programme(code: str, **changes: Any) -> ProgrammeEvent:
    values: dict[str, Any] = {
        "code": code,
        "version": 1,
        "status": "active",
        "label_zh": code,
        "programme_class": "help",
        "issuer": CITY,
        "rollout": [],
        "sector": "poverty-relief",
        "tags": [],
        "serves": "household",
        "kinds": [],
        "valid_from": START,
    }
    return ProgrammeEvent(**(values | changes))


def target(unit: str, due: int, **changes: Any) -> TargetEvent:
    values: dict[str, Any] = {
        "id": uuid7(),
        "version": 1,
        "status": "active",
        "unit": unit,
        "programme": "visit",
        "cadence": "week",
        "period": "2018-W41",
        "metric": "actions",
        "due": due,
        "deadline": date(2018, 10, 14),
    }
    return TargetEvent(**(values | changes))


def record(topic: Topic, key: str, body: Contract, version: int, offset: int = 0) -> Record:
    """The Kafka record of an event, as the relay would have sent it."""
    event = CloudEvent(
        id=f"{key}:{version}",
        source="http://sender.test",
        type=topic.types[0],
        data=body.to_json(),
        subject=key,
        extensions=(("aggregateversion", str(version)),),
    )
    value, headers = encode(event)
    return Record(topic.name, 0, offset, key.encode(), value, headers, 0, NOW)


def action_record(event: ActionEvent, offset: int = 0) -> Record:
    return record(ACTION, str(event.id), event, event.version, offset)


def mirror_record(event: DivisionEvent | HouseholdEvent | ProgrammeEvent | TargetEvent | KeyEvent) -> Record:
    match event:
        case DivisionEvent():
            return record(DIVISION, event.code, event, event.version)
        case HouseholdEvent():
            return record(HOUSEHOLD, str(event.id), event, event.version)
        case ProgrammeEvent():
            return record(PROGRAMME, event.code, event, event.version)
        case TargetEvent():
            return record(TARGET, str(event.id), event, event.version)
        case KeyEvent():
            return record(KEY, str(event.id), event, event.version)


@dataclass
class World:
    """Ranking in this process; events go to its handlers as its consumers would hand them over."""

    app: FastAPI
    runtime: Runtime
    client: httpx.AsyncClient
    clock: FixedClock
    _keys: list[str] = field(default_factory=list)
    _city: dict[str, str] = field(default_factory=dict)

    async def facts(self, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
        """A batch of records, in the transaction given."""
        return await FactsHandler(self.clock)(pg, read_batch(records))

    async def take_in(self, *actions: ActionEvent) -> Mapping[int, Verdict]:
        """One batch of actions, in one transaction."""
        async with self.runtime.database.driver() as pg, pg.transaction():
            return await self.facts(pg, [action_record(event, i) for i, event in enumerate(actions)])

    async def mirror(
        self, events: Iterable[DivisionEvent | HouseholdEvent | ProgrammeEvent | TargetEvent | KeyEvent]
    ) -> Mapping[int, Verdict]:
        """One batch of mirrored events, in one transaction."""
        handler = MirrorHandler(self.runtime.settings)
        async with self.runtime.database.driver() as pg, pg.transaction():
            return await handler(pg, [mirror_record(event) for event in events])

    async def key(self, *divisions: str, roles: Sequence[Role] = ("reader",)) -> dict[str, str]:
        """Headers of a caller with these divisions and roles."""
        prefix = f"k{len(self._keys)}"
        self._keys.append(prefix)
        event = KeyEvent(
            id=uuid7(),
            version=1,
            status="active",
            prefix=prefix,
            secret_sha256=hashlib.sha256(b"secret").hexdigest(),
            name=prefix,
            roles=list(roles),
            divisions=list(divisions),
        )
        await self.mirror([event])
        return {"Authorization": f"Bearer {prefix}.secret"}

    async def get(self, address: str, **headers: str) -> httpx.Response:
        """Read as somebody of the whole city."""
        if not self._city:
            self._city = await self.key(CITY)
        return await self.client.get(address, headers=self._city | headers)


async def cells(pg: Pg) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Every counter that is not zero: (level, unit, class, cadence, first day) -> sums and households."""
    rows = await pg.fetch(
        "SELECT * FROM cell LEFT JOIN cell_households USING (level, unit, class, cadence, period_start)"
    )
    found = {}
    for row in rows:
        reached = frozenset(BitMap.deserialize(row["households"])) if row["households"] else frozenset()
        if row["reached"] is not None:
            assert row["reached"] == len(reached)
        sums = tuple(row[name] for name in ("actions", "persons", "amount_fen", "on_time", "verified"))
        if any(sums) or reached:
            found[(row["level"], row["unit"], row["class"], row["cadence"], row["period_start"])] = (*sums, reached)
    return found
