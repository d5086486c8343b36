"""./bangfu import: what stands at its --url may be no registry, or nothing; what a clerk has beside the file stays."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from deploy.importing import Importing
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


JOB = {
    "id": "1", "status": "completed", "dry_run": False, "rejected_rows": 1, "refusals": [],
    "progress": {"rows": 1, "expected_rows": 1},
    "report": {"counts": {"received": 1, "rejected": 1}, "errors": []},
}  # fmt: skip


def test_rows_that_a_clerk_is_correcting_are_not_overwritten(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows refused by another import go to a file of their own, and that is said."""

    def registry(request: httpx.Request) -> httpx.Response:
        content = json.dumps(JOB).encode() if request.method == "POST" else f"sheet {len(written)}".encode()
        return httpx.Response(200, content=content, headers={"Content-Type": "application/json"})

    written: list[str] = []
    names = ["x.rejected.xlsx", "x.rejected-2.xlsx", "x.rejected-3.xlsx"]
    with httpx.Client(transport=httpx.MockTransport(registry), base_url="http://registry") as client:
        for name in names:
            assert not Importing(client, Path(file)).run({})
            written.append(name)
            told = capsys.readouterr().err.splitlines()
            assert f"bangfu: rejected rows: {tmp_path / name}" in told
            stays = f"bangfu: {tmp_path / names[0]} is of an earlier import and stays as it is"
            assert (stays in told) == (name != names[0])
    assert [(tmp_path / name).read_text() for name in names] == ["sheet 0", "sheet 1", "sheet 2"]
