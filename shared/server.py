"""Running a service: uvicorn with the time limits it lacks, and the service's command line."""

import argparse
import asyncio
import json
import logging
import re
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import FrameType
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared import deadletter
from shared.app import Role, Runtime
from shared.collector import collect_less_often
from shared.db import SESSION_SETTINGS, Pg
from shared.settings import ServiceName, Settings, project_version
from shared.telemetry import configure_logging

logger = logging.getLogger("bangfu.server")
HEAD_SECONDS = 10.0
"""A request line and its headers must be complete by then (reliability.md 3, input 21)."""
GRACE_SECONDS = 5
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Build = Callable[[Settings, Role], tuple[FastAPI, Runtime]]
Command = Callable[[Settings, list[str]], Coroutine[Any, Any, int]]


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, but a connection whose request head does not complete is closed."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._forget_head()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self.transport.close()


class _Server(uvicorn.Server):
    """uvicorn's server, but live streams learn at once that it stops."""

    def __init__(self, config: uvicorn.Config, runtime: Runtime) -> None:
        super().__init__(config)
        self._runtime = runtime

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            logger.info("version %s listens on %s port %d", project_version(), self.config.host, self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        logger.info("stopped")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._runtime.stopping = True
        super().handle_exit(sig, frame)


def serve(app: FastAPI, runtime: Runtime) -> None:
    """Serve until SIGTERM or SIGINT; SIGUSR1 begins draining: writes get 503, the backlog runs out."""
    settings = runtime.settings
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.listen_port,
        http=PatientProtocol,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
        lifespan="on",
        h11_max_incomplete_event_size=64 * 1024,
    )
    collect_less_often()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config, runtime), runtime))


async def _serve(server: uvicorn.Server, runtime: Runtime) -> None:
    def drain() -> None:
        runtime.draining = True

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, drain)
    await server.serve()
    if not server.started:
        raise SystemExit(3)


def main(
    service: ServiceName,
    build: Build,
    commands: Mapping[str, Command] | None = None,
    *,
    fill: Callable[[Settings], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """``python -m services.<service> [serve|migrate|republish|dead-letters|...]``.

    ``fill`` loads reference data into a migrated database that has none.
    """
    extra = dict(commands or {})
    arguments = _parsed(_parser(service, extra), extra)
    settings = Settings.load(service)
    configure_logging(service, settings.log_level)
    match arguments.command:
        case None | "serve":
            if arguments.migrate:
                migrate(settings, fill)
            serve(*build(settings, arguments.role))
        case "migrate":
            migrate(settings, fill)
        case "republish":
            _, runtime = build(settings, "api")
            print(asyncio.run(_republish(runtime)), "events written to the outbox")
        case "dead-letters":
            sys.exit(asyncio.run(_dead_letters(settings, arguments)))
        case name:
            sys.exit(asyncio.run(extra[name](settings, arguments.arguments)))


def migrate(settings: Settings, fill: Callable[[Settings], Coroutine[Any, Any, None]] | None) -> None:
    """Bring the database to the newest schema, then load reference data into one that has none."""
    from shared import migrations  # Alembic is slow to import, and a service migrates once in its life

    migrations.upgrade(settings.service, settings.database_url)
    if fill is not None:
        asyncio.run(fill(settings))


def _parser(service: str, extra: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    parser.set_defaults(role="all", migrate=False)
    commands = parser.add_subparsers(dest="command")
    serving = commands.add_parser("serve", help="run the service (the default)")
    serving.add_argument("--role", choices=("all", "api", "relay", "consumer"), default="all")
    serving.add_argument("--migrate", action="store_true", help="bring the database to the newest schema first")
    commands.add_parser("migrate", help="bring the database to the newest schema")
    commands.add_parser("republish", help="publish every aggregate's present state again")
    letters = commands.add_parser("dead-letters", help="records that could not be taken in")
    letters.add_argument("action", choices=("list", "show", "replay", "drop"))
    letters.add_argument("ids", nargs="*", help="ids as list shows them, or 'all' for every open one")
    letters.add_argument("--status", choices=("open", "replayed", "dropped"), default="open")
    letters.add_argument("--limit", type=int, default=50)
    for name, command in extra.items():
        commands.add_parser(name, help=(command.__doc__ or "").split("\n")[0], add_help=False)
    return parser


def _parsed(parser: argparse.ArgumentParser, extra: Mapping[str, Command]) -> argparse.Namespace:
    """The arguments; those of a service's own command are left to that command."""
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command not in extra:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.arguments = rest
    return arguments


async def _republish(runtime: Runtime) -> int:
    try:
        return await runtime.relay.republish()
    finally:
        await runtime.database.close()


async def _dead_letters(settings: Settings, arguments: argparse.Namespace) -> int:
    pg = await asyncpg.connect(settings.database_url, server_settings=SESSION_SETTINGS)
    try:
        if arguments.action == "list":
            await _list(pg, settings.service, arguments.status, arguments.limit)
            return 0
        if not arguments.ids:
            complain(f"which ones? Give {arguments.action} ids as list shows them, or all")
            return 2
        rows, unknown = await _chosen(pg, arguments.ids)
        for given in unknown:
            complain(f"no dead letter {given}; list shows those there are")
        if arguments.action == "show":
            for row in rows:
                _show(row)
            return 1 if unknown else 0
        change = deadletter.replay if arguments.action == "replay" else deadletter.drop
        done = await change(pg, [row["id"] for row in rows])
        print(done, "done")
        if left := len(rows) - done:
            complain(f"{left} left as they are: no longer open, or kept without content, which can only be dropped")
        return 1 if unknown or left else 0
    finally:
        await pg.close()


async def _list(pg: Pg, service: str, status: str, limit: int) -> None:
    rows = await deadletter.listed(pg, status, limit)
    for row in rows:
        print(row["id"], row["created_at"].isoformat(timespec="seconds"), row["group_name"],
              f"{row['topic']}/{row['partition']}/{row['offset']}", row["cause"], row["origin"])  # fmt: skip
    if not rows:
        complain(f"no {status} dead letters in {service}")


async def _chosen(pg: Pg, given: Sequence[str]) -> tuple[Sequence[asyncpg.Record], Sequence[str]]:
    """The letters that are meant, each once, and what of the given names none."""
    if given == ["all"]:
        return await pg.fetch("SELECT * FROM dead_letter WHERE status = 'open'"), []
    found, unknown = [], []
    for text in dict.fromkeys(given):
        row = await deadletter.shown(pg, UUID(text)) if _UUID.fullmatch(text) else None
        if row is None:
            unknown.append(text)
        else:
            found.append(row)
    return found, unknown


def _show(row: asyncpg.Record) -> None:
    value = row["value"]
    shown = {
        name: str(row[name])
        for name in ("id", "group_name", "topic", "partition", "offset", "cause", "origin", "status", "created_at")
    }
    shown["headers"] = {
        name: raw.decode("utf-8", "replace") for name, raw in deadletter.headers_from_json(row["headers"])
    }  # type: ignore[assignment]
    shown["value"] = None if value is None else value.decode("utf-8", "replace")  # type: ignore[assignment]
    print(json.dumps(shown, ensure_ascii=False, indent=2))


def complain(line: str) -> None:
    """Tell whoever runs a command what it lacks, in a line on standard error."""
    print(f"bangfu: {line}", file=sys.stderr)
