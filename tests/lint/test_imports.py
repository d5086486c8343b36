"""House rules of architecture.md as lint: each failure says the rule and where it is broken.

An exception needs a comment ``# lint: allow <rule> - <reason>`` on the line of the import.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.http.problems import MESSAGES

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("registry", "assistance", "ranking")
LAYERS = ("models", "rules", "service", "api")
"""A layer may import those before it (api -> service -> rules, models), and ``schemas`` may be imported by all."""
IMPURE = (
    "sqlalchemy",
    "asyncpg",
    "aiokafka",
    "httpx",
    "fastapi",
    "shared.db",
    "shared.clock.SystemClock",
    "time",
    "random",
)
_ALLOWED = re.compile(r"# lint: allow ([a-z-]+) - \S+")


def python_files(*folders: str) -> list[Path]:
    return sorted(p for folder in folders for p in (ROOT / folder).rglob("*.py") if ".venv" not in p.parts)


def imports(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, dotted name and whether it is imported at module level, of everything a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}", id(node) in top


def allowed(path: Path, line: int, rule: str) -> bool:
    text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    match = _ALLOWED.search(text)
    return match is not None and match.group(1) == rule


def broken(path: Path, line: int, rule: str, why: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {rule}: {why}"


def service_imports(path: Path) -> list[str]:
    own = path.relative_to(ROOT / "services").parts[0]
    return [
        broken(path, line, "other-service", f"{own} imports {name}; services share contracts only")
        for line, name, _ in imports(path)
        if name.startswith("services.") and name.split(".")[1] != own and not allowed(path, line, "other-service")
    ]


def upward_imports(path: Path) -> list[str]:
    """A slice's layers import one way; another slice's tables are out of reach."""
    parts = path.relative_to(ROOT / "services").parts
    if len(parts) != 3 or parts[1] == "migrations":
        return []
    service, slice_name, layer = parts[0], parts[1], path.stem
    found = []
    for line, name, _ in imports(path):
        steps = name.split(".")
        if steps[:2] != ["services", service] or len(steps) < 4:
            continue
        other_slice, other = steps[2], steps[3]
        if other == "models" and other_slice != slice_name and not allowed(path, line, "other-tables"):
            found.append(broken(path, line, "other-tables", f"use {other_slice}.service, never its tables"))
        if layer in LAYERS and other in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
            found.append(broken(path, line, "upward", f"{layer} imports {other}; imports run api -> service -> rules"))
    return found


def impure_rules(path: Path) -> list[str]:
    if path.stem != "rules":
        return []
    return [
        broken(path, line, "impure-rules", f"rules are values in, values out; {name} is not")
        for line, name, _ in imports(path)
        if any(name == bad or name.startswith(bad + ".") for bad in IMPURE) and not allowed(path, line, "impure-rules")
    ]


def shared_imports(path: Path) -> list[str]:
    return [
        broken(path, line, "shared-domain", f"shared imports {name}; it knows no service")
        for line, name, _ in imports(path)
        if name.startswith(("services", "deploy", "tests"))
    ]


def test_no_service_imports_another() -> None:
    assert not [fault for path in python_files("services") for fault in service_imports(path)]


def test_layers_import_one_way() -> None:
    assert not [fault for path in python_files("services") for fault in upward_imports(path)]


def test_rules_are_pure() -> None:
    assert not [fault for path in python_files("services") for fault in impure_rules(path)]


def test_shared_knows_no_service() -> None:
    assert not [fault for path in python_files("shared") for fault in shared_imports(path)]


def test_nothing_is_called_utils() -> None:
    rooms = {"utils", "helpers", "common", "misc"}
    assert not [
        str(p.relative_to(ROOT)) for p in python_files("shared", "services", "deploy", "tests") if p.stem in rooms
    ]


SERVICE, KEYS = "from services.registry.households.service import x", "from services.registry.keys.models import x"


@pytest.mark.parametrize(
    ("name", "source", "check", "rule"),
    [
        ("registry/households/api.py", "from services.ranking.facts import rules", service_imports, "other-service"),
        ("registry/households/rules.py", SERVICE, upward_imports, "upward"),
        ("registry/households/service.py", KEYS, upward_imports, "other-tables"),
        ("ranking/tables/rules.py", "import asyncpg", impure_rules, "impure-rules"),
    ],
)
def test_the_rules_catch_what_they_forbid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str, check: object, rule: str
) -> None:
    monkeypatch.setattr("tests.lint.test_imports.ROOT", tmp_path)
    path = tmp_path / "services" / name
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert callable(check)
    found = check(path)
    assert len(found) == 1
    assert f": {rule}:" in found[0]


def unexplained(source: str) -> list[str]:
    """Codes that a validator raises without words in both languages: ``shared.errors.unfit`` has them."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    raised = [each.args[0] for each in calls if ast.unparse(each.func) == "PydanticCustomError"]
    codes = [ast.literal_eval(code) for code in raised if isinstance(code, ast.Constant)]
    return [code for code in codes if code not in MESSAGES]


def test_every_fault_of_a_validator_is_explained() -> None:
    assert not [code for path in python_files("shared", "services") for code in unexplained(path.read_text("utf-8"))]
    assert unexplained('raise PydanticCustomError("odd", "odd")') == ["odd"]
