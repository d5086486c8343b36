"""Loopback TCP ports: is one free, who holds it, which one else."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"
_held: list[socket.socket] = []


class PortTakenError(Exception):
    """A port we want is held by another program; the message names both."""


def require_free(port: int, part: str, host: str = LOOPBACK) -> None:
    """Raises PortTakenError unless a server could listen there now."""
    if not is_free(port, host):
        raise PortTakenError(f"port {port} for {part} is held by {holder(port)}")


def free_port() -> int:
    """A port that nobody is given until this process ends, while servers of ours may listen there and stop again."""
    held = socket.socket()
    held.bind((LOOPBACK, 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets in servers, who set it too
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


def claim(ports: Mapping[str, int]) -> bool:
    """Whether no other command is about to have these ports listened on; they are this one's until it ends.

    Between the look at a port and the server on it lie seconds, in which another command would choose the same.
    """
    claims = [socket.socket(socket.AF_UNIX) for _ in ports]
    for mark, port in zip(claims, ports.values(), strict=True):
        try:
            mark.bind(f"\0bangfu-port-{port}")  # an abstract name: it goes with whoever holds it
        except OSError:
            for each in claims:
                each.close()
            return False
    _held.extend(claims)
    return True


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: connections of a stopped server that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_answering(port: int) -> bool:
    """Whether someone accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def listens(pid: int, port: int) -> bool:
    """Whether it is this process that accepts connections there, and not somebody else's."""
    return bool(_listening_inodes(port) & _socket_inodes(Path(f"/proc/{pid}")))


def holder(port: int) -> str:
    """Who listens on a port, in words: `process 4711 (python3 -m http.server 8101)`, as far as we may see."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes & _socket_inodes(process):
            with suppress(OSError):  # it may have ended in the meantime
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {process.name} ({words[:120]})"
    return "a process of another user" if inodes else "an unknown process"


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():  # a machine without IPv6
            continue
        for row in table.read_text().splitlines()[1:]:
            columns = row.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def _socket_inodes(process: Path) -> set[str]:
    inodes: set[str] = set()
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:  # not ours to look into, or gone in the meantime
        return inodes
    return inodes
