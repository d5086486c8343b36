"""What a cell says: text, codes, days and amounts in the many ways clerks write them. Pure."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any, Literal

from services.registry.codes.service import code_lists
from services.registry.imports.columns import Column
from services.registry.imports.sheets.cells import Cell
from shared.errors import Text

EthnicityCodes = Literal["gb", "form_a"]
"""Numbers in a column of ethnicity: those of GB/T 3304, or of form A, which numbers 02 to 11 otherwise."""
Parser = Callable[[Cell], Any]

_YEARS = r"((?:19|20)[0-9]{2})"
_DAYS = (
    re.compile(_YEARS + r"[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[ T]00:00(?::00)?)?"),
    re.compile(_YEARS + r"年([0-9]{1,2})月([0-9]{1,2})[日号]"),
    re.compile(_YEARS + r"([0-9]{2})([0-9]{2})"),
)
_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("是", "有", "√", "✓", "y", "yes", "true", "1", "对", "已", "已参加", "享受"), True),
    **dict.fromkeys(("否", "无", "没有", "×", "x", "n", "no", "false", "0", "不", "未", "未参加", "不享受"), False),
}
_BLANK = frozenset({"", "-", "--", "—", "——", "/", "\\", "\u3000"})
_CELLS = frozenset({"=", "+", "-", "@", "\t"})
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]+")
_LEVELS = {"一": 1, "二": 2, "三": 3, "四": 4, "1": 1, "2": 2, "3": 3, "4": 4}
_UNITS = {"元": 100, "万元": 1_000_000, "分": 1, "百元": 10_000, "千元": 100_000}
_FORM_A = {"02": "11", "03": "03", "04": "02", "05": "04", "06": "05", "07": "06", "08": "07", "09": "08", "10": "09",
           "11": "10"}  # fmt: skip
"""domain.md 1.4: 02 满, 03 回, 04 蒙古, 05 藏, 06 维吾尔, 07 苗, 08 彝, 09 壮, 10 布依, 11 朝鲜."""
_MORE_WORDS: Mapping[str, Mapping[str, str]] = {
    "relation": {
        "本人": "head", "户主本人": "head", "妻": "spouse", "妻子": "spouse", "夫": "spouse", "丈夫": "spouse",
        "儿子": "son", "长子": "son", "次子": "son", "三子": "son", "独生子": "son", "女儿": "daughter",
        "长女": "daughter", "次女": "daughter", "三女": "daughter", "独生女": "daughter", "儿媳": "daughter_in_law",
        "媳妇": "daughter_in_law", "父亲": "father", "母亲": "mother", "爷爷": "grandfather", "奶奶": "grandmother",
        "外公": "mothers_father", "外婆": "mothers_mother", "兄弟姐妹": "other", "曾孙子": "other", "曾孙女": "other",
        "侄儿": "other", "侄女": "other", "兄弟媳妇": "other", "叔伯": "other",
    },
    "standing": {"贫困": "poor", "贫困户": "poor", "未脱贫户": "poor", "已脱贫": "exited_supported",
                 "脱贫": "exited_supported", "脱贫户": "exited_supported", "返贫户": "relapsed",
                 "非贫困户": "ordinary"},
    "welfare": {"低保户": "dibao", "五保": "tekun", "五保户": "tekun", "特困": "tekun", "特困户": "tekun",
                "否": "none"},
    "housing_danger": {"无": "none", "不是": "none", "c": "grade_c", "d": "grade_d", "安全": "none"},
    "education": {"文盲": "illiterate", "半文盲": "illiterate", "文盲半文盲": "illiterate", "大专": "college",
                  "本科": "college", "中专": "senior_middle", "学前儿童": "preschool_child"},
    "health": {"良好": "healthy", "大病": "serious_disease", "慢性病": "chronic_disease",
               "患有慢性病": "chronic_disease"},
    "road": {"泥土": "dirt", "砂石": "gravel", "水泥": "cement", "沥青": "asphalt", "柏油路": "asphalt"},
    "employable": {"技能劳动力": "skilled", "02": "skilled", "半劳动力": "partial", "弱劳动力": "partial",
                   "弱劳动力半劳动力": "partial", "普通": "full", "丧失": "lost", "无": "none"},
    "political_status": {"中共党员": "party_member", "团员": "league_member"},
}  # fmt: skip
_WELFARE = {"01": "none", "05": "none", "04": "dibao", "02": "dibao", "06": "tekun", "03": "tekun",
            "07": "dibao_and_tekun", "08": "dibao_and_tekun"}  # fmt: skip
"""Welfare in 贫困户属性 AAC006, whatever the exit state is (domain.md 1.1)."""


class CellError(ValueError):
    """A cell that does not say what its column asks for; the cell is not repeated."""

    def __init__(self, code: str, en: str, zh: str) -> None:
        super().__init__(code)
        self.code, self.text = code, Text(en, zh)


def as_text(cell: Cell) -> str:
    """A cell as a person reads it, in one written form. Raises ``CellError`` for one without a value."""
    if isinstance(cell, str):
        text = cell.strip()
        return text[1:] if text[:1] == "'" and text[1:2] in _CELLS else text
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Mapping):
        if "e" in cell:
            raise CellError("cell_error", "holds an error value", "单元格为错误值")
        raise CellError("formula_without_value", "a formula without a saved value", "公式没有保存计算结果,请粘贴为数值")
    return str(cell)


def blank(cell: Cell) -> bool:
    return isinstance(cell, str) and cell.strip() in _BLANK


def parser(column: Column, unit: str, ethnicity_codes: EthnicityCodes | None) -> Parser:
    """How the cells of a column are read. ``unit`` is what its header says in brackets."""
    match column.kind:
        case "code":
            words = _words(column.code_list)
            return lambda cell: _code(cell, words)
        case "employable":
            words = _words("employable")
            return lambda cell: _code(cell, words)
        case "codes":
            words = _words(column.code_list)
            return lambda cell: _several(cell, words)
        case "welfare":
            words = _words("poverty_attribute")
            return lambda cell: _WELFARE[_code(cell, words)]
        case "ethnicity":
            return lambda cell: _ethnicity(cell, ethnicity_codes)
        case "yuan":
            factor = _UNITS.get(unit, 100)
            return lambda cell: _fen(cell, factor)
        case _:
            return _PLAIN[column.kind]


def unit_of(header: str) -> str:
    """What stands in brackets after a name: 元, 万元, 亩."""
    found = re.search(r"[(\[【]([^)\]】]*)[)\]】]\s*$", unicodedata.normalize("NFKC", header))
    return found.group(1).strip() if found else ""


def _identifier(cell: Cell) -> str:
    """ID numbers and other long numbers, which a number cell cuts to fifteen digits."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        raise _format_as_text()
    if isinstance(cell, str) and cell.isascii() and cell.isdecimal():
        return cell
    text = unicodedata.normalize("NFKC", as_text(cell)).replace(" ", "").removeprefix("'")
    if _SCIENTIFIC.fullmatch(text):
        raise _format_as_text()
    return text


