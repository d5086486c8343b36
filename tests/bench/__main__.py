"""``./bangfu bench``: runs the benchmarks and prints their table."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.bench import b1, b3, b4, b6, b7, peers, profiling
from tests.bench.ground import Ground, own_ground
from tests.bench.measure import Result, VoidRunError


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long a run of each benchmark takes, in seconds (B3: events; B7: one household for so many of the city's)."""

    b1: float = 3.0
    b3: int = b3.EVENTS
    b4: float = 15.0
    b6: float = 2.0
    b7: int = 10


QUICK = Sizes(b1=1.0, b3=5_000, b4=2.0, b6=0.5, b7=500)
FULL = Sizes(b1=10.0, b4=60.0, b6=10.0, b7=1)
Say = Callable[[str], None]
Bench = Callable[[Ground, int, Sizes, Say], list[Result]]
BENCHES: dict[str, Bench] = {
    "B1": lambda ground, runs, sizes, say: b1.run(ground, runs, sizes.b1, say),
    "B3": lambda ground, runs, sizes, say: b3.run(ground, runs, sizes.b3, say),
    "B4": lambda ground, runs, sizes, say: b4.run(ground, runs, sizes.b4, say),
    "B6": lambda ground, runs, sizes, say: b6.run(ground, runs, sizes.b6, say),
    "B7": lambda ground, runs, sizes, say: b7.run(ground, runs, sizes.b7, say),
}


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    sizes = QUICK if chosen.quick else FULL if chosen.full else Sizes()
    runs = chosen.runs or (1 if chosen.quick else 5)
    if chosen.with_peers:
        say("installing the peers ...")
        peers.install()
    with own_ground() as ground:
        if chosen.profile:
            return _profile(ground, chosen.profile[0], Path(chosen.profile[1]), sizes)
        results, failures = measure(ground, chosen.only, runs, sizes)
    if chosen.json:
        chosen.json.write_text(json.dumps([each.as_json() for each in results], indent=2, ensure_ascii=False) + "\n")
    Console(width=None if sys.stdout.isatty() else 120).print(table(results))
    for failure in failures:
        say(failure)
    return 1 if failures else 0


def measure(ground: Ground, names: list[str], runs: int, sizes: Sizes) -> tuple[list[Result], list[str]]:
    """Run the named benchmarks one after another; one that fails does not stop the others."""
    results: list[Result] = []
    failures: list[str] = []
    for name in names:
        say(f"{name} ...")
        try:
            results += BENCHES[name](ground, runs, sizes, lambda line, name=name: say(f"{name} {line}"))  # type: ignore[misc]
        except (VoidRunError, RuntimeError) as error:
            failures.append(f"{name} is void: {error}")
    return results, failures


def table(results: list[Result]) -> Table:
    """What was measured, for people."""
    load = os.getloadavg()[0]
    shown = Table(
        title="Bangfu benchmarks: medians",
        caption=f"ratio: project / other (of ms, less is better); {os.cpu_count()} processors, load {load:.1f}",
        box=SIMPLE_HEAD,
    )
    shown.add_column("")
    shown.add_column("work", min_width=24)
    for name in ("unit", "project", "floor", "peer", "/ floor", "/ peer", "spread", "runs"):
        shown.add_column(name, justify="right", no_wrap=True)
    for each in results:
        no_peer = each.id == b3.LINE.id and each.peer is None
        shown.add_row(
            each.id, each.work, each.unit, _number(each.project), _number(each.floor),
            "not installed" if no_peer else _number(each.peer), _ratio(each.ratio_floor), _ratio(each.ratio_peer),
            "-" if each.spread is None else f"{each.spread:.0%}", str(each.runs),
        )  # fmt: skip
        if no_peer:
            shown.caption = f"{shown.caption}\n{peers.HOW_TO}"
    return shown


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _profile(ground: Ground, name: str, file: Path, sizes: Sizes) -> int:
    if name == b1.LINE.id:
        profiling.profile_b1(ground, sizes.b1, file)
    else:
        profiling.profile_b3(ground, sizes.b3, file)
    print(profiling.summary(file.read_text()))
    return 0


def _names(text: str) -> list[str]:
    names = text.upper().split(",")
    if unknown := [name for name in names if name not in BENCHES]:
        raise argparse.ArgumentTypeError(f"no benchmark {unknown[0]}; there are {', '.join(BENCHES)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./bangfu bench", description="Run the benchmarks and print their table.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file, too")
    parser.add_argument("--only", type=_names, default=list(BENCHES), metavar="B1,B3", help="these only")
    parser.add_argument("--runs", type=int, choices=range(1, 101), metavar="N", help="runs of each side (default 5)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one tiny run: shows that it works, measures nothing")
    size.add_argument("--full", action="store_true", help="longer runs; B4 for 60 s")
    parser.add_argument("--with-peers", action="store_true", help="install Quix Streams and py-spy into .venv.bench")
    parser.add_argument("--profile", nargs=2, metavar=("B1|B3", "FILE"), help="profile the project's side instead")
    return parser


if __name__ == "__main__":
    sys.exit(main())
