"""./bangfu from a person's and a script's side, on a stack of its own."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from deploy.local import keeper
from deploy.local.demo.actions import CITY_TIME
from deploy.local.demo.loading import Loader, RealDataError
from deploy.local.demo.running import FIRST_BATCH
from deploy.local.process import Identity
from deploy.local.service import NAMES, ROOT
from deploy.local.stack import Stack
from deploy.local.state import State, StateError
from shared.ids import uuid7
from tests.faults.waiting import eventually
from tests.leash import heed_ctrl_c
from tests.registry.sheets import HEADER, head, rows_of

on_one_stack = pytest.mark.xdist_group("stack")


class Launcher:
    """Runs commands against one state directory."""

    def __init__(self, directory: Path) -> None:
        self.state = State(directory)
        self._environment = {**os.environ, "BANGFU_STATE": str(directory), "PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "deploy.cli", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, env=self._environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_ctrl_c
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate()
        return process.returncode, out, err

    def up(self, *arguments: str) -> str:
        code, _, err = self.run("up", "--no-demo", "--detach", *arguments)
        assert code == 0, err
        return err

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run("status", "--json")[1])
        return status


def one_line(told: str) -> bool:
    """Whether it is a line as the launcher's are."""
    return told.startswith("bangfu: ") and told.count("\n") == 1


def processes(stack: Stack) -> list[Identity]:
    """Everything of a stack that runs."""
    daemons = [stack.keeper, stack.broker.daemon, *(service.daemon for service in stack.services.values())]
    found = [daemon.identity for daemon in daemons]
    return [identity for identity in found if identity is not None]


@pytest.fixture(scope="module")
def launcher(run_directory: Path) -> Iterator[Launcher]:
    launcher = Launcher(run_directory / "stack")
    launcher.up("--port", "auto")
    yield launcher
    launcher.run("reset", "--yes")


@on_one_stack
def test_status_for_scripts(launcher: Launcher) -> None:
    status = launcher.status()
    assert set(status) == {"services", "kafka", "databases", "api_key"}
    assert list(status["services"]) == list(NAMES)
    assert all(service["ready"] is True for service in status["services"].values())
    assert set(status["databases"]) == set(NAMES)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", status["kafka"]["bootstrap_servers"])
    with httpx.Client(headers={"Authorization": f"Bearer {status['api_key']}"}) as client:  # good everywhere
        for name, path in (("registry", "divisions"), ("assistance", "programmes"), ("ranking", "rule-sets")):
            assert client.get(f"{status['services'][name]['url']}/v1/{path}").status_code == 200


@on_one_stack
def test_second_up_changes_nothing(launcher: Launcher) -> None:
    before = processes(Stack(launcher.state))
    assert "runs already" in launcher.up()
    assert processes(Stack(launcher.state)) == before


@on_one_stack
def test_real_data_is_not_mixed_with_a_demonstration(launcher: Launcher) -> None:
    code, out, err = launcher.run("up", "--detach")
    assert code == 0
    assert "started for real use: no demonstration" in err
    assert "演示数据" not in out


@on_one_stack
async def test_loader_refuses_a_register_with_real_households(launcher: Launcher) -> None:
    status = launcher.status()
    clients = [
        httpx.AsyncClient(
            base_url=status["services"][name]["url"], headers={"Authorization": f"Bearer {status['api_key']}"}
        )
        for name in ("registry", "assistance")
    ]
    household = {
        "village": "411323102217",
        "standing": "poor",
        "members": [{"name": "测试甲", "relation": "head", "sex": "male", "birth_date": "1968-03-12"}],
    }
    made = await clients[0].post("/v1/households", json=household, headers={"Idempotency-Key": '"real"'})
    assert made.status_code == 201, made.text
    with pytest.raises(RealDataError):
        await Loader(clients[0], clients[1], print).load(1000)
    for client in clients:
        await client.aclose()


