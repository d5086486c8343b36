"""The command line: `./bangfu <command>`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Annotated

import httpx
import typer
from rich.console import Console

from deploy.kafka.libraries import unavailable
from deploy.local.broker import BrokerError
from deploy.local.demo.loading import DemonstrationError
from deploy.local.demo.running import Addresses, opened
from deploy.local.ports import LOOPBACK, PortTakenError
from deploy.local.postgres_programs import PostgresError
from deploy.local.service import NAMES, ROOT, ServiceError
from deploy.local.stack import Stack
from deploy.local.state import State, StateError

app = typer.Typer(
    help="Bangfu 帮扶: the register, aid ledger and rankings of a poverty-alleviation campaign, on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
FAILURES = (
    BrokerError,
    DemonstrationError,
    PortTakenError,
    PostgresError,
    ServiceError,
    StateError,
    httpx.HTTPError,
)


def say(line: str) -> None:
    """One line about what is going on; on standard error, which scripts need not read."""
    print(f"bangfu: {line}", file=sys.stderr, flush=True)


@app.command()
def up(
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Start empty, for real use.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when ready; ./bangfu down stops it.")] = False,
    scale: Annotated[int, typer.Option(min=1, help="Demonstration: one household for N of the city's 144,000.")] = 100,
    port: Annotated[
        str | None, typer.Option(help="First of five ports (default 8101), or auto for the next five free ones.")
    ] = None,
) -> None:
    """Start everything, with a living demonstration unless --no-demo; Ctrl-C stops it."""
    if port is not None and port != "auto" and not (port.isdecimal() and 0 < int(port) <= 65_531):
        raise typer.BadParameter("a port number up to 65531, or auto", param_hint="--port")
    state = State.find()
    with state.locked(say):
        stack = Stack(state)
        demonstrate = demonstration_wanted(stack, no_demo, scale)
        ran_already = stack.running
        if ran_already:
            say("runs already")
            stack.watch()
        elif stack.anything_runs:
            stack.up(say)
        else:
            start(stack, port, scale if demonstrate else None)
    show_addresses(stack)
    if detach:
        if demonstrate:
            asyncio.run(load_demonstration(stack))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        if demonstrate:
            asyncio.run(run_demonstration(stack))
        while not ran_already:
            signal.pause()
    except KeyboardInterrupt:
        if ran_already:
            say("the demonstration stopped; everything else goes on until ./bangfu down")
        else:
            stop(state)


def start(stack: Stack, port: str | None, demonstration: int | None) -> None:
    """Start what does not run at all, on other ports when somebody takes one while we start and that is allowed."""
    while True:
        stack.configure(os.environ, port=port, demonstration=demonstration)
        try:
            return stack.up(say)
        except PortTakenError as error:
            if port != "auto":
                raise
            say(str(error))


def demonstration_wanted(stack: Stack, no_demo: bool, scale: int) -> bool:
    """Whether to demonstrate. Data once demonstrated stays marked; data of real use is never mixed with it."""
    if not stack.state.exists:
        return not no_demo
    before = stack.configuration.demonstration
    if before is None and not no_demo:
        say("this was started for real use: no demonstration; ./bangfu reset starts anew")
    if before is not None and no_demo:
        say("this holds demonstration data, and everything goes on saying so; ./bangfu reset starts anew")
    if before not in (None, scale) and not no_demo:
        say(f"the population was loaded at scale {before} and stays; ./bangfu reset starts anew")
    return before is not None and not no_demo


def scale_of(stack: Stack) -> int:
    assert stack.configuration.demonstration is not None  # asked only when there is a demonstration
    return stack.configuration.demonstration


async def load_demonstration(stack: Stack) -> None:
    """The population and a first batch of actions."""
    async with opened(addresses_of(stack), say) as demonstration:
        await demonstration.first_batch(await demonstration.load(scale_of(stack)))


async def run_demonstration(stack: Stack) -> None:
    """The population, then actions and what they change, until Ctrl-C."""
    async with opened(addresses_of(stack), say) as demonstration:
        households = await demonstration.load(scale_of(stack))
        say("recording actions; Ctrl-C stops")
        await demonstration.act(households, Console())


def addresses_of(stack: Stack) -> Addresses:
    return Addresses(
        services={name: service.url for name, service in stack.services.items()},
        bootstrap_servers=stack.bootstrap_servers,
        kafka_prefix=stack.configuration.settings.get("BANGFU_KAFKA_PREFIX", ""),
        api_key=stack.api_key,
    )


def show_addresses(stack: Stack) -> None:
    """Where everything is and how to stop it."""
    rows = [(name, f"{service.url}/docs") for name, service in stack.services.items()]
    rows += [("Kafka", stack.bootstrap_servers), ("API key", stack.api_key)]
    show([*rows, ("stop", "./bangfu down")])
    if stack.configuration.demonstration is not None:
        print("演示数据 This is demonstration data and marked as such; ./bangfu reset deletes it.")


def show(rows: list[tuple[str, ...]]) -> None:
    """Rows of words in columns, whole words whatever the width of the terminal."""
    for row in rows:
        print("".join(word.ljust(14 if i == 0 else 40) for i, word in enumerate(row)).rstrip())


def stop(state: State) -> None:
    """Stop what runs, in order."""
    with state.locked(say):
        stack = Stack(state)
        if stack.anything_runs:
            stack.down(say)
            say("stopped")
        else:
            say("does not run")


@app.command()
def down() -> None:
    """Stop everything in order; data stays."""
    state = State.find()
    if state.exists:
        stop(state)
    else:
        say("was never started here")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: addresses, readiness, API key.")] = False,
) -> None:
    """Show what runs, where, and the API key."""
    stack = started_stack()
    found = stack.status()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows: list[tuple[str, ...]] = []
    for name, service in stack.services.items():
        rows.append((name, f"{service.url}/docs", (service.state() or "ready") if service.running else "stopped"))
    if stack.embedded_broker:
        rows.append(("Kafka", stack.bootstrap_servers, "running" if stack.broker.running else "stopped"))
    if stack.embedded_databases:
        address = f"{LOOPBACK}:{stack.postgres.port}"
        rows.append(("PostgreSQL", address, "running" if stack.postgres.running else "stopped"))
    show([*rows, ("API key", stack.api_key), ("state", str(stack.state.directory))])


@app.command()
def logs(
    part: Annotated[
        str, typer.Argument(help="registry, assistance, ranking, broker, postgres or keeper; all by default.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
) -> None:
    """Show the last log lines of all parts or one."""
    stack = started_stack()
    if part and part not in stack.logs:
        raise typer.BadParameter(f"one of {', '.join(stack.logs)}", param_hint="part")
    chosen = [str(file) for name, file in stack.logs.items() if part in ("", name) and file.exists()]
    if not chosen:
        fail("nothing was logged yet")
    raise typer.Exit(run(["tail", "-n", "50", *(["-F"] if follow else []), *chosen], dict(os.environ)))


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop everything and delete all its data (never that of external databases)."""
    state = State.find()
    if not state.directory.exists():
        say("nothing to delete")
        return
    if not yes:
        typer.confirm(f"Delete everything in {state.directory}?", abort=True)
    with state.locked(say):
        Stack(state).kill()
        state.remove()
    say("all data deleted")


