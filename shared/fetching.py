"""Fetching records, also past those that the client cannot read.

aiokafka fails on the name of a header that is not UTF-8, and on a batch that its codec cannot unpack; not every broker
refuses them. A single one would hold its partition up for good, and with it the group.
"""

import asyncio
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from gzip import BadGzipFile
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from cramjam import DecompressionError  # of aiokafka's codecs

Fetched = Mapping[TopicPartition, Sequence[Any]]
"""Records by partition, as the client gives them."""

_OVER_CONTENT = (UnicodeDecodeError, DecompressionError, zlib.error, BadGzipFile, EOFError, struct.error)
"""What the client raises over a name, and over a batch packed by any codec. All else is no record's fault, and must not
write one off."""
_WAIT_MS = 200
_NEXT_MS = 2000
"""How long to wait for what follows a record, which may be nothing."""
_PAUSE_SECONDS = 0.05


class UnreadableError(Exception):
    """The client failed on a record, and may have let go of others: a new session fetches them anew."""


class Fetching:
    """How a consumer fetches: many records at once, or one of each partition while it looks for an unreadable one."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._closely = 0
        """How many more times one record of each partition is fetched."""

    def look_closely(self) -> None:
        """After ``UnreadableError``: the record is among the next of its partition, and may be another member's now."""
        self._closely = self._max_records

    async def fetch(self, client: AIOKafkaConsumer) -> tuple[Fetched, Collection[TopicPartition]]:
        """What has come, and the partitions of which it holds stand-ins for what cannot be read.

        Raises ``UnreadableError``.
        """
        if not self._closely:
            return await polled(client, timeout_ms=_WAIT_MS, max_records=self._max_records), ()
        fetched: dict[TopicPartition, Sequence[Any]] = {}
        passed_over = []
        for partition in client.assignment():
            try:
                fetched |= await polled(client, partition, timeout_ms=0, max_records=1)
            except UnreadableError:
                fetched[partition] = await _passed_over(client, partition)
                passed_over.append(partition)
        if not fetched:
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            self._closely = 0 if passed_over else self._closely - 1
        return fetched, passed_over


async def polled(client: AIOKafkaConsumer, *partitions: TopicPartition, **limits: int) -> Fetched:
    """What the client has fetched. Raises ``UnreadableError``.

    Of what it read before in the same call the client has let go then; where that was nothing, the partition's position
    is that of the record it failed on.
    """
    try:
        fetched: Fetched = await client.getmany(*partitions, **limits)
    except _OVER_CONTENT as error:
        raise UnreadableError(type(error).__name__) from error
    return fetched


async def _passed_over(client: AIOKafkaConsumer, partition: TopicPartition) -> list[ConsumerRecord[None, None]]:
    """Move on from an unreadable record to the next one that can be read; stand-ins without content for those between.

    They are what its sender put behind it into the same batch of the log: the client reads a batch from its start.
    """
    passed = []
    while True:
        offset = await client.position(partition)
        passed.append(ConsumerRecord(partition.topic, partition.partition, offset, 0, 0, None, None, None, -1, -1, ()))
        client.seek(partition, offset + 1)
        try:
            await polled(client, partition, timeout_ms=_NEXT_MS, max_records=1)
        except UnreadableError:
            continue
        client.seek(partition, offset + 1)
        return passed
