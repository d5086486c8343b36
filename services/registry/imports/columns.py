"""The columns a sheet of households may have: their Chinese names, what else clerks call them, where they belong.

A row is a member of a household; columns of the household are filled on its first row and may be blank below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from services.registry.imports.sheets.headers import plain
from shared.faults import Language

Subject = Literal["household", "member", "income", "place", "aside"]
"""Whom a column describes; ``income``: one year's income of the household; ``aside``: known, but not taken in."""
Kind = Literal[
    "text", "identifier", "phone", "name", "code", "codes", "flag", "day", "yuan", "decimal", "integer", "level",
    "welfare", "employable", "ethnicity", "presence",
]  # fmt: skip

ERRORS: Mapping[Language, str] = {"zh": "错误说明", "en": "Errors"}
"""What the rejected-rows workbook calls the column that says what is wrong."""

LINE = "JSON"
"""What it calls the column with the lines, where those were JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    """Stable name, used in saved mappings and overwrite policies."""
    label_zh: str
    subject: Subject
    kind: Kind
    path: tuple[str, ...] = ()
    """Steps from the household, the member or the income."""
    synonyms: tuple[str, ...] = ()
    code_list: str = ""
    required: bool = False
    """No sheet is taken in without it, nor without one of the two that name the village (``Layout.faults``)."""
    note: str = ""
    """For the notes of the template."""


def _place(name: str, label: str, *synonyms: str, kind: Kind = "text", note: str = "") -> Column:
    return Column(name, label, "place", kind, (name,), synonyms, note=note)


def _of(
    subject: Subject, path: str, label: str, kind: Kind, *synonyms: str, codes: str = "", name: str = "",
    required: bool = False, note: str = "",
) -> Column:  # fmt: skip
    steps = tuple(path.split("."))
    return Column(name or steps[-1], label, subject, kind, steps, synonyms, codes, required, note)


COLUMNS: tuple[Column, ...] = (
    _of("household", "number", "户编号", "identifier", "户编码", "家庭编号", "户号", "贫困户编号",
        note="14 位文本;已登记的户按此更新,留空则新登记并编号"),
    _of("household", "external_id", "来源编号", "text", "外部编号", "系统编号", note="来源系统内的编号,须注明来源"),
    _place("county", "县区", "县", "县市区", "区县", "所属县"),
    _place("township", "乡镇", "乡镇街道", "镇", "乡", "所属乡镇"),
    _place("village", "行政村", "村", "村名", "所属村", "责任村", "行政村名称", "行政村名",
        note="村名或 12 位代码;或填村编码"),
    _place("village_code", "村编码", "村代码", "行政村代码", "行政村编码", "行政区划代码", kind="identifier"),
    Column("head_name", "户主姓名", "aside", "text", (), ("户主", "户主名")),
    _of("household", "standing", "脱贫状态", "code", "贫困状态", "户状态", "脱贫标识", "脱贫属性", codes="standing",
        required=True),
    _of("household", "registered_on", "登记日期", "day", "识别时间", "识别日期", "建档时间", "建档日期", "登记时间",
        note="留空按导入当日登记,此前的历史即不存在"),
    _of("household", "cause", "主要致贫原因", "code", "致贫原因", codes="cause"),
    _of("household", "attributes.other_causes", "其他致贫原因", "codes", codes="other_cause"),
    _of("household", "welfare", "社会救助类别", "code", "救助类别", "社会保障类别", codes="welfare"),
    _of("household", "welfare", "贫困户属性", "welfare", "户属性", "农户属性", name="poverty_attribute",
        codes="poverty_attribute"),
    _of("household", "attributes.standard", "识别标准", "code", codes="identification_standard"),
    _of("household", "attributes.relapse_cause", "返贫原因", "code", codes="relapse_cause"),
    _of("household", "attributes.military_family", "军烈属", "flag", "是否军烈属"),
    _of("household", "attributes.only_child_family", "独生子女户", "flag", "是否独生子女户"),
    _of("household", "attributes.two_daughters_family", "双女户", "flag", "是否双女户"),
    _of("household", "attributes.cooperative_member", "加入合作社", "flag", "是否加入合作社",
        "是否加入农民专业合作组织"),
    _of("household", "attributes.housing.area_m2", "住房面积", "decimal", "住房面积平方米", note="平方米"),
    _of("household", "attributes.housing.danger", "危房等级", "code", "是否危房", "危房", codes="housing_danger"),
    _of("household", "attributes.housing.sanitary_toilet", "卫生厕所", "flag", "有无卫生厕所", "是否有卫生厕所"),
    _of("household", "attributes.housing.domestic_power", "生活用电", "flag", "是否通生活用电"),
    _of("household", "attributes.housing.production_power", "生产用电", "flag", "是否通生产用电"),
    _of("household", "attributes.housing.broadcast", "广播电视", "flag", "是否通广播电视"),
    _of("household", "attributes.housing.fuel", "主要燃料", "code", "主要燃料类型", codes="fuel"),
    _of("household", "attributes.water.safe", "饮水安全", "flag", "饮水是否安全", "是否解决安全饮用水",
        name="water_safe"),
    _of("household", "attributes.water.scarce", "饮水困难", "flag", "饮水是否困难", name="water_scarce"),
    _of("household", "attributes.road.kind", "入户路类型", "code", "入户路", codes="road", name="road"),
    _of("household", "attributes.road.distance_km", "距主干路距离", "decimal", "与村主干路距离", note="公里"),
    _of("household", "attributes.land.arable", "耕地面积", "decimal", "耕地", note="亩"),
    _of("household", "attributes.land.irrigated", "有效灌溉面积", "decimal", "有效灌溉", note="亩"),
    _of("household", "attributes.land.forest", "林地面积", "decimal", "林地", note="亩"),
    _of("household", "attributes.land.returned", "退耕还林面积", "decimal", "退耕还林", note="亩"),
    _of("household", "attributes.land.orchard", "林果面积", "decimal", "林果", note="亩"),
    _of("household", "attributes.land.pasture", "牧草地面积", "decimal", "牧草地", "牧草", note="亩"),
    _of("household", "attributes.land.water_surface", "水面面积", "decimal", "水面", note="亩"),
    _of("household", "attributes.relocation.method", "搬迁方式", "code", codes="relocation_method",
        name="relocation_method"),
    _of("household", "attributes.relocation.resettlement", "安置方式", "code", codes="resettlement"),
    _of("household", "attributes.relocation.site", "安置地点", "code", codes="resettlement_site",
        name="resettlement_site"),
    _of("household", "attributes.relocation.moved_on", "入住日期", "day", "搬迁入住时间", "入住时间"),
    _of("income", "year", "收入年度", "integer", "年度", "数据年度", name="income_year"),
    _of("income", "people", "家庭人口", "integer", "家庭人口数", "人口数", "人口", name="income_people",
        note="用于计算人均纯收入;留空按成员数"),
    _of("income", "wages_fen", "工资性收入", "yuan"),
    _of("income", "business_fen", "生产经营性收入", "yuan", "经营性收入", "家庭经营收入"),
    _of("income", "business_costs_fen", "生产经营性支出", "yuan", "经营性支出"),
    _of("income", "property_fen", "财产性收入", "yuan"),
    _of("income", "transfers.family_planning_fen", "计划生育金", "yuan", "计生金", "领取计划生育金"),
    _of("income", "transfers.dibao_fen", "低保金", "yuan", "领取低保金"),
    _of("income", "transfers.tekun_fen", "五保金", "yuan", "特困供养金", "领取五保金"),
    _of("income", "transfers.pension_fen", "养老金", "yuan", "养老保险金", "养老金收入"),
    _of("income", "transfers.ecological_fen", "生态补偿金", "yuan"),
    _of("income", "transfers.other_fen", "其他转移性收入", "yuan"),
    _of("income", "gross_fen", "年收入", "yuan", "家庭年收入", "年总收入"),
    _of("income", "net_fen", "年纯收入", "yuan", "纯收入", "家庭纯收入"),
    _of("income", "per_capita_fen", "人均纯收入", "yuan", "家庭人均纯收入", "年人均纯收入"),
    _of("member", "number", "人编号", "identifier", "人编码", "个人编号", name="person_number"),
    _of("member", "name", "姓名", "name", "成员姓名", "家庭成员姓名", required=True),
    _of("member", "relation", "与户主关系", "code", "户主关系", "关系", "与户主的关系", codes="relation",
        required=True),
    _of("member", "attributes.id_kind", "证件类型", "code", codes="id_kind"),
    _of("member", "id_number", "身份证号码", "identifier", "身份证号", "公民身份号码", "证件号码", "身份证", "证件号",
        "身份证件号码", "居民身份证号码", "公民身份证号码",
        note="18 位文本;单元格格式须设为文本;留空须填性别和出生日期"),
    _of("member", "sex", "性别", "code", codes="sex", note="无身份证号码时必填"),
    _of("member", "birth_date", "出生日期", "day", "出生年月日", "生日", note="无身份证号码时必填"),
    _of("member", "attributes.ethnicity", "民族", "ethnicity", codes="ethnicity", note="填名称,如 汉族"),
    _of("member", "phone", "联系电话", "phone", "电话", "手机", "手机号", "手机号码", "电话号码", "联系方式",
        note="11 位手机号"),
    _of("member", "bank_card", "银行卡号", "identifier", "一卡通账号", "惠农一卡通账号", "银行账号", "开户银行账号"),
    _of("member", "attributes.education", "文化程度", "code", codes="education"),
    _of("member", "attributes.schooling", "在校生状况", "code", "在校生情况", "在校生", codes="schooling"),
    _of("member", "in_school", "在校", "flag", "是否在校", "是否在校生"),
    _of("member", "attributes.dropped_out", "义务教育阶段辍学", "flag", "是否辍学", "辍学"),
    _of("member", "attributes.health", "健康状况", "codes", "健康情况", codes="health"),
    _of("member", "disability_number", "残疾人证号", "identifier", "残疾证号", "残疾证号码", "残疾人证号码"),
    _of("member", "attributes.disability_kind", "残疾类别", "code", "残疾类型", codes="disability_kind"),
    _of("member", "disability_level", "残疾等级", "level", "残疾级别"),
    _of("member", "employable", "劳动技能", "employable", "劳动能力", "劳动力", "劳动力类型", codes="employable"),
    _of("member", "attributes.work.place", "务工地点", "code", "务工所在地", "务工区域", codes="work_place",
        name="work_place"),
    _of("member", "attributes.work.months", "务工月数", "integer", "务工时间", "务工时长", name="work_months"),
    _of("member", "attributes.work.monthly_fen", "务工月收入", "yuan", name="work_monthly_fen"),
    _of("member", "attributes.insurance.resident_medical", "城乡居民医保", "flag", "城乡居民基本医疗保险",
        "是否参加城乡居民基本医疗保险", "新农合", "是否参加新农合"),
    _of("member", "attributes.insurance.employee_medical", "职工医保", "flag", "城镇职工基本医疗保险",
        "是否参加城镇职工基本医疗保险"),
    _of("member", "attributes.insurance.critical_illness", "大病保险", "flag", "是否参加大病保险"),
    _of("member", "attributes.insurance.pension", "居民养老保险", "flag", "城乡居民基本养老保险",
        "是否参加城乡居民基本养老保险"),
    _of("member", "attributes.dibao", "享受低保", "flag", "是否享受低保", "是否低保"),
    _of("member", "attributes.tekun", "特困供养", "flag", "是否特困供养", "是否五保"),
    _of("member", "attributes.in_service", "现役军人", "flag", "是否现役军人"),
    _of("member", "attributes.political_status", "政治面貌", "code", codes="political_status"),
    _of("member", "joined_on", "加入日期", "day", "增加日期", "加入时间"),
    Column("presence", "生存状态", "aside", "presence", (), ("人员状态", "成员状态"), "presence"),
    Column("sequence", "序号", "aside", "text", (), ("编号", "号")),
    Column("remark", "备注", "aside", "text", (), ("说明", "附注")),
    Column("errors", ERRORS["zh"], "aside", "text", (), (ERRORS["en"],)),
)  # fmt: skip
"""In the order of the template. Names of the national register and of common forms are synonyms."""


EXAMPLE: Mapping[str, Any] = {
    "county": "西峡县", "township": "西坪镇", "village": "下营村", "standing": "未脱贫", "registered_on": "2014-05-01",
    "cause": "因病", "welfare": "低保", "name": "测试甲", "relation": "户主", "id_number": "411399196803120018",
    "ethnicity": "汉族", "employable": "普通劳动力", "health": "长期慢性病", "phone": "13800000000",
    "income_year": "2018", "wages_fen": 12000, "education": "小学", "resident_medical": "是",
}  # fmt: skip
"""What the template's example row says: nobody real, and passed over where a clerk leaves it in."""


