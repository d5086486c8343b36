"""Clerks' habits: how they write columns, codes, days, amounts, villages and households; and the errors they get."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.registry.codes.service import code_lists
from services.registry.divisions import rules
from services.registry.divisions.loading import load_divisions
from services.registry.households.incoming import PartlyRead
from services.registry.households.schemas import HouseholdIn
from services.registry.imports.columns import COLUMNS, by_header, by_name, of_pointer, pointer_to
from services.registry.imports.grouping import CUT, Grouper, Located, Rows
from services.registry.imports.households import HouseholdReader
from services.registry.imports.layout import Layout
from services.registry.imports.meaning import villages_of, vocabulary
from services.registry.imports.sheets.groups import Group, Meaning, SheetGroups
from services.registry.imports.sheets.headers import Header, plain
from services.registry.imports.values import CellError, parser, unit_of
from services.registry.imports.villages import Village, Villages
from services.registry.imports.workbooks import escaped
from shared.contracts.division import DivisionEvent, DivisionTree
from tests.registry.conftest import id_number
from tests.registry.sheets import HEADER, counts, found, head, imported, rejected, wife, workbook

TODAY = date(2018, 10, 8)
TREE = DivisionTree(load_divisions())


def said(column: str, cell: Any, header: str = "", codes: Any = None) -> Any:
    """What a cell of a column says, or the code of what is wrong with it."""
    try:
        return parser(by_name()[column], unit_of(header), vocabulary(), codes)(cell)
    except CellError as error:
        return error.code


# Cells


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("id_number", "４１１３９９１９６８０３１２００１８", "411399196803120018"),
        ("id_number", "411399 19680312 0018", "411399196803120018"),
        ("id_number", "'411399196803120018", "411399196803120018"),
        ("id_number", 411399196803120018, "number_as_text"),
        ("id_number", 4.1139919680312e17, "number_as_text"),
        ("id_number", "4.11399E+17", "number_as_text"),
        ("id_number", "\u202a411399196803120018\u202c", "411399196803120018"),
        ("id_number", "无", None),
        ("number", 41132300000001, "41132300000001"),
        ("number", 4.1e16, "number_as_text"),
        ("village_code", 411323102217, "411323102217"),
        ("bank_card", 6217000010000000, "number_as_text"),
        ("bank_card", "没有", None),
        ("phone", 13800000000, "13800000000"),
        ("phone", "138-0000-0000", "13800000000"),
        ("phone", "'13800000000\u200b", "13800000000"),
        ("phone", "无", None),
        ("name", "张 三", "张三"),
        ("name", "阿卜杜拉·买买提", "阿卜杜拉·买买提"),
        ("registered_on", "2018年10月5日", date(2018, 10, 5)),
        ("registered_on", "2018-10-5", date(2018, 10, 5)),
        ("registered_on", "2018/10/05", date(2018, 10, 5)),
        ("registered_on", "2018.10.5", date(2018, 10, 5)),
        ("registered_on", "20181005", date(2018, 10, 5)),
        ("registered_on", 20181005, date(2018, 10, 5)),
        ("registered_on", date(2018, 10, 5), date(2018, 10, 5)),
        ("registered_on", "2018 年 10 月 5 日", date(2018, 10, 5)),
        ("registered_on", "2018/10/5 0:00", date(2018, 10, 5)),
        ("registered_on", "2018-10-05 0:00:00", date(2018, 10, 5)),
        ("registered_on", "'2018-10-05", date(2018, 10, 5)),
        ("registered_on", "2018、10、5", date(2018, 10, 5)),
        ("registered_on", "2018-10-05 9:30", "day"),
        ("registered_on", "2018年2月30日", "day"),
        ("registered_on", "2018年10月", "day"),
        ("registered_on", 43378, "day"),
        ("wages_fen", "1,234.50", 123450),
        ("wages_fen", "￥1234.5元", 123450),
        ("wages_fen", 0.1 + 0.2, 30),
        ("wages_fen", "1.005", "amount_decimals"),
        ("wages_fen", "约一千", "number"),
        ("wages_fen", "1e400", "number"),
        ("arable", "3.5亩", Decimal("3.5")),
        ("area_m2", "80㎡", Decimal(80)),
        ("area_m2", "80.5 m²", Decimal("80.5")),
        ("distance_km", "2.5km", Decimal("2.5")),
        ("work_months", 6, 6),
        ("work_months", "6个月", 6),
        ("work_months", 6.5, "integer"),
        ("disability_level", "二级", 2),
        ("disability_level", 3, 3),
        ("disability_level", "无", None),
        ("disability_kind", "无", None),
        ("work_place", "无", None),
        ("other_causes", "无", None),
        ("standing", "无", None),
        ("dibao", "√", True),
        ("dibao", "是", True),
        ("dibao", "✔", True),
        ("dibao", "否", False),
        ("dibao", True, True),
        ("dibao", "也许", "flag"),
        ("cause", "因病", "illness"),
        ("cause", "illness", "illness"),
        ("cause", "01", "illness"),
        ("cause", 1, "illness"),
        ("cause", "因病致贫", "illness"),
        ("cause", "缘故", "unknown_code"),
        ("sex", "女性", "female"),
        ("schooling", "否", "none"),
        ("employable", "无", "none"),
        ("employable", "丧失劳动能力", "lost"),
        ("relation", "长子", "son"),
        ("relation", "之子", "son"),
        ("relation", "子", "son"),
        ("relation", "妻子", "spouse"),
        ("health", "残疾,长期慢性病", ["disabled", "chronic_disease"]),
        ("employable", "技能劳动力", "skilled"),
        ("employable", "02", "skilled"),
        ("employable", 2, "skilled"),
        ("presence", "正常", "active"),
        ("presence", 4, "active"),
        ("presence", "2", "not_present"),
        ("presence", "转出", "not_present"),
        ("presence", "13", "not_present"),
        ("presence", "不详", "unknown_code"),
        ("poverty_attribute", "低保贫困户", "dibao"),
        ("ethnicity", "汉", "01"),
        ("ethnicity", "维吾尔族", "05"),
        ("ethnicity", "1", "01"),
        ("ethnicity", "15", "15"),
        ("ethnicity", "02", "ethnicity_ambiguous"),
        ("name", {"f": 1}, "formula_without_value"),
        ("name", {"e": "#REF!"}, "cell_error"),
    ],
)
def test_a_cell_says(column: str, cell: Any, value: Any) -> None:
    assert said(column, cell) == value


def test_units_stand_in_the_header() -> None:
    assert said("wages_fen", "1.2", "工资性收入（万元）") == 1_200_000
    assert said("wages_fen", "120", "工资性收入(分)") == 120
    assert said("wages_fen", "120", "金额(元)") == 12_000


def test_ethnicities_are_numbered_as_the_source_says() -> None:
    assert [said("ethnicity", "02", codes=codes) for codes in ("gb", "form_a")] == ["02", "11"]
    form_a = ["满", "回", "蒙古", "藏", "维吾尔", "苗", "彝", "壮", "布依", "朝鲜"]
    labels = {term.label_zh.removesuffix("族"): term.code for term in code_lists()["ethnicity"].terms}
    mapped = [said("ethnicity", f"{number:02d}", codes="form_a") for number in range(2, 12)]
    assert mapped == [labels[name] for name in form_a]


def test_every_term_of_every_list_is_read_by_word_code_and_label() -> None:
    for column in COLUMNS:
        if column.kind != "code":
            continue
        for term in code_lists()[column.code_list].terms:
            for cell in (term.code, term.label_zh, term.national):
                assert not cell or said(column.name, cell) == term.code, (column.name, cell)


def test_no_header_means_two_columns_and_every_pointer_finds_its_own() -> None:
    names = [plain(name) for column in COLUMNS for name in (column.label_zh, *column.synonyms)]
    assert len(names) == len(set(names))
    assert by_header()[plain("*身份证 号码（18位）")].name == "id_number"
    assert by_header()[plain("10、身份证号码")].name == by_header()[plain("（3）公民身份证号码")].name == "id_number"
    assert plain("2017.人均纯收入") not in by_header()  # a year is no number before a name
    assert of_pointer("/members/3/attributes/work") == (by_name()["work_place"], 3)
    assert of_pointer("/incomes/0/transfers/dibao_fen") == (by_name()["dibao_fen"], None)
    assert of_pointer("/members") == (by_name()["relation"], None)
    assert of_pointer("/members/3") == (by_name()["name"], 3)
    assert of_pointer("/attributes/land/returned") == (by_name()["returned"], None)
    for column in COLUMNS:
        if column.subject != "aside":
            said = of_pointer(pointer_to(column, 3))
            assert said is not None
            assert (said[0].subject, said[1]) == (column.subject, 3 if column.subject == "member" else None)
            assert said[0].path == column.path or column.subject == "place"


# Villages


def villages_in(division: str) -> Sequence[Village]:
    return villages_of(TREE, (division,), TODAY)


def test_villages_are_found_by_what_clerks_call_them() -> None:
    villages = Villages(villages_in("411300000000"))
    for county in ("西峡县", "西峡", ""):
        for village in ("下营村", "下营", "下营村民委员会", "下营村委会", "西坪镇下营村", "西峡县西坪镇下营村委会"):
            assert villages.find(county, "西坪镇", village) == "411323102217"
    assert villages.find("官庄工区", "官庄镇", TREE.get("411302102201").name) == "411302102201"  # type: ignore[union-attr]


def test_villages_are_called_what_they_are_called_on_the_day() -> None:
    """A new name that is dated ahead is not yet what clerks write."""
    ahead = date(2030, 1, 1)

    def renamed(code: str) -> DivisionEvent:
        found = TREE.get(code)
        assert found is not None
        return rules.renamed(found, "将来", ahead)

    changed = {code: renamed(code) for code in ("411323102217", "411323102000", "411323000000")}
    tree = DivisionTree([changed.get(each.code, each) for each in TREE])
    villages = Villages(villages_of(tree, ("411323000000",), TODAY))
    assert villages.find("西峡县", "西坪镇", "下营村") == "411323102217"
    assert Villages(villages_of(tree, ("411323000000",), ahead)).find("将来", "将来", "将来") == "411323102217"


def test_a_village_that_is_not_there_gets_suggestions() -> None:
    villages = Villages(villages_in("411323000000"))
    with pytest.raises(CellError) as wrong:
        villages.find("西峡县", "西坪镇", "下莹村")
    assert wrong.value.code == "village_unknown"
    assert "下营" in wrong.value.text.zh
    for place, code in (
        (("宛城区", "瓦店镇", "下营村"), "township_unknown"),
        (("西峡县", "无此镇", "下营村"), "township_unknown"),
    ):
        with pytest.raises(CellError) as foreign:
            villages.find(*place)
        assert foreign.value.code == code
    everywhere = Villages(villages_in("411300000000"))
    with pytest.raises(CellError) as twice:
        everywhere.find("", "", "东村")
    assert twice.value.code in ("village_ambiguous", "village_unknown")


# Households


def grouped(rows: list[list[Any]], header: Any = HEADER) -> tuple[list[Rows], Grouper]:
    grouper = Grouper(Layout.of(Header(1, tuple(header)), vocabulary()))
    groups = list(grouper.add(list(enumerate(rows, start=2))))
    return groups + list(grouper.finish()), grouper


def read(rows: list[list[Any]], header: Any = HEADER) -> list[HouseholdIn | list[Located]]:
    """Households, or what is wrong with them before anybody judges the rest."""
    meaning = Meaning({}, None, None, vocabulary(), villages_in("411300000000"))
    groups = SheetGroups.of(Header(1, tuple(header)), meaning)
    reader = HouseholdReader(groups.grouper.layout)
    found = [*groups.add(list(enumerate(rows, start=2))), *groups.finish()]

    def said(group: Group) -> HouseholdIn | list[Located]:
        outcome = reader.household(group)
        if isinstance(outcome, HouseholdIn):
            return outcome
        faults = outcome.faults if isinstance(outcome, PartlyRead) else outcome
        return [reader.locate(group, each) for each in faults]

    return [said(group) for group in found]


def test_rows_are_put_together_however_households_are_marked() -> None:
    repeated = [head("1"), [*head("1")[:7], *wife()[7:]], head("2", 2)]
    merged = [head("1"), wife(), head("2", 2)]
    unnumbered = [head(), wife(), head("", 2)]
    for rows in (repeated, merged, unnumbered):
        groups, _ = grouped(rows)
        assert [[number for number, _ in group.rows] for group in groups] == [[2, 3], [4]]
    by_name_of_head = [["张三", *row] for row in (head(), wife())] + [["李四", *head("", 2)]]
    assert [len(group.rows) for group in grouped(by_name_of_head, ("户主姓名", *HEADER))[0]] == [2, 1]


def test_rows_that_go_on_for_ever_are_cut_and_none_of_them_gets_in() -> None:
    rows = [head(), *[wife(number) for number in range(2 * CUT + 10)]]
    assert [len(group.rows) for group in grouped(rows)[0]] == [CUT, CUT, 11]
    first, second, rest = read(rows)
    assert [[each.code for each in outcome] for outcome in (first, second)] == [["too_many_members"]] * 2  # type: ignore[union-attr]
    assert isinstance(rest, list)


def test_totals_notes_and_repeated_headers_are_passed_over() -> None:
    rows = [
        head("1"),
        list(HEADER),
        ["", "合 计", "", 1],
        ["填表人：", "测试", "审核人："],
        ["小计", 3],
        ["", ""],
        wife(),
        ["下营村小计：", "", "", "", 3],
        ["共1户2人"],
    ]
    groups, grouper = grouped(rows)
    assert [[number for number, _ in group.rows] for group in groups] == [[2, 8]]
    totals = [(row, "total_row") for row in (6, 9, 10)]
    assert grouper.passed == [(3, "header_again"), (4, "total_row"), (5, "footer_row"), *totals]


def test_a_day_numbers_of_columns_and_stray_cells_are_no_members() -> None:
    """Each of these would be a member without a name of the household above, which would be refused for it."""
    header = (*HEADER, "内部批次")
    rows: list[list[Any]] = [
        [str(number) for number in range(1, 12)],
        [1, 2, 3, 4],
        ["①", "②", "③"],
        ["(1)", "(2)", "(3)", "(4)"],
        head("41132300000001"),
        ["", "", "2018年10月8日"],
        ["日期：2018年10月", "", "联系电话：13800000000"],
        [*[""] * 10, "甲"],
        [1, 2],
    ]
    groups, grouper = grouped(rows, header)
    assert [[number for number, _ in group.rows] for group in groups] == [[6], [10]]
    numbers = [(row, "column_numbers") for row in (2, 3, 4, 5)]
    assert grouper.passed == [*numbers, (7, "footer_row"), (8, "footer_row"), (9, "nothing_read")]


def test_what_a_household_says_twice_may_differ_in_how_it_is_written() -> None:
    rows = [head("41132300000001"), wife()]
    rows[1][:7] = [41132300000001, "西峡县 ", "西坪镇\u3000", " 下营村", "未脱贫户", date(2014, 5, 1), "01"]
    [household] = read(rows)
    assert isinstance(household, HouseholdIn)
    rows[1][5] = "2014-05-02"
    [wrong] = read(rows)
    assert [(each.column, each.code) for each in wrong] == [("登记日期", "differs_within_household")]  # type: ignore[union-attr]


def test_households_that_have_no_number_are_not_one() -> None:
    groups, _ = grouped([head("无"), wife(), head("无", 2)])
    assert [len(group.rows) for group in groups] == [2, 1]


def test_clerks_are_told_no_regular_expressions() -> None:
    [wrong] = read([[*head("411"), "6217"]], (*HEADER, "银行卡号"))
    said = {each.column: each.message for each in wrong}  # type: ignore[union-attr]
    assert (said["户编号"].zh, said["户编号"].en) == ("须为 14 位数字", "must be 14 digits")
    assert (said["银行卡号"].zh, said["银行卡号"].en) == ("须为 12 至 19 位数字", "must be 12 to 19 digits")


def test_faults_are_where_the_clerk_sees_them() -> None:
    """One fault of every kind, each in a household of its own but the last."""
    two_heads = [head("41132300000001"), ["41132300000001", *[""] * 6, "测试乙", "户主", id_number(sequence=99)]]
    rows: list[list[Any]] = [
        *two_heads,
        head("41132300000002", 2, place=("西峡县", "西坪镇", "下莹村")),
        head("41132300000003", 3, id_number="123"),
        head("411", 4),
        [*head("41132300000005", 5)[:5], "去年", *head("", 5)[6:]],
        head("41132300000006", 6),
        ["", "", "", "", "", "", "因学", *wife(6)[7:]],
        head("41132300000001", 7),
        head("41132300000008", 8, name=""),
    ]
    found_faults = {
        (each.row, each.column, each.code) for outcome in read(rows) if isinstance(outcome, list) for each in outcome
    }
    assert found_faults == {
        (4, "行政村", "village_unknown"),
        (6, "户编号", "string_pattern_mismatch"),
        (7, "登记日期", "day"),
        (9, "主要致贫原因", "differs_within_household"),
        (10, "户编号", "household_again"),
        (11, "姓名", "missing"),
    }


def test_two_columns_that_say_one_thing_do_not_contradict() -> None:
    """Welfare is in 社会救助类别, and in 贫困户属性 beside the exit state (domain.md 1.1), whichever comes first."""
    said = [("低保", "低保贫困户"), ("", "低保贫困户"), ("低保", ""), ("低保", "一般贫困户"), ("特困", "低保贫困户")]
    for order in (1, -1):
        header = (*HEADER, *("社会救助类别", "贫困户属性")[::order])
        rows = [[*head(f"4113230000000{n}", n), *cells[::order]] for n, cells in enumerate(said, start=1)]
        good, wrong = read(rows, header)[:3], read(rows, header)[3:]
        assert [household.welfare for household in good] == ["dibao"] * 3  # type: ignore[union-attr]
        codes = [[(each.row, each.column, each.code) for each in outcome] for outcome in wrong]  # type: ignore[union-attr]
        assert codes == [[(row, header[-1], "contradicts_column")] for row in (5, 6)]


def test_a_household_column_without_a_value_is_said_of_its_cell() -> None:
    """Below the first row, too, where such a cell neither begins a household nor differs from one."""
    for value, code in (({"e": "#N/A"}, "cell_error"), ({"f": 1}, "formula_without_value")):
        for column, name in enumerate(HEADER[:7]):
            rows = [head("41132300000001"), wife(), head("41132300000002", 2), wife(2)]
            rows[1][column] = value
            wrong, good = read(rows)
            assert [(each.row, each.column, each.code) for each in wrong] == [(3, name, code)]  # type: ignore[union-attr]
            assert isinstance(good, HouseholdIn)
            rows[0][column] = value
            both = {(each.row, each.column, each.code) for each in read(rows)[0]}  # type: ignore[union-attr]
            assert both >= {(2, name, code), (3, name, code)}


def test_incomes_belong_to_a_year_and_are_shared_by_the_members() -> None:
    header = (*HEADER, "收入年度", "工资性收入(元)", "低保金(元)", "人均纯收入(元)")
    [household] = read([[*head("41132300000001"), 2017, "12000.50", 1800, "6900.25"], wife()], header)
    assert isinstance(household, HouseholdIn)
    income = household.incomes[0]
    assert (income.year, income.people, income.wages_fen, income.transfers.dibao_fen) == (2017, 2, 1_200_050, 180_000)
    [wrong] = read([[*head("41132300000001"), "", "12000", "", ""]], header)
    assert [(each.column, each.code) for each in wrong] == [("收入年度", "income_year_missing")]  # type: ignore[union-attr]


def test_what_is_written_is_never_a_formula() -> None:
    for text in ("=1+1", "+86", "-1", "@x", "\t=1", "\r"):
        assert escaped(text) == "'" + text
    assert said("name", "'=王") == "=王"
    assert escaped("张三") == "张三"


# The whole way


async def test_a_sheet_as_clerks_keep_it(registry: httpx.AsyncClient) -> None:
    title = [["西峡县建档立卡贫困户花名册"], ["填报单位:西坪镇", "", "", "2018年10月"]]
    header = ["序号", "乡镇", "行政村", "户主姓名", "脱贫状态", "识别时间", "致贫原因", "姓名", "与户主关系",
              "证件号码", "民族", "健康状况", "劳动能力", "是否享受低保", "联系电话", "内部批次"]  # fmt: skip
    rows: list[list[Any]] = [
        [1, "西坪", "下营村", "测试甲", "未脱贫", "2014年5月1日", "因病", "测试甲", "户主", id_number(),
         "汉", "患有大病", "丧失劳动力", "是", 13800000000, "a"],
        ["", "", "", "", "", "", "", "测 乙", "妻子", id_number("19700601", 2), "汉族", "健康", "普通劳动力",
         "否", "", ""],
        [2, "西坪镇", "下莹村", "测试丙", "未脱贫", "2014-5-1", "因学", "测试丙", "户主", id_number(sequence=3)],
        ["合计", "", "", "", "", "", "", 3],
        ["填表人:测试", "", "", "", "审核人:测试"],
    ]  # fmt: skip
    job = await imported(registry, workbook(rows, header, above=title), mode="each")
    assert (job["header_row"], counts(job)) == (3, {"received": 2, "created": 1, "rejected": 1})
    assert found(job) == {(6, "行政村", "village_unknown")}
    warned = {code for _, _, code in found(job, "warning")}
    assert {"total_row", "footer_row", "column_unknown"} <= warned
    header_back, *rows_back = await rejected(registry, job)
    assert header_back[:-1] == header
    assert rows_back[0][:3] == [2.0, "西坪镇", "下莹村"]
    assert "下营" in rows_back[0][-1]
    rows_back[0][2] = "下营村"
    again = await imported(registry, workbook(rows_back, header_back), mode="each")
    assert counts(again) == {"received": 1, "created": 1}
    items = (await registry.get("/v1/households?division=411323102217")).json()["items"]
    assert [item["people"] for item in items] == [2, 1]


async def test_who_died_or_left_does_not_come_back_to_life_in_a_sheet(registry: httpx.AsyncClient) -> None:
    """Sheets of the national register list them among the members, with their presence 生存状态 (domain.md 1.3)."""
    header = (*HEADER, "生存状态")
    rows = [[*head(), "正常"], [*wife(), "死亡"], [*head(sequence=2, id_number=id_number(sequence=7)), "4"]]
    job = await imported(registry, workbook(rows, header), mode="each")
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}
    assert found(job) == {(3, "生存状态", "not_present")}
    assert found(job, "warning") == set()
