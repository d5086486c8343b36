"""What only a decision may do 状态认定."""

from collections.abc import Iterator

from services.registry.checks.rules import Facts, Rule, rule
from services.registry.households.rules import needs_decision


@rule("by_decision", "error", "set by a decision alone", "须经认定程序变更", "standing", source="贫困户识别与退出程序")
def by_decision(facts: Facts) -> Iterator[str]:
    if any(needs_decision(before, after) for before, after in facts.undecided):
        yield "/standing"


RULES: tuple[Rule, ...] = (by_decision,)
