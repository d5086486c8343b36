"""Recording one action over HTTP."""

from tests.assistance.world import XIAYING, World


async def test_an_action_is_recorded_with_its_version_and_event(world: World) -> None:
    answer = await world.record(source_system="office", external_id="1")
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/v1/actions/{body['id']}"
    assert answer.headers["etag"] == '"1"'
    assert body["path"]["village"] == body["division"] == XIAYING
    assert body["household"]["seq"] == world.households[XIAYING].seq
    assert await world.value("SELECT count(*) FROM action_version WHERE action_id = $1::uuid", body["id"]) == 1
    payload = await world.value("SELECT payload FROM outbox WHERE aggregateid = $1", body["id"])
    assert b'"class":"help"' in payload
