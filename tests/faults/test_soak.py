"""Random faults in a row, by a seed: not part of a normal run, which says so; `-m soak` runs it.

./bangfu test -n1 -m soak tests/faults/test_soak.py
"""

import os
import random

import pytest

from tests.e2e.city import Json
from tests.faults.doomed import PROCESSES, DoomedCity

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200), pytest.mark.xdist_group("doomed")]
ROUNDS = int(os.environ.get("TEST_SOAK_ROUNDS", "40"))
ACTIONS = 600


@pytest.mark.parametrize("seed", [int(os.environ.get("TEST_SOAK_SEED", "2018"))])
def test_any_parts_killed_at_any_time_lose_nothing(doomed: DoomedCity, homes: list[Json], seed: int) -> None:
    """Each round kills two to four parts somewhere in a load of actions, heals, and checks everything ever recorded."""
    chance = random.Random(seed)
    for number in range(ROUNDS):
        print(f"round {number} of seed {seed}")
        with doomed.load(homes, ACTIONS) as load:
            for reached in sorted(chance.choices(range(20, ACTIONS * 4 // 5), k=chance.randint(2, 4))):
                load.wait_for(reached)
                _kill(doomed, chance.choice([*PROCESSES, "broker", "postgres"]))
            load.wait()
        doomed.start()
        doomed.wait_until_quiet(within=60)
        doomed.check(load)


def _kill(doomed: DoomedCity, victim: str) -> None:
    if victim == "broker":
        doomed.broker.kill()
        doomed.broker.start()
    elif victim == "postgres":
        doomed.server.kill()
        doomed.server.start()
    else:
        doomed.restart(victim)
