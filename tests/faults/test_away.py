"""Dependencies that are away: 503 with Retry-After without the database, business as usual without the broker."""

import pytest

from tests.e2e.city import Json, today
from tests.faults.doomed import DoomedCity
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("doomed")


def test_without_the_database_everything_answers_503_and_recovers(doomed: DoomedCity, homes: list[Json]) -> None:
    """F15: killed with -9 in mid-load; never a 500, never a partial write."""
    reads = {
        "registry": "/v1/households",
        "assistance": "/v1/actions",
        "ranking": f"/v1/league-tables/daily/{today()}",
    }
    with doomed.load(homes, 500, rate=100.0) as load:
        load.wait_for(100)
        doomed.server.kill()
        for service, path in reads.items():
            answer = doomed.client(service).get(path)
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True), f"{service}: {answer.text}"
            assert answer.headers["content-type"] == "application/problem+json"
            assert doomed.client(service).get("/livez").status_code == 200
            assert doomed.client(service).get("/readyz").status_code == 503
        refused = doomed.post("registry", "/v1/households", {})
        assert refused.status_code in (503, 422), refused.text
        doomed.server.start()
        for service, path in reads.items():
            answered = doomed.client(service).get
            eventually(lambda a=answered, p=path: a(p).status_code == 200, what=f"{service} recovers")  # type: ignore[misc]
        load.wait()
    assert 503 in load.outcome().statuses
    doomed.wait_until_quiet()
    doomed.check(load)


def test_without_the_broker_writes_go_on_and_the_outbox_grows(doomed: DoomedCity, homes: list[Json]) -> None:
    """F11: everything heals by itself within 30 s of its return."""
    doomed.broker.kill()
    with doomed.load(homes, 200) as load:
        load.wait()
    assert load.outcome().statuses == {201}
    [[waiting]] = doomed.sql("assistance", "SELECT count(*) FROM outbox")
    assert waiting >= 200
    doomed.broker.start()
    doomed.wait_until_quiet(within=30)
    doomed.check(load)
    for service in ("registry", "assistance", "ranking"):
        ready = doomed.client(service).get
        eventually(lambda r=ready: r("/readyz").status_code == 200, what=f"{service} is ready again")  # type: ignore[misc]


def test_a_wiped_broker_is_filled_again(doomed: DoomedCity, homes: list[Json]) -> None:
    """F13: the log is gone, unread events with it; ranking was down meanwhile."""
    doomed.process("ranking").kill()
    with doomed.load(homes, 200) as load:
        load.wait()
    eventually(lambda: not doomed.sql("assistance", "SELECT 1 FROM outbox LIMIT 1"), what="all was sent")
    doomed.broker.kill()
    doomed.broker.wipe()
    doomed.broker.start()
    doomed.process("ranking").start()
    doomed.wait_until_quiet(within=30)
    doomed.check(load)
