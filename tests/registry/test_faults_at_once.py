"""Whoever sends a household is told at once what cannot be read, what breaks a rule and what is taken, by every way."""

from typing import Any

import httpx

from tests.registry.conftest import OTHER_VILLAGE, faults, household, id_number, make, member
from tests.registry.sheets import HEADER, counts, found, head, imported, line, rejected, wife, workbook

WIDE = (*HEADER, "人编号", "联系电话", "住房面积", "收入年度", "工资性收入(元)", "人均纯收入(元)")
JSONL = {"Content-Type": "application/jsonl"}
NUMBER = "41132300000001"
TAKEN = id_number(sequence=101)
Json = dict[str, Any]


def first(number: str = NUMBER, sequence: int = 1, **more: Any) -> list[Any]:
    """A head's row with more columns."""
    return [*head(number, sequence, **more), more.get("person", ""), "", *more.get("more", ("", "", "", ""))]


async def bulk(client: httpx.AsyncClient, *households: Json) -> list[tuple[int, str, str]]:
    """Row, pointer and code of everything that is wrong."""
    content = b"\n".join(line(**each) for each in households)
    report = (await client.post("/v1/households/bulk?mode=each", content=content, headers=JSONL)).json()
    return [(each["row"], each["column"], each["code"]) for each in report["errors"] if each["severity"] == "error"]


async def test_a_clerk_is_told_everything_at_once(registry: httpx.AsyncClient) -> None:
    """Cells that cannot be read, what is missing, and rules broken, of one household; each where it stands."""
    await make(registry, members=[member(id_number=TAKEN)], village=OTHER_VILLAGE)
    checked = id_number(sequence=7)
    rows = [
        first(more=("很大", "去年", "约一千", 5)),
        [*wife(id_number=f"{checked[:17]}{(int(checked[17].replace('X', '10')) + 1) % 10}"), "", "12"],
        [*wife(name="", id_number=411399196803120018)],
        [*wife(name="测试丁", id_number="")],
        [*[""] * 7, "测试戊", "之女", TAKEN],
    ]
    rows[0][5] = "去年"
    job = await imported(registry, workbook(rows, WIDE), mode="each")
    wrong = {
        (2, "登记日期", "day"),
        (2, "住房面积", "number"),
        (2, "收入年度", "number"),
        (2, "工资性收入(元)", "number"),
        (2, "与户主关系", "one_spouse"),
        (3, "身份证号码", "id_number_check"),
        (3, "联系电话", "phone_format"),
        (4, "姓名", "missing"),
        (4, "身份证号码", "number_as_text"),
        (5, "姓名", "identity"),
        (6, "与户主关系", "relation_sex"),
        (6, "身份证号码", "id_number_taken"),
    }
    assert found(job) == wrong
    assert len(job["report"]["errors"]) == len(wrong)
    header, *sent_back = await rejected(registry, job)
    assert [len(row[len(WIDE)].split("\n")) for row in sent_back] == [5, 2, 2, 1, 2]

    def mended(row: int, **cells: Any) -> None:
        for name, cell in cells.items():
            sent_back[row][header.index(name)] = cell

    mended(0, 登记日期="2014-05-01", 住房面积="80", 收入年度="2017", **{"工资性收入(元)": 25, "人均纯收入(元)": 5})
    mended(1, 身份证号码=id_number("19700601", 2), 联系电话="")
    mended(2, 姓名="测试丙", 与户主关系="之子", 身份证号码=id_number("19920601", 1))
    mended(3, 与户主关系="之女", 身份证号码=id_number("19920601", 2))
    mended(4, 身份证号码=id_number("19920601", 4))
    again = await imported(registry, workbook(sent_back, header), mode="each")
    assert (counts(again), found(again)) == ({"received": 1, "created": 1}, set())


