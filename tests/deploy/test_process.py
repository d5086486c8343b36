"""Background processes are known for what they are."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

from deploy.local.process import Daemon, Identity, set_aside

PATIENT = ["sleep", "60"]


def start(directory: Path, command: list[str]) -> Daemon:
    daemon = Daemon("one", directory)
    daemon.start(command, cwd=directory, env=dict(os.environ))
    return daemon


def test_found_again_by_name_and_stopped(tmp_path: Path) -> None:
    start(tmp_path, PATIENT)
    found = Daemon("one", tmp_path)
    assert found.running
    assert found.stop(timeout=5.0)
    assert not found.running


def test_recycled_pid_is_never_touched(tmp_path: Path) -> None:
    stranger = start(tmp_path, PATIENT)
    identity = stranger.identity
    assert identity is not None
    earlier = replace(identity, started=identity.started - 1)
    (tmp_path / "two.pid").write_text(json.dumps(asdict(earlier)))
    old = Daemon("two", tmp_path)
    assert not old.running
    old.stop()
    old.kill()
    assert stranger.running
    stranger.kill()


def test_deaf_process_is_killed_after_its_time(tmp_path: Path) -> None:
    daemon = start(tmp_path, ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    while "ready" not in daemon.tail():
        time.sleep(0.02)
    assert not daemon.stop(timeout=0.2)
    assert not daemon.running


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    daemon = start(tmp_path, ["sh", "-c", "echo out; echo err >&2"])
    while daemon.running:
        time.sleep(0.02)
    assert daemon.tail() == "out\nerr"


def test_log_that_has_grown_is_set_aside_under_the_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    daemon = start(tmp_path, ["sh", "-c", "echo before; read _ < fifo; echo after"])
    while "before" not in daemon.tail():
        time.sleep(0.02)
    set_aside(daemon.log, limit=1)
    (tmp_path / "fifo").write_text("\n")
    while daemon.running:
        time.sleep(0.02)
    assert daemon.log.read_text() == "after\n"
    assert daemon.log.with_suffix(".log.1").read_text() == "before\n"


def test_record_cut_short_is_no_process(tmp_path: Path) -> None:
    (tmp_path / "one.pid").write_text('{"pid": 1, ')
    assert not Daemon("one", tmp_path).running


def test_identity_of_ourselves_and_of_nobody() -> None:
    ours = Identity.of(os.getpid())
    assert ours is not None
    assert ours.alive
    assert Identity.of(2**22 + 1) is None
