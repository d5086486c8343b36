"""What a handler says of the records of a batch, also where one of them makes it fail.

What a record says may be more than a handler reckons with: a character that the database does not keep, a number that
it has no room for. Outsiders must not stop a consumer with that (architecture rule 4).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import asyncpg

from shared.db import Pg
from shared.record import Poison, Record, Verdict

logger = logging.getLogger("bangfu.consumer")

_REFUSED = asyncpg.IntegrityConstraintViolationError
"""What is raised over values beside those that the database has: another writer may just have been faster."""
_TRIES = 3
_OVER_CONTENT = (asyncpg.DataError, _REFUSED, ValueError, OverflowError, RecursionError)
"""What is raised over values: by the server, by asyncpg's encoders (a ``ValueError``), by Python.

All else (a missing column, an unknown attribute) is our fault, not the record's: that is not written off.
"""


class Handler(Protocol):
    """What a service does with a batch."""

    async def __call__(self, pg: Pg, batch: Any, /) -> Mapping[int, Verdict]:
        """Take a batch in, as it was read, within the open transaction of ``pg``.

        Returns a verdict by index for each record that was not taken in. Whatever it raises undoes the batch.
        """
        ...


Read = Callable[[Sequence[Record]], Any]
"""Takes the records of a batch apart, before they are taken in: while the batch before is being stored. Pure."""


class UnprocessableError(Exception):
    """Something that a record of the batch says made its handler fail: tried again one by one, it is found."""


async def together(handle: Handler, pg: Pg, read: Any) -> Mapping[int, Verdict]:
    """Verdicts on a batch. Raises ``UnprocessableError``; the transaction is lost then."""
    try:
        return await handle(pg, read)
    except _OVER_CONTENT as error:
        raise UnprocessableError from error


async def one_by_one(handle: Handler, read: Read, pg: Pg, records: Sequence[Record]) -> Mapping[int, Verdict]:
    """Verdicts on records each of which is taken in alone; poison is the one that its handler fails on."""
    verdicts: dict[int, Verdict] = {}
    for index, record in enumerate(records):
        found = await _alone(handle, read, pg, record)
        if found is not None:
            verdicts[index] = found
    return verdicts


async def _alone(handle: Handler, read: Read, pg: Pg, record: Record) -> Verdict | None:
    cause: BaseException | None = None
    for _ in range(_TRIES):
        try:
            async with pg.transaction():
                return (await together(handle, pg, read([record]))).get(0)
        except UnprocessableError as error:
            cause = error.__cause__
            if not isinstance(cause, _REFUSED):
                break
    logger.error("cannot take in %s/%d/%d", record.topic, record.partition, record.offset, exc_info=cause)
    return Poison("unprocessable")