async def test_who_is_registered_is_not_told_of_its_own_numbers(registry: httpx.AsyncClient) -> None:
    """Also where its number lost digits as one, so that nobody can say which household it is."""
    await make(registry, members=[member(id_number=TAKEN)], village=OTHER_VILLAGE)
    good = [first(), wife(), first("41132300000002", 2)]
    assert counts(await imported(registry, workbook(good, WIDE), mode="each")) == {"received": 2, "created": 2}
    [known] = (await registry.get("/v1/households/41132300000002")).json()["members"]
    rows = [
        first(1000 * int(NUMBER)),  # type: ignore[arg-type]
        wife(),
        [
            *first("41132300000002", 2, more=("很大", "", "", "")),
        ],
        [*[""] * 7, "测试戊", "之女", TAKEN, known["number"]],
    ]
    for overwrite in ("never", "always"):
        job = await imported(registry, workbook(rows, WIDE), mode="each", overwrite=overwrite)
        assert found(job) == {
            (2, "户编号", "number_as_text"),
            (4, "住房面积", "number"),
            (5, "与户主关系", "relation_sex"),
            (5, "身份证号码", "id_number_taken"),
        }


async def test_a_household_off_the_register_is_told_so_with_the_rest(registry: httpx.AsyncClient) -> None:
    made = await make(registry, number=NUMBER)
    gone = {"effective_on": "2018-10-01", "reason": "整户迁出"}
    headers = {"If-Match": '"1"'}
    await registry.post(f"/v1/households/{made['id']}/deregistration", json=gone, headers=headers)
    job = await imported(registry, workbook([first(more=("很大", "", "", ""))], WIDE), mode="each", overwrite="always")
    assert found(job) == {(2, "户编号", "household_deregistered"), (2, "住房面积", "number")}


async def test_what_is_not_taken_in_takes_no_number(registry: httpx.AsyncClient) -> None:
    rows = [first(more=("很大", "", "", "")), first("41132300000002")]
    job = await imported(registry, workbook(rows, WIDE), mode="each")
    assert (counts(job), found(job)) == ({"received": 2, "created": 1, "rejected": 1}, {(2, "住房面积", "number")})
    again = await imported(registry, workbook([rows[0], first("41132300000003", 3)], WIDE), mode="each")
    assert found(again) == {(2, "住房面积", "number"), (2, "身份证号码", "id_number_taken")}


async def test_rows_of_one_household_that_stand_apart_are_told_that_alone(registry: httpx.AsyncClient) -> None:
    """Whether something is missing, or who the head is, would be seen from all its rows alone."""
    rows = [first(), first("41132300000002", 2), [NUMBER, *[""] * 6, "测试丙", "之子", "", "", "12"]]
    job = await imported(registry, workbook(rows, WIDE), mode="each")
    assert found(job) == {(4, "户编号", "household_again")}
    header = [("来源编号" if name == "户编号" else name) for name in WIDE]
    job = await imported(registry, workbook(rows, header), mode="each", source="县扶贫办", dry_run="true")
    assert (4, "来源编号", "household_again") in found(job)


async def test_a_fault_of_a_whole_household_stands_where_it_is_named(registry: httpx.AsyncClient) -> None:
    rows = [first(), *[wife(place) for place in range(1, 51)]]
    job = await imported(registry, workbook(rows, WIDE), mode="each")
    assert found(job) == {(2, "户编号", "too_many_members")}
    job = await imported(registry, workbook([row[1:] for row in rows], WIDE[1:]), mode="each")
    assert found(job) == {(2, "姓名", "too_many_members")}


async def test_lines_are_told_everything_at_once(registry: httpx.AsyncClient) -> None:
    await make(registry, members=[member(id_number=TAKEN)], village=OTHER_VILLAGE)
    wrong = household(standing="rich", members=[member("daughter", id_number=TAKEN), member("other", phone=5)])
    told = [
        ("/standing", "literal_error"),
        ("/members/1/phone", "string_type"),
        ("/members", "one_head"),
        ("/members/0/relation", "relation_sex"),
        ("/members/0/id_number", "id_number_taken"),
    ]
    assert await bulk(registry, wrong) == [(1, *each) for each in told]
    job = await imported(registry, line(**wrong), mode="each")
    assert [(each["column"], each["code"]) for each in job["report"]["errors"]] == told
    answer = await registry.post("/v1/households", json={**wrong, "standing": "poor", "members": wrong["members"][:1]})
    assert faults(answer) == {
        ("/members", "one_head"), ("/members/0/relation", "relation_sex"), ("/members/0/id_number", "id_number_taken")
    }  # fmt: skip
