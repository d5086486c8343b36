"""Every rule of the catalogue: a household that is in order, and one fault of every rule's kind."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.registry.checks import failing
from services.registry.checks.catalogue import CATALOGUE
from services.registry.checks.numbers import id_number_taken
from services.registry.checks.persons import healthy_without_labour
from services.registry.checks.rules import Facts, MemberFacts
from services.registry.checks.standings import by_decision
from services.registry.households.attributes import HouseholdAttributes, PersonAttributes
from shared.idnumbers import read_disability_number
from tests.registry.conftest import app_on, faults, household, id_number, in_2019, make, matching, member

HEAD, SPOUSE = id_number(), id_number("19700601", 2)


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_on(url, in_2019())


def in_order() -> dict[str, Any]:
    """A household against which no rule has anything to say."""
    insured = {"insurance": {"resident_medical": True, "employee_medical": False}}
    head = member(
        id_number=HEAD,
        employable="partial",
        disability_number=f"{HEAD}43",
        disability_level=3,
        attributes={"education": "primary", "health": ["disabled"], "disability_kind": "physical", **insured},
    )
    spouse = {
        **member("spouse", id_number=SPOUSE, employable="full", sex="female", birth_date="1970-06-01"),
        "attributes": {
            "education": "junior_middle", "health": ["healthy"], **insured,
            "work": {"place": "elsewhere", "months": 8, "monthly_fen": 280_000},
        },
    }  # fmt: skip
    child = {
        **member("son", birth_date="2007-02-03"),
        "attributes": {"schooling": "grade_7", "health": ["healthy"], "dropped_out": False, **insured},
    }
    return household(
        members=[head, spouse, child],
        attributes={
            "other_causes": ["lack_of_funds"],
            "housing": {"danger": "none", "area_m2": 82.5},
            "water": {"safe": True},
            "road": {"kind": "cement", "distance_km": 1.2},
            "land": {"arable": 3.2, "forest": 2, "returned": 1.5},
        },
        incomes=[
            {
                "year": 2018, "people": 3, "wages_fen": 2_240_000, "business_fen": 300_000,
                "business_costs_fen": 100_000, "transfers": {"dibao_fen": 180_000, "ecological_fen": 18_750},
            }
        ],
    )  # fmt: skip


Change = Callable[[dict[str, Any]], Any]


def _set(path: str, value: Any) -> Change:
    """Set what a JSON pointer points to."""

    def change(body: dict[str, Any]) -> None:
        *above, last = path.strip("/").split("/")
        target: Any = body
        for step in above:
            target = target[int(step)] if isinstance(target, list) else target.setdefault(step, {})
        target[last] = value

    return change


def _without_head(body: dict[str, Any]) -> None:
    body["members"][0]["relation"] = "other"


def _second_spouse(body: dict[str, Any]) -> None:
    body["members"][2]["relation"] = "spouse"


def _two_men(body: dict[str, Any]) -> None:
    body["members"][1] |= {"id_number": None, "sex": "male"}


def _same_person(body: dict[str, Any]) -> None:
    body["members"][2] |= {"id_number": HEAD, "birth_date": "1968-03-12"}
    body["members"][2]["attributes"] |= {"schooling": "college"}


def _same_card(body: dict[str, Any]) -> None:
    """Reissued, and of another kind; of two brothers of one day, for it says sex and birth too."""
    body["members"][2] |= {"birth_date": "1968-03-12", "disability_number": f"{HEAD}11B1", "disability_level": 1}
    body["members"][0]["id_number"] = None


def _wrong_card(body: dict[str, Any]) -> None:
    body["members"][0]["disability_number"] = f"{HEAD}44"


FAULTS: dict[str, tuple[Change, str]] = {
    "one_head": (_without_head, "/members"),
    "one_spouse": (_second_spouse, "/members"),
    "spouse_sex": (_two_men, "/members"),
    "relation_sex": (_set("members/2/relation", "daughter"), "/members/2/relation"),
    "id_number_format": (_set("members/0/id_number", HEAD[:17]), "/members/0/id_number"),
    "id_number_birth": (_set("members/0/id_number", id_number("19681312")), "/members/0/id_number"),
    "id_number_check": (
        _set("members/0/id_number", HEAD[:17] + ("0" if HEAD[17] != "0" else "1")), "/members/0/id_number"
    ),
    "id_number_twice": (_same_person, "/members/2/id_number"),
    "sex_differs": (_set("members/0/sex", "female"), "/members/0/sex"),
    "birth_differs": (_set("members/0/birth_date", "1968-03-13"), "/members/0/birth_date"),
    "disability_number_format": (_set("members/0/disability_number", f"{HEAD}85"), "/members/0/disability_number"),
    "disability_number_differs": (_wrong_card, "/members/0/disability_number"),
    "disability_number_twice": (_same_card, "/members/2/disability_number"),
    "phone_format": (_set("members/2/phone", "0377656788"), "/members/2/phone"),
    "education_and_schooling": (_set("members/2/attributes/education", "primary"), "/members/2/attributes/schooling"),
    "schooling_differs": (_set("members/2/in_school", False), "/members/2/attributes/schooling"),
    "education_missing": (_set("members/0/attributes/education", None), "/members/0/attributes/education"),
    "two_medical_insurances": (
        _set("members/1/attributes/insurance/employee_medical", True), "/members/1/attributes/insurance"
    ),
    "work_incomplete": (_set("members/1/attributes/work/months", 0), "/members/1/attributes/work"),
    "healthy_without_labour": (_set("members/0/attributes/health", ["healthy"]), "/members/0/employable"),
    "works_without_labour": (_set("members/0/attributes/work", {"place": "county", "months": 2}),
                             "/members/0/attributes/work"),
    "pay_unusual": (_set("members/1/attributes/work/monthly_fen", 280), "/members/1/attributes/work/monthly_fen"),
    "disability_incomplete": (_set("members/1/attributes/health", ["disabled"]), "/members/1/disability_level"),
    "cause_missing": (_set("cause", None), "/cause"),
    "cause_twice": (_set("attributes/other_causes", ["illness"]), "/attributes/other_causes"),
    "returned_land": (_set("attributes/land/returned", 2.01), "/attributes/land/returned"),
    "far_from_road": (_set("attributes/road/distance_km", 5.01), "/attributes/road/distance_km"),
    "business_without_costs": (_set("incomes/0/business_costs_fen", 0), "/incomes/0/business_costs_fen"),
    "ecological_without_land": (_set("attributes/land/returned", None), "/incomes/0/transfers/ecological_fen"),
    "transfer_too_small": (_set("incomes/0/transfers/dibao_fen", 1_800), "/incomes/0/transfers/dibao_fen"),
    "wages_unusual": (_set("incomes/0/wages_fen", 22_400), "/incomes/0/wages_fen"),
    "people_differ": (_set("incomes/0/people", 1), "/incomes/0/people"),
    "dangerous_housing": (_set("attributes/housing/danger", "grade_d"), "/attributes/housing/danger"),
    "unsafe_water": (_set("attributes/water/safe", False), "/attributes/water/safe"),
    "not_insured": (_set("members/1/attributes/insurance/resident_medical", False), "/members/1/attributes/insurance"),
    "dropped_out": (_set("members/2/attributes/dropped_out", True), "/members/2/attributes/dropped_out"),
}  # fmt: skip
_LOST_LABOUR = {"works_without_labour": "lost", "healthy_without_labour": "none"}


def broken(code: str) -> dict[str, Any]:
    """The household with one fault."""
    body: dict[str, Any] = json.loads(json.dumps(in_order()))  # nothing shared between members
    FAULTS[code][0](body)
    if code in _LOST_LABOUR:
        body["members"][0]["employable"] = _LOST_LABOUR[code]
    return body


def test_every_rule_has_its_fault() -> None:
    elsewhere = {by_decision.code: "test_by_decision", id_number_taken.code: "test_collisions"}
    elsewhere |= {rule.code: "test_failing_rules" for rule in failing.RULES}
    assert [rule.code for rule in CATALOGUE if rule.code not in elsewhere] == [*FAULTS]


async def test_what_is_in_order_passes_every_rule(registry: httpx.AsyncClient) -> None:
    made = await make(registry, **in_order())
    assert made["findings"] == []
    assert made["poverty_attribute"] == "01"
    [income] = made["incomes"]
    assert (income["gross_fen"], income["net_fen"], income["per_capita_fen"]) == (2_738_750, 2_638_750, 879_583)


@pytest.mark.parametrize("rule", [rule for rule in CATALOGUE if rule.code in FAULTS], ids=lambda rule: rule.code)
async def test_a_rule_finds_its_fault_and_nothing_else(registry: httpx.AsyncClient, rule: Any) -> None:
    body, pointer = broken(rule.code), FAULTS[rule.code][1]
    answer = await registry.post("/v1/households", json=body)
    if rule.severity == "error":
        assert faults(answer) == {(pointer, rule.code)}
        return
    assert answer.status_code == 201, answer.text
    assert answer.json()["findings"] == [{"rule": rule.code, "severity": rule.severity, "pointer": pointer}]


async def test_the_same_rules_run_in_bulk(registry: httpx.AsyncClient) -> None:
    """Rows that are taken in carry the remarks of the rules; rows with errors are named with theirs."""
    bodies = [broken("far_from_road"), broken("one_head"), broken("unsafe_water")]
    for body in bodies[1:]:  # other people: the first household holds these ID numbers
        for each in body["members"]:
            each |= {"id_number": None, "disability_number": None}
    lines = "\n".join(json.dumps(body) for body in bodies)
    headers = {"Content-Type": "application/jsonl"}
    report = (await registry.post("/v1/households/bulk?mode=each", content=lines, headers=headers)).json()
    assert report["counts"] == {"received": 3, "created": 2, "updated": 0, "unchanged": 0, "rejected": 1}
    assert [(e["row"], e["column"], e["code"], e["severity"]) for e in report["errors"]] == [
        (2, "/members", "one_head", "error"),
        (1, "/attributes/road/distance_km", "far_from_road", "warning"),
        (3, "/attributes/water/safe", "unsafe_water", "exit_blocker"),
    ]


async def test_a_change_may_not_break_a_rule_but_need_not_mend_one(registry: httpx.AsyncClient) -> None:
    made = await make(registry, **in_order())
    url, head = f"/v1/households/{made['id']}", made["members"][0]["id"]
    worse = {"attributes": {"insurance": {"employee_medical": True}}, "reason": "核实"}
    answer = await registry.patch(f"{url}/members/{head}", json=worse, headers=matching(1))
    assert faults(answer) == {("/members/0/attributes/insurance", "two_medical_insurances")}
    noted = {"attributes": {"housing": {"danger": "grade_c"}}, "reason": "核实"}
    changed = await registry.patch(url, json=noted, headers=matching(1))
    assert [finding["rule"] for finding in changed.json()["findings"]] == ["dangerous_housing"]
    assert changed.json()["attributes"]["housing"]["area_m2"] == 82.5  # the rest of the object stays


async def test_the_catalogue_is_listed(registry: httpx.AsyncClient) -> None:
    items = (await registry.get("/v1/rules")).json()["items"]
    assert [item["code"] for item in items] == [rule.code for rule in CATALOGUE]
    assert {item["severity"] for item in items} == {"error", "warning", "exit_blocker"}
    assert all(item["message_zh"] and item["message_en"] and item["source"] for item in items)
    assert [item["code"] for item in items if not item["reads"]] == [rule.code for rule in failing.RULES]
    sources = {item["code"]: item["source"] for item in items}
    assert (sources["id_number_check"], sources["disability_number_format"]) == ("GB 11643", "GB/T 26341")
    assert not [source for source in sources.values() if ".md" in source]  # pages that its users do not have


@pytest.mark.parametrize(
    ("number", "kind", "level"),
    [(HEAD + "43", "physical", 3), (HEAD + "11B2", "sight", 1), (HEAD + "74", "multiple", 4)],
)
def test_disability_cards_say_kind_and_level(number: str, kind: str, level: int) -> None:
    assert read_disability_number(number) == (HEAD, kind, level)


@pytest.mark.parametrize("number", ["", HEAD, HEAD + "4", HEAD + "83", HEAD + "45", HEAD + "43B", "x" * 20,
                                    f"{HEAD[:17]}{(int(HEAD[17].replace('X', '10')) + 1) % 10}43",
                                    f"{id_number('19681312')}43"])  # fmt: skip
def test_what_is_no_disability_card(number: str) -> None:
    assert read_disability_number(number) is None


@pytest.mark.parametrize("card", [id_number("19680312", 2) + "43", id_number("19680313") + "43"])
async def test_a_card_says_sex_and_birth_of_those_without_an_id_number(registry: httpx.AsyncClient, card: str) -> None:
    answer = await registry.post("/v1/households", json=household(members=[member(disability_number=card)]))
    assert faults(answer) == {("/members/0/disability_number", "disability_number_differs")}


@pytest.mark.parametrize(
    ("work", "found"),
    [
        ({"monthly_fen": 0}, False), ({"place": "county", "months": 2, "monthly_fen": 0}, True),
        ({"place": "county", "months": 2, "monthly_fen": 10_000}, False),
        ({"place": "county", "months": 2, "monthly_fen": 9_999}, True),
        ({"place": "county", "months": 2, "monthly_fen": 3_000_000}, False),
        ({"place": "county", "months": 2, "monthly_fen": 3_000_001}, True),
    ],
)  # fmt: skip
async def test_the_pay_of_those_who_stay_at_home_is_nothing(
    registry: httpx.AsyncClient, work: dict[str, Any], found: bool
) -> None:
    """Forms are filled with 0 where somebody does not work away from home."""
    made = await make(registry, members=[member(employable="full", attributes={"education": "primary", "work": work})])
    assert ("pay_unusual" in [each["rule"] for each in made["findings"]]) == found


@pytest.mark.parametrize(
    ("born", "found"), [("2002-11-02", False), ("2002-11-01", True), ("1958-11-02", True), ("1958-11-01", False)]
)
def test_working_age_is_from_16_to_59_full_years(born: str, found: bool) -> None:
    """On 2018-11-01: sixteen from the birthday on, sixty no more."""
    healthy = PersonAttributes(health=["healthy"])
    facts = Facts(
        day=date(2018, 11, 1), standing="poor", welfare="none", cause="illness", attributes=HouseholdAttributes(),
        incomes=[],
        members=[
            MemberFacts(
                pointer="/members/0", relation="head", sex="male", birth_date=date.fromisoformat(born),
                id_number=None, phone=None, disability_number=None, employable="partial", in_school=False,
                disability_level=None, attributes=healthy,
            )
        ],
    )  # fmt: skip
    assert bool(list(healthy_without_labour.check(facts))) == found
