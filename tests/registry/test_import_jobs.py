"""Imports as jobs: taken in, reported, refused, taken up again after a kill, taken back."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

import shared.app as app_module
from services.registry.imports import modes, running, store
from services.registry.imports.registering import Ahead
from services.registry.imports.running import Runner
from services.registry.statistics import service as statistics
from shared import errors
from shared.errors import Problem
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    app_on,
    client_of,
    events,
    faults,
    household,
    id_number,
    issue,
    matching,
    member,
    put_key,
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


async def test_a_sheet_becomes_households(registry: httpx.AsyncClient, app: FastAPI) -> None:
    content = workbook([head("41132300000001"), wife(), head("41132300000002", 2), wife(2)])
    answer = await send(registry, content)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/imports/{answer.json()['id']}"
    assert answer.headers["retry-after"] == "2"
    job = await imported(registry, content)
    assert (job["status"], job["format"], job["header_row"]) == ("completed", "xlsx", 1), job
    assert counts(job) == {"received": 2, "created": 2}
    assert job["progress"] == {"rows": 4, "expected_rows": 5, "households": 2}
    household = (await registry.get("/v1/households/41132300000001")).json()
    assert household["village"] == "411323102217"
    assert [member["relation"] for member in household["members"]] == ["head", "spouse"]
    assert len(await events(app, "household")) == 2
    assert len(await events(app, "person")) == 4


async def test_rejected_rows_come_back_and_pass_when_corrected(registry: httpx.AsyncClient) -> None:
    wrong = head("41132300000002", 2, id_number=411399196803120018)
    content = workbook([head("41132300000001"), wife(), wrong, wife(2)])
    job = await imported(registry, content, mode="each")
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}
    assert found(job) == {(4, "身份证号码", "number_as_text")}
    header, *rows = await rejected(registry, job)
    assert header[-1] == "Errors"
    assert [row[7] for row in rows] == ["测试甲", "测试乙"]
    rows[0][9] = head(sequence=2)[9]
    again = await imported(registry, workbook(rows, header), mode="each")
    assert counts(again) == {"received": 1, "created": 1}, again


async def test_mode_all_writes_nothing_unless_all_pass(registry: httpx.AsyncClient, app: FastAPI) -> None:
    wrong = workbook([head("41132300000001"), head("41132300000002", 2, cause="没有原因")])
    job = await imported(registry, wrong, mode="all")
    assert (job["status"], job["report"]["status"], job["report"]["id"]) == ("rejected", "rejected", None)
    assert counts(job) == {"received": 2, "rejected": 1}
    assert found(job) == {(3, "主要致贫原因", "unknown_code")}
    assert len(await rejected(registry, job)) == 2
    assert await events(app, "household") == []


async def test_a_dry_run_reports_and_writes_nothing(registry: httpx.AsyncClient, app: FastAPI) -> None:
    content = workbook([head("41132300000001"), head("41132300000002", 2, cause="没有原因")])
    job = await imported(registry, content, mode="each", dry_run="true")
    assert (job["status"], job["dry_run"]) == ("completed", True)
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}
    assert await events(app, "household") == []
    assert (await registry.post(f"/v1/imports/{job['id']}/undo")).status_code == 409


async def test_the_file_is_sealed_and_erased(registry: httpx.AsyncClient, app: FastAPI) -> None:
    runner = app.state.imports
    content = workbook([head("41132300000001"), head("41132300000002", 2, cause="没有原因", name="金丝雀")])
    async with app.state.runtime.database.driver() as lock:
        job = (await send(registry, content, mode="each")).json()["id"]
        await lock.fetchval("SELECT 1")
    await ended(registry, job)
    async with app.state.runtime.database.driver() as pg:
        assert await pg.fetchval("SELECT count(*) FROM import_file") == 0
        kept = await pg.fetchval("SELECT string_agg(sealed, '') FROM import_rejected")
        told = await pg.fetchval("SELECT string_agg(to_json(j)::text, '') FROM import_job j")
    assert "金丝雀".encode() not in kept
    assert "金丝雀" not in told
    assert id_number(sequence=3) not in told
    assert runner.max_rows == 400_000


async def test_a_file_sent_again_is_the_same_import(registry: httpx.AsyncClient, app: FastAPI) -> None:
    content = workbook([head("41132300000001")])
    first = await send(registry, content, key="k1")
    again = await send(registry, content, key="k1")
    same = await send(registry, content, key="k2")
    assert [each.status_code for each in (first, again, same)] == [202, 200, 200]
    assert len({each.json()["id"] for each in (first, again, same)}) == 1
    assert again.headers["idempotency-replayed"] == same.headers["idempotency-replayed"] == "true"
    other = await send(registry, content, key="k1", mode="each")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    await ended(registry, first.json()["id"])
    assert len(await events(app, "household")) == 1


async def test_a_kill_between_chunks_loses_and_doubles_nothing(
    url: str, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first service dies at its third chunk, in the middle of its transaction; a second one goes on."""
    monkeypatch.setattr(modes, "CHUNK", 3)
    rows = [row for n in range(1, 11) for row in (head(f"411323000000{n:02d}", n), wife(n))]
    good, seen = store.progress, 0

    async def dying(*arguments: Any) -> None:
        nonlocal seen
        await good(*arguments)
        seen += 1
        if seen == 3:
            raise ConnectionError("killed")

    first = app_on(url)
    async with client_of(first) as client:
        monkeypatch.setattr(store, "progress", dying)
        monkeypatch.setattr(app_module, "_supervised", lambda job: job())
        job = (await send(client, workbook([*rows, ["合计"]]), mode="each")).json()["id"]
        async with asyncio.timeout(30):
            while seen < 3:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(store, "progress", good)
    second = app_on(url)
    async with client_of(second) as client:
        done = await ended(client, job)
        assert done["status"] == "completed"
        assert counts(done) == {"received": 10, "created": 10}
        assert done["progress"]["rows"] == 21
        assert found(done, "warning") >= {(22, "", "total_row")}
        assert len(await events(second, "household")) == 10
        assert len({event["id"] for event in await events(second, "household")}) == 10


