"""A rule that fails on a record, and a record that cannot be read, hold up nothing but themselves."""

import asyncio
import csv
import io
import json
import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from services.registry.checks import failing
from services.registry.checks.households import cause_missing, cause_twice
from services.registry.checks.numbers import phone_format
from services.registry.checks.rules import Facts, Rule
from tests.registry.conftest import CITY, VILLAGE, household, make, matching
from tests.registry.sheets import counts, found, head, imported, workbook
from tests.registry.submissions import Importer, errors
from tests.registry.test_rule_runs import completed

STRANGE = "lack_of_funds"
"""The cause of the households that the rules fail on."""
Break = Callable[[Rule], None]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Break]:
    """Rules that fail on strange households from now on."""
    before: list[tuple[Rule, Callable[..., object]]] = []

    def breaks(rule: Rule) -> None:
        def check(facts: Facts) -> list[str]:
            if facts.cause == STRANGE or any(each.phone == "13800000009" for each in facts.members):
                raise TypeError(f"names {facts.members[0].birth_date} and all that")
            return []

        before.append((rule, rule.check))
        object.__setattr__(rule, "check", check)

    monkeypatch.setattr(failing, "_last_said", {})
    yield breaks
    for rule, check in before:
        object.__setattr__(rule, "check", check)


def _failures(code: str) -> float:
    return REGISTRY.get_sample_value("bangfu_rule_failures_total", {"rule": code}) or 0


async def _run(registry: httpx.AsyncClient) -> tuple[dict[str, int], list[dict[str, str]]]:
    """What a run over the city found, by rule, and one by one."""
    async with asyncio.timeout(30):
        run = await completed(registry, CITY)
    assert run["households"] == 3
    items = (await registry.get(f"/v1/rule-runs/{run['id']}/findings")).json()["items"]
    table = await registry.get(f"/v1/rule-runs/{run['id']}/findings", headers={"Accept": "text/csv"})
    assert {len(row) for row in csv.reader(io.StringIO(table.text))} == {7}
    return {rule["rule"]: rule["findings"] for rule in run["rules"]}, items


async def test_a_run_goes_on_past_a_household_that_a_rule_fails_on(
    registry: httpx.AsyncClient, broken: Break, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    await make(registry)
    strange = [await make(registry, cause=STRANGE) for _ in range(2)]
    broken(cause_twice)
    broken(cause_missing)
    before = _failures("cause_twice"), _failures("cause_missing")
    by_rule, items = await _run(registry)
    assert by_rule == {"rule_failed": 2, "remark_failed": 2}
    assert [(each["household_number"], each["rule"], each["severity"], each["failed_rule"]) for each in items] == [
        (each["number"], *told)
        for each in strange
        for told in (("rule_failed", "error", "cause_twice"), ("remark_failed", "warning", "cause_missing"))
    ]
    assert [(each["pointer"], each["message"]) for each in items[:2]] == [
        ("", "a rule could not be evaluated: cause_twice"),
        ("", "a rule that remarks could not be evaluated: cause_missing"),
    ]
    assert (_failures("cause_twice"), _failures("cause_missing")) == (before[0] + 2, before[1] + 2)
    said = [each for each in caplog.records if each.name == failing.logger.name]
    assert [each.getMessage().split()[0] for each in said] == ["cause_twice", "cause_missing"]  # once each a minute
    assert all(each.exc_info for each in said)
    shown = (await registry.get(f"/v1/households/{strange[0]['id']}")).json()["findings"]
    assert [(each["rule"], each["failed_rule"]) for each in shown] == [
        ("rule_failed", "cause_twice"), ("remark_failed", "cause_missing")
    ]  # fmt: skip


async def test_a_run_goes_on_past_what_cannot_be_read(registry: httpx.AsyncClient, app: FastAPI) -> None:
    made = [await make(registry, cause=None) for _ in range(3)]
    person = {"village": VILLAGE, "name": "测试丙", "sex": "male", "birth_date": "1950-02-03"}
    alone = [(await registry.post("/v1/persons", json=person)).json() for _ in range(2)]
    async with app.state.runtime.database.driver() as pg:
        road = '{"road": {"distance_km": "far"}}'
        await pg.execute("UPDATE household SET attributes = $1 WHERE number = $2", road, made[1]["number"])
        await pg.execute("UPDATE person SET name = '\\x00' WHERE number = $1", alone[0]["number"])
    by_rule, items = await _run(registry)
    assert by_rule == {"cause_missing": 2, "unreadable": 2}
    assert [(each["household_number"] or each["person_number"], each["rule"], each["village"]) for each in items] == [
        (made[0]["number"], "cause_missing", VILLAGE),
        (made[1]["number"], "unreadable", VILLAGE),
        (made[2]["number"], "cause_missing", VILLAGE),
        (alone[0]["number"], "unreadable", VILLAGE),
    ]


async def test_one_alone_is_refused_with_500_and_nothing_is_written(registry: httpx.AsyncClient, broken: Break) -> None:
    before = await make(registry, cause=STRANGE)
    broken(cause_twice)
    answer = await registry.post("/v1/households", json=household(cause=STRANGE))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [("", "rule_failed")]
    listed = (await registry.get("/v1/households")).json()["items"]
    assert [each["number"] for each in listed] == [before["number"]]
    url = f"/v1/households/{before['id']}"
    judged_by_nobody = await registry.patch(url, json={"welfare": "dibao", "reason": "核实"}, headers=matching(1))
    assert judged_by_nobody.status_code == 500
    mended = await registry.patch(url, json={"cause": "illness", "reason": "核实"}, headers=matching(1))
    assert (mended.status_code, mended.json()["findings"]) == (200, [])


async def test_somebody_alone_is_refused_with_500(registry: httpx.AsyncClient, broken: Break) -> None:
    broken(phone_format)
    person = {"village": VILLAGE, "name": "测试丙", "sex": "male", "birth_date": "1950-02-03", "phone": "13800000009"}
    answer = await registry.post("/v1/persons", json=person)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (500, "rule_failed")


async def test_what_only_remarks_keeps_nothing_out(registry: httpx.AsyncClient, broken: Break) -> None:
    broken(cause_missing)
    made = await make(registry, cause=STRANGE)
    told = {"rule": "remark_failed", "severity": "warning", "pointer": "", "failed_rule": "cause_missing"}
    assert made["findings"] == [told]


async def test_a_line_fails_alone(registry: httpx.AsyncClient, broken: Break) -> None:
    broken(cause_twice)
    lines = "\n".join(json.dumps(household(cause=cause)) for cause in ("illness", STRANGE, "illness"))
    headers = {"Content-Type": "application/jsonl"}
    answer = await registry.post("/v1/households/bulk?mode=each", content=lines, headers=headers)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["counts"]["created"], report["counts"]["rejected"]) == (2, 1)
    [error] = report["errors"]
    assert (error["row"], error["column"], error["code"], error["severity"]) == (2, "", "rule_failed", "error")
    assert error["message"] == "a rule could not be evaluated: cause_twice"


