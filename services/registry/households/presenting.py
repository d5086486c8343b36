"""Households and members as others may see them: masked, born in a year rather than on a day."""

from datetime import date
from typing import Any

from services.registry.checks import catalogue
from services.registry.households.facts import facts_of
from services.registry.households.incomes import IncomeOut
from services.registry.households.records import Household, Person
from services.registry.households.schemas import FindingOut, HouseholdDetail, HouseholdOut, MemberOut, VersionOut
from services.registry.identity import Vault, masked_bank_card, masked_id_number, masked_name, masked_phone
from shared.contracts.household import HouseholdEvent


def shown(row: Any, vault: Vault) -> HouseholdOut:
    """A row of a list: a household with its head and how many they are."""
    head = None if row["head_name"] is None else masked_name(vault.open(row["head_name"], "name", row["head_id"]))
    event = HouseholdEvent.model_validate_json(row["event"])
    return HouseholdOut(
        id=row["id"],
        number=row["number"],
        seq=row["seq"],
        version=row["version"],
        status=row["status"],
        source_system=row["source_system"],
        external_id=row["external_id"],
        village=row["village"],
        path=event.timeline[-1].path,
        standing=row["standing"],
        cause=row["cause"],
        welfare=row["welfare"],
        timeline=event.timeline,
        valid_to=row["valid_to"],
        head=head,
        people=row["people"],
        changed_at=row["recorded_at"],
    )


def detailed(household: Household, today: date) -> HouseholdDetail:
    """A household and its members, with what the rules find about it today."""
    path = household.latest.path
    head = next((member for member in household.members if member.present and member.relation == "head"), None)
    return HouseholdDetail(
        id=household.id,
        number=household.number,
        seq=household.seq,
        version=household.version,
        status=household.status,
        source_system=household.source_system,
        external_id=household.external_id,
        village=path.village or "",
        path=path,
        standing=household.latest.standing,
        cause=household.cause,
        welfare=household.welfare,
        timeline=list(household.timeline),
        valid_to=household.valid_to,
        head=None if head is None or head.status == "erased" else masked_name(head.name),
        people=sum(member.present for member in household.members),
        changed_at=household.author.now,
        poverty_attribute=household.poverty_attribute(today.year),
        attributes=household.attributes,
        incomes=[IncomeOut.of(income) for income in household.incomes],
        members=[member(each) for each in household.members],
        findings=[
            FindingOut(rule=each.rule.code, severity=each.rule.severity, pointer=each.pointer)
            for each in catalogue.all_findings(facts_of(household, today))
        ],
    )


def member(person: Person) -> MemberOut:
    """One member."""
    return MemberOut(
        id=person.id,
        number=person.number,
        version=person.version,
        status=person.status,
        relation=person.relation,
        name=masked_name(person.name),
        id_number=None if person.id_number is None else masked_id_number(person.id_number),
        phone=None if person.phone is None else masked_phone(person.phone),
        sex=person.sex,
        birth_year=person.birth_date.year,
        employable=person.employable,
        in_school=person.in_school,
        disability_level=person.disability_level,
        disability_number=None if person.disability_number is None else masked_id_number(person.disability_number),
        bank_card=None if person.bank_card is None else masked_bank_card(person.bank_card),
        attributes=person.attributes,
        joined_on=person.joined_on,
        left_on=person.left_on,
    )


def version(row: Any) -> VersionOut:
    """One version of a household's history."""
    return VersionOut(
        version=row["version"],
        recorded_at=row["recorded_at"],
        changed_by=row["changed_by"],
        reason=row["reason"],
        cause=row["cause"],
        welfare=row["welfare"],
        household=HouseholdEvent.model_validate_json(row["event"]),
    )
