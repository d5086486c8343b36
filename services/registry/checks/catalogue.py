"""Every rule of the register; a code never changes its meaning."""

from services.registry.checks import exits, failing, households, kinship, numbers, persons, standings
from services.registry.checks.failing import findings
from services.registry.checks.rules import Facts, Finding, Rule

CATALOGUE: tuple[Rule, ...] = (
    *kinship.RULES, *numbers.RULES, *persons.RULES, *households.RULES, *exits.RULES, *standings.RULES,
    *failing.RULES,
)  # fmt: skip
_ERRORS = tuple(rule for rule in CATALOGUE if rule.severity == "error")
_OF_ONE_PERSON = (*numbers.RULES, *persons.RULES)
"""The rules that read one person: those that somebody without a household is held to."""
_ERRORS_ALONE = tuple(rule for rule in _OF_ONE_PERSON if rule.severity == "error")
_NOTES_ALONE = tuple(rule for rule in _OF_ONE_PERSON if rule.severity != "error")
_NOTES = tuple(rule for rule in CATALOGUE if rule.severity != "error")


def errors(facts: Facts) -> list[Finding]:
    """What refuses a record."""
    return list(findings(_ERRORS, facts))


def errors_alone(facts: Facts) -> list[Finding]:
    """What refuses somebody without a household."""
    return list(findings(_ERRORS_ALONE, facts))


def notes(facts: Facts) -> list[Finding]:
    """Warnings and exit blockers: what does not refuse a record."""
    return list(findings(_NOTES, facts))


def all_findings_alone(facts: Facts) -> list[Finding]:
    """Everything about somebody without a household, errors first."""
    return errors_alone(facts) + list(findings(_NOTES_ALONE, facts))


def all_findings(facts: Facts) -> list[Finding]:
    """Everything, errors first."""
    return errors(facts) + notes(facts)
