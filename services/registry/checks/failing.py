"""Rules that fail on a record, for a bug in them or for something in it that they do not expect.

One record must not hold up the others: that the rule failed on it is a finding like any other. What a rule that
refuses failed on is refused, for nobody knows what it would have said; over HTTP with 500, for the fault is ours.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Sequence

from services.registry.checks.rules import Facts, Finding, Rule, rule
from shared import errors
from shared.errors import Fault, Problem
from shared.telemetry import RULE_FAILURES

logger = logging.getLogger("bangfu.registry.checks")
QUIET_SECONDS = 60.0
"""How long no more is said of a rule in the log: it may fail on every household. The metric counts each time."""
_OURS = "系统自检"
_last_said: dict[str, float] = {}
"""``time.monotonic()`` by rule."""


def _nothing(_: Facts) -> Iterable[str]:
    return ()


rule_failed = rule("rule_failed", "error", "a rule could not be evaluated", "规则未能执行", source=_OURS)(_nothing)
remark_failed = rule(
    "remark_failed", "warning", "a rule that remarks could not be evaluated", "提示类规则未能执行", source=_OURS
)(_nothing)
unreadable = rule(
    "unreadable", "error", "something stored of it cannot be read, so that no rule was evaluated",
    "库存数据无法读取,各规则均未执行", source=_OURS,
)(_nothing)  # fmt: skip
RULES: tuple[Rule, ...] = (rule_failed, remark_failed, unreadable)
"""What is found by no rule, but about one."""


def findings(rules: Iterable[Rule], facts: Facts) -> Iterator[Finding]:
    """Everything these rules find about a household, in their order, also that one of them failed on it."""
    for each in rules:
        try:
            yield from [Finding(each, pointer) for pointer in each.check(facts)]
        except Exception as error:
            _say(each.code, error)
            yield Finding(rule_failed if each.severity == "error" else remark_failed, "", failed=each)


def not_readable(error: Exception) -> Finding:
    """That a record which the register holds cannot be read."""
    _say(unreadable.code, error)
    return Finding(unreadable, "")


def refusal(faults: Sequence[Fault]) -> Problem:
    """422 for what the rules of the catalogue found, 500 where one of them could not be evaluated."""
    if any(each.code == rule_failed.code for each in faults):
        return Problem(errors.INTERNAL, faults=faults)
    return errors.invalid(*faults)


def _say(code: str, error: Exception) -> None:
    RULE_FAILURES.labels(code).inc()
    now = time.monotonic()
    if now - _last_said.get(code, -math.inf) >= QUIET_SECONDS:
        _last_said[code] = now
        logger.error("%s failed on a record; no more of that for a minute", code, exc_info=error)
