"""Callbacks to make 回调任务: written with the request they answer, worked off until delivered or given up."""

import asyncio
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.registry.exchange import callbacks, notices, parties, searching, transactions
from services.registry.exchange.envelope import SearchMessage
from services.registry.exchange.parties import Party
from services.registry.exchange.schemas import CallbackOut
from services.registry.exchange.service import Exchange
from shared.db import AWAY, CONTENDED, Pg
from shared.ids import uuid7

logger = logging.getLogger("bangfu.registry.exchange")
PAUSES = tuple(
    timedelta(seconds=seconds) for seconds in (10, 30, 120, 600, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)
)
"""Between one attempt and the next; after the last of them a callback is given up. A party may be away for a weekend:
what it is not notified of it does not hear of.
"""
_LEASE = timedelta(seconds=60)
_LONGEST = timedelta(hours=48)
"""No callback is put off for so long."""
_AT_ONCE = 10
_OF_ONE_PARTY = 5
"""So many at a time, and the next when all of them are over: who does not answer holds up nobody else."""
_IDLE_SECONDS = 0.5
SEALED = "exchange_task"
"""What the vault knows sealed callbacks by."""
_CLAIM = """
UPDATE exchange_task SET attempts = attempts + 1, due_at = $1 WHERE id IN (
    SELECT id FROM exchange_task WHERE failed_at IS NULL AND (due_at <= $2 OR due_at > $6) AND id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER (PARTITION BY party_id ORDER BY due_at, id) AS place FROM exchange_task
            WHERE failed_at IS NULL AND (due_at <= $2 OR due_at > $6) AND party_id <> ALL($4::uuid[])
        ) AS waiting WHERE place <= $5
    ) ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING *"""
"""What was put off for longer than ever is, by a clock that was ahead, is due as well."""
PATHS: Mapping[str, str] = {
    "on-search": "/on-search", "on-subscribe": "/on-subscribe", "on-unsubscribe": "/on-unsubscribe",
    "txn-on-status": "/txn/on-status", "notify": "/notify",
}  # fmt: skip
"""Where below its callback address a party expects what."""


async def add(
    pg: Pg,
    exchange: Exchange,
    party: Party,
    action: str,
    content: dict[str, Any],
    *,
    callback: str | None = None,
    request_id: UUID | None = None,
) -> None:
    """A callback to make; in the transaction of what it is about. ``content`` is kept sealed.

    ``callback``: an address that the message named; without one, none is kept.
    """
    identifier = uuid7()
    sealed = exchange.registry.vault.seal(json.dumps(content, ensure_ascii=False), SEALED, identifier)
    await pg.execute(
        "INSERT INTO exchange_task (id, party_id, request_id, action, callback, sealed, due_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        identifier, party.id, request_id, action, callback or "", sealed, exchange.now(),
    )  # fmt: skip


async def run(exchange: Exchange) -> None:
    """Hand out what changed and make what callbacks are due, for as long as the service runs."""
    busy: set[UUID] = set()
    async with asyncio.TaskGroup() as beside:
        while True:
            exchange.awake.clear()
            try:
                found = await _hand_out(exchange)
                for party_id, tasks in (await _claimed(exchange, busy)).items():
                    found = True
                    busy.add(party_id)
                    beside.create_task(_work_off(exchange, party_id, tasks, busy))
            except (*AWAY, *CONTENDED) as error:
                logger.warning("callbacks held up by %s", type(error).__name__)
                found = False
            if not found:
                try:
                    async with asyncio.timeout(_IDLE_SECONDS):
                        await exchange.awake.wait()
                except TimeoutError:
                    continue  # others may have written; failed callbacks fall due


async def _hand_out(exchange: Exchange) -> bool:
    """Turn changes into notifications to deliver; whether there were any."""
    async with exchange.registry.runtime.database.driver() as pg, pg.transaction():
        found = await notices.due(pg, exchange)
        for party, content in found.notices:
            await add(pg, exchange, party, "notify", content)
        return found.changes > 0


async def _claimed(exchange: Exchange, busy: Collection[UUID]) -> Mapping[UUID, Sequence[Any]]:
    """Callbacks that are due, by party; those that are busy have enough to answer."""
    now = exchange.now()
    async with exchange.registry.runtime.database.driver() as pg:
        rows = await pg.fetch(_CLAIM, now + _LEASE, now, _AT_ONCE, list(busy), _OF_ONE_PARTY, now + _LONGEST)
    found: dict[UUID, list[Any]] = {}
    for row in rows:
        found.setdefault(row["party_id"], []).append(row)
    return found


