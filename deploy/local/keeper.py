"""Looks after a running stack: starts again what died, empties the broker's memory and cuts logs that have grown.

The embedded broker never forgets while it runs. Past a size, everything is drained and the broker started anew;
the services are away for some seconds.
"""

import os
import sys
import time
import traceback

from deploy.local.broker import BrokerError
from deploy.local.ports import PortTakenError
from deploy.local.postgres_programs import PostgresError
from deploy.local.process import set_aside
from deploy.local.service import ServiceError
from deploy.local.stack import Stack
from deploy.local.state import State, StateError

CHECK_SECONDS = 2.0
LONGEST_PAUSE = 15.0
"""Between attempts to start something that does not start: what mends itself meanwhile is back within 30 s."""

BROKER_LIMIT_MB = 2048


def check(state: State, broker_limit: int) -> None:
    """Look once, and mend what is not as it should be.

    Raises what `Stack.up` raises when something does not start.
    """
    with state.locked(say, wait=0):
        stack = Stack(state)
        for log in stack.logs.values():
            set_aside(log)
        if missing := stack.missing:
            say(f"{', '.join(missing)} ended unasked; starting again")
            stack.up(say)
        elif stack.broker.daemon.memory > broker_limit:
            say("the broker has grown; starting it anew")
            stack.recycle_broker(say)


def say(line: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), line, file=sys.stderr, flush=True)


def main() -> None:
    """Check for ever; `down` ends us."""
    state = State.find()
    limit = int(os.environ.get("BANGFU_BROKER_LIMIT_MB", BROKER_LIMIT_MB)) * 1024 * 1024
    failures = 0
    while True:
        time.sleep(min(CHECK_SECONDS * max(1, failures), LONGEST_PAUSE))
        try:
            check(state, limit)
            failures = 0
        except StateError:
            continue  # another command is at work, and will leave things as it wants them
        except (BrokerError, PortTakenError, PostgresError, ServiceError) as error:
            say(str(error))
            failures += 1
        except Exception:  # nobody looks after the keeper: it goes on, whatever it met
            say(traceback.format_exc())
            failures += 1


if __name__ == "__main__":
    main()