@cache
def by_name() -> dict[str, Column]:
    """Columns by stable name."""
    return {column.name: column for column in COLUMNS}


@cache
def by_header() -> dict[str, Column]:
    """Columns by everything clerks call them, as ``headers.plain`` makes it."""
    found = {plain(synonym): column for column in COLUMNS for synonym in (column.label_zh, *column.synonyms)}
    return found | {column.name: column for column in COLUMNS}


def pointer_to(column: Column, member: int | None = None) -> str:
    """The JSON pointer to what a column says of a household, or of the member at this place."""
    if column.subject == "place":
        return "/village"
    above = {"member": f"/members/{member}", "income": "/incomes/0"}.get(column.subject, "")
    return "/".join([above, *column.path])


def of_pointer(pointer: str) -> tuple[Column, int | None] | None:
    """The column a fault's pointer is about, and the place of the member; None where no column holds it.

    A pointer to something in between, such as ``/incomes/0``, means the first column below it; one to a whole member
    the name, and one to all members the relation, which is what is wrong with them together.
    """
    steps = [step for step in pointer.split("/") if step]
    subject: Subject = "household"
    member: int | None = None
    if steps[:1] == ["members"]:
        member = int(steps[1]) if len(steps) > 1 and steps[1].isdecimal() else None
        subject, steps = "member", steps[2:] or ["relation" if member is None else "name"]
    elif steps[:1] == ["incomes"]:
        subject, steps = "income", steps[2:] or ["year"]
    elif steps[:1] == ["village"]:
        return by_name()["village"], None
    for column in COLUMNS:
        if column.subject == subject and column.path[: len(steps)] == tuple(steps):
            return column, member
    return None
