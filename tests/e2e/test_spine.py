"""One aid action's whole way (issue 2, "It must show"): recorded, counted, moved, removed, never twice."""

import time

import pytest

from tests.e2e.city import City, Json, today, visit
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("city")
XIXIA, TONGBAI = "411323000000", "411330000000"
FACES = ("daily", "weekly", "monthly", "quarterly", "notice")


def counted(city: City, county: str, before: dict[str, tuple[int, int]], added: int) -> None:
    """Wait until every face shows that many more actions and households of the county."""
    expected = {face: (actions + added, households + added) for face, (actions, households) in before.items()}
    eventually(lambda: city.faces(today(), county) == expected, what=f"{county} {expected}")


def test_an_action_is_counted_moved_by_a_correction_and_removed_by_a_revocation(city: City) -> None:
    here, there = city.villages(XIXIA)[0], city.villages(TONGBAI)[0]
    before = {county: city.settled_faces(today(), county) for county in (XIXIA, TONGBAI)}
    assert set(before[XIXIA]) == set(FACES)

    action = city.recorded(city.household(here))
    assert action["path"]["county"] == XIXIA
    counted(city, XIXIA, before[XIXIA], 1)

    other = city.household(there)
    correction = {**content_of(action), "household": {"number": other["number"]}, "reason": "登记错户"}
    client = city.client("assistance")
    corrections, revocation = (f"/v1/actions/{action['id']}/{what}" for what in ("corrections", "revocation"))
    corrected = client.post(corrections, json=correction, headers={"If-Match": '"1"'})
    assert corrected.status_code in (200, 201), corrected.text
    assert corrected.json()["version"] == 2
    counted(city, XIXIA, before[XIXIA], 0)
    counted(city, TONGBAI, before[TONGBAI], 1)
    revoked = client.post(revocation, json={"reason": "重复"}, headers={"If-Match": '"2"'})
    assert revoked.status_code in (200, 201), revoked.text
    counted(city, TONGBAI, before[TONGBAI], 0)
    counted(city, XIXIA, before[XIXIA], 0)


def content_of(action: Json) -> Json:
    """The content of an action, as it is sent."""
    names = ("programme", "kind", "occurred_at", "quantity", "amount_fen", "details")
    return {name: action[name] for name in names}


def test_from_201_to_every_table_takes_less_than_a_second(city: City) -> None:
    """Measured on households known before, as an office has them; what a busy machine adds is not in the quickest."""
    homes = [city.household(city.villages(XIXIA)[0]) for _ in range(5)]
    before = city.settled_faces(today(), XIXIA)
    took = []
    for number, home in enumerate(homes, start=1):
        city.recorded(home)
        recorded = time.monotonic()
        counted(city, XIXIA, before, number)
        took.append(time.monotonic() - recorded)
    assert min(took) < 1, took


def test_the_same_idempotency_key_changes_nothing(city: City) -> None:
    home = city.household(city.villages(XIXIA)[0])
    before = city.settled_faces(today(), XIXIA)
    action = visit(home)
    first = city.record(action, idempotency_key="spine-1")
    again = city.record(action, idempotency_key="spine-1")
    assert first.status_code == 201, first.text
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = city.record(visit(home), idempotency_key="spine-1")
    assert other.status_code == 422
    city.wait_until_quiet()
    counted(city, XIXIA, before, 1)


def test_an_external_name_is_recorded_once(city: City) -> None:
    home = city.household(city.villages(XIXIA)[0])
    action = visit(home)
    first = city.record(action)
    same, other = city.record(action), city.record({**action, "quantity": 2})
    assert (first.status_code, same.status_code, other.status_code) == (201, 200, 409)
    assert same.json()["id"] == other.json()["action_id"] == first.json()["id"]
