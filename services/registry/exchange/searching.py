"""Answering a search: every request of the batch by itself, within the party's divisions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.registry.exchange import auditing, changes, records
from services.registry.exchange.attributes import ATTRIBUTES, ours_of
from services.registry.exchange.budgets import Budget
from services.registry.exchange.criteria import Entity, Page, SearchCriteria, SubscribeCriteria
from services.registry.exchange.envelope import SearchItem, SearchMessage
from services.registry.exchange.faults import Rejected
from services.registry.exchange.parties import Party
from services.registry.exchange.queries import read_query
from services.registry.exchange.service import VERSION, Exchange
from services.registry.exchange.statements import Statement
from services.registry.households import reading
from shared.contracts.base import rfc3339
from shared.db import Pg

MOST_ROWS = 100
"""Largest page."""
_EVENTS = (*changes.EVENTS, "SEARCH")
"""Event types that a search may name: those of the specification, and what its samples send. None narrows it."""
DEEPEST = 100_000
"""Rows that can be paged through; beyond, a search has found too many records."""


async def answer(
    pg: Pg, exchange: Exchange, party: Party, message: SearchMessage, correlation_id: UUID
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The message that answers a search, and its responses."""
    seen: set[str] = set()
    budget = Budget()
    responses: list[dict[str, Any]] = []
    for item in message.search_request:
        responses.append(await _response(pg, exchange, party, item, seen, budget))
        seen.add(item.reference_id)
    return _message(message, correlation_id, responses), responses


def rejected(
    exchange: Exchange, message: SearchMessage, correlation_id: UUID, reason: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The same of a search rejected as a whole: so is every request of it. The code is in the header."""
    responses = [
        {**_begun(exchange, item), "status": "rjct", "status_reason_message": reason} for item in message.search_request
    ]
    return _message(message, correlation_id, responses), responses


def _message(message: SearchMessage, correlation_id: UUID, responses: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "transaction_id": message.transaction_id,
        "correlation_id": str(correlation_id),
        "search_response": responses,
    }


def _begun(exchange: Exchange, item: SearchItem) -> dict[str, Any]:
    """What the response to a request begins with, however it goes."""
    response: dict[str, Any] = {"reference_id": item.reference_id, "timestamp": rfc3339(exchange.now())}
    return response if item.locale is None else {**response, "locale": item.locale}


async def _response(
    pg: Pg, exchange: Exchange, party: Party, item: SearchItem, seen: set[str], budget: Budget
) -> dict[str, Any]:
    response = _begun(exchange, item)
    try:
        if item.reference_id in seen:
            raise Rejected("rjct.reference_id.duplicate", "another request of the message has this reference_id")
        if (item.timestamp - exchange.now()).total_seconds() > 300:
            raise Rejected("rjct.timestamp.invalid", "the timestamp lies in the future")
        found = await _found(pg, exchange, party, item.search_criteria, budget)
    except Rejected as error:
        return {**response, "status": "rjct", "status_reason_code": error.code, "status_reason_message": error.message}
    return {**response, "status": "succ", **found}


def purpose_of(party: Party, authorize: Any) -> str | None:
    """The code of the purpose that is stated. Raises ``Rejected`` for one that the party is not registered for."""
    purpose = authorize.get("purpose") if isinstance(authorize, dict) else None
    code = purpose.get("code") if isinstance(purpose, dict) else purpose
    if code is None:
        return None
    if not isinstance(code, str) or code not in party.body.purposes:
        raise Rejected("rjct.search_criteria.invalid", "the party is not registered for this purpose")
    return code


def check_criteria(criteria: SearchCriteria | SubscribeCriteria) -> None:
    """Raises ``Rejected`` where something else is stated than can be answered.

    A version, a kind of registry (by its plain name or as ``ns:…:TYPE``), or what is not read here at all: to read over
    it would be to answer another question.
    """
    if criteria.says_more():
        raise Rejected("rjct.search_criteria.invalid", "the criteria state what is not read here")
    if criteria.version not in (None, VERSION):
        raise Rejected("rjct.search_criteria.invalid", f"version {VERSION} is spoken here")
    if criteria.reg_type is not None and plain(criteria.reg_type) != plain(records.REG_TYPE):
        raise Rejected("rjct.search_criteria.invalid", f"this registry is {records.REG_TYPE}")


def plain(name: str) -> str:
    """The last part of ``ns:…:TYPE``."""
    return name.rpartition(":")[2]


async def _found(pg: Pg, exchange: Exchange, party: Party, criteria: SearchCriteria, budget: Budget) -> dict[str, Any]:
    check_criteria(criteria)
    if criteria.reg_event_type is not None and plain(criteria.reg_event_type) not in _EVENTS:
        raise Rejected("rjct.search_criteria.invalid", f"event types are {', '.join(_EVENTS)}")
    purpose = purpose_of(party, criteria.authorize)
    condition = read_query(criteria.query_type, criteria.query)
    entity: Entity = criteria.response_entity
    page = criteria.pagination or Page(page_size=MOST_ROWS)
    if page.says_more():
        raise Rejected("rjct.pagination.invalid", "here are read only page_size, page_number")
    if page.page_size > MOST_ROWS:
        raise Rejected("rjct.pagination.invalid", f"page_size is at most {MOST_ROWS}")
    offset = (page.page_number - 1) * page.page_size
    if offset > DEEPEST:
        raise Rejected("rjct.search.too_many_records_found", f"no more than {DEEPEST} records can be paged through")
    statement = Statement(entity, exchange.registry.vault, party.body.divisions)
    sql = statement.find(condition, _order(criteria, entity), page.page_size, offset)
    budget.begin(condition)
    row = await pg.fetchrow(sql, *statement.arguments)
    assert row is not None  # an aggregate without grouping always has a row
    budget.spend(len(row["ids"]))
    await auditing.note_told(pg, exchange, party, entity, row["ids"], operation="looked_up", purpose=purpose)
    return {
        "data": {
            "version": VERSION,
            "reg_type": records.REG_TYPE,
            "reg_record_type": entity,
            "reg_records": await read_records(pg, exchange, entity, row["ids"]),
        },
        "pagination": {"page_size": page.page_size, "page_number": page.page_number, "total_count": row["total"]},
    }


def _sortable(entity: Entity) -> Sequence[str]:
    """By what records of a kind can be sorted: a household has several members."""
    return [name for name, one in ATTRIBUTES.items() if one.sortable and not (one.member and entity == "Group")]


def _order(criteria: SearchCriteria, entity: Entity) -> list[tuple[str, bool]]:
    order = []
    for key in criteria.sort or []:
        name = ours_of(key.attribute_name)
        if key.says_more():
            raise Rejected("rjct.sort.invalid", "here are read only attribute_name, sort_order")
        if name not in _sortable(entity):
            raise Rejected("rjct.sort.invalid", f"these records are sorted by {', '.join(_sortable(entity))}")
        order.append((name, key.sort_order == "desc"))
    return order


async def read_records(pg: Pg, exchange: Exchange, entity: Entity, ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """The records of these households or members, in this order; who left for no household meanwhile is left out."""
    vault = exchange.registry.vault
    if entity == "Group":
        households = {household.id: household for household in await reading.several(pg, ids, vault)}
        return [records.group(households[identifier]) for identifier in ids]
    persons = await reading.members_by_id(pg, ids, vault)
    return [records.member(persons[identifier]) for identifier in ids if identifier in persons]
