"""The embedded PostgreSQL survives what happens to it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import asyncpg
import pytest

from deploy.local.ports import PortTakenError
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.postgres_programs import PostgresError
from deploy.local.process import Identity


@pytest.fixture
def server(run_directory: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(run_directory / request.node.name / "postgres")
    server.start()
    yield server
    server.stop()


async def test_database_has_our_limits_locale_and_role(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.create_database("one"))
    row = await connection.fetchrow(
        """SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
                  current_setting('idle_in_transaction_session_timeout') AS idle,
                  current_setting('data_checksums') AS checksums, current_setting('fsync') AS fsync,
                  datlocprovider = 'b' AND datlocale = 'C.UTF-8' AS builtin, usesuper
           FROM pg_database, pg_user WHERE datname = current_database() AND usename = current_user"""
    )
    await connection.close()
    assert row is not None
    assert tuple(row) == ("30s", "5s", "15s", "on", "on", True, False)


async def test_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    url = server.create_database("one").replace("postgresql://bangfu:", "postgresql://bangfu:x")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


@pytest.mark.parametrize("whole", [True, False], ids=["with its workers", "server process alone"])
async def test_commits_survive_kill(server: EmbeddedPostgres, whole: bool) -> None:
    connection = await asyncpg.connect(server.create_database("one"))
    await connection.execute("CREATE TABLE kept (x int); INSERT INTO kept VALUES (1)")
    if whole:
        server.kill()
    else:
        alone = Identity.of(int((server.data / "postmaster.pid").read_text().split()[0]))
        assert alone is not None
        alone.signal(signal.SIGKILL)
        assert alone.wait(10.0)  # the kernel takes a moment
    assert not server.running
    server.start()
    again = await asyncpg.connect(server.url("one"))
    assert await again.fetchval("SELECT x FROM kept") == 1
    await again.close()


def test_stale_pid_file_that_names_a_stranger(server: EmbeddedPostgres) -> None:
    server.kill()
    pid_file = server.data / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().splitlines()[1:]]))
    assert not server.running
    server.start()
    assert server.running


def test_second_object_finds_the_running_server(server: EmbeddedPostgres) -> None:
    same = EmbeddedPostgres(server.directory)
    same.start()
    assert same.port == server.port
    assert same.execute("SELECT 1") == "1"


def test_taken_port_is_named_with_its_holder(run_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = EmbeddedPostgres(run_directory / "taken" / "postgres", port)
        with pytest.raises(PortTakenError, match=rf"port {port} .* held by process {os.getpid()}"):
            server.start()


def test_port_that_somebody_takes_while_we_start_is_named_too(run_directory: Path) -> None:
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(("127.0.0.1", 0))
        port = rival.getsockname()[1]
        Timer(0.1, rival.listen).start()  # while the cluster is being made
        with pytest.raises(PortTakenError, match=rf"port {port} .* held by process {os.getpid()}"):
            EmbeddedPostgres(run_directory / "rival" / "postgres", port).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another account")
def test_root_changes_nothing_outside_its_directory_and_is_told_of_a_closed_parent(
    run_directory: Path,
) -> None:
    closed = run_directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresError, match=f"cannot pass {closed}"):
        EmbeddedPostgres(closed / "postgres").start()
    assert closed.stat().st_mode & 0o777 == 0o700
