"""Identity data 身份信息 as others may see it: masked 脱敏 (domain.md 8). Pure."""

import re

_COMPOUND = {
    "欧阳", "太史", "端木", "上官", "司马", "东方", "独孤", "南宫", "万俟", "闻人", "夏侯", "诸葛", "尉迟", "公羊",
    "赫连", "澹台", "皇甫", "宗政", "濮阳", "公冶", "太叔", "申屠", "公孙", "慕容", "仲孙", "钟离", "长孙", "宇文",
    "司徒", "鲜于", "司空", "闾丘", "令狐", "百里", "东郭", "呼延", "淳于", "单于", "轩辕", "亓官", "司寇", "子车",
    "颛孙", "巫马", "公西", "漆雕", "乐正", "壤驷", "公良", "拓跋", "夹谷", "宰父", "谷梁", "段干", "南门", "东门",
    "西门", "第五", "左丘", "梁丘", "微生", "羊舌",
}  # fmt: skip
DOTS = "\u00b7\u2022\u2027\u2219\u22c5\u30fb\uff65"
"""The dots in names of other peoples, as they are typed."""
_PARTS = re.compile(rf"[\s{DOTS}.\uff0e-]")


def masked_name(name: str) -> str:
    """A name as others may see it: 张*丰, 张*, 欧阳*; never more than the family name and the last character.

    What parts a name hides nothing of it: 张 丰, written as wide as names of three characters, is 张*.
    """
    name = _PARTS.sub("", name)
    family = 2 if name[:2] in _COMPOUND and len(name) > 2 else 1
    rest = len(name) - family
    if rest <= 0:
        return "*"
    return name[:family] + "*" * max(rest - 1, 1) + (name[-1] if rest > 1 else "")


def masked_id_number(number: str) -> str:
    """The first and the last two digits (domain.md 8: 6+4 would leave only the birth date to guess)."""
    return number[0] + "*" * (len(number) - 3) + number[-2:]


def masked_bank_card(number: str) -> str:
    """Four digits, stars, four digits."""
    return number[:4] + "*" * (len(number) - 8) + number[-4:]


def masked_phone(number: str) -> str:
    """Three digits, four stars, four digits."""
    return number[:3] + "****" + number[-4:]
