"""B7: import the register from a workbook: read, judged by every rule, encrypted, audited; and the memory it takes."""

import base64
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from deploy.importing import OPEN
from deploy.local.demo.workbook import write_workbook
from deploy.local.service import Service
from tests.bench.ground import Ground
from tests.bench.measure import FLOOR, PROJECT, Line, Result, VoidRunError, alternate, result

LINE = Line("B7", "import the register from XLSX", "households/s")
"""The city's 144,000 within three minutes are 800 a second."""
MEMORY = Line("B7.rss", "memory of service and reader", "MB at most")
LIMIT = 1800.0
_TABLES = (
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
    "AND relname <> 'alembic_version' ORDER BY relname"
)


@dataclass
class Importing:
    """The project takes in a workbook; the floor copies into an empty register all rows that came of it."""

    ground: Ground
    scale: int
    """A household for so many of the city's 144,000."""
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        self.prefix = self.ground.new_prefix()
        self._file = self.ground.directory / f"{self.prefix}register.xlsx"
        self.households, self.people = write_workbook(self._file, self.scale)
        self._finished: Mapping[str, Path] = {}

    def project(self, run: int) -> Mapping[str, float]:
        url = self.ground.databases.create("registry")
        key = f"bench.{secrets.token_urlsafe(32)}"
        secret = {
            "BANGFU_BOOTSTRAP_KEY": key,
            "BANGFU_REGISTRY_DATA_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        }
        service = self.ground.service("registry", url, self.ground.new_prefix(), secret)
        service.start()
        try:
            service.wait_ready(api_key=key)
            headers = {"authorization": f"Bearer {key}"}
            with httpx.Client(base_url=service.url, headers=headers, timeout=60.0, trust_env=False) as client:
                with _watched(service) as memory:
                    seconds = self._taken_in(client)
                self._check(client)
        finally:
            service.kill()
        if not self._finished:
            self._finished = self._kept(url)
        return {LINE.id: self.households / seconds, MEMORY.id: max(memory) / 2**20}

    def floor(self, run: int) -> Mapping[str, float]:
        """COPY from the server's own files, into the same tables and indexes, without foreign keys."""
        database = _name(self.ground.databases.create("registry"))
        copies = [f"COPY {table} FROM '{file}' (FORMAT binary)" for table, file in self._finished.items()]
        started = time.monotonic()
        self._as_administrator(database, "BEGIN", "SET LOCAL session_replication_role = replica", *copies, "COMMIT")
        seconds = time.monotonic() - started
        found = self._as_administrator(database, "SELECT count(*) FROM household UNION ALL SELECT count(*) FROM person")
        if found.split() != [str(self.households), str(self.people)]:
            raise VoidRunError(f"copied {found.split()}, not {self.households} households and {self.people} people")
        return {LINE.id: self.households / seconds}

    def _taken_in(self, client: httpx.Client) -> float:
        """Seconds from the first byte sent to the report that says so. Raises ``VoidRunError``."""
        started = time.monotonic()
        with self._file.open("rb") as content:
            job = client.post("/v1/imports", data={"mode": "all"}, files={"file": content}).raise_for_status().json()
        while job["status"] in OPEN:
            if time.monotonic() - started > LIMIT:
                raise VoidRunError(f"the import is not done after {LIMIT:.0f} s")
            time.sleep(0.1)
            job = client.get(f"/v1/imports/{job['id']}").raise_for_status().json()
        if job["status"] != "completed" or job["report"]["counts"]["created"] != self.households:
            raise VoidRunError(f"the import is {job['status']}: {job['report']}, not {self.households} created")
        return time.monotonic() - started

    def _check(self, client: httpx.Client) -> None:
        counted = client.get("/v1/statistics/poverty").raise_for_status().json()["division"]
        if (counted["stock_households"], counted["stock_people"]) != (self.households, self.people):
            raise VoidRunError(f"statistics count {counted}, not {self.households} households, {self.people} people")

    def _kept(self, url: str) -> Mapping[str, Path]:
        """Files with the rows of every table that was empty before, as the server wrote them."""
        before = _name(self.ground.databases.create("registry"))
        empty = {table for table, count in self._sizes(before).items() if count == 0}
        data = self.ground.postgres.data.resolve()  # where the server may write
        filled = [table for table, count in self._sizes(_name(url)).items() if count and table in empty]
        files = {table: data / f"{self.prefix}{table}" for table in filled}
        copies = [f"COPY {table} TO '{file}' (FORMAT binary)" for table, file in files.items()]
        self._as_administrator(_name(url), *copies)
        return files

    def _sizes(self, database: str) -> Mapping[str, int]:
        tables = self._as_administrator(database, _TABLES).split()
        counts = self._as_administrator(database, " UNION ALL ".join(f"SELECT count(*) FROM {t}" for t in tables))
        return dict(zip(tables, map(int, counts.split()), strict=True))

    def _as_administrator(self, database: str, *statements: str) -> str:
        """Whom row-level security does not keep from COPY."""
        return self.ground.postgres.execute(*statements, database=database)


def run(ground: Ground, runs: int, scale: int, say: Callable[[str], None]) -> list[Result]:
    importing = Importing(ground, scale)
    say(f"{importing.households} households, {importing.people} people")
    samples = alternate({PROJECT: importing.project, FLOOR: importing.floor}, runs, say)
    return [result(LINE, samples), result(MEMORY, samples)]


@contextmanager
def _watched(service: Service) -> Iterator[list[int]]:
    """Bytes that the service and its children held together, looked at while the context lasts."""
    identity = service.daemon.identity
    assert identity is not None  # it answered
    seen, done = [0], threading.Event()

    def look(process: psutil.Process) -> None:
        while not done.wait(0.1):
            seen.append(sum(map(_held, [process, *process.children(recursive=True)])))

    watch = threading.Thread(target=look, args=[psutil.Process(identity.pid)])
    watch.start()
    try:
        yield seen
    finally:
        done.set()
        watch.join()


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:  # the reader ended just now
        return 0


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1]
