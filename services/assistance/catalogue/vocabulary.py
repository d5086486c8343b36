"""The catalogue's data files: sectors, policy vocabulary, and the programmes the article names."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.contracts.programme import ActionKind, ProgrammeEvent, Rollout

DATA = Path(__file__).parent / "data"
CITY = "411300000000"
PROGRAMME_FILES = ("visits", "industry", "security", "aspiration", "living", "party")


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the policy vocabulary, for example ``batch:relocation`` 易地搬迁脱贫一批."""

    tag: str
    group_zh: str
    label_zh: str


def sectors() -> dict[str, str]:
    """Sector codes with their Chinese labels, in the order tables list them."""
    return dict(_read("sectors"))


def terms() -> list[Term]:
    """The policy vocabulary 政策用语, namespaced (domain.md 3)."""
    return [
        Term(f"{namespace}:{code}", group["label"], label)
        for namespace, group in _read("vocabulary").items()
        for code, label in group["terms"].items()
    ]


def article_programmes() -> list[ProgrammeEvent]:
    """The article's programmes as version 1 of each."""
    return [_programme(entry) for name in PROGRAMME_FILES for entry in _read(name)["programme"]]


def _read(name: str) -> dict[str, Any]:
    with (DATA / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def _programme(entry: Mapping[str, Any]) -> ProgrammeEvent:
    return ProgrammeEvent.model_validate(
        {
            "code": entry["code"],
            "version": 1,
            "status": "active",
            "label_zh": entry["label"],
            "class": entry["class"],
            "issuer": entry.get("issuer", CITY),
            "rollout": [Rollout(**step) for step in entry.get("rollout", [])],
            "sector": entry["sector"],
            "tags": entry["tags"],
            "serves": entry["serves"],
            "kinds": [_kind(kind) for kind in entry["kind"]],
            "valid_from": entry["valid_from"],
        }
    )


def _kind(entry: Mapping[str, Any]) -> ActionKind:
    return ActionKind(
        code=entry["code"],
        label_zh=entry["label"],
        unit_zh=entry["unit"],
        serves=entry.get("serves"),
        details_schema=details_schema(entry["label"], entry.get("details", {})),
    )


def details_schema(title: str, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON Schema of a kind's details from its fields; ``required`` is a mark on the field in the files."""
    return {
        "type": "object",
        "title": title,
        "additionalProperties": False,
        "properties": {
            name: {key: value for key, value in field.items() if key != "required"} for name, field in fields.items()
        },
        "required": [name for name, field in fields.items() if field.get("required")],
    }
