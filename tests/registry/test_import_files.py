"""What imported files say: something twice, something of what is there already, nothing that can be read."""

import asyncio
from typing import Any

import httpx
import pytest

import shared.app as app_module
from services.registry.imports import modes, store
from shared import errors
from shared.errors import Problem
from tests.registry.conftest import (
    app_on,
    client_of,
    faults,
    household,
    id_number,
    issue,
    matching,
    member,
)
from tests.registry.sheets import (
    HEADER,
    counts,
    ended,
    found,
    head,
    imported,
    line,
    rejected,
    rows_of,
    send,
    wife,
    workbook,
)

# A household that is given twice


def named(number: str, **more: Any) -> bytes:
    """A line with a household of one person who has no ID number."""
    return line(**household(number=number, members=[member(birth_date="1968-03-12", sex="male")], **more))


def with_one_again(count: int, place: int) -> bytes:
    """Households, and the first of them once more in another state, at a place among them."""
    lines = [named(f"411323{n:08d}") for n in range(count)]
    lines.insert(place, named(f"411323{0:08d}", cause="schooling"))
    return b"\n".join(lines)


@pytest.mark.parametrize("held_before", [False, True])
@pytest.mark.parametrize("place", [3, 25])
@pytest.mark.parametrize(("mode", "dry_run"), [("each", "false"), ("each", "true"), ("all", "false")])
async def test_a_household_given_twice_is_refused_the_second_time_and_alone(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, mode: str, dry_run: str, place: int, held_before: bool
) -> None:
    """However far apart the two stand, and whether the first one registers or changes it."""
    monkeypatch.setattr(modes, "CHUNK", 10)
    if held_before:
        await imported(registry, b"\n".join(named(f"411323{n:08d}", cause="disaster") for n in range(30)))
    options = {"mode": mode, "dry_run": dry_run, "overwrite": "always"}
    job = await imported(registry, with_one_again(30, place), **options)
    assert (job["status"], job["refusals"]) == ("rejected" if mode == "all" else "completed", []), job
    assert found(job) == {(place + 1, "/number", "household_again")}
    done = {} if mode == "all" else {"updated" if held_before else "created": 30}
    assert counts(job) == {"received": 31, "rejected": 1, **done}
    if mode == "each" and dry_run == "false":
        assert (await registry.get(f"/v1/households/411323{0:08d}")).json()["cause"] == "illness"


async def test_a_household_given_twice_in_the_same_state_is_not_changed_the_second_time(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "CHUNK", 10)
    lines = [named(f"411323{n:08d}") for n in range(30)]
    job = await imported(registry, b"\n".join([*lines, lines[0]]), mode="each", overwrite="always")
    assert counts(job) == {"received": 31, "created": 30, "unchanged": 1}


