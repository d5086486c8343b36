"""Searches by ID number count as look-ups: each party has the look-up quota of a key."""

from collections.abc import Iterable
from typing import Any

from services.registry.exchange.attributes import ATTRIBUTES
from services.registry.exchange.faults import Refused, Rejected
from services.registry.exchange.parties import Party
from services.registry.exchange.queries import comparisons, read_query
from services.registry.exchange.service import Exchange
from shared import errors
from shared.db import Pg
from shared.errors import Problem

EXHAUSTED = "err.request.too_many_requests"


async def take(pg: Pg, exchange: Exchange, party: Party, queries: Iterable[tuple[str, Any]]) -> None:
    """Take the ID numbers in a message's queries from the party's quota; in the transaction that answers it.

    Raises ``Refused`` when it is used up: the message is not taken then, and takes nothing.
    """
    sought = sum(_sought(query_type, query) for query_type, query in queries)
    if not sought:
        return
    try:
        await exchange.registry.quotas.lookup.use(pg, party.id, sought, exchange.now())
    except Problem as problem:
        if problem.kind is not errors.TOO_MANY:
            raise
        raise Refused(429, EXHAUSTED, "the look-up quota of this hour is used up", problem.headers) from problem


def _sought(query_type: str, query: Any) -> int:
    """How many values are held against blind indexes; none in a query that is refused for itself."""
    try:
        condition = read_query(query_type, query)
    except Rejected:
        return 0
    return sum(len(each.values) for each in comparisons(condition) if ATTRIBUTES[each.attribute].kind == "secret")
