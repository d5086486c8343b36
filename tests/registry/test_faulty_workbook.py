"""A workbook with one fault of every rule's kind comes back with exactly those rows, columns and codes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from services.registry.checks.catalogue import CATALOGUE
from services.registry.codes.service import code_lists
from services.registry.imports.columns import Column, by_header
from services.registry.imports.sheets.headers import plain
from tests.registry.conftest import app_on, id_number, in_2019
from tests.registry.sheets import counts, imported, rejected, rows_of, workbook
from tests.registry.test_checks import HEAD, SPOUSE, broken, in_order

Json = dict[str, Any]

IN_A_SHEET: Mapping[str, tuple[int, str]] = {
    "one_head": (0, "与户主关系"),
    "one_spouse": (0, "与户主关系"),
    "spouse_sex": (0, "与户主关系"),
    "relation_sex": (2, "与户主关系"),
    "id_number_format": (0, "身份证号码"),
    "id_number_birth": (0, "身份证号码"),
    "id_number_check": (0, "身份证号码"),
    "id_number_twice": (2, "身份证号码"),
    "sex_differs": (0, "性别"),
    "birth_differs": (0, "出生日期"),
    "disability_number_format": (0, "残疾人证号"),
    "disability_number_differs": (0, "残疾人证号"),
    "disability_number_twice": (2, "残疾人证号"),
    "phone_format": (2, "联系电话"),
    "education_and_schooling": (2, "在校生状况"),
    "schooling_differs": (2, "在校生状况"),
    "education_missing": (0, "文化程度"),
    "two_medical_insurances": (1, "城乡居民医保"),
    "work_incomplete": (1, "务工地点"),
    "healthy_without_labour": (0, "劳动技能"),
    "works_without_labour": (0, "务工地点"),
    "pay_unusual": (1, "务工月收入(元)"),
    "disability_incomplete": (1, "残疾等级"),
    "cause_missing": (0, "主要致贫原因"),
    "cause_twice": (0, "其他致贫原因"),
    "returned_land": (0, "退耕还林面积"),
    "far_from_road": (0, "距主干路距离"),
    "business_without_costs": (0, "生产经营性支出(元)"),
    "ecological_without_land": (0, "生态补偿金(元)"),
    "transfer_too_small": (0, "低保金(元)"),
    "wages_unusual": (0, "工资性收入(元)"),
    "people_differ": (0, "家庭人口"),
    "dangerous_housing": (0, "危房等级"),
    "unsafe_water": (0, "饮水安全"),
    "not_insured": (1, "城乡居民医保"),
    "dropped_out": (2, "义务教育阶段辍学"),
}
"""By rule: the row of its household (the head's is 0) and the column in which its fault is found."""
NOT_IN_A_SHEET: Mapping[str, str] = {
    "by_decision": "it speaks under a setting alone, which is off while registers are loaded; see test_by_decision.py",
    "id_number_taken": "it takes somebody who is registered already; see test_collisions.py",
    "rule_failed": "another rule must fail; see test_failing_rules.py",
    "remark_failed": "the same",
    "unreadable": "it speaks of what is stored; see test_failing_rules.py",
}
"""By rule: why this workbook cannot break it."""
MEMBERS = 3
FIRST_ROW = 2
"""Below the header of the template."""


class Faulty(NamedTuple):
    """A household of the workbook: as it is sent, and as it should have been."""

    rule: str
    row: int
    """That of its head."""
    sent: list[list[Any]]
    corrected: list[list[Any]]


@pytest.fixture
def app(url: str, secrets: None) -> FastAPI:
    return app_on(url, in_2019())


def test_every_rule_is_in_the_workbook_or_said_to_be_beyond_it() -> None:
    assert {*IN_A_SHEET, *NOT_IN_A_SHEET} == {rule.code for rule in CATALOGUE}
    assert not IN_A_SHEET.keys() & NOT_IN_A_SHEET.keys()


def own_people(body: Json, household: int) -> Json:
    """The household with people of its own: no two share an ID number. What is wrong with one stays wrong."""
    head, spouse = id_number(sequence=2 * household + 1), id_number("19700601", 2 * household + 2)

    def own(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: own(item) for name, item in value.items()}
        if isinstance(value, list):
            return [own(item) for item in value]
        for old, new in ((HEAD, head), (SPOUSE, spouse)):
            if isinstance(value, str) and value.startswith(old[:17]):
                check = value[17:18]
                fits = new[17] if check == old[17] else str((int(new[17].replace("X", "10")) + 1) % 10)
                return new[:17] + (fits if check else "") + value[18:]
        return value

    return {**own(body), "number": f"411323000001{household:02d}"}


def rows_for(header: Sequence[str], body: Json) -> list[list[Any]]:
    """A household as a clerk fills in the template: its own columns on the head's row alone."""
    rows = []
    for place, member in enumerate(body["members"]):
        about = {"member": member}
        if place == 0:
            about |= {"household": body, "place": body, "income": body["incomes"][0]}
        columns = [by_header()[plain(name)] for name in header]
        rows.append([_cell(column, about[column.subject]) if column.subject in about else "" for column in columns])
    return rows


def _cell(column: Column, source: Any) -> Any:
    for step in column.path:
        source = source.get(step) if isinstance(source, dict) else None
    if source is None:
        return ""
    if column.kind == "flag":
        return "是" if source else "否"
    if column.kind == "level":
        return "一二三四"[source - 1] + "级"
    if column.kind == "yuan":
        return source / 100
    if column.code_list:
        labels = {term.code: term.label_zh for term in code_lists()[column.code_list].terms}
        return "、".join(labels[code] for code in ([source] if isinstance(source, str) else source))
    return source


def faulty_households(header: Sequence[str]) -> list[Faulty]:
    """One household for every rule, broken in nothing else."""
    made = []
    for place, rule in enumerate(IN_A_SHEET):
        sent, corrected = (rows_for(header, own_people(body, place)) for body in (broken(rule), in_order()))
        made.append(Faulty(rule, FIRST_ROW + MEMBERS * place, sent, corrected))
    return made


def remarks(job: Json) -> list[tuple[int, str, str, str]]:
    """Row, column, code and severity of everything the report says, in the order of rows."""
    return sorted((each["row"], each["column"], each["code"], each["severity"]) for each in job["report"]["errors"])


async def test_one_fault_of_every_kind_comes_back_and_passes_when_corrected(registry: httpx.AsyncClient) -> None:
    header = rows_of((await registry.get("/v1/templates/households.xlsx")).content)[0]
    rules = {rule["code"]: rule for rule in (await registry.get("/v1/rules")).json()["items"]}
    households = faulty_households(header)
    sent = workbook([row for each in households for row in each.sent], header)
    expected = [
        (each.row + member, column, each.rule, rules[each.rule]["severity"])
        for each in households
        for member, column in [IN_A_SHEET[each.rule]]
    ]
    refused = [each for each in households if rules[each.rule]["severity"] == "error"]
    taken = {"received": len(households), "created": len(households) - len(refused), "rejected": len(refused)}
    for options in ({"dry_run": "true"}, {}):
        job = await imported(registry, sent, mode="each", **options)
        assert remarks(job) == expected
        assert counts(job) == taken

    head, *rows = await rejected(registry, job)
    assert head == [*header, "Errors"]
    cells = rows_of(sent)
    assert [row[:-1] for row in rows] == [cells[each.row - 1 + n] for each in refused for n in range(MEMBERS)]
    told = ["another row of this household is wrong"] * len(rows)
    for place, each in enumerate(refused):
        member, column = IN_A_SHEET[each.rule]
        told[MEMBERS * place + member] = f"{column}: {rules[each.rule]['message_en']}"
    assert [row[-1] for row in rows] == told
    again = await imported(registry, workbook(rows, head), mode="each")
    assert await rejected(registry, again) == [head, *rows]

    mended = [[*row, wrong] for each, wrong in zip(refused, told[::MEMBERS], strict=True) for row in each.corrected]
    job = await imported(registry, workbook(mended, head), mode="each")
    assert (counts(job), remarks(job)) == ({"received": len(refused), "created": len(refused)}, [])
    whole = workbook([row for each in households for row in each.corrected], header)
    job = await imported(registry, whole, mode="all", overwrite="always")
    assert (job["status"], remarks(job)) == ("completed", [])
    assert counts(job) == {
        "received": len(households), "updated": len(households) - len(refused), "unchanged": len(refused)
    }  # fmt: skip
    for number in (row[header.index("户编号")] for each in households for row in each.corrected[:1]):
        assert (await registry.get(f"/v1/households/{number}")).json()["findings"] == [], number


UNREADABLE: Mapping[str, tuple[Any, str]] = {
    "code": ("看不清", "unknown_code"),
    "codes": ("看不清", "unknown_code"),
    "identifier": (411399196803, "number_as_text"),
    "flag": ("也许", "flag"),
    "phone": ("看不清", "phone_format"),
    "day": ("去年", "day"),
}
"""By kind of column: a cell that says nothing, and the code of what is wrong with it."""


async def test_what_a_rule_finds_comes_back_with_cells_elsewhere_that_cannot_be_read(
    registry: httpx.AsyncClient,
) -> None:
    """And nothing else of such a household; a cell that the rule itself needs is all there is to tell."""
    header = rows_of((await registry.get("/v1/templates/households.xlsx")).content)[0]
    rules = {rule["code"]: rule for rule in (await registry.get("/v1/rules")).json()["items"]}
    refused = [each for each in faulty_households(header) if rules[each.rule]["severity"] == "error"]
    for needs_the_cell in (False, True):
        expected: list[tuple[int, str, str, str]] = []
        for place, each in enumerate(refused):
            member, column = IN_A_SHEET[each.rule]
            wrong = [(0, "住房面积", "很大", "number"), (1, "联系电话", "12", "phone_format")]
            if needs_the_cell:
                wrong.append((member, column, *UNREADABLE[by_header()[plain(column)].kind]))
            else:
                expected.append((FIRST_ROW + MEMBERS * place + member, column, each.rule, "error"))
            for row, name, cell, code in wrong:
                each.sent[row][header.index(name)] = cell
                expected.append((FIRST_ROW + MEMBERS * place + row, name, code, "error"))
        sent = workbook([row for each in refused for row in each.sent], header)
        job = await imported(registry, sent, mode="each", dry_run="true")
        assert remarks(job) == sorted(expected)
