"""Rule sets and indicators over HTTP."""

from typing import Any

from tests.ranking.test_tables import WEEK, populate, row_of
from tests.ranking.world import CITY, WAN, WO, XI, ZONE, World, action

ADDRESS = "/v1/rule-sets"


async def _default(world: World) -> dict[str, Any]:
    body: dict[str, Any] = (await world.get(f"{ADDRESS}/2018-v1")).json()
    return {name: value for name, value in body.items() if name not in ("version", "state")}


async def test_the_default_is_there(world: World) -> None:
    (only,) = (await world.get(ADDRESS)).json()["items"]
    assert (only["code"], only["state"], only["version"]) == ("2018-v1", "in_force", 1)
    assert only["compositions"]["weekly"] == {"completion": 40, "quality": 30, "timeliness": 20, "satisfaction": 10}
    assert (await world.get(f"{ADDRESS}/none")).status_code == 404


async def test_indicators(world: World) -> None:
    found = {item["code"]: item for item in (await world.get("/v1/indicators")).json()["items"]}
    assert (found["timeliness"]["label_zh"], found["timeliness"]["source"]) == ("及时率", "facts")
    assert found["inspection"]["source"] == "none"


async def test_set_for_the_future(world: World) -> None:
    """Created, changed with If-Match, shown as future; the running period keeps its rules."""
    await populate(world)
    admin = await world.key(CITY, roles=["admin"])
    rules = await _default(world) | {"code": "2019-v1", "valid_from": "2019-01-01"}
    created = await world.client.put(f"{ADDRESS}/2019-v1", json=rules, headers=admin)
    assert (created.status_code, created.headers["etag"], created.json()["state"]) == (201, '"1"', "future")
    changed = rules | {"min_served": {"county": 1, "township": 1, "village": 1, "sector": 1}}
    assert (await world.client.put(f"{ADDRESS}/2019-v1", json=changed, headers=admin)).status_code == 428
    stale = await world.client.put(f"{ADDRESS}/2019-v1", json=changed, headers=admin | {"If-Match": '"7"'})
    assert stale.status_code == 412
    done = await world.client.put(f"{ADDRESS}/2019-v1", json=changed, headers=admin | {"If-Match": '"1"'})
    assert (done.status_code, done.headers["etag"]) == (200, '"2"')
    assert (await world.get(WEEK)).json()["rule_set"] == "2018-v1"
    assert (await world.get("/v1/league-tables/monthly/2019-01")).json()["rule_set"] == "2019-v1"


async def test_only_who_has_the_whole_city_in_scope_sets_one(world: World) -> None:
    """It scores every unit of the city; before the divisions are mirrored nobody is known to have them all."""
    rules = await _default(world) | {"code": "2019-v1", "valid_from": "2019-01-01"}
    city = await world.key(CITY, roles=["admin"])
    assert (await world.client.put(f"{ADDRESS}/2019-v1", json=rules, headers=city)).status_code == 403
    await populate(world)
    for divisions in ([WAN], [WAN, WO, XI, ZONE], []):
        less = await world.key(*divisions, roles=["admin"])
        refused = await world.client.put(f"{ADDRESS}/2019-v1", json=rules, headers=less)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert len((await world.get(ADDRESS)).json()["items"]) == 1
    assert (await world.client.put(f"{ADDRESS}/2019-v1", json=rules, headers=city)).status_code == 201


async def test_what_if(world: World) -> None:
    """Another rule set on the same figures; the answer says that it is one."""
    await populate(world)
    await world.take_in(action(household_seq=1))
    admin = await world.key(CITY, roles=["admin"])
    rules = await _default(world) | {"code": "strict", "valid_from": "2030-01-01"}
    rules["compositions"] = rules["compositions"] | {"weekly": {"timeliness": 100}}
    await world.client.put(f"{ADDRESS}/strict", json=rules, headers=admin)
    table = (await world.get(f"{WEEK}?rule_set=strict")).json()
    assert (table["rule_set"], table["what_if"], row_of(table, WAN)["score"]) == ("strict", True, "20.00")
    assert (await world.get(WEEK)).json()["what_if"] is False


async def test_refusals(world: World) -> None:
    await populate(world)
    admin = await world.key(CITY, roles=["admin"])
    rules = await _default(world)
    future = rules | {"code": "new", "valid_from": "2019-01-01"}
    tries: list[tuple[str, dict[str, Any], dict[str, str], int]] = [
        ("2018-v1", rules | {"valid_from": "2019-01-01"}, {"If-Match": '"1"'}, 409),  # in force: never changes
        ("new", future | {"valid_from": "2018-10-10"}, {}, 409),  # today is not the future
        ("other", future, {}, 422),
        ("new", future | {"valid_from": "tomorrow"}, {}, 422),
        ("new", future | {"min_served": {"county": True}}, {}, 422),
        ("new", future | {"compositions": future["compositions"] | {"daily": {"luck": 1}}}, {}, 422),
        ("new", future | {"extra": 1}, {}, 422),
        ("NEW", future, {}, 422),
    ]
    for code, body, headers, status in tries:
        answer = await world.client.put(f"{ADDRESS}/{code}", json=body, headers=admin | headers)
        assert answer.status_code == status, (code, answer.json())
    assert (await world.client.put(f"{ADDRESS}/new", json=future, headers=admin)).status_code == 201
    taken = await world.client.put(f"{ADDRESS}/newer", json=future | {"code": "newer"}, headers=admin)
    assert taken.status_code == 409, "two rule sets cannot begin on one day"
    reader = await world.key(CITY)
    assert (await world.client.put(f"{ADDRESS}/new", json=future, headers=reader)).status_code == 403