@on_one_stack
def test_survives_down_and_up(launcher: Launcher) -> None:
    before = launcher.status()
    ran = processes(Stack(launcher.state))
    code, _, err = launcher.run("down")
    assert code == 0
    assert "again" not in err  # everything was drained
    assert not any(process.alive for process in ran)
    assert not Stack(launcher.state).anything_runs
    code, _, err = launcher.run("import", "households", __file__)
    assert (code, err) == (1, "bangfu: does not run; start it with ./bangfu up\n")
    launcher.up()
    assert launcher.status() == before


@on_one_stack
def test_survives_kill_of_everything(launcher: Launcher) -> None:
    before = launcher.status()
    Stack(launcher.state).kill()
    assert not Stack(launcher.state).anything_runs
    launcher.up()
    assert launcher.status() == before


def wait_until_mended(launcher: Launcher) -> None:
    stack = Stack(launcher.state)
    deadline = time.monotonic() + 120
    while not (stack.running and all(service.ready for service in stack.services.values())):
        assert time.monotonic() < deadline, launcher.run("status")[1] + stack.keeper.tail()
        time.sleep(0.1)


@on_one_stack
@pytest.mark.parametrize("part", ["ranking", "broker", "postgres"])
def test_keeper_starts_a_killed_part_again(launcher: Launcher, part: str) -> None:
    stack = Stack(launcher.state)
    {"ranking": stack.services["ranking"].kill, "broker": stack.broker.kill, "postgres": stack.postgres.kill}[part]()
    wait_until_mended(launcher)


@on_one_stack
def test_keeper_mends_what_breaks_while_it_mends(launcher: Launcher) -> None:
    stack = Stack(launcher.state)
    stack.broker.kill()
    while not stack.broker.running:
        time.sleep(0.01)
    stack.postgres.kill()  # no service gets ready now, however long the keeper waits
    wait_until_mended(launcher)


@on_one_stack
def test_broker_that_has_grown_is_started_anew(launcher: Launcher) -> None:
    before = launcher.status()
    grown = Stack(launcher.state).broker.daemon.identity
    with pytest.raises(StateError), launcher.state.locked(print):
        keeper.check(launcher.state, broker_limit=1)  # another command is at work: not now
    deadline = time.monotonic() + 120
    while Stack(launcher.state).broker.daemon.identity == grown:
        assert time.monotonic() < deadline
        with suppress(StateError):  # its own keeper looks at it
            keeper.check(launcher.state, broker_limit=1)
    assert launcher.status() == before


@on_one_stack
def test_up_does_not_wait_for_a_key_that_was_revoked(launcher: Launcher) -> None:
    stack = Stack(launcher.state)
    stack.configuration.settings["BANGFU_BOOTSTRAP_KEY"] = "revoked.since"
    stack.up(print)  # raises if it waits for what never comes


@on_one_stack
def test_registrys_own_commands(launcher: Launcher) -> None:
    code, out, err = launcher.run("audit", "verify")
    assert (code, "entries hold, head " in out) == (0, True), err
    assert launcher.run("audit", "verify", "--head", f"1:{'00' * 32}")[0] == 1
    code, out, err = launcher.run("audit", "verify", "--head", "x")
    assert (code, out, one_line(err)) == (2, "", True)
    assert "POSITION:HASH" in err
    assert launcher.run("audit", "forget")[0] == 2
    issued = ("issue-key", "--name", "x", "--role", "identity:reveal", "--division", "411323000000")
    code, out, err = launcher.run(*issued)
    assert (code, out.startswith("bf_")) == (0, True), err
    for division, told in (("999999000000", "no such division"), ("4113", "must be 12 digits")):
        code, out, err = launcher.run(*issued[:-1], division)
        assert (code, out, one_line(err), told in err) == (1, "", True, True), err
    code, _, err = launcher.run(*issued, "--role", "frob")
    assert (code, one_line(err), "--role: must be one of" in err, "'drafter'" in err) == (1, True, True, True), err
    code, out, err = launcher.run("rotate-keys")
    assert (code, out.startswith("0 rows")) == (0, True), err


