"""HTTP below the level of clients: bytes on a socket, and what comes back."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What a server sent before it closed, or before the answer was whole; status 0 for nothing at all."""

    status: int
    head: str
    body: bytes
    seconds: float


def exchange(url: str, chunks: Iterable[bytes], *, timeout: float = 60.0) -> Answer:
    """Send bytes piece by piece until the server answers; read its answer. A closed connection ends it, no error."""
    address = urlsplit(url)
    started = time.monotonic()
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=timeout) as connection:
        received = b""
        try:
            for chunk in chunks:
                connection.sendall(chunk)
                received += _already_there(connection)
                if received:
                    break
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough; its answer may still be there
        received = _read(connection, received, started + timeout)
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head.startswith(b"HTTP/1.1 ") else 0
    return Answer(status, head.decode("latin-1"), body, time.monotonic() - started)


def _already_there(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        connection.setblocking(True)


def _read(connection: socket.socket, received: bytes, deadline: float) -> bytes:
    while not _whole(received) and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(65536)
        except (TimeoutError, ConnectionResetError):
            break
        if not more:
            break
        received += more
    return received


def _whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator or head.startswith(b"HTTP/1.1 1"):
        return False
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0].split(b":")[1])
