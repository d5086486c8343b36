"""The whole topic read again by a new group into an empty database gives the same tables, byte for byte (F21)."""

import json
from collections.abc import Iterator

import asyncpg
import pytest

from deploy.local.ports import free_port
from tests.e2e.city import City, Json, periods, today
from tests.faults.doomed import ArmedService
from tests.faults.failpoints import GROUP_VARIABLE
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("city")
SUFFIX = "-replay"
DUMPS = {
    "fact": "SELECT to_jsonb(fact) - 'known_at' AS line FROM fact",
    "cell": "SELECT to_jsonb(cell) AS line FROM cell WHERE (actions, persons, amount_fen) <> (0, 0, 0)",
    "cell_households": "SELECT to_jsonb(cell_households) - 'households' AS line FROM cell_households WHERE reached > 0",
    "served_change": "SELECT to_jsonb(served_change) AS line FROM served_change "
    "WHERE (served_delta, stock_delta) <> (0, 0)",
    "division": "SELECT to_jsonb(division) AS line FROM division",
    "household": "SELECT to_jsonb(household) AS line FROM household",
    "target": "SELECT to_jsonb(target) AS line FROM target",
    "programme": "SELECT to_jsonb(programme) AS line FROM programme",
}


class Replica(City):
    """A second ranking service, with groups of its own and an empty database, beside the city's."""

    def __init__(self, city: City) -> None:
        super().__init__(city.stack, city.databases)
        original = city.stack.service("ranking")
        self._database = city.databases.create("ranking")
        settings = {**original.environment, "BANGFU_RANKING_DATABASE_URL": self._database, GROUP_VARIABLE: SUFFIX}
        self.service = ArmedService("ranking", original.daemon.log.parent, free_port(), settings, label="replica")
        self.service.start()
        self.service.wait_ready()

    def url(self, service: str) -> str:
        return self.service.url

    def sql(self, service: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        return self.sql_at(self._database, query, *arguments)


@pytest.fixture
def replica(city: City) -> Iterator[City]:
    made = Replica(city)
    yield made
    made.service.kill()
    made.close()


def read_by(city: City, suffix: str) -> dict[tuple[str, str, int], int]:
    rows = city.sql("ranking", "SELECT * FROM consumed_position")
    return {
        (row["group_name"].removesuffix(suffix), row["topic"], row["partition"]): row["next_offset"] for row in rows
    }


def tables(city: City) -> dict[str, Json]:
    """Every table and notice of today, without the version, which counts changes and not what they led to."""
    found = {}
    for cadence, period in {"daily": today().isoformat(), **periods(today())}.items():
        for level in ("county", "township", "sector"):
            table = city.get("ranking", f"/v1/league-tables/{cadence}/{period}", level=level)
            found[f"{cadence} {level}"] = {name: table[name] for name in table if name != "version"}
    notice = city.get("ranking", f"/v1/notices/daily/{today()}")
    found["notice"] = {name: notice[name] for name in notice if name != "version"}
    return found


def dumps(city: City) -> dict[str, list[str]]:
    return {name: sorted(row["line"] for row in city.sql("ranking", query)) for name, query in DUMPS.items()}


def test_a_replay_gives_the_same_tables(city: City, replica: City) -> None:
    """Versions, corrections and revocations of the session so far, and some more."""
    homes = city.households(city.villages("411325000000", 3), 2)
    city.wait_until_quiet()
    client = city.client("assistance")
    for home in homes:
        action = city.recorded(home, amount_fen=5)
        path = f"/v1/actions/{action['id']}/revocation"
        assert client.post(path, json={"reason": "x"}, headers={"If-Match": '"1"'}).status_code in (200, 201)
        city.recorded(home)
    city.wait_until_quiet()
    eventually(lambda: read_by(replica, SUFFIX) == read_by(city, ""), what="everything was read again", step=0.2)
    assert dumps(replica) == dumps(city)
    assert json.dumps(tables(replica)).encode() == json.dumps(tables(city)).encode()