@app.command(name="test", context_settings=PASS_ON)
def run_tests(
    context: typer.Context,
    broker: Annotated[str, typer.Option(help="Broker to run against: embedded, apache or both.")] = "embedded",
) -> None:
    """Run the tests; further arguments go to pytest."""
    if broker not in ("embedded", "apache", "both"):
        raise typer.BadParameter("embedded, apache or both", param_hint="--broker")
    kinds = ["embedded", "apache"] if broker == "both" else [broker]
    results = [pytest_on(kind, context.args) for kind in kinds]
    if broker == "embedded":
        say(f"the Apache Kafka part was not run: {unavailable() or './bangfu test --broker apache runs it'}")
    raise typer.Exit(max(results))


def pytest_on(broker: str, arguments: list[str]) -> int:
    """pytest on one broker, on as many processes as there are processors unless -n is given."""
    if broker == "apache" and (reason := unavailable()):
        say(reason)
        return 1
    parallel = (
        []
        if any(argument.startswith("-n") for argument in arguments)
        else ["-n", str(os.cpu_count() or 1), "--dist=loadgroup"]
    )
    command = [sys.executable, "-m", "pytest", "--broker", broker, *parallel, *arguments]
    return run(command, {name: value for name, value in os.environ.items() if not name.startswith("BANGFU_")})


@app.command(context_settings=PASS_ON)
def bench(context: typer.Context) -> None:
    """Run the benchmarks and print their table (--json FILE keeps it)."""
    raise typer.Exit(run([sys.executable, "-m", "tests.bench", *context.args], dict(os.environ)))


@app.command()
def rebuild() -> None:
    """Derive ranking's tables anew from its facts."""
    run_in_service("ranking", "rebuild")


@app.command(name="dead-letters", context_settings=PASS_ON)
def dead_letters(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="list, show, replay or drop.")],
    service: Annotated[str, typer.Option(help="Whose: registry, assistance or ranking.")] = "assistance",
) -> None:
    """List, show, replay or drop records that could not be taken in (ids, or all)."""
    run_in_service(service, "dead-letters", action, *context.args)


@app.command()
def republish(service: Annotated[str, typer.Argument(help="registry, assistance or ranking.")]) -> None:
    """Publish the present state of everything a service owns again, for readers that lost it."""
    run_in_service(service, "republish")


def run_in_service(service: str, *arguments: str) -> None:
    """Run a service's own command with the stack's settings, its output going to the terminal."""
    if service not in NAMES:
        raise typer.BadParameter(f"one of {', '.join(NAMES)}", param_hint="service")
    stack = started_stack()
    if stack.embedded_databases and not stack.postgres.running:
        fail("does not run; start it with ./bangfu up")
    found = stack.services[service]
    raise typer.Exit(run(found.command_line(*arguments), found.environment))


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a program in the checkout to its end; Ctrl-C is the program's to handle."""
    process = subprocess.Popen(command, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)})
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def started_stack() -> Stack:
    """The stack of this checkout; ends the program when it was never started."""
    state = State.find()
    if not state.exists:
        fail("was never started here; start it with ./bangfu up")
    return Stack(state)


def fail(line: str) -> None:
    say(line)
    raise typer.Exit(1)


def main() -> None:
    """Run the command; failures that a person can do something about are a few lines, not a traceback."""
    try:
        app(prog_name="./bangfu")
    except FAILURES as error:
        say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
