"""Imports as jobs: taken in, reported, taken up again after a kill, ended before the file does, taken back, seen."""

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

import shared.app as app_module
from services.registry.imports import modes, store
from services.registry.imports.registering import Ahead, Registering
from services.registry.imports.running import Runner
from services.registry.statistics import service as statistics
from shared.db import SESSION_SETTINGS
from tests.registry.conftest import (
    OTHER_VILLAGE,
    VILLAGE,
    XIPING,
    XIXIA,
    app_on,
    client_of,
    events,
    household,
    id_number,
    issue,
    matching,
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
    done, _ = await asyncio.wait([job], timeout=60)
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


async def test_an_import_that_is_held_up_again_and_again_holds_up_no_other(
    registry: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = modes.AtOnce.run

    async def held_up(work: modes.AtOnce, *arguments: Any) -> None:
        if work.job.instruction.dry_run:
            raise asyncpg.QueryCanceledError("a statement of it takes too long")
        await good(work, *arguments)

    monkeypatch.setattr(modes.AtOnce, "run", held_up)
    stuck = await send(registry, workbook([head("41132300000001")]), mode="all", dry_run="true")
    job = await imported(registry, workbook([head("41132300000002", 2)]), mode="all")
    assert job["status"] == "completed"
    shown = (await registry.get(f"/v1/imports/{stuck.json()['id']}")).json()
    assert shown["status"] == "running"


async def test_a_file_that_takes_long_to_read_is_taken_in_at_once(
    url: str, secrets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one transaction waits meanwhile, longer than any may in which nothing is said."""
    monkeypatch.setitem(SESSION_SETTINGS, "idle_in_transaction_session_timeout", "1s")
    monkeypatch.setattr(modes, "BEAT_SECONDS", 0.1)
    good = Registering.ahead
    tries = []

    async def slow(work: Registering, groups: Any) -> Ahead:
        tries.append(groups)
        await asyncio.sleep(2.5)
        return await good(work, groups)

    monkeypatch.setattr(Registering, "ahead", slow)
    async with client_of(app_on(url)) as client:
        job = await imported(client, workbook([head("41132300000001")]), mode="all")
    assert (job["status"], counts(job)) == ("completed", {"received": 1, "created": 1})
    assert len(tries) == 1


async def test_a_process_that_hangs_keeps_no_locks(url: str, secrets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends its transaction as soon as anybody's, however large the file; the import begins anew."""
    monkeypatch.setitem(SESSION_SETTINGS, "idle_in_transaction_session_timeout", "1s")
    good = Registering.ahead
    tries = []

    async def hanging(work: Registering, groups: Any) -> Ahead:
        tries.append(groups)
        if len(tries) == 1:
            time.sleep(2.5)
        return await good(work, groups)

    monkeypatch.setattr(Registering, "ahead", hanging)
    async with client_of(app_on(url)) as client:
        job = await imported(client, workbook([head("41132300000001")]), mode="all")
    assert (job["status"], counts(job)) == ("completed", {"received": 1, "created": 1})
    assert len(tries) == 2


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
    listed = [(await registry.get("/v1/imports", headers=headers)).json()["items"] for headers in (sender, county)]
    assert [[each["id"] for each in found] for found in listed] == [[job["id"]], []]


async def test_pages_hold_all_that_is_seen_newest_first(registry: httpx.AsyncClient, app: FastAPI) -> None:
    """Jobs that one of the caller's divisions reaches, and others that they reach together, as they were sent."""
    zone = "411391000000"
    both, one, foreign = [
        await put_key(app, ["importer"], divisions) for divisions in ([XIPING, zone], [XIPING], ["411325000000"])
    ]
    sent = []
    for n, headers in enumerate((both, one, foreign, one, both, both, foreign, one)):
        files = {"file": (f"{n}.jsonl", line(**household(people=n)))}
        job = (await registry.post("/v1/imports", files=files, data={"mode": "each"}, headers=headers)).json()["id"]
        await ended(registry, job)
        sent += [] if headers is foreign else [job]
    for limit in (1, 2, 3, 50):
        found: list[str] = []
        url = f"/v1/imports?limit={limit}&count=true"
        while url:
            page = (await registry.get(url, headers=both)).json()
            assert (len(page["items"]) <= limit, page["count"]) == (True, len(sent))
            found += [each["id"] for each in page["items"]]
            url = f"/v1/imports?limit={limit}&count=true&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        assert found == sent[::-1], limit
