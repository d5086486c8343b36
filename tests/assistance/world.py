"""A small county side: two counties and a zone, four villages, some households and people, a few keys."""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI

from services.assistance.context import Assistance
from services.assistance.mirror.consumers import Mirror
from shared.app import Runtime
from shared.auth import new_secret, upsert_key
from shared.contracts.base import Contract, Topic
from shared.contracts.division import DIVISION, DivisionEvent, Level, ManagingUnit, Path
from shared.contracts.household import HOUSEHOLD, PERSON, HouseholdEvent, HouseholdState, PersonEvent
from shared.contracts.key import KeyEvent, Role
from shared.ids import uuid7
from shared.record import Record, Verdict

CITY, XIXIA, NEIXIANG, TANGHE, NANZHAO, YAHE = (
    "411300000000", "411323000000", "411325000000", "411328000000", "411321000000", "411392000000"
)  # fmt: skip
XIPING, XIAYING = "411323102000", "411323102217"
NEIXIANG_TOWN, NEIXIANG_VILLAGE = "411325101000", "411325101201"
TANGHE_TOWN, TANGHE_VILLAGE = "411328102000", "411328102201"
HUANGLUDIAN, HUANGLUDIAN_VILLAGE = "411321103000", "411321103201"
SINCE = date(2010, 1, 1)
ALL_ROLES: list[Role] = ["reader", "recorder", "reviewer", "drafter", "signer", "importer", "admin"]

_DIVISIONS: list[tuple[str, str, Level, str | None, str | None]] = [
    (CITY, "南阳市", "city", None, None),
    (XIXIA, "西峡县", "county", CITY, None),
    (NEIXIANG, "内乡县", "county", CITY, None),
    (TANGHE, "唐河县", "county", CITY, None),
    (NANZHAO, "南召县", "county", CITY, None),
    (YAHE, "鸭河工区", "county", CITY, None),
    (XIPING, "西坪镇", "township", XIXIA, None),
    (XIAYING, "下营村", "village", XIPING, None),
    (NEIXIANG_TOWN, "城关镇", "township", NEIXIANG, None),
    (NEIXIANG_VILLAGE, "甲村", "village", NEIXIANG_TOWN, None),
    (TANGHE_TOWN, "源潭镇", "township", TANGHE, None),
    (TANGHE_VILLAGE, "乙村", "village", TANGHE_TOWN, None),
    (HUANGLUDIAN, "皇路店镇", "township", NANZHAO, YAHE),
    (HUANGLUDIAN_VILLAGE, "丙村", "village", HUANGLUDIAN, None),
]


def divisions() -> list[DivisionEvent]:
    return [
        DivisionEvent(
            code=code,
            version=1,
            name=name,
            level=level,
            parent=parent,
            valid_from=SINCE,
            sort_order=order,
            source="test",
            managing_units=[ManagingUnit(unit=unit, valid_from=SINCE)] if unit else [],
        )
        for order, (code, name, level, parent, unit) in enumerate(_DIVISIONS)
    ]


def path_of(village: str) -> Path:
    county = village[:6] + "000000"
    return Path(
        city=CITY, county=county, township=village[:9] + "000", village=village,
        managing_unit=YAHE if village == HUANGLUDIAN_VILLAGE else county,
    )  # fmt: skip


def household(
    seq: int, village: str, *, since: date = date(2014, 1, 1), version: int = 1, **more: Any
) -> HouseholdEvent:
    state = HouseholdState(valid_from=since, standing="poor", path=path_of(village))
    return HouseholdEvent(
        **{"id": uuid4(), "version": version, "status": "active", "number": f"{seq:014d}", "seq": seq,
           "timeline": [state], **more}
    )  # fmt: skip


def person(number: int, home: UUID | None, **more: Any) -> PersonEvent:
    return PersonEvent(
        **{"id": uuid4(), "version": 1, "status": "active", "number": f"9{number:013d}", "household_id": home,
           "sex": "female", "birth_year": 1970, "employable": "full", "in_school": False, **more}
    )  # fmt: skip


