"""Runs in alternating order, medians and spreads; what one line of the benchmark's table says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

Side = Callable[[int], Mapping[str, float]]
"""Measures one run of one side (its number is given): a value for each line of the table."""

PROJECT, FLOOR, PEER = "project", "floor", "peer"


class VoidRunError(Exception):
    """A run did not do the work it claims to have done: its time says nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table before it is measured. ``id`` is its name in the design page."""

    id: str
    work: str
    unit: str


@dataclass(frozen=True, slots=True)
class Result:
    """A measured line: medians over the runs. Ratios are project / floor and project / peer, whatever the unit."""

    id: str
    work: str
    unit: str
    project: float | None
    floor: float | None
    peer: float | None
    ratio_floor: float | None
    ratio_peer: float | None
    runs: int
    spread: float | None
    """(max - min) / median of the project's runs."""

    def as_json(self) -> dict[str, Any]:
        return {name: _rounded(value) for name, value in asdict(self).items()}


def alternate(sides: Mapping[str, Side], runs: int, say: Callable[[str], None]) -> dict[str, list[Mapping[str, float]]]:
    """Measure every side ``runs`` times; each run begins with another side, so that none is always first."""
    samples: dict[str, list[Mapping[str, float]]] = {name: [] for name in sides}
    names = list(sides)
    for run in range(runs):
        for name in names[run % len(names) :] + names[: run % len(names)]:
            found = sides[name](run)
            samples[name].append(found)
            say(f"run {run + 1}/{runs} {name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in found.items()))
    return samples


def result(line: Line, samples: Mapping[str, Sequence[Mapping[str, float]]]) -> Result:
    """The line's medians; a side that was not measured has none."""
    values = {name: [run[line.id] for run in runs if line.id in run] for name, runs in samples.items()}
    middle = {name: median(found) if found else None for name, found in values.items()}
    project = values.get(PROJECT, [])
    return Result(
        line.id,
        line.work,
        line.unit,
        middle.get(PROJECT),
        middle.get(FLOOR),
        middle.get(PEER),
        _ratio(middle.get(PROJECT), middle.get(FLOOR)),
        _ratio(middle.get(PROJECT), middle.get(PEER)),
        max(map(len, values.values()), default=0),
        (max(project) - min(project)) / median(project) if project else None,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed. Raises ``VoidRunError`` on none."""
    if not values:
        raise VoidRunError("nothing was measured")
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
