"""The official Apache Kafka jars, fetched once by Maven into a cache outside the repository."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

POM = Path(__file__).with_name("pom.xml")
MINIMUM_JAVA = 17
DOWNLOAD_LIMIT = 300.0
"""Seconds Maven may take (45 jars, 43 MB)."""


class KafkaError(Exception):
    """Apache Kafka cannot run here or did not start; the message says why."""


def version() -> str:
    """The Kafka version that pom.xml names."""
    found = ElementTree.parse(POM).findtext(".//{*}kafka.version")  # noqa: S314 - a file of our own
    if found is None:
        raise KafkaError(f"{POM} names no kafka.version")
    return found


def cache() -> Path:
    """Where the jars are kept: APACHE_KAFKA_LIBS, else a directory in the user's cache."""
    chosen = os.environ.get("APACHE_KAFKA_LIBS")
    if chosen:
        return Path(chosen)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "bangfu" / f"kafka-{version()}"


def unavailable() -> str | None:
    """Why Apache Kafka cannot run here, in one line; None when it can, even if it has to be downloaded first."""
    java = shutil.which("java")
    if java is None:
        return f"Apache Kafka needs Java {MINIMUM_JAVA} or later, and there is no java on PATH"
    found = _java_version(java)
    if found is None or found < MINIMUM_JAVA:
        return f"Apache Kafka needs Java {MINIMUM_JAVA} or later; {java} is {found or 'of unknown version'}"
    if not _complete(cache()) and shutil.which("mvn") is None:
        return f"Apache Kafka is not in {cache()}, and there is no mvn on PATH to fetch it"
    return None


def resolve() -> Path:
    """The directory of jars, downloaded at first use.

    Raises KafkaError when Java or Maven is missing or Maven fails.
    """
    reason = unavailable()
    if reason is not None:
        raise KafkaError(reason)
    target = cache()
    if not _complete(target):
        with _alone(target.parent):
            if not _complete(target):  # another process may have fetched it while we waited
                _download(target)
    return target


def _complete(directory: Path) -> bool:
    return (directory / f"kafka_2.13-{version()}.jar").is_file()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keeps other processes out: Maven's own repository is not made for two at once."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(target: Path) -> None:
    """Fills a directory beside the target, then renames it: nobody ever meets half a set of jars."""
    if target.exists() and any(target.iterdir()):
        raise KafkaError(f"{target} holds something other than Apache Kafka {version()}")
    partial = Path(tempfile.mkdtemp(prefix="kafka-download-", dir=target.parent))
    try:
        _maven(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _maven(directory: Path) -> None:
    command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
    command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={directory}"]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise KafkaError(f"Maven did not deliver Apache Kafka within {DOWNLOAD_LIMIT:.0f} s") from error
    if run.returncode != 0 or not _complete(directory):
        complaint = next((line for line in run.stdout.splitlines() if "ERROR" in line), run.stderr.strip()[:300])
        raise KafkaError(f"Maven could not fetch Apache Kafka: {complaint}")


def _java_version(java: str) -> int | None:
    """The major version: 17 of `17.0.15`, 8 of `1.8.0_292`."""
    run = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    match = re.search(r'version "(?:1\.)?(\d+)', run.stderr)
    return int(match.group(1)) if match else None