@on_one_stack
def test_logs_of_one_part(launcher: Launcher) -> None:
    code, out, _ = launcher.run("logs", "postgres")
    assert code == 0
    assert "ready to accept connections" in out
    assert launcher.run("logs", "nonsense")[0] == 2
    for name in NAMES:
        code, out, _ = launcher.run("logs", name)
        assert (code, f"listens on 127.0.0.1 port {Stack(launcher.state).services[name].port}" in out) == (0, True)

    def emptied() -> tuple[int, str, str]:
        os.truncate(Stack(launcher.state).logs["ranking"], 0)
        return launcher.run("logs", "ranking")

    nothing = (1, "", "bangfu: nothing was logged yet\n")
    eventually(lambda: emptied() == nothing, what="nothing was logged in between")


async def letters_in(url: str, group: str, *contents: bytes | None) -> list[str]:
    """The ids of dead letters put into a database, oldest first."""
    pg = await asyncpg.connect(url)
    made = [uuid7() for _ in contents]
    for offset, (letter, content) in enumerate(zip(made, contents, strict=True)):
        await pg.execute(
            'INSERT INTO dead_letter (id, group_name, topic, partition, "offset", digest, value, headers, '
            "timestamp_ms, cause, origin) VALUES ($1, $2, 'topic', 0, $3, $4, $5, '[]', 0, 'broken', 'somebody')",
            letter,
            group,
            offset,
            letter.bytes,
            content,
        )
    await pg.close()
    return [str(letter) for letter in made]


@on_one_stack
async def test_dead_letters_are_named_and_those_that_are_none_too(launcher: Launcher) -> None:
    def command(*arguments: str) -> tuple[int, str, str]:
        return launcher.run("dead-letters", *arguments, "--service", "ranking")

    assert command("list") == (0, "", "bangfu: no open dead letters in ranking\n")
    code, out, err = command("show")
    assert (code, out, one_line(err), "ids as list shows them, or all" in err) == (2, "", True, True), err
    none, url = str(uuid7()), launcher.status()["databases"]["ranking"]
    whole, empty = await letters_in(url, "nobody", b"{}", None)
    code, out, err = command("show", whole, "abc", "99", none)
    assert (code, json.loads(out)["id"]) == (1, whole)
    assert err.splitlines() == [
        f"bangfu: no dead letter {each}; list shows those there are" for each in ("abc", "99", none)
    ]
    code, out, err = command("replay", empty, "abc")
    assert (code, out, "no dead letter abc" in err, "kept without content" in err) == (1, "0 done\n", True, True), err
    assert command("drop", "all") == (0, "2 done\n", "")
    code, out, _ = command("list", "--status", "dropped", "--limit", "1")
    assert (code, len(out.splitlines())) == (0, 1)


def sheet(*rows: Sequence[Any], header: Sequence[str] = HEADER) -> str:
    """A file of comma-separated values, as a spreadsheet saves it."""
    return "\n".join(",".join(map(str, row)) for row in (header, *rows)) + "\n"


@on_one_stack
def test_import_tells_what_was_not_taken_in(launcher: Launcher, tmp_path: Path) -> None:
    file = tmp_path / "户.csv"
    header = [{"主要致贫原因": "致平原因", "登记日期": "登计日期"}.get(name, name) for name in HEADER]
    file.write_text(sheet(head(sequence=41), *[["合计"]] * 12, header=header))
    stale = tmp_path / "户.rejected.xlsx"
    stale.write_bytes(b"a clerk's work")
    code, out, err = launcher.run("import", "households", str(file))
    assert (code, out) == (0, ""), err
    lines = err.splitlines()
    assert "bangfu: completed: households received 1, created 1, updated 0, unchanged 0, rejected 0" in lines
    assert "bangfu: warning: columns not taken in, their names are unknown: 登计日期, 致平原因" in lines
    warnings = [line for line in lines if line.startswith("bangfu: warning: row ")]
    assert len(warnings) == 10
    assert "合计" in warnings[-1]
    assert [line for line in lines if line.startswith("bangfu: warning: and more, ")]
    assert f"bangfu: {stale} is of an earlier import, not of this one" in lines
    assert stale.read_bytes() == b"a clerk's work"
    job = json.loads((tmp_path / "户.csv.receipt.json").read_text())
    assert {each["code"] for each in job["report"]["errors"]} >= {"column_unknown", "cause_missing", "total_row"}
    told = launcher.run("logs", "registry")[1]
    assert f"import {job['id']} completed: received=1 created=1" in told
    assert "户" not in told  # nothing of the file, not even its name

    code, _, again = launcher.run("import", "households", str(file))
    assert code == 0
    assert f"as import {job['id']}: nothing was done now; it ended so" in again
    sent = datetime.fromisoformat(job["recorded_at"]).astimezone()
    assert f"sent before, on {sent:%Y-%m-%d at %H:%M}" in again


