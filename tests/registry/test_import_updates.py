"""What is wrong with a household that an import would update is said of the cell that says it."""

import httpx
import pytest
from fastapi import FastAPI

from services.registry.context import today
from tests.registry.conftest import OTHER_VILLAGE, VILLAGE, household, id_number, issue, matching
from tests.registry.sheets import HEADER, counts, ended, found, head, imported, line, rejected, wife, workbook

FIRST, SECOND = "41132300000001", "41132300000002"
NEIGHBOUR = "411323102202"
NUMBERED = (*HEADER, "人编号")
"""With the members' own numbers."""
NAMED = (*HEADER, "来源编号")
"""With the household's name in the source."""


async def people(client: httpx.AsyncClient, number: str = FIRST) -> list[str]:
    """The members' own numbers."""
    return [each["number"] for each in (await client.get(f"/v1/households/{number}")).json()["members"]]


async def test_an_id_number_that_is_another_ones_is_said_of_the_members_cell(registry: httpx.AsyncClient) -> None:
    """Of a member who gets it, and of one who is new to the household; every one of them is named."""
    taken = [id_number("19500601", 5), id_number("19520601", 6)]
    header = (*HEADER, "性别", "出生日期")
    content = workbook(
        [
            [*head(FIRST), "", ""], [*wife(id_number=""), "女", "1970-06-01"],
            [*head(SECOND, id_number=taken[0]), "", ""], [*wife(id_number=taken[1]), "", ""],
        ],
        header,
    )  # fmt: skip
    assert counts(await imported(registry, content)) == {"received": 2, "created": 2}
    numbers = await people(registry)
    rows = [
        [*head(FIRST, id_number=taken[0]), "", "", numbers[0]],
        [*[""] * 7, "测试丙", "之母", id_number("19440601", 8), "", "", ""],
        [*[""] * 7, "测试丁", "其他", taken[1], "", "", ""],
    ]
    job = await imported(registry, workbook(rows, (*header, "人编号")), overwrite="always")
    cells = {(2, "身份证号码", "id_number_taken"), (4, "身份证号码", "id_number_taken")}
    assert found(job) == cells
    assert [str(row[-1]).startswith("身份证号码") for row in (await rejected(registry, job))[1:]] == [True, False, True]
    assert await people(registry) == numbers


async def test_two_newcomers_with_one_number_are_told_in_the_second_ones_cell(registry: httpx.AsyncClient) -> None:
    await imported(registry, workbook([head(FIRST)]))
    child = [*[""] * 7, "测试丁", "之女", id_number("20120601", 12), "41132399999999"]
    rows = [[*head(FIRST), ""], child, [*child[:9], id_number("20140601", 12), child[-1]]]
    job = await imported(registry, workbook(rows, NUMBERED), overwrite="always")
    assert found(job) == {(4, "人编号", "number_taken")}


async def test_a_persons_number_that_is_another_ones_is_said_of_the_members_cell(registry: httpx.AsyncClient) -> None:
    """Also where the ID number says who the member is: the row says two people at once."""
    await imported(registry, workbook([head(FIRST), wife(), head(SECOND, 2)]))
    [other] = await people(registry, SECOND)
    child = [*[""] * 7, "测试丁", "之女", id_number("20120601", 12), other]
    job = await imported(registry, workbook([[*head(FIRST), ""], child], NUMBERED), overwrite="always")
    assert found(job) == {(3, "人编号", "number_taken")}
    rows = [[*head(FIRST, cause="因学"), ""], [*wife(), other]]
    job = await imported(registry, workbook(rows, NUMBERED), overwrite="always")
    assert found(job) == {(3, "人编号", "number_taken")}
    rows[1][-1] = "41132399999999"
    job = await imported(registry, workbook(rows, NUMBERED), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}, "nobody's, and numbers do not change"
    assert found(job, "warning") == {(3, "人编号", "kept")}


@pytest.mark.parametrize("taken_back", [False, True])
async def test_whose_identity_was_erased_gets_none_from_a_file(
    registry: httpx.AsyncClient, app: FastAPI, taken_back: bool
) -> None:
    job = await imported(registry, workbook([head(FIRST), wife()]))
    url = f"/v1/households/{FIRST}"
    [_, woman] = (await registry.get(url)).json()["members"]
    version = 1
    if taken_back:
        await registry.post(f"/v1/imports/{job['id']}/undo")
        version = (await ended(registry, job["id"]) and (await registry.get(url)).json())["version"]
    erasure = f"{url}/members/{woman['id']}/erasure"
    assert (await registry.post(erasure, json={"reason": "本人申请"}, headers=matching(version))).status_code == 200
    rows = [[*head(FIRST), ""], [*wife(), woman["number"]]]
    job = await imported(registry, workbook(rows, NUMBERED), overwrite="always")
    assert found(job) == {(3, "人编号", "number_taken")}
    async with app.state.runtime.database.driver() as pg:
        assert await pg.fetchval("SELECT name FROM person WHERE id = $1", woman["id"]) is None


