"""What a cell says: text, codes, days and amounts in the many ways clerks write them.

Pure, and part of the reading process: it knows the words of the code lists from what it is told.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from services.registry.imports.columns import Column
from services.registry.imports.sheets.cells import Cell
from shared.faults import Text

EthnicityCodes = Literal["gb", "form_a"]
"""Numbers in a column of ethnicity: those of GB/T 3304, or of form A, which numbers 02 to 11 otherwise."""
Parser = Callable[[Cell], Any]
Vocabulary = Mapping[str, Mapping[str, str]]
"""By code list, everything its terms may be called, as ``key`` makes it, with their codes."""

_YEARS = r"((?:19|20)[0-9]{2})"
_DAYS = (
    re.compile(_YEARS + r"[-/.、]([0-9]{1,2})[-/.、]([0-9]{1,2})(?:[ T]0?0:00(?::00)?)?"),  # Excel's CSV adds 0:00
    re.compile(_YEARS + r"年([0-9]{1,2})月([0-9]{1,2})[日号]"),
    re.compile(_YEARS + r"([0-9]{2})([0-9]{2})"),
)
_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("是", "有", "√", "✓", "✔", "☑", "y", "yes", "true", "1", "对", "已", "已参加", "享受"), True),
    **dict.fromkeys(("否", "无", "没有", "×", "x", "n", "no", "false", "0", "不", "未", "未参加", "不享受"), False),
}
_BLANK = frozenset({"", "-", "--", "—", "——", "/", "\\", "\u3000"})
_NONE = frozenset({"无", "没有", "暂无"})
"""How clerks fill a cell for what somebody does not have, such as a phone."""
_CELLS = frozenset({"=", "+", "-", "@", "\t"})
_SCIENTIFIC = re.compile(r"[0-9](?:\.[0-9]+)?[eE]\+?[0-9]+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Marks that come along when a number is copied out of a web page, a chat or a dialogue."""
_SEPARATORS = re.compile(r"[,，、;；/|\s]+")
_LEVELS = {"一": 1, "二": 2, "三": 3, "四": 4, "1": 1, "2": 2, "3": 3, "4": 4}
_COUNTED_IN = re.compile(r"[,\s¥]|元$|亩$|平方米?$|平米$|m[2²]$|公里$|千米$|km$|个?月$|人$|年$", re.I)
_SERIAL = range(10_000, 73_051)
"""Days since 1900, of 1927 to 2099: what a sheet holds of a day in a column that is not formatted as one."""
_EXACT = 10**15
"""Up to here a number cell holds every digit."""
_OURS = frozenset({"number", "person_number", "village_code"})
_UNITS = {"元": 100, "万元": 1_000_000, "分": 1, "百元": 10_000, "千元": 100_000}
_FORM_A = {"02": "11", "03": "03", "04": "02", "05": "04", "06": "05", "07": "06", "08": "07", "09": "08", "10": "09",
           "11": "10"}  # fmt: skip
"""domain.md 1.4: 02 满, 03 回, 04 蒙古, 05 藏, 06 维吾尔, 07 苗, 08 彝, 09 壮, 10 布依, 11 朝鲜."""
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


def says_none(cell: Cell) -> bool:
    """Whether a cell says that there is no such thing."""
    return isinstance(cell, str) and cell.strip() in _NONE


def _bare(cell: Cell) -> str:
    """A number or a day as text: narrow, without marks that nobody sees and the apostrophe that makes it text."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", as_text(cell))).strip()
    return text[1:] if text[:1] in ("'", "\u2019") else text


def parser(column: Column, unit: str, vocabulary: Vocabulary, ethnicity_codes: EthnicityCodes | None) -> Parser:
    """How the cells of a column are read; None: they say that there is none. ``unit``: the header's, in brackets."""
    words = vocabulary.get(column.code_list, {})
    match column.kind:
        case "code" | "employable":
            return lambda cell: _code(cell, words)
        case "codes":
            return lambda cell: _several(cell, words)
        case "welfare":
            return lambda cell: _WELFARE[_word(as_text(cell), words)]
        case "ethnicity":
            return lambda cell: _ethnicity(cell, words, ethnicity_codes)
        case "presence":
            return lambda cell: _present(cell, words)
        case "yuan":
            factor = _UNITS.get(unit, 100)
            return lambda cell: _fen(cell, factor)
        case "identifier" if column.name in _OURS:
            return _our_number
        case _:
            return _PLAIN[column.kind]


def unit_of(header: str) -> str:
    """What stands in brackets after a name: 元, 万元, 亩."""
    found = re.search(r"[(\[【]([^)\]】]*)[)\]】]\s*$", unicodedata.normalize("NFKC", header))
    return found.group(1).strip() if found else ""


