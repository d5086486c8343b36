"""What the stack remembers between commands, and who may read it."""

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from deploy.local.ports import PortTakenError, free_port, holder, is_free
from deploy.local.service import ROOT
from deploy.local.stack import Stack
from deploy.local.state import QUIET, Configuration, State, StateError, settings_from


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state")
    state.prepare()
    return state


def test_secrets_are_made_once_and_private(state: State) -> None:
    first = state.secrets()
    assert state.secrets() == first
    assert (state.directory / "secrets.json").stat().st_mode & 0o777 == 0o600
    prefix, _, secret = first.api_key.partition(".")
    assert prefix
    assert len(secret) >= 43  # 256 bits in base64


def test_secrets_of_an_earlier_version_are_kept_and_new_ones_added(state: State) -> None:
    first = asdict(state.secrets())
    file = state.directory / "secrets.json"
    file.write_text(json.dumps({name: text for name, text in first.items() if name != "signing_secret"}))
    later = asdict(state.secrets())
    assert {name for name in first if first[name] != later[name]} == {"signing_secret"}
    assert asdict(state.secrets()) == later
    assert file.stat().st_mode & 0o777 == 0o600


def test_configuration_is_private_and_read_back(state: State) -> None:
    saved = Configuration({"registry": 1}, {"BANGFU_LOG_LEVEL": "DEBUG"}, 100)
    state.save(saved)
    assert State(state.directory).configuration() == saved
    assert (state.directory / "configuration.json").stat().st_mode & 0o777 == 0o600


def test_only_one_command_at_a_time(state: State) -> None:
    lines: list[str] = []
    other = State(state.directory).locked(lines.append, wait=QUIET + 0.3)
    with state.locked(lines.append):
        with pytest.raises(StateError, match="still at work"):
            other.__enter__()
        assert lines == [f"waiting for another ./bangfu (process {os.getpid()})"]
    with State(state.directory).locked(lines.append):
        assert len(lines) == 1


def test_who_gives_up_has_said_what_it_waited_for(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine its second look may come after the whole time."""
    lines: list[str] = []
    with state.locked(lines.append):
        instants = iter((0.0, 1000.0))
        monkeypatch.setattr("deploy.local.state.time.monotonic", lambda: next(instants))
        with pytest.raises(StateError, match="still at work"):
            State(state.directory).locked(lines.append).__enter__()
    assert len(lines) == 1


def test_place_of_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    assert State.find({"BANGFU_STATE": "/somewhere"}).directory == Path("/somewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert State.find({}).directory == ROOT / ".bangfu"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert State.find({}).directory.parent == Path("/var/lib/bangfu")


def test_launcher_variables_are_not_for_the_services() -> None:
    given = {"BANGFU_STATE": "x", "BANGFU_PYTHON": "x", "BANGFU_LOG_LEVEL": "DEBUG", "BANGFU_HOST": "", "HOME": "/"}
    assert settings_from(given) == {"BANGFU_LOG_LEVEL": "DEBUG"}


@pytest.mark.xdist_group("ports")
class TestPorts:
    """Which ports a stack takes."""

    def test_taken_port_is_named_with_its_holder(self, state: State) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            environ = {"BANGFU_RANKING_PORT": str(port)}
            for wanted in ("21001", "auto", None):  # a port asked for by name is never moved
                with pytest.raises(PortTakenError, match=f"port {port} for ranking .* process {os.getpid()}"):
                    Stack(state).configure(environ, port=wanted, demonstration=None)

    def test_auto_takes_the_next_five_free_ones(self, state: State) -> None:
        Stack(state).configure({}, port="21001", demonstration=None)
        with socket.create_server(("127.0.0.1", 21004)):
            stack = Stack(state)
            stack.configure({}, port="auto", demonstration=None)
            first, *others = stack.configuration.ports.values()
            assert first % 10 == 1
            assert others == [first + i for i in range(1, 5)]
            assert first != 21001

    def test_ports_are_kept_for_the_next_start(self, state: State) -> None:
        Stack(state).configure({}, port="21001", demonstration=None)
        stack = Stack(state)
        stack.configure({}, port=None, demonstration=None)
        assert stack.configuration.ports["registry"] == 21001
        assert stack.bootstrap_servers == "127.0.0.1:21004"

    def test_auto_at_the_same_time_takes_other_ones(self, state: State, tmp_path: Path) -> None:
        """Both look before either's servers listen."""
        stacks = [Stack(state), Stack(State(tmp_path / "other"))]
        for stack in stacks:
            stack.state.prepare()
            stack.configure({}, port="auto", demonstration=None)
        one, other = (set(stack.configuration.ports.values()) for stack in stacks)
        assert not one & other

    def test_a_free_port_is_given_once_and_its_server_may_start_again(self) -> None:
        port = free_port()
        for _ in range(2):
            with socket.create_server(("127.0.0.1", port)):
                assert not is_free(port)
        assert is_free(port)
        with socket.socket() as somebody, pytest.raises(OSError, match="already in use"):
            somebody.bind(("127.0.0.1", port))  # as the kernel tries the ports that it gives

    def test_holder_of_a_free_port(self) -> None:
        assert holder(1) == "an unknown process"


@pytest.mark.xdist_group("ports")
def test_external_servers_are_used_instead_of_embedded_ones(state: State) -> None:
    stack = Stack(state)
    environ = {
        "BANGFU_REGISTRY_DATABASE_URL": "postgresql://elsewhere/registry",
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    }
    stack.configure(environ, port="21001", demonstration=None)
    assert not stack.embedded_broker
    assert stack.embedded_databases == ["assistance", "ranking"]
    settings = stack.services["registry"].environment
    assert settings["BANGFU_REGISTRY_DATABASE_URL"] == "postgresql://elsewhere/registry"
    assert "BANGFU_KAFKA_IDEMPOTENCE" not in settings


@pytest.mark.xdist_group("ports")
def test_demonstration_stays_marked(state: State) -> None:
    Stack(state).configure({}, port="21001", demonstration=100)
    stack = Stack(state)
    stack.configure({"BANGFU_DEMONSTRATION": "false"}, port=None, demonstration=None)
    assert stack.services["ranking"].environment["BANGFU_DEMONSTRATION"] == "true"