@pytest.mark.parametrize("mode", ["each", "all"])
async def test_a_row_fails_alone(registry: httpx.AsyncClient, broken: Break, mode: str) -> None:
    broken(cause_twice)
    rows = [head(sequence=1), head(sequence=2, cause="缺资金"), head(sequence=3)]
    job = await imported(registry, workbook(rows), mode=mode)
    assert counts(job) == {"received": 3, "rejected": 1} | ({"created": 2} if mode == "each" else {})
    assert found(job) == {(3, "户编号", "rule_failed")}


async def test_a_row_that_changes_a_household_fails_alone(registry: httpx.AsyncClient, broken: Break) -> None:
    rows = [head(f"4113230000000{n}", sequence=n) for n in (1, 2)]
    assert counts(await imported(registry, workbook(rows), mode="each")) == {"received": 2, "created": 2}
    broken(cause_twice)
    changed = [head("41132300000001", cause="缺资金"), head("41132300000002", sequence=2, name="测试丁")]
    job = await imported(registry, workbook(changed), mode="each", overwrite="always")
    assert counts(job) == {"received": 2, "updated": 1, "rejected": 1}
    assert found(job) == {(2, "户编号", "rule_failed")}


async def test_a_submission_fails_alone(app: FastAPI, registry: httpx.AsyncClient, broken: Break) -> None:
    importer = Importer(app, registry)
    await importer.register()
    broken(cause_twice)
    records = [importer.message(f"h-{n}", cause=cause) for n, cause in enumerate(("illness", STRANGE, "illness"))]
    assert await importer.submit(*records) == {}
    assert [(await importer.outcome(f"h-{n}"))["outcome"] for n in (0, 2)] == ["accepted", "accepted"]
    assert errors(await importer.outcome("h-1")) == {("", "rule_failed")}


async def test_a_failing_rule_says_nothing_of_what_was_not_read(registry: httpx.AsyncClient, broken: Break) -> None:
    """What a stand-in made it fail on is no fault of a record that is refused for other reasons."""
    broken(cause_twice)
    fields = household(cause=STRANGE, attributes={"other_causes": "not a list"})
    headers = {"Content-Type": "application/jsonl"}
    answer = await registry.post("/v1/households/bulk?mode=each", content=json.dumps(fields), headers=headers)
    assert [each["column"] for each in answer.json()["errors"]] == ["/attributes/other_causes"]
