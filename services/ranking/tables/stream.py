"""The live stream of a table: server-sent events with ids, resume and heartbeat."""

import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import StreamingResponse

from services.ranking.context import Ranking, RankingDep
from services.ranking.tables.api import Key, snapshot_of, visible_body
from services.ranking.tables.assembly import TableKey
from services.ranking.tables.live import Snapshot
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller, Caller

routes = router("league-tables")
HEARTBEAT_SECONDS = 15.0
_STREAM = {
    "description": "Server-sent events: `event: table`, `id` the table's version, `data` the table as in "
    "`get_league_table`. A comment every 15 seconds keeps the connection open. 实时推送",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "examples": {
                "table": {
                    "summary": "One event",
                    "value": 'id: 20181005r.17.1.3.1.0.1\\nevent: table\\ndata: {"cadence": "week"}\\n\\n',
                }
            },
        }
    },
}


@routes.get(
    "/league-tables/{cadence}/{period}/stream",
    operation_id="stream_league_table",
    summary="A league table as it moves 实时排名",
    response_class=StreamingResponse,
    responses={200: _STREAM, **NOT_FOUND_RESPONSE},
)
async def stream_league_table(
    caller: AnyCaller,
    key: Key,
    ranking: RankingDep,
    request: Request,
    last_event_id: Annotated[
        str | None, Header(max_length=200, description="The version you saw last; only a newer one is sent.")
    ] = None,
) -> StreamingResponse:
    """Sends the table now, unless you hold it already, and again whenever it changes."""
    await snapshot_of(ranking.tables, key)  # answers 404 and 422 before the stream begins
    return StreamingResponse(
        _events(ranking, key, caller, last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _events(ranking: Ranking, key: TableKey, caller: Caller, last_seen: str | None) -> AsyncIterator[bytes]:
    demonstration = ranking.runtime.settings.demonstration
    sent = time.monotonic()
    yield b": connected\n\n"
    async for snapshot in ranking.tables.changes(key, last_seen):
        if ranking.runtime.stopping:
            return
        if snapshot is not None:
            yield _event(snapshot, visible_body(snapshot, caller, demonstration))
            sent = time.monotonic()
        elif time.monotonic() - sent > HEARTBEAT_SECONDS:
            yield b": alive\n\n"
            sent = time.monotonic()


def _event(snapshot: Snapshot, body: bytes) -> bytes:
    return b"id: " + snapshot.version.encode() + b"\nevent: table\ndata: " + body + b"\n\n"
