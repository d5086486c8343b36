"""Small faults planted in a copy of the tree; the test that must notice each is run there, and must fail.

A mutant that survives means that a test only looks as if it guarded something. A patch whose text is gone fails
loudly: whoever rewrites the line carries the mutant along.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.mutants
ROOT = Path(__file__).resolve().parents[2]
COPIED = ("services", "shared", "deploy", "tests")
LEFT_OUT = shutil.ignore_patterns("bench", "*.jar", "kafka")
"""Compiled modules go along: they fit the copies, which keep their times, and no longer fit what is written anew."""
TESTS_FAILED = 1
"""pytest's exit code for it; others mean that nothing was tested."""


@dataclass(frozen=True)
class Mutant:
    """One planted fault: in ``file`` a text becomes another, and a second one if need be; ``caught_by`` must fail."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str
    and_old: str = ""
    and_new: str = ""


RELAY, CONSUMER = "tests/faults/test_relay.py", "tests/faults/test_consumer.py"
COUNTERS, RACES = "tests/ranking/test_counters.py", "tests/ranking/test_races.py"
UNREADABLE = "tests/faults/test_unreadable.py"
STORING = "services/ranking/facts/storing.py"

MUTANTS = (
    Mutant(
        "the outbox is read by a cursor",
        "shared/relay.py",
        "            rows = await pg.fetch(_SELECT)\n",
        "            rows = await pg.fetch(_SELECT)\n"
        '            rows = [row for row in rows if row["pos"] > getattr(self, "_last", 0)]\n'
        '            self._last = max([getattr(self, "_last", 0), *(row["pos"] for row in rows)])\n',
        f"{RELAY}::test_a_position_committed_late_is_sent",
    ),
    Mutant(
        "a replaced log is not filled again",
        "shared/relay.py",
        "        if known is not None:\n            count = await self._refill",
        "        if False:\n            count = await self._refill",
        f"{RELAY}::test_a_replaced_log_gets_again_what_was_sent_since_the_clean_mark",
    ),
    Mutant(
        "clean without asking which log it is",
        "shared/relay.py",
        "if known is None or await log_incarnation(self._settings) != known:",
        "if known is None:",
        f"{RELAY}::test_a_new_log_is_not_marked_clean_by_what_the_old_one_held",
    ),
    Mutant(
        "offsets before the database",
        "shared/consumer.py",
        "                    await self._in_transaction(batch, singly)\n"
        "                    await self._commit(client, batch.offsets)\n",
        "                    await self._commit(client, batch.offsets)\n"
        "                    await self._in_transaction(batch, singly)\n",
        f"{CONSUMER}::test_offsets_follow_the_database",
    ),
    Mutant(
        "a batch fails as a whole",
        "shared/consumer.py",
        "                singly = True\n            except _TRANSIENT as error:",
        "                raise\n            except _TRANSIENT as error:",
        f"{UNREADABLE}::test_what_a_handler_fails_on_is_found_and_written_off",
    ),
    Mutant(
        "a dry run is carried out",
        "shared/commands.py",
        "            if dry_run:\n                raise _DryRunOver\n",
        "",
        "tests/access/test_dry_runs.py::test_a_dry_run_answers_as_in_earnest_and_writes_nothing",
    ),
    Mutant(
        "a signature is not asked for",
        "shared/intake/signing.py",
        "            raise Poison(UNSIGNED)",
        "            return",
        "tests/assistance/test_signatures.py::test_a_signed_record_is_taken_in_and_a_forged_one_is_not",
    ),
    Mutant(
        "the dead-letter limit drains instead of stopping",
        "shared/deadletter.py",
        "if recent + len(failed) > self.count:",
        "if False:",
        f"{CONSUMER}::test_too_much_poison_stops_the_consumer_and_drains_nothing",
    ),
    Mutant(
        "what waits is taken for done",
        "shared/consumer.py",
        "await parked.park(pg, self.group, waiting, self._clock.now())",
        "await parked.park(pg, self.group, (), self._clock.now())",
        f"{CONSUMER}::test_what_refers_to_something_unknown_waits_for_it",
    ),
    Mutant(
        "days in UTC",
        "shared/clock.py",
        "return instant.astimezone(SHANGHAI).date()",
        "return instant.astimezone(UTC).date()",
        f"{COUNTERS}::test_late_evening_counts_for_the_day_in_shanghai",
    ),
    Mutant(
        "no version check in the upsert of facts",
        STORING,
        " WHERE held.version < excluded.version ",
        " ",
        f"{COUNTERS}::test_older_version_is_ignored",
    ),
    Mutant(
        "the old row read before instead of RETURNING old",
        STORING,
        '    f"WITH stored AS (INSERT INTO fact AS held ({_NAMES}) "\n',
        '    f"WITH before AS (SELECT {_NAMES} FROM fact WHERE action_id = ANY($2::uuid[])), "\n'
        '    f"written AS (INSERT INTO fact AS held ({_NAMES}) "\n',
        f"{RACES}::test_consumers_race_for_one_action",
        '    f"RETURNING new.action_id AS stored_id, {_OLD}), "\n',
        '    f"RETURNING new.action_id AS stored_id), "\n'
        '    f"stored AS (SELECT stored_id, before.* FROM written LEFT JOIN before ON action_id = stored_id), "\n',
    ),
    Mutant(
        "a correction leaves its old place standing",
        "services/ranking/facts/consumers.py",
        "            changes.take_away(old)\n",
        "            pass\n",
        f"{RACES}::test_consumers_race_for_one_action",
    ),
    Mutant(
        "cells counted by county instead of managing unit",
        STORING,
        "action.programme_class, action.sector, action.path.managing_unit, action.path.township, fact.day,",
        "action.programme_class, action.sector, action.path.county, action.path.township, fact.day,",
        "tests/ranking/test_tables.py::test_counts_by_managing_unit_not_by_prefix",
    ),
    Mutant(
        "ratios as floats",
        "services/ranking/indicators/library.py",
        "        return self.numerator / self.denominator * self.sample\n",
        "        return Fraction(float(self.numerator / self.denominator * self.sample))\n",
        "tests/ranking/test_scores.py::test_weekly_score_by_hand",
    ),
    Mutant(
        "no inbox",
        "shared/intake/handler.py",
        "            before = decided.get(each.received.message)\n",
        "            before = None\n",
        "tests/assistance/test_intake.py::test_every_record_gets_one_receipt",
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(
    mutant: Mutant, tmp_path: Path, postgres: EmbeddedPostgres, request: pytest.FixtureRequest
) -> None:
    tree = tmp_path / "tree"
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=LEFT_OUT)
    shutil.copy(ROOT / "pyproject.toml", tree)
    _plant(mutant, tree)
    ran = _run(mutant.caught_by, tree, postgres, request.config.getoption("--broker"))
    assert ran.returncode == TESTS_FAILED, f"{mutant.caught_by} does not notice it:\n{ran.stdout[-2000:]}"
    assert "1 failed" in ran.stdout, ran.stdout[-2000:]


def _plant(mutant: Mutant, tree: Path) -> None:
    file = tree / mutant.file
    text = file.read_text()
    changes = [(mutant.old, mutant.new), (mutant.and_old, mutant.and_new)]
    for old, new in changes if mutant.and_old else changes[:1]:
        assert text.count(old) == 1, f"the mutant no longer fits {mutant.file}: {old!r}"
        text = text.replace(old, new)
    file.write_text(text)


def _run(test: str, tree: Path, postgres: EmbeddedPostgres, broker: str) -> subprocess.CompletedProcess[str]:
    """The test in the copy, by a pytest of its own that knows nothing of this one but its PostgreSQL."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "BANGFU_"))}
    environment |= {"TEST_PATIENCE": "0.1", "TEST_POSTGRES": str(postgres.directory)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", "120"]
    command += ["--broker", broker, test]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=170)