def _format_as_text() -> CellError:
    return CellError(
        "number_as_text",
        "stored as a number, which loses digits: format the column as text and enter it again",
        "以数值格式保存会丢失位数:请将该列设为文本格式后重新录入",
    )


def _phone(cell: Cell) -> str:
    text = unicodedata.normalize("NFKC", as_text(cell))
    return text.replace(" ", "").replace("-", "").removeprefix("+86")


def _name(cell: Cell) -> str:
    text = as_text(cell)
    return text if text.isalpha() or not _chinese(text) else re.sub(r"\s+", "", text)


def _chinese(text: str) -> bool:
    """Clerks spread two characters over the width of three: 张 三."""
    return all(each >= "\u3400" or each.isspace() for each in text)


@lru_cache(maxsize=1024)  # a column of codes says the same few words all the way down
def _key(text: str) -> str:
    return re.sub(r"[\s()（）\[\]、·.]+", "", unicodedata.normalize("NFKC", text)).lower()


@cache
def _words(name: str) -> Mapping[str, str]:
    """Everything a list's terms may be called: word, national code, label, label without 之, and what clerks say."""
    found: dict[str, str] = {}
    for term in code_lists()[name].terms:
        for said in (
            term.national,
            term.national.lstrip("0"),
            term.label_zh,
            term.label_zh.removeprefix("之"),
            term.code,
        ):
            if said:
                found.setdefault(_key(said), term.code)
    return {_key(said): code for said, code in _MORE_WORDS.get(name, {}).items()} | found