async def _work_off(exchange: Exchange, party_id: UUID, tasks: Sequence[Any], busy: set[UUID]) -> None:
    """Try these callbacks; others wait for no party but their own."""
    try:
        await asyncio.gather(*(_attempt(exchange, task) for task in tasks))
    finally:
        busy.discard(party_id)
        exchange.awake.set()


async def _attempt(exchange: Exchange, task: Any) -> None:
    """Try a callback; whatever it fails on, it is given up after so many attempts."""
    try:
        try:
            await _deliver(exchange, task)
        except AWAY:
            raise
        except Exception as error:  # also of the statement that answers it, which may take too long each time
            logger.error("cannot make callback %s", task["id"], exc_info=error)
            async with exchange.registry.runtime.database.driver() as pg:
                await _again(pg, exchange, task, f"a fault of ours: {type(error).__name__}")
    except AWAY as error:
        logger.warning("callback %s held up by %s", task["id"], type(error).__name__)  # due again after its lease


async def _deliver(exchange: Exchange, task: Any) -> None:
    database = exchange.registry.runtime.database
    async with database.driver() as pg:
        party = await parties.find(pg, task["party_id"])
        if party is None or party.body.status != "active":
            await _give_up(pg, exchange, task, "the party is blocked")
            return
        envelope = await _composed(pg, exchange, party, task)
    try:
        await callbacks.post(exchange.networks, _address(party, task), envelope)
    except callbacks.NotDeliveredError as error:
        async with database.driver() as pg:
            await _again(pg, exchange, task, str(error))
        return
    async with database.driver() as pg:
        await pg.execute("DELETE FROM exchange_task WHERE id = $1", task["id"])


def _address(party: Party, task: Any) -> str:
    """Where to call back, asked at every attempt: a party that has moved gets nothing at its old address any more.

    What the message named holds while it is below the party's address as it is now.
    """
    named: str = task["callback"]
    if named and callbacks.below(named, party.body.callback_uri):
        return named
    return party.body.callback_uri.rstrip("/") + PATHS[task["action"]]


async def _composed(pg: Pg, exchange: Exchange, party: Party, task: Any) -> dict[str, Any]:
    """The signed message; under the same ``message_id`` at every attempt."""
    content = json.loads(exchange.registry.vault.open(task["sealed"], SEALED, task["id"]))
    if task["action"] == "notify":
        async with pg.transaction():
            message, outcomes = await notices.composed(pg, exchange, party, content)
    elif task["action"] == "on-search":
        search = SearchMessage.model_validate(content)
        async with pg.transaction():
            message, outcomes = await searching.answer(pg, exchange, party, search, task["request_id"])
            await transactions.complete(pg, exchange, task["request_id"], outcomes)
    else:
        message, outcomes = content["message"], content["outcomes"]
    header = exchange.header(task["action"], party.body.sender_id, outcomes, task["id"])
    return exchange.signed(header, message)


async def undelivered(pg: Pg, party_id: UUID, after: UUID | None, limit: int) -> list[CallbackOut]:
    """A party's callbacks that are to be made yet or were given up, in the order in which they came up."""
    rows = await pg.fetch(
        "SELECT id, action, attempts, failure, due_at, failed_at AS given_up_at FROM exchange_task "
        "WHERE party_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        party_id,
        after or UUID(int=0),
        limit,
    )
    return [CallbackOut(**dict(row)) for row in rows]


async def count_undelivered(pg: Pg, party_id: UUID) -> int:
    """How many there are of them."""
    found: int = await pg.fetchval("SELECT count(*) FROM exchange_task WHERE party_id = $1", party_id)
    return found


async def _again(pg: Pg, exchange: Exchange, task: Any, failure: str) -> None:
    if task["attempts"] > len(PAUSES):
        await _give_up(pg, exchange, task, failure)
        return
    logger.warning("callback %s to party %s failed: %s", task["id"], task["party_id"], failure)
    due = exchange.now() + PAUSES[task["attempts"] - 1]
    await pg.execute("UPDATE exchange_task SET due_at = $2, failure = $3 WHERE id = $1", task["id"], due, failure)


async def _give_up(pg: Pg, exchange: Exchange, task: Any, failure: str) -> None:
    logger.error("callback %s to party %s is given up: %s", task["id"], task["party_id"], failure)
    async with pg.transaction():
        await pg.execute(
            "UPDATE exchange_task SET failed_at = $2, failure = $3, sealed = NULL WHERE id = $1",
            task["id"],
            exchange.now(),
            failure,
        )
        if task["request_id"] is not None:
            await transactions.give_up(pg, exchange, task["request_id"])
