"""What every command needs to speak with a terminal, and to run another program in it."""

import subprocess
import sys
from typing import NoReturn

import typer

from deploy.local.service import ROOT


def say(line: str) -> None:
    """One line about what is going on; on standard error, which scripts need not read."""
    print(f"bangfu: {line}", file=sys.stderr, flush=True)


def fail(line: str) -> NoReturn:
    """Say why and end with status 1."""
    say(line)
    raise typer.Exit(1)


def show(rows: list[tuple[str, ...]]) -> None:
    """Rows of words in columns, whole words whatever the width of the terminal."""
    for row in rows:
        print("".join(word.ljust(14 if i == 0 else 40) for i, word in enumerate(row)).rstrip())


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a program in the checkout to its end; Ctrl-C is the program's to handle."""
    process = subprocess.Popen(command, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
