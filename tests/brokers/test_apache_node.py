"""Apache Kafka on this machine: says in one line why it cannot run, is fetched once, and is one process of ours."""

from pathlib import Path

import pytest

from deploy.kafka import libraries
from deploy.kafka.libraries import KafkaError
from deploy.kafka.node import ApacheKafka
from tests.stack import Broker


class Machine:
    """A machine with no more on PATH than what is put there."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs = directory / "programs"
        self.programs.mkdir()
        self.jars = directory / "cache" / "jars"
        monkeypatch.setenv("PATH", str(self.programs))
        monkeypatch.setenv("APACHE_KAFKA_LIBS", str(self.jars))

    def install(self, name: str, script: str) -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def install_java(self, version: str) -> None:
        self.install("java", f"""echo 'openjdk version "{version}" 2025-04-15' >&2""")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_reason_why_it_cannot_run(machine: Machine) -> None:
    assert "no java on PATH" in str(ApacheKafka.available())
    machine.install_java("1.8.0_292")
    assert "is 8" in str(ApacheKafka.available())
    machine.install_java("17.0.15")
    assert "no mvn on PATH" in str(ApacheKafka.available())
    machine.install("mvn", "exit 1")
    assert ApacheKafka.available() is None
    with pytest.raises(KafkaError, match="Maven could not fetch"):
        libraries.resolve()


def test_failed_download_leaves_nothing_and_says_what_maven_said(machine: Machine) -> None:
    machine.install_java("21")
    machine.install("mvn", "echo '[ERROR] no route to the repository'; exit 1")
    with pytest.raises(KafkaError, match="no route to the repository"):
        libraries.resolve()
    assert [entry.name for entry in machine.jars.parent.iterdir()] == ["kafka.lock"]


def test_fetched_once(machine: Machine) -> None:
    machine.install_java("21")
    jar = f"kafka_2.13-{libraries.version()}.jar"
    find_directory = "for word; do case $word in -DoutputDirectory=*) directory=${word#*=};; esac; done"
    machine.install("mvn", f"{find_directory}; : > $directory/{jar}")
    assert libraries.resolve() == machine.jars
    (machine.programs / "mvn").unlink()
    assert libraries.resolve() == machine.jars
    assert ApacheKafka.available() is None


def test_foreign_directory_is_left_alone(machine: Machine) -> None:
    machine.install_java("21")
    machine.install("mvn", "exit 0")
    machine.jars.mkdir(parents=True)
    (machine.jars / "somebody.jar").touch()
    with pytest.raises(KafkaError, match="something other"):
        libraries.resolve()
    assert (machine.jars / "somebody.jar").exists()


@pytest.fixture
def node(kafka: Broker) -> ApacheKafka:
    if not isinstance(kafka, ApacheKafka):
        pytest.skip("about Apache Kafka's process")
    kafka.start()
    return kafka


def test_another_object_finds_the_running_node(node: ApacheKafka) -> None:
    another = ApacheKafka(node.directory)
    another.start()
    assert another.bootstrap_servers == node.bootstrap_servers
    with pytest.raises(KafkaError, match="stop Apache Kafka"):
        another.wipe()


def test_taken_port_is_named_with_its_holder(node: ApacheKafka, tmp_path: Path) -> None:
    with pytest.raises(KafkaError, match=rf"port {node.port} .* held by process .*java"):
        ApacheKafka(tmp_path, node.port).start()


def test_stop_ends_the_process_and_keeps_the_port(node: ApacheKafka) -> None:
    address = node.bootstrap_servers
    node.stop()
    assert not node.running
    node.start()
    assert node.bootstrap_servers == address
