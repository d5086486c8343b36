"""Two at once, on connections of their own."""

import asyncio
from collections import Counter
from typing import Any

from asyncpg import DeadlockDetectedError, SerializationError

from services.assistance.intake.service import ActionDesk
from shared.handling import Handler
from shared.intake.handler import Intake
from shared.intake.sources import sources
from tests.assistance.test_intake import Importer
from tests.assistance.world import NEIXIANG_VILLAGE, World

RACERS = 12


async def _race(*requests: Any) -> list[Any]:
    return list(await asyncio.gather(*requests))


async def test_one_external_name_is_recorded_once(world: World) -> None:
    answers = await _race(*(world.record(source_system="s", external_id="1") for _ in range(RACERS)))
    assert Counter(each.status_code for each in answers) == {201: 1, 200: RACERS - 1}
    assert len({each.json()["id"] for each in answers}) == 1
    assert await world.value("SELECT count(*) FROM action_version") == 1


async def test_one_external_name_with_different_contents(world: World) -> None:
    answers = await _race(*(world.record(source_system="s", external_id="1", quantity=n) for n in range(RACERS)))
    assert Counter(each.status_code for each in answers) == {201: 1, 409: RACERS - 1}


async def test_one_idempotency_key_has_one_effect(world: World) -> None:
    answers = await _race(
        *(world.send("POST", "/v1/actions", body=world.visit(), idempotency_key="k") for _ in range(RACERS))
    )
    assert {each.status_code for each in answers} == {201}
    assert len({each.content for each in answers}) == 1
    assert sum("idempotency-replayed" in each.headers for each in answers) == RACERS - 1
    assert await world.value("SELECT count(*) FROM action") == 1
    assert await world.value("SELECT count(*) FROM outbox WHERE aggregatetype LIKE '%action.v1'") == 1


async def test_one_key_with_different_bodies(world: World) -> None:
    bodies = [world.visit(quantity=n) for n in range(RACERS)]
    answers = await _race(*(world.send("POST", "/v1/actions", body=b, idempotency_key="k") for b in bodies))
    assert Counter(each.status_code for each in answers) == {201: 1, 422: RACERS - 1}
    assert await world.value("SELECT count(*) FROM action") == 1


async def test_of_concurrent_corrections_one_wins(world: World) -> None:
    action = (await world.record()).json()["id"]
    address = f"/v1/actions/{action}/corrections"
    bodies = [{**world.visit(NEIXIANG_VILLAGE, quantity=n), "reason": "更正"} for n in range(RACERS)]
    answers = await _race(*(world.send("POST", address, body=body, if_match='"1"') for body in bodies))
    assert Counter(each.status_code for each in answers) == {200: 1, 412: RACERS - 1}
    versions = await world.rows("SELECT version FROM action_version WHERE action_id = $1::uuid ORDER BY 1", action)
    assert [each["version"] for each in versions] == [1, 2]
    sent = await world.rows("SELECT aggregateversion FROM outbox WHERE aggregateid = $1 ORDER BY pos", action)
    assert [each["aggregateversion"] for each in sent] == ["1", "2"]


async def test_a_correction_and_a_revocation_do_not_both_win(world: World) -> None:
    action = (await world.record()).json()["id"]
    correction = {**world.visit(quantity=5), "reason": "更正"}
    answers = await _race(
        world.send("POST", f"/v1/actions/{action}/corrections", body=correction, if_match='"1"'),
        world.send("POST", f"/v1/actions/{action}/revocation", body={"reason": "重复"}, if_match='"1"'),
    )
    assert sorted(each.status_code for each in answers) == [200, 412]


async def test_two_consumers_and_http_meet_in_one_record(world: World) -> None:
    importer = Importer(world)
    await importer.register()
    messages = [importer.message(f"m{n}", external_id=f"e{n % 5}") for n in range(30)]
    other = Intake(world.assistance.runtime.settings, sources(world.runtime.settings), ActionDesk(world.assistance))

    async def consume(handler: Handler, batch: list[Any]) -> None:
        while True:
            try:
                async with world.runtime.database.driver() as pg, pg.transaction():
                    assert await handler(pg, batch) == {}
                return
            except (SerializationError, DeadlockDetectedError):
                continue  # as the consumer does

    await _race(
        consume(importer.handler, messages[:20]),
        consume(other, messages[10:][::-1]),
        *(world.record(source_system="xixia", external_id=f"e{n}") for n in range(5)),
    )
    assert await world.value("SELECT count(*) FROM action") == 5
    assert await world.value("SELECT count(*) FROM action_version") == 5
    assert await world.value("SELECT count(*) FROM inbox") == 30
