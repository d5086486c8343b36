"""Households and members as others may see them: masked, born in a year rather than on a day."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

from services.registry.checks import catalogue
from services.registry.checks.rules import Finding
from services.registry.checks.schemas import FindingOut
from services.registry.households import monitoring, rules
from services.registry.households.facts import facts_of
from services.registry.households.incomes import IncomeOut
from services.registry.households.reading import welfares_of
from services.registry.households.records import Household, HouseholdStatus, Individual, Person
from services.registry.households.rules import Welfares
from services.registry.households.schemas import (
    HouseholdDetail,
    HouseholdOut,
    MemberOut,
    VersionOut,
    WelfareSince,
)
from services.registry.identity import Vault
from services.registry.masking import masked_bank_card, masked_id_number, masked_name, masked_phone
from shared import errors
from shared.contracts.household import HouseholdEvent
from shared.errors import Problem


def shown(row: Any, vault: Vault, day: date | None = None) -> HouseholdOut:
    """A row of a list: a household with its head and how many they are, in its latest state or in that of a day."""
    head = None if row["head_name"] is None else masked_name(vault.open(row["head_name"], "name", row["head_id"]))
    event = _as_of(HouseholdEvent.model_validate_json(row["event"]), day)
    state, welfares = event.timeline[-1], _welfares(welfares_of(row), day)
    return HouseholdOut(
        id=row["id"],
        number=row["number"],
        seq=row["seq"],
        version=row["version"],
        status=event.status,
        source_system=row["source_system"],
        external_id=row["external_id"],
        village=state.path.village or "",
        path=state.path,
        standing=state.standing,
        cause=row["cause"],
        welfare=welfares[-1].welfare,
        timeline=event.timeline,
        welfare_timeline=welfares,
        valid_to=event.valid_to,
        head=head,
        people=row["people"],
        changed_at=row["recorded_at"],
    )


def detailed(household: Household, known_on: date, day: date | None = None) -> HouseholdDetail:
    """A household and its members: as of now with all who ever belonged to it, or as it was on a day.

    ``known_on`` is the day of the knowledge, today or before. With it goes what the rules find about it on that day,
    unless another was asked for.

    Raises 404 for a day on which it was not on the register.
    """
    event = _as_of(household.event, day)
    state, welfares = event.timeline[-1], _welfares(household.welfares, day)
    members = _members_on(household, day)
    present = [each for each in members if day is not None or each.present]
    head = next((each for each in present if each.relation == "head"), None)
    return HouseholdDetail(
        id=household.id,
        number=household.number,
        seq=household.seq,
        version=household.version,
        status=event.status,
        source_system=household.source_system,
        external_id=household.external_id,
        village=state.path.village or "",
        path=state.path,
        standing=state.standing,
        cause=household.cause,
        welfare=welfares[-1].welfare,
        timeline=event.timeline,
        welfare_timeline=welfares,
        valid_to=event.valid_to,
        head=None if head is None or head.status == "erased" else masked_name(head.name),
        people=len(present),
        changed_at=household.author.now,
        poverty_attribute=household.poverty_attribute(day or known_on),
        attributes=household.attributes,
        incomes=[IncomeOut.of(income) for income in household.incomes if day is None or income.year <= day.year],
        monitoring=list(household.monitoring if day is None else monitoring.as_of(household.monitoring, day)),
        members=[member(each) for each in members],
        findings=found_by_rules(catalogue.all_findings(facts_of(household, known_on))) if day is None else [],
    )


def _as_of(event: HouseholdEvent, day: date | None) -> HouseholdEvent:
    """Without what is dated after a day. Raises 404 for a day on which it was not on the register."""
    if day is None:
        return event
    if event.state_on(day) is None:
        raise Problem(errors.NOT_FOUND)
    status: HouseholdStatus = "erased" if event.status == "erased" else "active"
    timeline = [state for state in event.timeline if state.valid_from <= day]
    return event.model_copy(update={"status": status, "timeline": timeline, "valid_to": None})


def _welfares(welfares: Welfares, day: date | None) -> list[WelfareSince]:
    """The spells of welfare, those that begin after a day left out; one at least, as it was registered by then."""
    return [
        WelfareSince(valid_from=spell.valid_from, welfare=spell.value)
        for spell in rules.spells(welfares)
        if day is None or spell.valid_from <= day
    ]


def _members_on(household: Household, day: date | None) -> list[Person]:
    """All who ever belonged to it, or those of a day as they were on it: nobody had died or left."""
    if day is None:
        return list(household.members)
    return [
        each if each.status == "erased" else replace(each, status="active")
        for each in household.members
        if each.joined_on <= day and (each.left_on is None or day < each.left_on)
    ]


def found_by_rules(findings: Iterable[Finding]) -> list[FindingOut]:
    """What the rules found, as it is shown."""
    return [
        FindingOut(
            rule=each.rule.code,
            severity=each.rule.severity,
            pointer=each.pointer,
            failed_rule=None if each.failed is None else each.failed.code,
        )
        for each in findings
    ]


def member(person: Person) -> MemberOut:
    """One member."""
    return MemberOut(relation=person.relation, joined_on=person.joined_on, left_on=person.left_on, **masked(person))


def masked(person: Individual) -> dict[str, Any]:
    """What is shown of anybody: the fields of ``PersonShown``."""
    return {
        "id": person.id,
        "number": person.number,
        "version": person.version,
        "status": person.status,
        "name": masked_name(person.name),
        "id_number": None if person.id_number is None else masked_id_number(person.id_number),
        "phone": None if person.phone is None else masked_phone(person.phone),
        "sex": person.sex,
        "birth_year": person.birth_date.year,
        "employable": person.employable,
        "in_school": person.in_school,
        "disability_level": person.disability_level,
        "disability_number": None if person.disability_number is None else masked_id_number(person.disability_number),
        "bank_card": None if person.bank_card is None else masked_bank_card(person.bank_card),
        "attributes": person.attributes,
    }


def version(row: Any) -> VersionOut:
    """One version of a household's history."""
    return VersionOut(
        version=row["version"],
        recorded_at=row["recorded_at"],
        changed_by=row["changed_by"],
        reason=row["reason"],
        cause=row["cause"],
        welfare=row["welfare"],
        welfare_timeline=_welfares(welfares_of(row), None),
        household=HouseholdEvent.model_validate_json(row["event"]),
    )