@on_one_stack
def test_import_tells_the_result_when_nothing_can_be_written_beside_the_file(
    launcher: Launcher, tmp_path: Path
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(sheet(head(sequence=42), head(sequence=43, cause="没有原因")))
    (tmp_path / "x.csv.receipt.json").mkdir()
    code, _, err = launcher.run("import", "households", str(file), "--mode", "each")
    assert code == 1
    assert "completed: households received 2, created 1, updated 0, unchanged 0, rejected 1" in err
    assert "receipt not written" in err
    assert "Is a directory" in err
    assert "Traceback" not in err
    assert rows_of((tmp_path / "x.rejected.xlsx").read_bytes())


class Seen:
    """What a watcher of an import has said so far."""

    def __init__(self, watcher: subprocess.Popen[str]) -> None:
        self.text = ""
        self._watcher = watcher
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def whole(self) -> str:
        """All it said, when it has ended."""
        self._reading.join()
        self._watcher.wait()
        return self.text

    def _read(self) -> None:
        assert self._watcher.stderr is not None
        while part := self._watcher.stderr.read(1):
            self.text += part


@on_one_stack
async def test_ctrl_c_ends_the_watching_and_not_the_import(launcher: Launcher, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(sheet(head(sequence=44)))
    second.write_text(sheet(head(sequence=45)))
    pg = await asyncpg.connect(launcher.status()["databases"]["registry"])
    try:
        async with pg.transaction():
            await pg.execute("LOCK TABLE household IN SHARE MODE")  # no household can be written now
            await pg.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            watchers = [launcher.start("import", "households", str(file)) for file in (first, second)]
            seen = [Seen(watcher) for watcher in watchers]
            asked = "SELECT count(*) FROM import_job WHERE ended_at IS NULL"
            async with asyncio.timeout(120):
                while await pg.fetchval(asked) < len(watchers):
                    await asyncio.sleep(0.1)
                while not any("waits its turn at the server" in each.text for each in seen):
                    await asyncio.sleep(0.1)
            for watcher in watchers:
                watcher.send_signal(signal.SIGINT)
            told = [each.whole() for each in seen]
    finally:
        await pg.close()
    assert [watcher.returncode for watcher in watchers] == [130, 130], told
    assert sum("waits its turn at the server" in err for err in told) == 1, told
    assert all("goes on at the server as import " in err for err in told), told
    assert not any("Aborted" in err or "Traceback" in err for err in told), told
    for file in (first, second):
        code, _, err = launcher.run("import", "households", str(file))
        assert (code, "was sent before" in err, "completed: households received 1, created 1" in err) == (0, True, True)


@on_one_stack
def test_ctrl_c_in_the_foreground_stops_everything(run_directory: Path) -> None:
    launcher = Launcher(run_directory / "foreground")
    process = launcher.start("up", "--no-demo", "--port", "auto")
    assert process.stdout is not None
    while "./bangfu down" not in process.stdout.readline():
        assert process.poll() is None
    ran = processes(Stack(launcher.state))
    assert len(ran) == 5
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
    assert not any(one.alive for one in ran)
    assert not Stack(launcher.state).anything_runs


def test_demonstration_is_loaded_once_counted_and_stays_marked(run_directory: Path) -> None:
    launcher = Launcher(run_directory / "demonstration")
    code, out, err = launcher.run("up", "--detach", "--scale", "1000", "--port", "auto")
    assert code == 0, err
    assert "演示数据" in out
    status = launcher.status()
    services = {name: service["url"] for name, service in status["services"].items()}
    with httpx.Client(headers={"Authorization": f"Bearer {status['api_key']}"}) as client:
        households = client.get(f"{services['registry']}/v1/households", params={"count": "true"}).json()
        assert households["count"] == 144

        def notice() -> dict[str, Any]:
            told: dict[str, Any] = client.get(
                f"{services['ranking']}/v1/notices/daily/{datetime.now(CITY_TIME).date()}"
            ).json()
            return told

        deadline = time.monotonic() + 120
        while (found := notice())["city"]["cumulative"]["actions"] < FIRST_BATCH:
            assert time.monotonic() < deadline, found["city"]
            time.sleep(0.2)
        assert found["watermark"] == "演示数据"
    code, out, err = launcher.run("up", "--no-demo", "--detach", "--scale", "10")
    assert (code, "演示数据" in out) == (0, True)
    assert "goes on saying so" in err
    assert "registering" not in err
    launcher.run("reset", "--yes")
    assert not launcher.state.directory.exists()


class TestTrouble:
    """What people can do wrong, or have standing in the way."""

    def test_commands_on_what_never_ran(self, tmp_path: Path) -> None:
        launcher = Launcher(tmp_path / "never")
        for command in (["status"], ["status", "--json"], ["logs"], ["rebuild"], ["republish", "registry"]):
            code, out, err = launcher.run(*command)
            assert (code, out) == (1, "")
            assert "./bangfu up" in err
        assert launcher.run("down")[0] == 0

    def test_taken_port_is_named_with_its_holder(self, run_directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            launcher = Launcher(run_directory / "taken")
            code, _, err = launcher.run("up", "--no-demo", "--detach", "--port", str(port))
            assert code == 1
            assert f"port {port} for registry is held by process {os.getpid()}" in err

    @pytest.mark.parametrize("port", ["0", "65535", "-1", "eighty"])
    def test_senseless_port_is_refused(self, tmp_path: Path, port: str) -> None:
        code, _, err = Launcher(tmp_path).run("up", "--port", port)
        assert code == 2
        assert "--port" in err

    @pytest.mark.parametrize(
        ("name", "why"),
        [("ok.csv", "ends in .xlsx"), ("none/x.xlsx", "No such file or directory"), ("taken.xlsx", "Is a directory")],
    )
    def test_workbook_that_cannot_be_written(self, tmp_path: Path, name: str, why: str) -> None:
        (tmp_path / "taken.xlsx").mkdir()
        code, out, err = Launcher(tmp_path / "state").run("demo-workbook", str(tmp_path / name), "--scale", "1000")
        assert (code, out, one_line(err), why in err) == (1, "", True, True), err
        assert not (tmp_path / "ok.csv").exists()

    @pytest.mark.parametrize(
        ("command", "options"),
        [
            ("issue-key", ["--name", "--role", "--division", "identity:reveal"]),
            ("audit", ["--head", "POSITION:HASH"]),
            ("dead-letters", ["[ids]...", "--status", "--limit", "--service"]),
            ("bench", ["--only", "--json"]),
        ],
    )
    def test_help_shows_every_option(self, tmp_path: Path, command: str, options: list[str]) -> None:
        launcher = Launcher(tmp_path)
        launcher._environment["COLUMNS"] = "200"
        code, out, err = launcher.run(command, "--help")
        assert (code, err) == (0, "")
        assert [option for option in options if option not in out] == []
        assert f"./bangfu {command}" in out

    def test_service_that_does_not_start_shows_its_log_and_leaves_nothing(self, run_directory: Path) -> None:
        launcher = Launcher(run_directory / "broken")
        launcher._environment["BANGFU_DATABASE_POOL"] = "none"
        code, _, err = launcher.run("up", "--no-demo", "--detach", "--port", "auto")
        assert code == 1
        assert "database_pool" in err
        assert not Stack(launcher.state).anything_runs
