"""A city whose parts are killed: every role a process of its own, any of them armed with a failpoint."""

from collections import Counter
from pathlib import Path

from deploy.local.ports import is_free
from deploy.local.service import Service
from tests.e2e.city import City, Json, visit
from tests.faults.failpoints import VARIABLE
from tests.faults.load import Load, Plan
from tests.oracle import cells
from tests.stack import Databases, Stack

PROCESSES = {
    "registry": ("registry", "all"),
    "assistance": ("assistance", "api"),
    "relay": ("assistance", "relay"),
    "intake": ("assistance", "consumer"),
    "ranking": ("ranking", "all"),
}


class ArmedService(Service):
    """A service started through the launcher that arms a failpoint."""

    def command_line(self, *arguments: str) -> list[str]:
        python, dash_m, *rest = super().command_line(*arguments)
        return [python, dash_m, "tests.faults.launcher", *rest]


class DoomedCity(City):
    """A running stack in five processes, its servers, and what is left of it after each fault."""

    def __init__(self, stack: Stack, databases: Databases, directory: Path) -> None:
        super().__init__(stack, databases)
        self.server = databases.server
        self.broker = stack.broker
        self._directory = directory
        self._loads = 0

    def process(self, label: str) -> Service:
        service, role = PROCESSES[label]
        return self.stack.service(service, role=role, label=label)

    def start(self) -> None:
        """Start whatever does not run."""
        self.server.start()
        self.broker.start()
        for label in PROCESSES:
            self.process(label).start()
        for label in PROCESSES:
            self.process(label).wait_ready()

    def restart(self, label: str) -> None:
        """kill -9, and start again without waiting."""
        self.process(label).kill()
        self.process(label).start()

    def arm(self, label: str, failpoint: str) -> Service:
        """Start a process again, so that it kills itself at a named point."""
        plain = self.process(label)
        plain.kill()
        settings = {**plain.environment, VARIABLE: failpoint}
        service, role = PROCESSES[label]
        armed = ArmedService(service, self._directory, plain.port, settings, role=role, label=f"armed-{label}")
        armed.start()
        return armed

    def has_killed_itself(self, armed: Service) -> bool:
        """Whether the failpoint was reached and nothing is left of the process; its threads end a little later."""
        return not armed.running and is_free(armed.port)

    # Load

    def load(self, homes: list[Json], count: int, rate: float = 300.0) -> Load:
        """Start recording ``count`` actions of these households."""
        self._loads += 1
        bodies = [visit(homes[i % len(homes)], amount_fen=i) for i in range(count)]
        return Load(
            Plan(self.url("assistance"), self.stack.api_key, bodies, rate), self._directory / f"load-{self._loads}"
        )

    # What must hold afterwards

    def check(self, load: Load) -> None:
        """Every 2xx in the ledger once, nothing else; one event a version; facts and tables as the ledger has it."""
        outcome = load.outcome()
        held = Counter(row["external_id"] for row in self.sql("assistance", "SELECT external_id FROM action"))
        assert set(held.values()) <= {1}
        assert outcome.must <= set(held), "every 2xx is in the ledger (I1)"
        assert not outcome.unexpected, f"never a 5xx but 503, no 4xx: {outcome.unexpected[:3]}"
        assert not outcome.unhelpful, "503 says when to come again"
        assert outcome.named <= {str(row["id"]) for row in self.sql("assistance", "SELECT id FROM action")}
        self.check_everything()

    def check_everything(self) -> None:
        """I2 to I7, over everything this city ever recorded."""
        bodies = [row["body"] for row in self.sql("assistance", cells.LEDGER)]
        actions = cells.newest(bodies)
        current = {(str(r["id"]), r["version"]) for r in self.sql("assistance", "SELECT id, version FROM action")}
        assert current == {(key, each["version"]) for key, each in actions.items()}
        events = Counter(
            (row["aggregateid"], int(row["aggregateversion"]))
            for row in self.sql("assistance", _EVENTS, "bangfu.assistance.action.v1")
        )
        assert set(events.values()) <= {1}, "one event a version (I3)"
        assert len(events) == len(bodies), "one version an event (I3)"
        facts = {
            (str(r["action_id"]), r["version"]) for r in self.sql("ranking", "SELECT action_id, version FROM fact")
        }
        assert facts == current, "ranking holds what the ledger holds (I4)"
        assert cells.stored(map(dict, self.sql("ranking", cells.CELLS))) == cells.fold(actions.values()), (
            "cells (I5, I7)"
        )


_EVENTS = """
SELECT aggregateid, aggregateversion FROM outbox WHERE aggregatetype = $1
UNION ALL SELECT aggregateid, aggregateversion FROM outbox_sent WHERE aggregatetype = $1
"""
