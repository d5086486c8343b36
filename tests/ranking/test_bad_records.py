"""Records that cannot be taken in: each gets its verdict, its neighbours are counted all the same."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.contracts.action import ActionEvent
from shared.record import Poison, Record
from tests.ranking.world import World, action, action_record, cells


def with_payload(event: ActionEvent, **changes: Any) -> Record:
    """The record of an event whose payload was changed by hand."""
    sent = action_record(event)
    return sent._replace(value=json.dumps(json.loads(sent.value or b"") | changes).encode())


def without_header(event: ActionEvent, name: str) -> Record:
    sent = action_record(event)
    return sent._replace(headers=[header for header in sent.headers if header[0] != name])


BAD: list[tuple[str, Callable[[ActionEvent], Record]]] = [
    ("no_data", lambda event: action_record(event)._replace(value=None)),
    ("schema", lambda event: action_record(event)._replace(value=b"")),
    ("schema", lambda event: action_record(event)._replace(value=bytes(range(256)))),
    ("schema", lambda event: action_record(event)._replace(value=b"[" * 60_000)),
    ("schema", lambda event: with_payload(event, quantity=True)),
    ("schema", lambda event: with_payload(event, amount_fen=2**60)),
    ("schema", lambda event: with_payload(event, occurred_at="2018-10-10T09:00:00")),
    ("schema", lambda event: with_payload(event, household_seq=2**32)),
    ("schema", lambda event: with_payload(event, status="erased")),
    ("nul", lambda event: with_payload(event, programme="vis\x00it")),
    ("out_of_range", lambda event: with_payload(event, quantity=2**63)),
    ("out_of_range", lambda event: with_payload(event, version=2**31)),
    ("out_of_range", lambda event: with_payload(event, occurred_at="9999-12-31T23:59:59Z")),
    ("out_of_range", lambda event: with_payload(event, verified_at="0001-01-01T00:00:00Z")),
    ("key_mismatch", lambda event: action_record(event)._replace(key=b"other")),
    ("key_mismatch", lambda event: action_record(event)._replace(key=None)),
    ("key_mismatch", lambda event: with_payload(event, id="01890000-0000-7000-8000-000000000000")),
    ("not_a_cloudevent:specversion", lambda event: without_header(event, "ce_specversion")),
    ("not_a_cloudevent:attribute_id", lambda event: without_header(event, "ce_id")),
    ("key_mismatch", lambda event: without_header(event, "ce_subject")),
]


async def test_bad_records_and_their_neighbours(world: World) -> None:
    """One batch: a good record, every bad one, a good record."""
    records = [action_record(action()), *(make(action()) for _, make in BAD), action_record(action())]
    async with world.runtime.database.driver() as pg:
        async with pg.transaction():
            verdicts = await world.facts(pg, records)
        found = [(index, verdict.code) for index, verdict in sorted(verdicts.items()) if isinstance(verdict, Poison)]
        assert found == [(index, code) for index, (code, _) in enumerate(BAD, start=1)]
        assert {sums[0] for sums in (await cells(pg)).values()} == {2}


async def test_a_header_without_value_says_nothing(world: World) -> None:
    sent = action_record(event := action(occurred_at=datetime(2018, 10, 10, tzinfo=UTC)))
    silent = sent._replace(headers=[(name, None if name == "ce_time" else text) for name, text in sent.headers])
    async with world.runtime.database.driver() as pg:
        async with pg.transaction():
            assert not await world.facts(pg, [silent])
        assert await pg.fetchval("SELECT action_id FROM fact") == event.id


@pytest.mark.parametrize("more", [{}, {"a_field_of_later": 1}])
async def test_structured_mode_and_later_fields(world: World, more: dict[str, int]) -> None:
    """The whole event in the value, as a foreign relay may send it; fields a publisher added since."""
    event = action(occurred_at=datetime(2018, 10, 10, tzinfo=UTC))
    body = json.loads(event.to_json()) | more
    envelope = {
        "specversion": "1.0", "id": "x", "source": "y", "type": "z", "subject": str(event.id), "data": body
    }  # fmt: skip
    structured = action_record(event)._replace(
        value=json.dumps(envelope).encode(),
        headers=[("content-type", b"application/cloudevents+json")],
    )
    async with world.runtime.database.driver() as pg:
        async with pg.transaction():
            assert not await world.facts(pg, [structured])
        assert await pg.fetchval("SELECT action_id FROM fact") == event.id