async def test_a_household_given_twice_is_found_where_each_is_registered_by_itself(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is done once others kept taking numbers."""

    async def failing(_: Any) -> Any:
        raise Problem(errors.CONFLICT)

    monkeypatch.setattr(modes, "CHUNK", 10)
    monkeypatch.setattr(modes, "attempted", failing)
    job = await imported(registry, with_one_again(30, 3), mode="each", overwrite="always")
    assert found(job) == {(4, "/number", "household_again")}
    assert counts(job) == {"received": 31, "created": 30, "rejected": 1}


async def test_a_household_given_before_a_kill_and_again_after_it(
    url: str, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "CHUNK", 10)
    good, seen = store.progress, 0

    async def dying(*arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise ConnectionError("killed")
        await good(*arguments)

    monkeypatch.setattr(app_module, "_supervised", lambda job: job())
    monkeypatch.setattr(store, "progress", dying)
    async with client_of(app_on(url)) as client:
        job = (await send(client, with_one_again(30, 25), mode="each", overwrite="always")).json()["id"]
        async with asyncio.timeout(30):
            while seen < 2:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(store, "progress", good)
    async with client_of(app_on(url)) as client:
        done = await ended(client, job)
        assert found(done) == {(26, "/number", "household_again")}
        assert counts(done) == {"received": 31, "created": 30, "rejected": 1}


# What is there already


@pytest.mark.parametrize(
    ("overwrite", "cause", "phone"),
    [("never", "illness", None), ("if_empty", "illness", "kept"), ("always", "schooling", "kept")],
)
async def test_what_is_held_otherwise_is_kept_or_overwritten(
    registry: httpx.AsyncClient, overwrite: str, cause: str, phone: str | None
) -> None:
    await imported(registry, workbook([head("41132300000001")]))
    content = workbook([[*head("41132300000001", cause="因学"), "13800000000"]], (*HEADER, "联系电话"))
    job = await imported(registry, content, overwrite=overwrite)
    assert counts(job) == {"received": 1, "unchanged" if overwrite == "never" else "updated": 1}
    household = (await registry.get("/v1/households/41132300000001")).json()
    assert household["cause"] == cause
    assert (household["members"][0]["phone"] is not None) == (phone is not None)
    kept = {column for _, column, code in found(job, "warning") if code == "kept"}
    assert kept == {"never": {"主要致贫原因", "联系电话"}, "if_empty": {"主要致贫原因"}, "always": set()}[overwrite]


async def test_what_is_wrong_with_an_updated_household_is_said_of_the_row_that_says_it(
    registry: httpx.AsyncClient,
) -> None:
    """Rows may come in another order than the members are held in, and leave some of them out."""
    number, header = "41132300000001", (*HEADER, "文化程度", "在校生状况")
    son = [*[""] * 7, "测试丙", "之子", id_number("20050601", 11)]
    await imported(registry, workbook([[*head(number), "小学"], [*wife(), "小学"], [*son, "小学"]], header))
    wife_first = [*head(number)[:7], *wife()[7:]]
    at_school = [[*wife_first, "", "高中一年级"], [*[""] * 7, *head()[7:], "初中", ""]]
    job = await imported(registry, workbook(at_school, header), overwrite="always")
    assert found(job) == {(2, "在校生状况", "education_and_schooling")}
    child = [*[""] * 7, "测试丁", "之女", id_number("20120601", 12), "残疾"]
    rows = [[*wife_first, ""], child, [*[""] * 7, *head()[7:], ""]]
    job = await imported(registry, workbook(rows, (*HEADER, "健康状况")), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}
    assert {row for row, _, code in found(job, "warning") if code == "disability_incomplete"} == {3}


async def test_a_policy_of_its_own_for_a_column(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([head("41132300000001")]))
    content = workbook([[*head("41132300000001", cause="因学"), "13800000000"]], (*HEADER, "联系电话"))
    await imported(registry, content, overwrite_columns='{"cause": "always"}')
    household = (await registry.get("/v1/households/41132300000001")).json()
    assert (household["cause"], household["members"][0]["phone"]) == ("schooling", None)
    again = await imported(registry, content, overwrite="always")
    assert counts(again) == {"received": 1, "updated": 1}
    assert counts(await imported(registry, content, overwrite="always", mode="each")) == {"received": 1, "unchanged": 1}


async def test_someone_elses_household_is_merely_taken(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([head("41132300000001")]))
    other = await issue(registry, ["importer"], ["411302000000"])
    place = ("宛城区", "瓦店镇", "逵营村")
    content = workbook([head("41132300000001", 9, place=place)])
    answer = await registry.post("/v1/imports", files={"file": ("x", content)}, headers=other)
    async with asyncio.timeout(30):
        while (job := (await registry.get(f"/v1/imports/{answer.json()['id']}")).json())["ended_at"] is None:
            await asyncio.sleep(0.02)
    assert found(job) == {(2, "户编号", "number_taken")}


# What is sent badly


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"mode": "some"}, "/mode"),
        ({"surprise": "1"}, "/surprise"),
        ({"overwrite_columns": '{"nothing": "always"}'}, "/overwrite_columns"),
        ({"dry_run": "maybe"}, "/dry_run"),
        ({"kind": "persons"}, "/kind"),
    ],
)
async def test_options_that_are_none(registry: httpx.AsyncClient, fields: dict[str, str], pointer: str) -> None:
    assert {where for where, _ in faults(await send(registry, workbook([head()]), **fields))} == {pointer}


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 400),
        (FORM, b"", 400),
        (FORM, b"--b\r\n\r\n", 400),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", 400),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="mode"\r\n\r\nall\r\n--b--', 422),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="mode"\r\n\r\n\xff\r\n--b--', 400),
        (FORM, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nno end', 400),
        (FORM, 2 * b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' + b"--b--", 422),
    ],
)
async def test_forms_that_are_none(registry: httpx.AsyncClient, kind: str, body: bytes, status: int) -> None:
    answer = await registry.post("/v1/imports", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_refused_file_says_why(registry: httpx.AsyncClient) -> None:
    job = await imported(registry, b"PK\x03\x04 is no workbook", mode="each")
    assert (job["status"], job["refusals"][0]["code"]) == ("refused", "file_damaged")
    assert job["report"]["counts"]["received"] == 0
    missing = await imported(registry, workbook([["测试甲"]], ("姓名", "性别")))
    assert {(each["column"], each["code"]) for each in missing["refusals"]} == {
        ("与户主关系", "column_missing"), ("行政村", "column_missing"), ("脱贫状态", "column_missing")
    }  # fmt: skip


async def test_rejected_lines_of_json_come_back_and_pass_when_corrected(registry: httpx.AsyncClient) -> None:
    good, wrong = household(number="41132300000001"), household(standing="rich", number="41132300000002")
    job = await imported(registry, b"\n".join(line(**each) for each in (good, wrong)), mode="each")
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}
    header, row = await rejected(registry, job)
    assert header == ["JSON", "Errors"]
    same = await imported(registry, workbook([row], header), mode="each")
    assert (same["format"], found(same)) == ("jsonl", {(2, "/standing", "literal_error")})
    header, row = await rejected(registry, same)
    row[0] = row[0].replace("rich", "poor")
    again = await imported(registry, workbook([row], header), mode="each")
    assert counts(again) == {"received": 1, "created": 1}


async def test_lines_of_json_are_imported_too(registry: httpx.AsyncClient) -> None:
    good = line(**household(number="41132300000001"))
    job = await imported(registry, good + b"\n\n" + line(**household(standing="rich")), mode="each")
    assert (job["format"], counts(job)) == ("jsonl", {"received": 2, "created": 1, "rejected": 1})
    assert found(job) == {(3, "/standing", "literal_error")}
    assert len(await rejected(registry, job)) == 2


async def test_a_saved_mapping_reads_the_sheets_of_its_source(registry: httpx.AsyncClient) -> None:
    path = "/v1/imports/mappings/西峡县扶贫办"
    body = {"columns": {"户长": "name", "批次": ""}, "overwrite": "always", "ethnicity_codes": "form_a"}
    saved = await registry.put(path, json=body)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"1"')
    assert (await registry.put(path, json=body)).status_code == 428
    assert (await registry.put(path, json=body, headers=matching(7))).status_code == 412
    assert (await registry.put(path, json=body, headers=matching(1))).headers["etag"] == '"2"'
    assert (await registry.get(path)).json()["columns"] == body["columns"]
    wrong = await registry.put("/v1/imports/mappings/x", json={"columns": {"a": "nothing"}})
    assert faults(wrong) == {("/columns", "column_unknown")}
    header = [*("户长" if name == "姓名" else name for name in HEADER), "民族", "批次"]
    content = workbook([[*head("41132300000001"), "02", "7"]], header)
    job = await imported(registry, content, source="西峡县扶贫办")
    assert counts(job) == {"received": 1, "created": 1}
    member = (await registry.get("/v1/households/41132300000001")).json()["members"][0]
    assert member["attributes"]["ethnicity"] == "11"
    foreign = await issue(registry, ["importer"], ["411302000000"])
    assert (await registry.get(path, headers=foreign)).status_code == 404


async def test_the_template_is_one_of_ours(registry: httpx.AsyncClient) -> None:
    answer = await registry.get("/v1/templates/households.xlsx")
    assert answer.status_code == 200
    header, example, *_ = rows_of(answer.content)
    assert {"姓名", "身份证号码", "工资性收入(元)"} <= set(header)
    untouched = await imported(registry, answer.content)
    assert (counts(untouched), found(untouched, "warning")) == ({}, {(2, "", "example_row")})
    rows = [[*example], [*example]]  # nobody real, so that leaving it in registers nobody
    rows[1][header.index("姓名")] = "测试丁"
    job = await imported(registry, workbook(rows, header))
    assert counts(job) == {"received": 1, "created": 1}, job
    assert not found(job)
    assert example[header.index("身份证号码")] == "411399196803120018"
    assert (await registry.get("/v1/templates/persons.xlsx")).status_code == 404