async def test_the_job_stops_though_it_is_woken_at_that_moment(registry: httpx.AsyncClient, app: FastAPI) -> None:
    runner = Runner(app.state.registry, 1)
    job = asyncio.create_task(runner.run())
    await asyncio.sleep(0.2)
    runner.wake()
    await asyncio.sleep(0)  # now the waiting is over, and nobody has been told
    job.cancel()
    done, _ = await asyncio.wait([job], timeout=2 * running.POLL_SECONDS)
    job.cancel()
    assert done


async def test_two_processes_do_not_work_on_one_import(registry: httpx.AsyncClient, app: FastAPI) -> None:
    job = (await send(registry, workbook([head("41132300000001")]), mode="each")).json()["id"]
    await ended(registry, job)
    async with app.state.runtime.database.driver() as pg:
        await pg.execute("UPDATE import_job SET status = 'running', position = 99 WHERE id = $1", UUID(job))
        held = await store.load(pg, UUID(job))
    work = modes.InPieces(app.state.registry, replace(held, position=0), None)  # type: ignore[arg-type]
    nothing = modes.Piece([], 1, asyncio.create_task(asyncio.sleep(0, Ahead([], []))))
    with pytest.raises(modes.TakenOverError):
        await work._commit(nothing, held.tally, [], 0)


# What ends before the file does


@pytest.mark.parametrize("dry_run", ["false", "true"])
async def test_what_is_refused_part_way_and_all_at_once_wrote_nothing(
    registry: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, dry_run: str
) -> None:
    """Neither the report nor the audit log tells of households that were good until the file turned out not to be."""
    monkeypatch.setattr(modes, "CHUNK", 20)
    rows = [head(f"411323{n:08d}", n) for n in range(1, 301)]
    text = "\n".join(",".join(row) for row in (HEADER, *rows)) + '\n"41132300000999,x\n'
    job = await imported(registry, text.encode(), mode="all", dry_run=dry_run)
    assert (job["status"], job["refusals"][0]["code"]) == ("refused", "quote_unbalanced")
    assert job["progress"]["households"] > 0, "the file was refused part way"
    assert (job["report"]["status"], job["report"]["id"]) == ("rejected", None)
    assert counts(job).keys() == {"received"}
    assert await events(app, "household") == []
    answer = await registry.post(f"/v1/imports/{job['id']}/undo")
    assert (answer.status_code, answer.json()["code"]) == (409, "import_not_undoable")
    assert "created=0 updated=0 unchanged=0" in await outcome_in_the_log(app, job)


async def test_a_fault_of_ours_in_mode_all_wrote_nothing(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "CHUNK", 1)
    monkeypatch.setattr(statistics, "count", lambda *_: 1 / 0)
    job = await imported(registry, workbook([head("41132300000001"), head("41132300000002", 2)]), mode="all")
    assert [(each["code"], each["message"]) for each in job["refusals"]] == [
        ("internal_error", "a fault of ours; nothing was written")
    ]
    assert (job["report"]["status"], counts(job)) == ("rejected", {"received": 2})


