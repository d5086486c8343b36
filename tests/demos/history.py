"""The register as of an earlier day, as known then and as known now, equals what was exported on those days.

On three days the households and figures of a township are exported; from one to the next the register learns of moves,
exits, deaths and errors, of today and of long ago. Then every file is asked for again (``as_of``, ``known_at``) and
compared byte for byte. On a running stack the three days are three moments of one day.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from tests.demos.stage import Json, NotAsExpectedError, Stage, answered, run

CITY, XIPING = "411300000000", "411323102000"
"""南阳市, and 西峡县西坪镇 where the article begins."""
VILLAGE, ELSEWHERE = "411323102217", "411325101201"
"""A village of it, and one of another county."""
EARLIER = "2018-06-30"
"""The earlier day that is asked about, on each of the three days."""
FAMILY = (
    ("head", "male", "1968-03-12"), ("spouse", "female", "1970-06-01"), ("son", "male", "1996-02-03"),
    ("daughter", "female", "2001-09-09"),
)  # fmt: skip
STATISTICS = (
    "poverty?as_of={day}", "causes?as_of={day}", "welfare?as_of={day}&among=registered",
    "exits?since=2014-01-01&until={day}", "villages?as_of={day}",
)  # fmt: skip


class Stock(NamedTuple):
    """Poor households and people of the township."""

    households: int
    people: int


@dataclass(frozen=True)
class Export:
    """What was exported on a day."""

    known_at: str
    """The instant of the last change before it."""
    files: dict[str, bytes]
    """By the address they were had from."""


@dataclass
class Township:
    """The register of the township, as its clerk keeps it; households go by letters."""

    registry: httpx.Client
    homes: dict[str, Json] = field(default_factory=dict)
    """As answered last."""
    last_change: str = ""

    def register(self, name: str, people: int, registered_on: str = "2014-05-01") -> None:
        """An invented poor household."""
        members = [
            {"name": f"演示{name}", "relation": relation, "sex": sex, "birth_date": birth_date}
            for relation, sex, birth_date in FAMILY[:people]
        ]
        body = {
            "village": VILLAGE, "standing": "poor", "registered_on": registered_on, "cause": "illness",
            "members": members,
        }  # fmt: skip
        self._keep(name, answered(self.registry.post("/v1/households", json=body), 201))

    def change(self, name: str, **change: str) -> None:
        self._keep(name, self._told("PATCH", name, "", change))

    def member_left(self, name: str, place: int, **change: str) -> None:
        member = self.homes[name]["members"][place]["id"]
        self._keep(name, self._told("PATCH", name, f"/members/{member}", change))

    def split(self, name: str, place: int, new: str, effective_on: str) -> None:
        """A member makes a household of its own 分户."""
        members = [{"member": self.homes[name]["members"][place]["id"], "relation": "head"}]
        moved = self._told("POST", name, "/split", {"members": members, "effective_on": effective_on}, 201)
        self._keep(name, moved["left"])
        self._keep(new, moved["joined"])

    def deregister(self, name: str, effective_on: str) -> None:
        self._keep(name, self._told("POST", name, "/deregistration", {"effective_on": effective_on}))

    def count_population(self, people: int) -> None:
        """Its rural population of 2017."""
        line = {"division": XIPING, "year": 2017, "people": people}
        headers = {"Content-Type": "application/jsonl"}
        answered(self.registry.put("/v1/statistics/denominators", json=line, headers=headers))

    def export(self, day: str) -> Export:
        """Everything, as of the earlier day and as of this one."""
        return Export(self.last_change, {path: self.file(path) for path in self._paths(day)})

    def file(self, path: str, known_at: str | None = None) -> bytes:
        """A file as its reader gets it now, or as known at an instant."""
        address = httpx.URL(path) if known_at is None else httpx.URL(path).copy_add_param("known_at", known_at)
        answer = self.registry.get(address, headers={"Accept": "application/jsonl"})
        if answer.status_code != 200:
            raise NotAsExpectedError(f"{address}: {answer.text}")
        return answer.content

    def stock(self, day: str, known_at: str | None = None) -> Stock:
        """Read off the exported table of poverty."""
        table = self.file(_table(STATISTICS[0], XIPING, day), known_at)
        header, row, *_ = csv.reader(table.decode("utf-8-sig").splitlines())
        columns = {name.rsplit(" ", 1)[-1]: value for name, value in zip(header, row, strict=True)}
        return Stock(int(columns["stock_households"]), int(columns["stock_people"]))

    def _paths(self, today: str) -> Iterator[str]:
        yield f"/v1/households?division={XIPING}"
        for day in dict.fromkeys((EARLIER, today)):
            yield f"/v1/households?division={XIPING}&as_of={day}"
            yield from (_table(table, XIPING, day) for table in STATISTICS)
            yield _table(STATISTICS[0], CITY, day)
        for home in self.homes.values():
            yield f"/v1/households/{home['number']}?as_of={EARLIER}"

    def _told(self, method: str, name: str, below: str, body: Json, status: int = 200) -> Json:
        home = self.homes[name]
        url, headers = f"/v1/households/{home['id']}{below}", {"If-Match": f'"{home["version"]}"'}
        return answered(self.registry.request(method, url, json={"reason": "演示", **body}, headers=headers), status)

    def _keep(self, name: str, home: Json) -> None:
        self.homes[name] = home
        self.last_change = home["changed_at"]


def _table(table: str, division: str, day: str) -> str:
    return f"/v1/statistics/{table.format(day=day)}&division={division}&format=csv"


def demonstrate(
    stage: Stage, today: Callable[[], str] = Stage.today, next_day: Callable[[], Any] = lambda: None
) -> None:
    """What was exported on three days comes back on the third; what was learned since shows where it is asked for."""
    township = Township(stage.registry)
    before = township.stock(EARLIER)
    exports: list[Export] = []
    for learn in (_first_day, _second_day, _third_day):
        if exports:
            next_day()
        learn(township, today())
        exports.append(township.export(today()))
    for number, export in enumerate(exports, start=1):
        differing = [path for path in export.files if township.file(path, export.known_at) != export.files[path]]
        stage.shows(f"of {len(export.files)} files of day {number}, those that differ as known then", differing, [])
    files = {path for export in exports for path in export.files}
    differing = [path for path in files if township.file(path, exports[-1].known_at) != township.file(path)]
    stage.shows(f"of {len(files)} files, those that differ between as known on day 3 and as known now", differing, [])
    for number, (export, expected) in enumerate(zip(exports, AS_OF_EARLIER, strict=True), start=1):
        households, people = township.stock(EARLIER, export.known_at)
        found = Stock(households - before.households, people - before.people)
        stage.shows(f"poor on {EARLIER}, as known on day {number}", found, expected)


AS_OF_EARLIER = (Stock(5, 13), Stock(5, 9), Stock(6, 11))
"""Poor on the earlier day, beside those that were there: as known on each of the three days, reckoned by hand."""


def _first_day(township: Township, _: str) -> None:
    """Five households with thirteen people."""
    township.count_population(20_000)
    for name, people in (("甲", 3), ("乙", 2), ("丙", 2), ("丁", 4), ("戊", 2)):
        township.register(name, people)


def _second_day(township: Township, today: str) -> None:
    """Learned late: an exit, a move away, a death, a split, a registration; and an exit of today."""
    township.count_population(20_500)
    township.change("乙", standing="exited_supported", effective_on="2018-05-01")
    township.change("丙", village=ELSEWHERE, effective_on="2018-06-01")
    township.member_left("丁", 1, status="deceased", effective_on="2018-03-01")
    township.split("甲", 2, "己", "2018-04-01")
    township.register("庚", 1, registered_on="2018-01-15")
    township.change("戊", standing="exited_supported", effective_on=today)


def _third_day(township: Township, _: str) -> None:
    """The exit was an error, a cause another one; 低保 since the spring; a household left after the earlier day."""
    township.change("乙", standing="poor", effective_on="2018-05-01")
    township.change("甲", cause="schooling", welfare="dibao", effective_on="2018-04-01")
    township.deregister("丁", "2018-08-01")


if __name__ == "__main__":
    run(demonstrate)
