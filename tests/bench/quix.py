"""B3's peer: the four windows with Quix Streams, as its documentation would have one write them.

Run by the Python of the peers' environment (peers.py), so it imports nothing of ours. It reads the action events,
groups them by managing unit (a repartition topic), and keeps for every unit's day, week, month and quarter the
number of actions, their amount and the number of distinct households, in state that is kept on disk and in
changelog topics. It does less than the project does: one level of units instead of four, no facts, at-least-once.

It prints ``{"events", "seconds", "cells": [[cadence, first day, unit, actions, amount, households], ...]}``.
"""

import json
import sys
import time
from datetime import date, datetime, timedelta, timezone
from typing import Any

from quixstreams import Application, State

SHANGHAI = timezone(timedelta(hours=8))


class Counting:
    """The stateful step, and the end of the run: it stops the application at the last event or out of time."""

    def __init__(self, app: Application, events: int, seconds: float) -> None:
        self._app = app
        self._events = events
        self._seconds = seconds
        self.seen: list[str] = []
        self.cells: dict[tuple[str, str, str], list[int]] = {}
        self.started = 0.0

    def count(self, event: dict[str, Any], state: State) -> None:
        self.started = self.started or time.monotonic()
        unit, amount, household = event["path"]["managing_unit"], event["amount_fen"], event["household_seq"]
        day = datetime.fromisoformat(event["occurred_at"]).astimezone(SHANGHAI).date()
        for cadence, first in periods(day):
            cell = f"{cadence}:{first}"
            actions, total, households = state.get(cell, [0, 0, 0])
            member = f"{cell}:{household}"
            if not state.exists(member):
                state.set(member, 1)
                households += 1
            counted = [actions + 1, total + amount, households]
            state.set(cell, counted)
            self.cells[cadence, first, unit] = counted
        self.seen.append(event["id"])
        if len(self.seen) >= self._events or time.monotonic() - self.started > self._seconds:
            self._app.stop()


def periods(day: date) -> list[tuple[str, str]]:
    firsts = {
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1),
    }
    return [(cadence, first.isoformat()) for cadence, first in firsts.items()]


def main(order: dict[str, Any]) -> dict[str, Any]:
    app = Application(
        broker_address=order["bootstrap_servers"],
        consumer_group=order["group"],
        auto_offset_reset="earliest",
        state_dir=order["state_directory"],
        consumer_extra_config={"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000},  # as ours, to join soon
        loglevel="WARNING",
    )
    counting = Counting(app, order["events"], order["seconds"])
    actions = app.dataframe(app.topic(order["topic"], value_deserializer="json"))
    actions = actions.group_by(lambda event: event["path"]["managing_unit"], name="managing_unit")
    actions.update(counting.count, stateful=True)
    app.run()
    seconds = time.monotonic() - counting.started  # the last checkpoint is part of the work
    cells = [[*cell, *counted] for cell, counted in counting.cells.items()]
    return {"events": counting.seen, "seconds": seconds, "cells": cells}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
