"""kill -9 of each part during a load of 1,000 actions: every 201 is in the ledger once and in the tables once."""

import pytest

from tests.e2e.city import Json
from tests.faults.doomed import DoomedCity
from tests.faults.waiting import eventually

pytestmark = pytest.mark.xdist_group("doomed")
ACTIONS = 1_000
HEALED_WITHIN = 30.0


@pytest.mark.parametrize(
    "victims", [("assistance", "assistance"), ("relay", "relay"), ("ranking", "registry"), ("broker", "broker")]
)
def test_a_killed_part_loses_nothing(doomed: DoomedCity, homes: list[Json], victims: tuple[str, str]) -> None:
    """F1, F3, F6, F10: in mid-flow, and started again at once. (The embedded broker forgets everything: F13.)"""
    with doomed.load(homes, ACTIONS) as load:
        for victim, reached in zip(victims, (200, 500), strict=True):
            load.wait_for(reached)
            if victim == "broker":
                doomed.broker.kill()
                doomed.broker.start()
            else:
                doomed.restart(victim)
        load.wait()
    doomed.start()
    doomed.wait_until_quiet(within=HEALED_WITHIN)
    doomed.check(load)
    assert len(load.outcome().must) >= ACTIONS * 6 // 7, "what was retried came through"


def test_everything_killed_at_once_loses_nothing(doomed: DoomedCity, homes: list[Json]) -> None:
    """The machine's power, in effect: services, broker and PostgreSQL."""
    with doomed.load(homes, ACTIONS) as load:
        load.wait_for(300)
        doomed.stack.kill()
        doomed.broker.kill()
        doomed.server.kill()
        doomed.start()
        load.wait()
    doomed.wait_until_quiet(within=HEALED_WITHIN)
    doomed.check(load)


@pytest.mark.parametrize("point", ["api.before_commit", "api.after_commit"])
def test_the_ledger_killed_around_its_commit_records_once(doomed: DoomedCity, homes: list[Json], point: str) -> None:
    """F1: the client does not hear whether it was recorded, and asks again with the same key."""
    armed = doomed.arm("assistance", f"{point}@5=KILL")
    armed.wait_ready()
    with doomed.load(homes, 100) as load:
        eventually(lambda: doomed.has_killed_itself(armed), what="the failpoint is reached")
        doomed.process("assistance").start()
        load.wait()
    doomed.wait_until_quiet()
    doomed.check(load)
    assert 0 in load.outcome().statuses, "somebody was left without an answer"


@pytest.mark.parametrize("point", ["consumer.after_commit", "consumer.before_commit"])
def test_tables_killed_around_their_commit_count_once(doomed: DoomedCity, homes: list[Json], point: str) -> None:
    """F6: the batch is in the database or not, the offsets are not committed; it is delivered again."""
    armed = doomed.arm("ranking", f"{point}@1=KILL")
    with doomed.load(homes, 100) as load:
        eventually(lambda: doomed.has_killed_itself(armed), what="the failpoint is reached")
        doomed.process("ranking").start()
        load.wait()
    doomed.wait_until_quiet()
    doomed.check(load)
