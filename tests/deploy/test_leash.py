"""No process and no file of a test run survives it, however it ends."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy.local.process import Identity
from deploy.local.service import ROOT
from tests.faults.waiting import eventually
from tests.leash import heed_ctrl_c

RUN = """
import sys, time
from pathlib import Path
from deploy.local.broker import EmbeddedBroker
from deploy.local.postgres import EmbeddedPostgres
from tests.leash import Leash

directory = Path(sys.argv[1])
Leash(directory)
broker, postgres = EmbeddedBroker(directory / "broker"), EmbeddedPostgres(directory / "postgres", durable=False)
broker.start()
postgres.start()
print(broker.daemon.identity.pid, (postgres.data / "postmaster.pid").read_text().split()[0], flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_servers_end_with_the_run(ending: signal.Signals, tmp_path: Path) -> None:
    directory = Path(tempfile.mkdtemp(prefix="bangfu-leash-", dir="/tmp"))
    directory.chmod(0o711)
    complaints = tmp_path / "stderr"
    with complaints.open("wb") as stderr:
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, str(directory)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            preexec_fn=heed_ctrl_c,
        )
    assert run.stdout is not None
    servers = [int(pid) for pid in run.stdout.readline().split()]
    assert len(servers) == 2, complaints.read_text()
    run.send_signal(ending)
    run.communicate()
    eventually(lambda: not directory.exists(), what="the directory is gone")
    eventually(lambda: not [pid for pid in servers if Identity.of(pid)], what="the servers are gone")