def _code(cell: Cell, words: Mapping[str, str]) -> str:
    found = words.get(cell) if isinstance(cell, str) else None  # written as in the list, as most are
    found = found or words.get(_key(as_text(cell)))
    if found is None:
        raise CellError("unknown_code", "not a word, code or label of this list", "不在代码表中")
    return found


def _several(cell: Cell, words: Mapping[str, str]) -> list[str]:
    found = [_code(part, words) for part in re.split(r"[,，、;；/|\s]+", as_text(cell)) if part]
    return list(dict.fromkeys(found))


def _ethnicity(cell: Cell, numbering: EthnicityCodes | None) -> str:
    text = _key(as_text(cell))
    if text.isdecimal():
        code = text.zfill(2)
        if code in _FORM_A and numbering != "gb":
            if numbering is None:
                raise CellError(
                    "ethnicity_ambiguous",
                    "forms number 02 to 11 differently: write the name, or state the numbering in the mapping",
                    "02 至 11 的编号各表不一:请填民族名称,或在列映射中注明编号标准",
                )
            return _FORM_A[code]
        text = code
    words = _words("ethnicity")
    found = words.get(text) or words.get(text + "族")
    if found is None:
        raise CellError("unknown_code", "not an ethnicity of GB/T 3304", "不在民族代码表中")
    return found


def _flag(cell: Cell) -> bool:
    if isinstance(cell, bool):
        return cell
    found = _FLAGS.get(_key(as_text(cell)))
    if found is None:
        raise CellError("flag", "是 or 否", "须填 是 或 否")
    return found


def _day(cell: Cell) -> date:
    if isinstance(cell, date):
        return cell
    text = unicodedata.normalize("NFKC", as_text(cell)).replace(" 年", "年").strip()
    for pattern in _DAYS:
        found = pattern.fullmatch(text)
        if found:
            try:
                return date(*map(int, found.groups()))
            except ValueError as error:
                raise CellError("day", "no such day", "日期不存在") from error
    raise CellError("day", "a day such as 2018-10-05 or 2018年10月5日", "日期须如 2018-10-05 或 2018年10月5日")


def _decimal(cell: Cell) -> Decimal:
    if isinstance(cell, int):
        return Decimal(cell)
    text = unicodedata.normalize("NFKC", as_text(cell))
    text = re.sub(r"[,\s¥]|元$|亩$|平方米$|公里$|个?月$|人$|年$", "", text)
    if len(text) > 30 or not re.fullmatch(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?", text, re.ASCII):
        raise CellError("number", "a number", "须为数字")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise CellError("number", "a number", "须为数字") from error


def _fen(cell: Cell, factor: int) -> int:
    fen = _decimal(cell) * factor
    if fen != fen.to_integral_value():
        if isinstance(cell, float) and abs(fen - round(fen)) < Decimal("0.0001"):
            return round(fen)  # 0.1 + 0.2, as a sheet adds it up
        raise CellError("amount_decimals", "at most two decimals of a yuan", "金额最多两位小数")
    return int(fen)


def _integer(cell: Cell) -> int:
    number = _decimal(cell)
    if number != number.to_integral_value():
        raise CellError("integer", "a whole number", "须为整数")
    return int(number)


def _level(cell: Cell) -> int:
    found = _LEVELS.get(_key(as_text(cell)).removesuffix("级"))
    if found is None:
        raise CellError("level", "1 to 4", "须为一级至四级")
    return found


_PLAIN: Mapping[str, Parser] = {
    "text": as_text, "identifier": _identifier, "phone": _phone, "name": _name, "flag": _flag, "day": _day,
    "decimal": _decimal, "integer": _integer, "level": _level,
}  # fmt: skip
