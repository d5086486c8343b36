"""The code lists, read once from the data file beside this one."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from services.registry.codes.rules import CodeList, Term

_DATA = Path(__file__).parent / "data" / "code_lists.toml"


@cache
def code_lists() -> Mapping[str, CodeList]:
    """Every list by name, with the terms of all years."""
    read = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    return {
        name: CodeList(
            name,
            entry["label_zh"],
            entry["field"],
            entry["describes"],
            [Term(t["code"], t["national"], t["label_zh"], t.get("from"), t.get("to")) for t in entry["terms"]],
        )
        for name, entry in read.items()
    }


@cache
def labels(name: str) -> Mapping[str, str]:
    """What the words of a list mean, in its order."""
    return {term.code: term.label_zh for term in code_lists()[name].terms}


@cache
def words(name: str) -> frozenset[str]:
    """The words of a list, of all years."""
    return frozenset(term.code for term in code_lists()[name].terms)
