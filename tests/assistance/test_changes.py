"""Correcting, revoking, verifying, and reading what was said before."""

from tests.assistance.world import NEIXIANG_VILLAGE, XIAYING, World


async def _recorded(world: World, **more: object) -> str:
    answer = await world.record(**more)  # type: ignore[arg-type]
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_correction_moves_the_action_and_keeps_what_was_said(world: World) -> None:
    action = await _recorded(world)
    body = {**world.visit(NEIXIANG_VILLAGE), "reason": "记错了户"}
    corrected = await world.send("POST", f"/v1/actions/{action}/corrections", body=body, if_match='"1"')
    assert corrected.status_code == 200, corrected.text
    assert corrected.json()["path"]["village"] == NEIXIANG_VILLAGE
    assert corrected.headers["etag"] == '"2"'
    first = await world.send("GET", f"/v1/actions/{action}?version=1")
    assert first.json()["path"]["village"] == XIAYING
    versions = (await world.send("GET", f"/v1/actions/{action}/versions")).json()["items"]
    assert [(each["verb"], each["reason"]) for each in versions] == [("recorded", None), ("corrected", "记错了户")]
    assert await world.value("SELECT count(*) FROM outbox WHERE aggregateid = $1", action) == 2


async def test_changes_need_the_version_that_was_read(world: World) -> None:
    action = await _recorded(world)
    address = f"/v1/actions/{action}/revocation"
    assert (await world.send("POST", address, body={"reason": "重复"})).status_code == 428
    assert (await world.send("POST", address, body={"reason": "重复"}, if_match='"2"')).status_code == 412
    revoked = await world.send("POST", address, body={"reason": "重复"}, if_match='"1"')
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    again = await world.send("POST", address, body={"reason": "重复"}, if_match='"2"')
    assert (again.status_code, again.json()["code"]) == (409, "action_revoked")


async def test_nobody_verifies_their_own_record(world: World) -> None:
    action = await _recorded(world)
    address = f"/v1/actions/{action}/verification"
    own = await world.send("POST", address, body={}, if_match='"1"')
    assert (own.status_code, own.json()["code"]) == (403, "own_record")
    verified = await world.send("POST", address, by="reviewer", body={}, if_match='"1"')
    assert verified.status_code == 200
    assert verified.json()["verified_at"] is not None
    body = {**world.visit(quantity=2), "reason": "补记"}
    corrected = await world.send("POST", f"/v1/actions/{action}/corrections", body=body, if_match='"2"')
    assert corrected.json()["verified_at"] is None


async def test_a_change_is_carried_out_once_under_its_key(world: World) -> None:
    action = await _recorded(world)
    address, body = f"/v1/actions/{action}/revocation", {"reason": "重复"}
    first = await world.send("POST", address, body=body, if_match='"1"', idempotency_key="k")
    again = await world.send("POST", address, body=body, if_match='"1"', idempotency_key="k")
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    other = await world.send("POST", address, body={"reason": "其他"}, if_match='"1"', idempotency_key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_another_county_sees_nothing(world: World) -> None:
    action = await _recorded(world, village=NEIXIANG_VILLAGE)
    assert (await world.send("GET", f"/v1/actions/{action}", by="xixia")).status_code == 404
    assert (await world.send("GET", f"/v1/actions/{action}/versions", by="xixia")).status_code == 404
    body = {**world.visit(), "reason": "挪过来"}
    stolen = await world.send("POST", f"/v1/actions/{action}/corrections", by="xixia", body=body, if_match='"1"')
    assert stolen.status_code == 404
    listed = await world.send("GET", "/v1/actions", by="xixia")
    assert listed.json()["items"] == []
