"""The synthetic register as a county office would send it: one workbook, a row a person.

The same people as the demonstration's; their villages are drawn over the rural villages of the divisions' edition.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import xlsxwriter

from deploy.local.demo.population import AS_OF, ID_PREFIX, Person, population
from deploy.local.service import ROOT

_DIVISIONS = ROOT / "services/registry/divisions/data/divisions_nanyang.csv"
_HEADER = (
    "户编号", "县区", "乡镇", "行政村", "村编码", "脱贫状态", "登记日期", "主要致贫原因", "收入年度", "工资性收入(元)",
    "生产经营性收入(元)", "生产经营性支出(元)", "姓名", "与户主关系", "身份证号码", "民族", "文化程度", "在校生状况",
    "健康状况", "劳动技能", "城乡居民医保",
)  # fmt: skip
_TITLE = "建档立卡贫困人口花名册(演示数据)"
_RELATIONS = {"head": "户主", "spouse": "配偶", "son": "之子", "daughter": "之女", "father": "之父", "mother": "之母"}
_OTHER_CAUSES = ("因残", "因学", "缺技术", "缺劳力", "缺资金")
_RURAL = 200
"""Village committees 村委会 are numbered from here, residents' committees 居委会 below."""


@dataclass(frozen=True, slots=True)
class _Village:
    county: str
    township: str
    name: str
    code: str


def write_workbook(file: Path, scale: int) -> tuple[int, int]:
    """Write one household for `scale` of the city's 144,000; returns how many households and people."""
    villages = {village.code: village for village in _villages()}
    chance = random.Random(ID_PREFIX)  # noqa: S311 - the same every time
    weights = {code: chance.gammavariate(2.0, 1.0) for code in villages}
    number = people = 0
    with xlsxwriter.Workbook(str(file), {"constant_memory": True, "strings_to_numbers": False}) as book:
        sheet = book.add_worksheet("花名册")
        text, day = book.add_format({"num_format": "@"}), book.add_format({"num_format": "yyyy-mm-dd"})
        registered = datetime.combine(AS_OF, datetime.min.time())
        sheet.write_string(0, 0, _TITLE)
        for column, name in enumerate(_HEADER):
            sheet.write_string(1, column, name)
        row = 2
        for number, household in enumerate(population(weights, scale), start=1):
            for person in household.members:
                cells = (*_of_household(number, villages[household.village]), *_of_person(person))
                for column, cell in enumerate(cells):
                    if isinstance(cell, int):
                        sheet.write_number(row, column, cell)
                    elif cell:
                        sheet.write_string(row, column, cell, text)
                sheet.write_datetime(row, _HEADER.index("登记日期"), registered, day)
                row += 1
            people += len(household.members)
    return number, people


def _villages() -> Iterator[_Village]:
    with _DIVISIONS.open(encoding="utf-8", newline="") as file:
        rows = {row["code"]: row for row in csv.DictReader(file)}
    for code, row in rows.items():
        if row["level"] == "village" and int(code[9:]) >= _RURAL:
            township = rows[row["parent_code"]]
            yield _Village(rows[township["parent_code"]]["name"], township["name"], row["name"], code)


def _of_household(number: int, village: _Village) -> Sequence[str | int]:
    """The household's columns, the same on each of its rows."""
    draw = random.Random(number)  # noqa: S311 - the same on every row of a household
    cause = "因病" if number % 5 < 3 else draw.choice(_OTHER_CAUSES)
    business = draw.randrange(0, 9_000, 50)
    return (
        f"{ID_PREFIX}{number:08d}", village.county, village.township, village.name, village.code, "未脱贫", "", cause,
        2017, draw.randrange(0, 9_000, 100), business, business // 3,
    )  # fmt: skip


def _of_person(person: Person) -> Sequence[str | int]:
    age = AS_OF.year - person.born.year
    pupil = 7 <= age < 16
    working = 16 <= age < 60
    education = "" if pupil else "学龄前儿童" if age < 7 else "初中" if working else "小学"
    grade = "" if not pupil else "小学" if age < 13 else ("七年级", "八年级", "九年级")[min(age - 13, 2)]
    return (
        person.name, _RELATIONS[person.relation], person.id_number, "汉族", education, grade,
        "健康" if working or pupil else "长期慢性病", "普通劳动力" if working else "无劳动力", "是",
    )  # fmt: skip
