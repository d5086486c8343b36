"""What the reading process is told of the city and of the file: words of the code lists, villages, saved mappings."""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, lru_cache

from services.registry.codes.service import code_lists
from services.registry.households.judging import Surroundings
from services.registry.imports.columns import COLUMNS
from services.registry.imports.records import Instruction
from services.registry.imports.sheets.groups import Meaning
from services.registry.imports.values import Vocabulary, key
from services.registry.imports.villages import Village
from shared.contracts.division import DivisionTree

_OF_POVERTY: Mapping[str, str] = {
    "因病致贫": "illness", "因残致贫": "disability", "因学致贫": "schooling", "因灾致贫": "disaster",
    "因病返贫": "illness", "因残返贫": "disability", "因学返贫": "schooling", "因灾返贫": "disaster",
    "缺少土地": "lack_of_land", "缺少技术": "lack_of_skills", "缺少劳力": "lack_of_labour",
    "缺劳动力": "lack_of_labour", "缺少劳动力": "lack_of_labour", "缺少资金": "lack_of_funds",
}  # fmt: skip
_MORE_WORDS: Mapping[str, Mapping[str, str]] = {
    "relation": {
        "本人": "head", "户主本人": "head", "妻": "spouse", "妻子": "spouse", "夫": "spouse", "丈夫": "spouse",
        "儿子": "son", "长子": "son", "次子": "son", "三子": "son", "独生子": "son", "女儿": "daughter",
        "长女": "daughter", "次女": "daughter", "三女": "daughter", "独生女": "daughter", "儿媳": "daughter_in_law",
        "媳妇": "daughter_in_law", "父亲": "father", "母亲": "mother", "爷爷": "grandfather", "奶奶": "grandmother",
        "外公": "mothers_father", "外婆": "mothers_mother", "兄弟姐妹": "other", "曾孙子": "other", "曾孙女": "other",
        "侄儿": "other", "侄女": "other", "兄弟媳妇": "other", "叔伯": "other",
    },
    "cause": _OF_POVERTY, "other_cause": _OF_POVERTY, "relapse_cause": _OF_POVERTY,
    "sex": {"男性": "male", "女性": "female"},
    "schooling": {"否": "none", "无": "none", "不在校": "none", "非在校": "none"},
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
    "employable": {"技能劳动力": "skilled", "02": "skilled", "2": "skilled", "半劳动力": "partial",
                   "弱劳动力": "partial", "弱劳动力半劳动力": "partial", "普通": "full", "丧失": "lost", "无": "none",
                   "丧失劳动能力": "lost", "无劳动能力": "none"},
    "political_status": {"中共党员": "party_member", "团员": "league_member"},
}  # fmt: skip


def meaning_of(instruction: Instruction, around: Surroundings) -> Meaning:
    """What the cells of a file mean that came with this instruction."""
    return Meaning(
        columns=dict(instruction.columns),
        ethnicity_codes=instruction.ethnicity_codes,
        source=instruction.source,
        vocabulary=vocabulary(),
        villages=villages_of(around.tree, around.caller.divisions, around.today),
    )


@lru_cache(maxsize=4)  # takes some fifty milliseconds; tree and callers stay for many files
def villages_of(tree: DivisionTree, divisions: tuple[str, ...], day: date) -> Sequence[Village]:
    """The villages that lie in some divisions on a day, as they are called on it."""
    found, scope = [], frozenset(divisions)
    for village in tree:
        path = tree.path(village.code, day) if village.level == "village" else None
        if path is None or scope.isdisjoint(path.scopes()):
            continue
        township = tree.get(path.township or "")
        above = [tree.get(code) for code in {path.county, path.managing_unit}]
        found.append(
            Village(
                village.code,
                village.name_on(day),
                "" if township is None else township.name_on(day),
                [unit.name_on(day) for unit in above if unit is not None],
            )
        )
    return found


@cache
def vocabulary() -> Vocabulary:
    """Everything that the terms of every list may be called that a column is filled from."""
    return {column.code_list: _words(column.code_list) for column in COLUMNS if column.code_list}


def _words(name: str) -> Mapping[str, str]:
    """Word, national code, label, label without 之, and what clerks say, which goes before them."""
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
                found.setdefault(key(said), term.code)
    return found | {key(said): code for said, code in _MORE_WORDS.get(name, {}).items()}
