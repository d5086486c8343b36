"""./bangfu import --url: what stands at that address may be no registry, or nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.test_cli import Launcher, one_line


@contextmanager
def proxy(status: int) -> Iterator[str]:
    """The address of something that answers every request itself, in HTML, as a web server before registry does."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>no</html>")

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is no log."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    made = Launcher(tmp_path / "never")
    made._environment["BANGFU_API_KEY"] = "bf_x.y"
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    file = tmp_path / "x.csv"
    file.write_text("户编号\n1\n")
    return str(file)


@pytest.mark.parametrize(("status", "told"), [(413, "split the file"), (502, "check --url"), (200, "check --url")])
def test_answer_that_is_not_registrys(launcher: Launcher, file: str, status: int, told: str) -> None:
    with proxy(status) as url:
        code, out, err = launcher.run("import", "households", file, "--url", url)
    assert (code, out, one_line(err)) == (1, "", True), err
    assert f"answered {status} " in err
    assert told in err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nowhere", "http://[bad"])
def test_address_where_nothing_is(launcher: Launcher, file: str, url: str) -> None:
    code, out, err = launcher.run("import", "households", file, "--url", url)
    assert (code, out, one_line(err)) == (1, "", True), err
    assert "check --url" in err


def test_registry_elsewhere_needs_a_key_of_its_own(launcher: Launcher, file: str) -> None:
    del launcher._environment["BANGFU_API_KEY"]
    code, out, err = launcher.run("import", "households", file, "--url", "http://127.0.0.1:1")
    assert (code, out, one_line(err)) == (1, "", True), err
    assert "BANGFU_API_KEY" in err