async def test_the_log_does_not_tell_of_households_that_were_good_in_vain(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    job = await imported(registry, workbook([head("41132300000001"), head("41132300000002", 2, cause="没有原因")]))
    assert await outcome_in_the_log(app, job) == "received=2 created=0 updated=0 unchanged=0 rejected=1"


async def outcome_in_the_log(app: FastAPI, job: dict[str, Any]) -> str:
    """What the audit log has of an import's end."""
    query = "SELECT outcome FROM audit_entry WHERE object_id = $1 AND operation = $2"
    async with app.state.runtime.database.driver() as pg:
        outcome: str = await pg.fetchval(query, job["id"], f"import.{job['status']}")
    return outcome


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


# Taking back


async def test_undo_takes_back_what_nobody_changed_since(registry: httpx.AsyncClient) -> None:
    content = workbook([head("41132300000001"), wife(), head("41132300000002", 2), head("41132300000003", 3)])
    job = await imported(registry, content)
    touched = (await registry.get("/v1/households/41132300000002")).json()
    patch = {"cause": "disaster", "reason": "核实"}
    await registry.patch(f"/v1/households/{touched['id']}", json=patch, headers=matching(1))
    answer = await registry.post(f"/v1/imports/{job['id']}/undo")
    assert answer.status_code == 202
    done = await ended(registry, job["id"])
    assert done["status"] == "undone"
    left = [{"household": touched["id"], "why": "changed_since"}]
    assert done["undoing"] == {"undone": 2, "left": 1, "households": left}
    gone = (await registry.get("/v1/households/41132300000001")).json()
    assert (gone["status"], gone["people"]) == ("deregistered", 0)
    stock = (await registry.get("/v1/statistics/poverty?as_of=2015-01-01")).json()["division"]
    assert (stock["stock_households"], stock["stock_people"]) == (1, 1)
    assert (await registry.post(f"/v1/imports/{job['id']}/undo")).json()["status"] == "undone"


async def test_what_was_undone_can_be_imported_again(registry: httpx.AsyncClient) -> None:
    content = workbook([head("41132300000001"), wife()])
    job = await imported(registry, content)
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    corrected = workbook([head("41132300000001", cause="因学"), wife(2)])
    again = await imported(registry, corrected)
    assert counts(again) == {"received": 1, "updated": 1}, again
    household = (await registry.get("/v1/households/41132300000001")).json()
    assert (household["status"], household["cause"], household["people"]) == ("active", "schooling", 2)
    assert sorted(member["status"] for member in household["members"]) == ["active", "active", "deregistered"]
    await registry.post(f"/v1/imports/{again['id']}/undo")
    await ended(registry, again["id"])
    assert (await registry.get("/v1/households/41132300000001")).json()["status"] == "deregistered"


async def test_undo_leaves_what_would_change_a_locked_year(registry: httpx.AsyncClient) -> None:
    """The figures of a locked year are neither entered nor changed, by whatever way; the other households go back."""
    header = (*HEADER, "收入年度", "工资性收入(元)")

    def rows(wages: int) -> list[list[Any]]:
        return [[*head("41132300000001"), 2016, wages], [*head("41132300000002", 2), 2017, wages]]

    await imported(registry, workbook(rows(1000), header))
    job = await imported(registry, workbook(rows(2000), header), overwrite="always")
    assert counts(job) == {"received": 2, "updated": 2}
    assert (await registry.put("/v1/locked-years/2016", json={"reason": "已上报"})).status_code == 200
    await registry.post(f"/v1/imports/{job['id']}/undo")
    done = await ended(registry, job["id"])
    [locked, other] = [(await registry.get(f"/v1/households/4113230000000{n}")).json() for n in (1, 2)]
    left = [{"household": locked["id"], "why": "year_locked"}]
    assert done["undoing"] == {"undone": 1, "left": 1, "households": left}
    assert (locked["version"], locked["incomes"][0]["wages_fen"]) == (2, 200_000)
    assert (other["version"], other["incomes"][0]["wages_fen"]) == (3, 100_000)


async def test_undo_restores_what_an_import_changed(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([head("41132300000001")]))
    before = (await registry.get("/v1/households/41132300000001")).json()
    job = await imported(registry, workbook([head("41132300000001", cause="因学"), wife()]), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}
    changed = (await registry.get("/v1/households/41132300000001")).json()
    assert (changed["cause"], changed["people"]) == ("schooling", 2)
    await registry.post(f"/v1/imports/{job['id']}/undo")
    await ended(registry, job["id"])
    after = (await registry.get("/v1/households/41132300000001")).json()
    assert (after["cause"], after["people"], after["version"]) == (before["cause"], before["people"], 3)


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


# Who sees what


async def test_imports_are_seen_from_above_and_rejected_rows_by_their_sender(registry: httpx.AsyncClient) -> None:
    county = await issue(registry, ["importer"], ["411323000000"])
    beside = await issue(registry, ["importer"], ["411302000000"])
    reader = await issue(registry, ["reader"], ["411323000000"])
    content = workbook([head(cause="没有原因")])
    job = (await registry.post("/v1/imports", files={"file": ("x", content)}, headers=county)).json()["id"]
    await ended(registry, job)
    paths = (f"/v1/imports/{job}", f"/v1/imports/{job}/rejected.xlsx")
    seen = {name: [(await registry.get(path, headers=key)).status_code for path in paths]
            for name, key in (("county", county), ("beside", beside), ("reader", reader))}  # fmt: skip
    above = [(await registry.get(path)).status_code for path in paths]
    assert seen == {"county": [200, 200], "beside": [404, 404], "reader": [403, 403]}
    assert above == [200, 404]
    assert [each["id"] for each in (await registry.get("/v1/imports?count=true")).json()["items"]] == [job]
    assert (await registry.get("/v1/imports", headers=beside)).json()["items"] == []


async def test_who_sends_for_two_divisions_sees_its_import_and_who_has_one_of_them_does_not(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    """Whoever reaches all that the sender reaches sees it; one of them alone would see rows of the other."""
    zone = "411391000000"
    sender = await issue(registry, ["importer"], [XIPING, zone])
    lines = [household(village=village) for village in (VILLAGE, OTHER_VILLAGE)]
    content = b"\n".join(line(**each) for each in [*lines, household(standing="rich")])
    files = {"file": ("x.jsonl", content)}
    sent = await registry.post("/v1/imports", files=files, data={"mode": "each"}, headers=sender)
    assert sent.status_code == 202, sent.text
    url = sent.headers["location"]
    job = await ended(registry, sent.json()["id"])
    assert counts(job) == {"received": 3, "created": 2, "rejected": 1}, job

    async def seen(headers: dict[str, str]) -> tuple[int, list[str], int]:
        listed = (await registry.get("/v1/imports?count=true", headers=headers)).json()
        status = (await registry.get(url, headers=headers)).status_code
        return status, [each["id"] for each in listed["items"]], listed["count"]

    for divisions in ([XIPING, zone], [XIXIA, zone], [zone, XIPING, "411325000000"]):
        assert await seen(await put_key(app, ["importer"], divisions)) == (200, [job["id"]], 1), divisions
    fewer: list[list[str]] = [[XIPING], [zone], [XIXIA], [VILLAGE, zone], []]
    for divisions in fewer:
        headers = await put_key(app, ["importer"], divisions)
        assert await seen(headers) == (404, [], 0), divisions
        assert (await registry.post(f"{url}/undo", headers=headers)).status_code == 404
    assert await seen(sender) == (200, [job["id"]], 1)
    assert (await registry.get(f"{url}/rejected.xlsx", headers=sender)).status_code == 200
    assert (await registry.post(f"{url}/undo", headers=sender)).status_code == 202
    assert (await ended(registry, job["id"]))["undoing"]["undone"] == 2


async def test_who_sends_without_divisions_sees_what_became_of_it_and_no_county_does(
    registry: httpx.AsyncClient, app: FastAPI
) -> None:
    sender, other = [await put_key(app, ["importer"], []) for _ in range(2)]
    files = {"file": ("x.jsonl", line(**household()))}
    sent = await registry.post("/v1/imports", files=files, data={"mode": "each"}, headers=sender)
    job = await ended(registry, sent.json()["id"])
    assert counts(job) == {"received": 1, "rejected": 1}
    county = await put_key(app, ["importer"], [XIXIA])
    seen = [
        (await registry.get(sent.headers["location"], headers=headers)).status_code
        for headers in (sender, other, county)
    ]
    assert seen == [200, 404, 404]


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
    job = await imported(registry, answer.content, mode="each")
    assert counts(job) == {"received": 1, "created": 1}, job
    assert job["report"]["errors"] == [] or all(each["severity"] != "error" for each in job["report"]["errors"])
    assert example[header.index("身份证号码")] == "411399196803120018"
    assert (await registry.get("/v1/templates/persons.xlsx")).status_code == 404