@pytest.mark.parametrize(
    ("number", "name", "wrong"),
    [
        (FIRST, "乙", (2, "来源编号", "external_id_taken")),
        (SECOND, "甲", (2, "来源编号", "external_id_taken")),
        (FIRST, "丙", None),
    ],
)
async def test_a_household_by_the_number_of_one_and_the_name_of_another(
    registry: httpx.AsyncClient, number: str, name: str, wrong: tuple[int, str, str] | None
) -> None:
    rows = [[*head(FIRST), "甲"], [*head(SECOND, 2), "乙"]]
    await imported(registry, workbook(rows, NAMED), source="测试来源")
    changed = workbook([[*head(number, cause="因学", sequence=1 if number == FIRST else 2), name]], NAMED)
    job = await imported(registry, changed, source="测试来源", overwrite="always")
    assert found(job) == ({wrong} if wrong else set())
    assert counts(job) == {"received": 1, "rejected" if wrong else "updated": 1}


async def test_a_household_by_its_name_and_a_number_that_is_another_ones(registry: httpx.AsyncClient) -> None:
    """The number is of a household that the sender does not see: what they see is not changed for it."""
    rows = [[*head("", 1), "甲"]]
    await imported(registry, workbook(rows, NAMED), source="测试来源")
    await imported(registry, workbook([head(SECOND, 9, place=("宛城区", "瓦店镇", "逵营村"))]))
    county = await issue(registry, ["importer"], ["411323000000"])
    content = workbook([[*head(SECOND, 1, cause="因学"), "甲"]], NAMED)
    files, data = {"file": ("x", content)}, {"source": "测试来源", "overwrite": "always"}
    answer = await registry.post("/v1/imports", files=files, data=data, headers=county)
    job = await ended(registry, answer.json()["id"])
    assert found(job) == {(2, "户编号", "number_taken")}


async def test_nobody_is_meant_by_two_rows(registry: httpx.AsyncClient) -> None:
    """Two sons of one name and day of birth are two people; who is meant by a number is not taken for the other one."""
    header = (*HEADER, "性别", "出生日期", "联系电话", "人编号")

    def rows(*sons: tuple[str, str]) -> bytes:
        boy = [*[""] * 7, "测试丁", "之子", "", "男", "2010-06-01"]
        return workbook([[*head(FIRST), *[""] * 4], *([*boy, phone, number] for phone, number in sons)], header)

    await imported(registry, rows(("13800000007", ""), ("13800000008", "")), overwrite="always")
    numbers = await people(registry)
    job = await imported(registry, rows(("13800000017", ""), ("13800000018", "")), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}
    assert await people(registry) == numbers
    job = await imported(registry, rows(("13800000027", ""), ("13800000028", numbers[1])), overwrite="always")
    assert counts(job) == {"received": 1, "updated": 1}, job
    assert await people(registry) == numbers
    members = (await registry.get(f"/v1/households/{FIRST}")).json()["members"]
    assert [each["phone"][-4:] for each in members[1:]] == ["0028", "0027"]
    job = await imported(registry, rows(("", ""), ("", ""), ("", "")), overwrite="always")
    assert len(await people(registry)) == 4, "a third one is another"


async def test_a_village_that_is_gone_is_said_of_its_cell(own_registry: httpx.AsyncClient, own_app: FastAPI) -> None:
    """It was valid when the household was registered, and is not on the day from which it would live there."""
    day = today(own_app.state.registry).isoformat()
    merger = {"into": NEIGHBOUR, "valid_from": day, "reason": "西民〔2018〕4号"}
    home = household(number=FIRST, village=OTHER_VILLAGE)
    assert (await own_registry.post("/v1/households", json=home)).status_code == 201
    merged = await own_registry.post(f"/v1/divisions/{VILLAGE}/merge", json=merger, headers=matching(1))
    assert merged.status_code == 200, merged.text
    job = await imported(own_registry, line(**household(number=FIRST)), overwrite="always")
    assert found(job) == {(1, "/village", "division_not_valid")}
    assert counts(job) == {"received": 1, "rejected": 1}
