"""The mirror of registry: highest version wins, in whatever order events arrive."""

import asyncio
from itertools import permutations
from typing import Any

from shared.contracts.division import DIVISION
from shared.contracts.household import HOUSEHOLD, HouseholdEvent
from shared.contracts.key import KEY, KeyEvent
from shared.ids import uuid7
from shared.record import Poison, Record
from tests.assistance.world import XIAYING, World, divisions, household, record_of


def _record(event: HouseholdEvent, offset: int = 0) -> Record:
    return record_of(HOUSEHOLD, event, str(event.id), offset=offset)


async def test_the_highest_version_wins_in_any_order(world: World) -> None:
    for number, order in enumerate(permutations((1, 2, 3)), start=70):
        first = household(number, XIAYING)
        versions = [first.model_copy(update={"version": version, "seq": 1000 + version}) for version in order]
        assert await world.mirror([_record(each) for each in versions[:2]]) == {}
        assert await world.mirror([_record(each) for each in versions]) == {}
        row = (await world.rows("SELECT version, body FROM mirror_household WHERE id = $1", first.id))[0]
        assert (row["version"], HouseholdEvent.model_validate_json(row["body"]).seq) == (3, 1003)


async def test_one_version_with_two_bodies_is_poison(world: World) -> None:
    first = household(80, XIAYING)
    second = first.model_copy(update={"seq": 999})
    verdicts = await world.mirror([_record(first), _record(second)])
    assert str(verdicts[1]) == "version_clash"
    verdicts = await world.mirror([_record(second), _record(first)])
    assert [(n, str(v)) for n, v in verdicts.items()] == [(0, "version_clash")]


async def test_rubbish_on_an_internal_topic_is_poison_and_the_rest_is_taken_in(world: World) -> None:
    good = household(81, XIAYING)
    record = _record(good)
    bad = [
        Record(HOUSEHOLD.name, 0, 1, b"k", value, record.headers, 0, record.first_seen)
        for value in (None, b"", b"\xff\x00", b"null", b"{}", b'{"version": 99999999999999999999}')
    ]
    mismatch = Record(HOUSEHOLD.name, 0, 2, b"other", record.value, record.headers, 0, record.first_seen)
    verdicts = await world.mirror([*bad, mismatch, record])
    assert sorted(verdicts) == list(range(7))
    assert all(isinstance(verdict, Poison) for verdict in verdicts.values())
    assert await world.value("SELECT count(*) FROM mirror_household WHERE id = $1", good.id) == 1


async def test_fields_of_a_later_minor_version_are_accepted(world: World) -> None:
    event = household(82, XIAYING)
    record = _record(event)
    value = (record.value or b"").replace(b'{"id"', b'{"added_later":1,"id"', 1)
    later = Record(record.topic, 0, 0, record.key, value, record.headers, 0, record.first_seen)
    assert await world.mirror([later]) == {}
    assert await world.mirror([record]) == {}


async def test_changed_divisions_reach_the_tree(world: World) -> None:
    assert (await world.record()).status_code == 201
    village = next(each for each in divisions() if each.code == XIAYING)
    added = village.model_copy(update={"code": "411323102999", "name": "新村"})
    visit: dict[str, Any] = {"household": None, "kind": "village_visit", "division": added.code}
    assert await world.mirror([record_of(DIVISION, added, added.code)]) == {}
    async with asyncio.timeout(60):
        while (await world.record(**visit)).status_code != 201:
            await asyncio.sleep(0.1)


async def test_keys_are_mirrored(world: World) -> None:
    key = KeyEvent(
        id=uuid7(), version=1, status="active", prefix="bf_x", secret_sha256="0" * 64, name="x", roles=["reader"],
        divisions=["411300000000"],
    )  # fmt: skip
    revoked = key.model_copy(update={"version": 2, "status": "revoked"})
    assert await world.mirror([record_of(KEY, revoked, str(key.id)), record_of(KEY, key, str(key.id))]) == {}
    assert await world.value("SELECT version FROM api_key WHERE id = $1", key.id) == 2
