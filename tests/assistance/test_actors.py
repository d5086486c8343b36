"""Actors over HTTP, and actions that name them."""

from typing import Any

from tests.assistance.world import CITY, NEIXIANG, XIXIA, World


def helper(**more: Any) -> dict[str, Any]:
    return {"kind": "helper", "name": "李明", "division": XIXIA, "office_phone": "0377-69662345", "rank": "150", **more}


async def test_an_actor_is_added_changed_and_named_in_actions(world: World) -> None:
    made = await world.send("POST", "/v1/actors", by="xixia", body=helper(source_system="s", external_id="1"))
    assert made.status_code == 201, made.text
    actor = made.json()["id"]
    recorded = await world.record(actor={"source_system": "s", "external_id": "1"})
    assert recorded.json()["actor"] == {"id": actor}
    listed = await world.send("GET", f"/v1/actions?actor={actor}")
    assert len(listed.json()["items"]) == 1
    changed = await world.send("PUT", f"/v1/actors/{actor}", body=helper(name="王芳"), if_match='"1"')
    assert (changed.json()["name"], changed.headers["etag"]) == ("王芳", '"2"')
    assert changed.json()["external_id"] == "1"
    clash = await world.send("POST", "/v1/actors", body=helper(source_system="s", external_id="1"))
    assert clash.status_code == 409


async def test_the_city_has_actors_of_its_own(world: World) -> None:
    made = await world.send("POST", "/v1/actors", body=helper(kind="secretary", division=CITY))
    assert made.status_code == 201
    assert (await world.send("GET", f"/v1/actors/{made.json()['id']}", by="xixia")).status_code == 404
    assert (await world.record(by="xixia", actor={"id": made.json()["id"]})).status_code == 201


REFUSED: list[dict[str, Any]] = [
    {"office_phone": "13800000000"},
    {"rank": "9"},
    {"kind": "spirit"},
    {"name": "a\u202eb"},
    {"name": "e" + "\u0301" * 50},
    {"division": "999999000000"},
    {"source_system": "s"},
]


async def test_what_is_no_actor(world: World) -> None:
    for changes in REFUSED:
        answer = await world.send("POST", "/v1/actors", body=helper(**changes))
        assert answer.status_code == 422, changes


async def test_rare_characters_survive(world: World) -> None:
    made = await world.send("POST", "/v1/actors", body=helper(name="𠀀𪚥"))
    assert (await world.send("GET", made.headers["location"])).json()["name"] == "𠀀𪚥"


async def test_actors_stay_within_their_divisions(world: World) -> None:
    assert (await world.send("POST", "/v1/actors", by="xixia", body=helper(division=NEIXIANG))).status_code == 422
    made = await world.send("POST", "/v1/actors", body=helper(division=NEIXIANG))
    assert (await world.send("GET", made.headers["location"], by="xixia")).status_code == 404
    assert (await world.send("GET", "/v1/actors?kind=helper", by="xixia")).json()["items"] == []
