"""Health that means something: backlog by age, not pings alone (style.md, "Absorb" 18)."""

import asyncio
import math
import time
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from shared import telemetry
from shared.consumer import Consumer
from shared.db import AWAY, Database
from shared.relay import Relay

OLDEST_EVENT_SECONDS = 30.0
"""How long an event may wait while none is sent: those of a large import wait for their turn behind each other."""
FAILING_SECONDS = 30.0
BROKER_SILENCE_SECONDS = 15.0


class ConsumerHealth(BaseModel):
    """One consumer group of this process."""

    group: str
    stopped: str | None = Field(description="Why it stopped at its dead-letter limit, if it did.")
    failing_seconds: float = Field(description="How long its batches have been failing.")
    parked: int = Field(description="Records waiting for what they refer to.")
    open_dead_letters: int


class Health(BaseModel):
    """What ``/readyz`` answers."""

    ready: bool
    database: bool = Field(description="The database answers.")
    broker: bool = Field(description="The broker answered lately.")
    outbox_rows: int = Field(description="Events not yet acknowledged by the broker.")
    outbox_oldest_seconds: float
    outbox_sent_seconds: float | None = Field(description="Since an event was last sent; null: none of those kept.")
    clean_at: datetime | None = Field(description="Everything sent before this was consumed by all its readers.")
    drained: bool = Field(default=False, description="Nothing waits and all was consumed; asked only while draining.")
    consumers: list[ConsumerHealth]
    problems: list[str] = Field(description="Why it is not ready.")


async def check(service: str, database: Database, relay: Relay | None, consumers: Sequence[Consumer]) -> Health:
    """Look at everything this process depends on; within two seconds."""
    health = Health(
        ready=True, database=False, broker=True, outbox_rows=0, outbox_oldest_seconds=0,
        outbox_sent_seconds=None, clean_at=None, consumers=[], problems=[],
    )  # fmt: skip
    try:
        async with asyncio.timeout(2):
            await _look_at_database(health, service, database, consumers)
    except AWAY as error:
        health.problems.append(f"database: {type(error).__name__}")
    watches = [consumer.log for consumer in consumers if consumer.stopped is None]
    watches += [relay.log] if relay is not None else []
    health.broker = all(time.monotonic() - watch.last_contact < BROKER_SILENCE_SECONDS for watch in watches)
    if not health.broker:
        health.problems.append("broker: no answer lately")
    sent = math.inf if health.outbox_sent_seconds is None else health.outbox_sent_seconds
    if min(health.outbox_oldest_seconds, sent) > OLDEST_EVENT_SECONDS:
        health.problems.append("outbox: events wait too long, and none is sent")
    for consumer in health.consumers:
        if consumer.stopped is not None:
            health.problems.append(f"{consumer.group}: {consumer.stopped}")
        elif consumer.failing_seconds > FAILING_SECONDS:
            health.problems.append(f"{consumer.group}: failing")
    health.ready = not health.problems
    return health


async def _look_at_database(health: Health, service: str, database: Database, consumers: Sequence[Consumer]) -> None:
    async with database.driver() as pg:
        row = await pg.fetchrow(
            "SELECT count(*) AS rows, "
            "coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS age, "
            "(SELECT extract(epoch FROM clock_timestamp() - max(sent_at))::float FROM outbox_sent) AS sent, "
            "(SELECT clean_at FROM log_state WHERE reader = 'relay') AS clean_at "
            "FROM (SELECT created_at FROM outbox ORDER BY pos LIMIT 100000) waiting"
        )
        assert row is not None  # an aggregate always answers
        health.database = True
        health.outbox_rows, health.outbox_oldest_seconds = row["rows"], row["age"]
        health.outbox_sent_seconds, health.clean_at = row["sent"], row["clean_at"]
        for consumer in consumers:
            counts = await pg.fetchrow(
                "SELECT (SELECT count(*) FROM parked_record WHERE group_name = $1), "
                "(SELECT count(*) FROM dead_letter WHERE group_name = $1 AND status = 'open')",
                consumer.group,
            )
            parked, dead = counts or (0, 0)
            failing = 0.0 if consumer.failing_since is None else time.monotonic() - consumer.failing_since
            health.consumers.append(
                ConsumerHealth(group=consumer.group, stopped=consumer.stopped, failing_seconds=round(failing, 1),
                               parked=parked, open_dead_letters=dead)
            )  # fmt: skip
            telemetry.PARKED.labels(consumer.group).set(parked)
    telemetry.OUTBOX_ROWS.labels(service).set(health.outbox_rows)
    telemetry.OUTBOX_AGE.labels(service).set(health.outbox_oldest_seconds)