def record_of(
    topic: Topic, body: Contract, key: str, *, offset: int = 0, verb: str | None = None, **headers: str
) -> Record:
    """A record as the relay of the publishing service would send it."""
    made = {
        "ce_specversion": "1.0",
        "ce_id": f"{key}:{getattr(body, 'version', 0)}",
        "ce_source": "http://registry.test",
        "ce_type": topic.type(verb) if verb else topic.types[0],
        "ce_subject": key,
        "content-type": "application/json",
        **headers,
    }
    encoded = [(name, value.encode()) for name, value in made.items()]
    return Record(topic.name, 0, offset, key.encode(), body.to_json(), encoded, 0, datetime.now(UTC))


@dataclass
class World:
    """A running service and what it knows."""

    app: FastAPI
    runtime: Runtime
    client: httpx.AsyncClient
    households: dict[str, HouseholdEvent] = field(default_factory=dict)
    persons: list[PersonEvent] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    key_ids: dict[str, UUID] = field(default_factory=dict)

    @property
    def assistance(self) -> Assistance:
        made: Assistance = self.app.state.assistance
        return made

    async def populate(self) -> None:
        villages = (XIAYING, NEIXIANG_VILLAGE, TANGHE_VILLAGE, HUANGLUDIAN_VILLAGE)
        self.households = {village: household(seq, village) for seq, village in enumerate(villages, start=1)}
        self.persons = [person(n, home.id) for n, home in enumerate(self.households.values())]
        records = [record_of(DIVISION, each, each.code) for each in divisions()]
        records += [record_of(HOUSEHOLD, each, str(each.id)) for each in self.households.values()]
        records += [record_of(PERSON, each, str(each.id)) for each in self.persons]
        assert await self.mirror(records) == {}
        await self.issue("city", ALL_ROLES, [CITY])
        await self.issue("xixia", ["recorder", "reader"], [XIXIA])
        await self.issue("reviewer", ["reviewer", "reader"], [CITY])
        await self.issue("reader", ["reader"], [XIXIA])

    async def mirror(self, records: list[Record]) -> dict[int, Verdict]:
        async with self.runtime.database.driver() as pg, pg.transaction():
            return dict(await Mirror(self.runtime.settings)(pg, records))

    async def know(self, *events: HouseholdEvent | PersonEvent) -> None:
        topics = {HouseholdEvent: HOUSEHOLD, PersonEvent: PERSON}
        assert await self.mirror([record_of(topics[type(each)], each, str(each.id)) for each in events]) == {}

    async def issue(
        self, name: str, roles: list[Role], scope: list[str], status: Literal["active", "revoked"] = "active"
    ) -> None:
        prefix, plain, digest = new_secret()
        key = KeyEvent(
            id=uuid7(),
            version=1,
            status=status,
            prefix=prefix,
            secret_sha256=digest,
            name=name,
            roles=roles,
            divisions=scope,
        )
        async with self.runtime.database.driver() as pg:
            await upsert_key(pg, key)
        self.keys[name], self.key_ids[name] = plain, key.id

    async def send(
        self, method: str, path: str, *, by: str = "city", body: Any = None, **headers: str
    ) -> httpx.Response:
        sent = {"Authorization": f"Bearer {self.keys[by]}", "Accept-Language": "en"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content: str | None = None
        if body is not None:
            content = body if isinstance(body, str) else json.dumps(body)
            sent.setdefault("content-type", "application/json")
        for _ in range(3):
            answer = await self.client.request(method, path, headers=sent, content=content)
            if answer.status_code != 503:  # a machine too busy to open a connection in time: try again, as it says
                break
        return answer

    async def record(self, by: str = "city", village: str = XIAYING, **more: Any) -> httpx.Response:
        return await self.send("POST", "/v1/actions", by=by, body=self.visit(village, **more))

    def visit(self, village: str = XIAYING, **more: Any) -> dict[str, Any]:
        made = {
            "programme": "visit", "kind": "household_visit", "household": {"number": self.households[village].number},
            "occurred_at": "2018-10-08T09:30:00+08:00", **more,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        async with self.runtime.database.driver() as pg:
            return list(await pg.fetch(statement, *arguments))

    async def value(self, statement: str, *arguments: Any) -> Any:
        return (await self.rows(statement, *arguments))[0][0]
