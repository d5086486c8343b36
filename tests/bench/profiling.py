"""Where the project's time goes: py-spy's samples of one run of B1 or B3, as collapsed stacks."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import b1, b3, peers, world
from tests.bench.ground import Ground

RATE = 100
_LINE = re.compile(r":\d+\)")


def profile_b1(ground: Ground, seconds: float, file: Path) -> None:
    """Sample the assistance service while it is under load; stacks go to ``file``."""
    recording = b1.Recording(ground, seconds)
    recording.beside = lambda pid: sampled(pid, seconds, file)
    recording.project(0)


def profile_b3(ground: Ground, events: int, file: Path) -> None:
    """Sample the consumer of facts from its start to its end; stacks go to ``file``."""
    consuming = b3.Consuming(ground, world.Actions(events))
    consuming.around = [*_record(file), "--"]
    consuming.project(0)


@contextmanager
def sampled(pid: int, seconds: float, file: Path) -> Iterator[None]:
    """Sample a process while the context lasts, at most for ``seconds``."""
    command = [*_record(file), "--pid", str(pid), "--duration", str(max(1, int(seconds)))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield
        process.wait(timeout=seconds + 30)


def summary(stacks: str, lines: int = 30) -> str:
    """The functions that held the processor most often, by themselves and with what they called."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, count = line.rsplit(" ", 1)
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    total = max(1, own.total())
    rows = [f"{own[name] / total:6.1%} {whole[name] / total:6.1%}  {name}" for name, _ in own.most_common(lines)]
    return "\n".join(["   own   with callees", *rows])


def _record(file: Path) -> list[str]:
    program = peers.profiler()
    if program is None:
        raise RuntimeError("py-spy is not installed; ./bangfu bench --with-peers installs it")
    # Not stopping the process costs some samples, but stopping it costs half its speed.
    return [str(program), "record", "--nonblocking", "--rate", str(RATE), "--format", "raw", "--output", str(file)]