def _our_number(cell: Cell) -> str | None:
    """Numbers of ours and codes of villages: as short as they are, a number cell keeps every digit."""
    exact = type(cell) is int and 0 <= cell < _EXACT
    return str(cell) if exact else _identifier(cell)


def _identifier(cell: Cell) -> str | None:
    """ID numbers and other long numbers, which a number cell cuts to fifteen digits."""
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        raise _format_as_text()
    if isinstance(cell, str) and cell.isascii() and cell.isdecimal():
        return cell
    if says_none(cell):
        return None
    text = _bare(cell).replace(" ", "")
    if _SCIENTIFIC.fullmatch(text):
        raise _format_as_text()
    return text


def _format_as_text() -> CellError:
    return CellError(
        "number_as_text",
        "stored as a number, which loses digits: format the column as text and enter it again",
        "以数值格式保存会丢失位数:请将该列设为文本格式后重新录入",
    )


def _phone(cell: Cell) -> str | None:
    return None if says_none(cell) else _bare(cell).replace(" ", "").replace("-", "").removeprefix("+86")


def _name(cell: Cell) -> str:
    text = as_text(cell)
    return text if text.isalpha() or not _chinese(text) else re.sub(r"\s+", "", text)


def _chinese(text: str) -> bool:
    """Clerks spread two characters over the width of three: 张 三."""
    return all(each >= "\u3400" or each.isspace() for each in text)


@lru_cache(maxsize=1024)  # a column of codes says the same few words all the way down
def key(text: str) -> str:
    """A word without what clerks add to it or leave out: spaces, brackets, full width, capitals."""
    return re.sub(r"[\s()（）\[\]、·.]+", "", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))).lower()


def _code(cell: Cell, words: Mapping[str, str]) -> str | None:
    found = words.get(cell) if isinstance(cell, str) else None  # written as in the list, as most are
    return found or (None if says_none(cell) and key("无") not in words else _word(as_text(cell), words))


def _word(text: str, words: Mapping[str, str]) -> str:
    found = words.get(key(text))
    if found is None:
        raise CellError("unknown_code", "not a word, code or label of this list", "不在代码表中")
    return found


def _present(cell: Cell, words: Mapping[str, str]) -> str:
    """The national register's sheets keep those who died or left among the members, where they are members no more."""
    found = _word(as_text(cell), words)
    if found != "active":
        raise CellError(
            "not_present",
            "no member any more: leave the row out, and record a death or departure as a change",
            "该人员已不在户(死亡、转出或清退):请删除该行,死亡、转出请办理人员变更",
        )
    return found


def _several(cell: Cell, words: Mapping[str, str]) -> list[str] | None:
    found = [_code(part, words) for part in _SEPARATORS.split(as_text(cell)) if part]
    return list(dict.fromkeys(each for each in found if each is not None)) or None


def _ethnicity(cell: Cell, words: Mapping[str, str], numbering: EthnicityCodes | None) -> str:
    text = key(as_text(cell))
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
    found = words.get(text) or words.get(text + "族")
    if found is None:
        raise CellError("unknown_code", "not an ethnicity of GB/T 3304", "不在民族代码表中")
    return found


def _flag(cell: Cell) -> bool:
    if isinstance(cell, bool):
        return cell
    found = _FLAGS.get(key(as_text(cell)))
    if found is None:
        raise CellError("flag", "是 or 否", "须填 是 或 否")
    return found


def _day(cell: Cell) -> date:
    if isinstance(cell, date):
        return cell
    text = re.sub(r"\s*([-/.年月日号])\s*", r"\1", _bare(cell))
    for pattern in _DAYS:
        found = pattern.fullmatch(text)
        if found:
            try:
                return date(*map(int, found.groups()))
            except ValueError as error:
                raise CellError("day", "no such day", "日期不存在") from error
    if text.isdecimal() and int(text) in _SERIAL:  # which day it is depends on the workbook
        raise CellError("day", "a number: format the column as a date", "为数字而非日期:请将该列单元格格式设为日期")
    raise CellError("day", "a day such as 2018-10-05 or 2018年10月5日", "日期须如 2018-10-05 或 2018年10月5日")


def _decimal(cell: Cell) -> Decimal:
    if isinstance(cell, int):
        return Decimal(cell)
    text = _COUNTED_IN.sub("", _bare(cell))
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


def _level(cell: Cell) -> int | None:
    if says_none(cell):
        return None
    found = _LEVELS.get(key(as_text(cell)).removesuffix("级"))
    if found is None:
        raise CellError("level", "1 to 4", "须为一级至四级")
    return found


_PLAIN: Mapping[str, Parser] = {
    "text": as_text, "identifier": _identifier, "phone": _phone, "name": _name, "flag": _flag, "day": _day,
    "decimal": _decimal, "integer": _integer, "level": _level,
}  # fmt: skip
