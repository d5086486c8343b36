"""The command line: `./bangfu <command>`."""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, get_args

import httpx
import typer

from deploy.importing import Importing, ImportRefusedError
from deploy.kafka.libraries import unavailable
from deploy.local.broker import BrokerError
from deploy.local.demo.loading import DemonstrationError
from deploy.local.demo.workbook import write_workbook
from deploy.local.ports import LOOPBACK, PortTakenError
from deploy.local.postgres_programs import PostgresError
from deploy.local.service import NAMES, ServiceError
from deploy.local.stack import Stack
from deploy.local.state import State, StateError
from deploy.starting import demonstrate_on, demonstration_wanted, start, stop
from deploy.terminal import fail, run, say, show
from shared.contracts.key import Role

app = typer.Typer(
    help="Bangfu 帮扶: the register, aid ledger and rankings of a poverty-alleviation campaign, on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
import_app = typer.Typer(help="Bring files in over the public interface.", no_args_is_help=True)
app.add_typer(import_app, name="import")
DEFAULT_SCALE = 100
CTRL_C = 130
"""Exit status of a program that Ctrl-C ended, as shells tell it."""
ROLES = ", ".join(get_args(Role))
NOT_RUNNING = "does not run; start it with ./bangfu up"
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
FAILURES = (
    BrokerError,
    DemonstrationError,
    ImportRefusedError,
    PortTakenError,
    PostgresError,
    ServiceError,
    StateError,
)


@app.command()
def up(
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Start empty, for real use.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when ready; ./bangfu down stops it.")] = False,
    scale: Annotated[
        int | None, typer.Option(min=1, max=1000, help="One household for N of the city's 144,000 (default 100).")
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="First of five ports (default 8101), or auto for the next five free ones.")
    ] = None,
) -> None:
    """Start everything, with a living demonstration unless --no-demo; Ctrl-C stops it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    if port is not None and port != "auto" and not (port.isdecimal() and 0 < int(port) <= 65_531):
        raise typer.BadParameter("a port number up to 65531, or auto", param_hint="--port")
    state = State.find()
    with state.locked(say):
        stack = Stack(state)
        demonstrate = demonstration_wanted(stack, no_demo, scale)
        scale = stack.configuration.demonstration or scale or DEFAULT_SCALE
        ran_already = stack.running
        if ran_already:
            say("runs already")
            stack.watch()
        elif stack.anything_runs:
            stack.up(say)
        else:
            start(stack, port, scale if demonstrate else None)
    ours = not (detach or ran_already)
    with suppress(KeyboardInterrupt):  # from the first word on that says how to stop
        show_addresses(stack)
        if demonstrate:
            demonstrate_on(stack, scale, stay=not detach, stop_with_us=not ran_already)
        elif ours:
            signal.pause()
    if ours:
        stop(state)


def show_addresses(stack: Stack) -> None:
    """Where everything is and how to stop it."""
    rows = [(name, f"{service.url}/docs") for name, service in stack.services.items()]
    rows += [("Kafka", stack.bootstrap_servers), ("API key", stack.api_key)]
    show([*rows, ("stop", "./bangfu down")])
    if stack.configuration.demonstration is not None:
        print("演示数据 This is demonstration data and marked as such; ./bangfu reset deletes it.")


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
    if not (follow and chosen) and not any(Path(file).stat().st_size for file in chosen):
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


@app.command(context_settings={**PASS_ON, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Run the benchmarks and print their table (--json FILE keeps it)."""
    raise typer.Exit(run([sys.executable, "-m", "tests.bench", *context.args], dict(os.environ)))


@app.command()
def rebuild() -> None:
    """Derive ranking's tables anew from its facts."""
    run_in_service("ranking", "rebuild")


@app.command(name="dead-letters")
def dead_letters(
    action: Annotated[Literal["list", "show", "replay", "drop"], typer.Argument(help="What to do.")],
    ids: Annotated[list[str] | None, typer.Argument(help="As list shows them, or all for every open one.")] = None,
    service: Annotated[str, typer.Option(help="Whose: registry, assistance or ranking.")] = "assistance",
    status: Annotated[Literal["open", "replayed", "dropped"], typer.Option(help="Of those listed.")] = "open",
    limit: Annotated[int, typer.Option(min=1, help="How many are listed at most.")] = 50,
) -> None:
    """List, show, replay or drop records that could not be taken in (ids, or all)."""
    listing = [f"--status={status}", f"--limit={limit}"]
    run_in_service(service, "dead-letters", action, *(ids or ()), *listing)


@import_app.command(name="households")
def import_households(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="XLSX, XLS, CSV or JSON lines.")],
    mode: Annotated[str, typer.Option(help="all: all or nothing; each: the good households.")] = "all",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only; nothing is written.")] = False,
    source: Annotated[str | None, typer.Option(help="Where the file is from; its saved mapping is used.")] = None,
    overwrite: Annotated[str | None, typer.Option(help="Values held otherwise: never, if_empty or always.")] = None,
    url: Annotated[
        str | None, typer.Option(envvar="BANGFU_REGISTRY_URL", help="Registry elsewhere; BANGFU_API_KEY is the key.")
    ] = None,
) -> None:
    """Bring in a file of households; ends with 1 when rows were rejected, which are written beside the file."""
    given = {"mode": mode, "source": source, "overwrite": overwrite, "dry_run": "true" if dry_run else None}
    options = {name: value for name, value in given.items() if value is not None}
    address, key = (url, os.environ.get("BANGFU_API_KEY")) if url else own_registry()
    if not key:
        fail("whose key is it? Set BANGFU_API_KEY to one of the registry at --url")
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(base_url=address, headers=headers, timeout=120.0, trust_env=False) as client:
            complete = Importing(client, file).run(options)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        advice = "check --url" if url else "./bangfu status shows what runs"
        fail(f"registry at {address} does not answer ({error}); {advice}")
    except KeyboardInterrupt:
        raise typer.Exit(CTRL_C) from None
    raise typer.Exit(0 if complete else 1)


def own_registry() -> tuple[str, str]:
    """Address and API key of this checkout's registry; ends the program when it does not run."""
    stack = started_stack()
    registry = stack.services["registry"]
    if not registry.running:
        fail(NOT_RUNNING)
    return registry.url, os.environ.get("BANGFU_API_KEY") or stack.api_key


@app.command(name="demo-workbook")
def demo_workbook(
    file: Annotated[Path, typer.Argument(help="The workbook to write.")],
    scale: Annotated[int, typer.Option(min=1, max=1000, help="One household for N of the city's 144,000.")] = 1,
) -> None:
    """Write the synthetic register as a workbook, a row a person, to try `import households` with."""
    if file.suffix.lower() != ".xlsx":
        fail(f"{file} would be a workbook; give it a name that ends in .xlsx")
    try:
        file.open("ab").close()  # before the work begins, not after
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}; name another place")
    households, people = write_workbook(file, scale)
    say(f"{file}: {households} households, {people} people, all of them invented")


@app.command()
def republish(service: Annotated[str, typer.Argument(help="registry, assistance or ranking.")]) -> None:
    """Publish the present state of everything a service owns again, for readers that lost it."""
    run_in_service(service, "republish")


@app.command()
def audit(
    action: Annotated[Literal["verify"], typer.Argument(help="What to do.")],
    head: Annotated[
        str | None, typer.Option(metavar="POSITION:HASH", help="A head noted earlier, as /v1/audit/head told it.")
    ] = None,
) -> None:
    """Check registry's audit chain (--head POSITION:HASH: against a head noted earlier)."""
    run_in_service("registry", f"{action}-audit", *([] if head is None else [f"--head={head}"]))


@app.command(name="issue-key")
def issue_key(
    name: Annotated[str, typer.Option(help="Who uses it.")],
    role: Annotated[list[str], typer.Option(help=f"What it may do; may be given several times: {ROLES}.")],
    division: Annotated[list[str], typer.Option(metavar="CODE", help="Where, 12 digits; likewise.")],
) -> None:
    """Issue an API key with any role, identity:reveal included, and print it, once."""
    options = [*(f"--role={each}" for each in role), *(f"--division={each}" for each in division)]
    run_in_service("registry", "issue-key", f"--name={name}", *options)


@app.command(name="rotate-keys")
def rotate_keys() -> None:
    """Seal registry's identity data anew under its present data key, while it runs."""
    run_in_service("registry", "rotate-keys")


@app.command(name="new-submission-key")
def new_submission_key() -> None:
    """Publish another key that household submissions are encrypted to; those of before open for 30 days more."""
    run_in_service("registry", "new-submission-key")


def run_in_service(service: str, *arguments: str) -> None:
    """Run a service's own command with the stack's settings, its output going to the terminal."""
    if service not in NAMES:
        raise typer.BadParameter(f"one of {', '.join(NAMES)}", param_hint="service")
    stack = started_stack()
    if stack.embedded_databases and not stack.postgres.running:
        fail(NOT_RUNNING)
    found = stack.services[service]
    raise typer.Exit(run(found.command_line(*arguments), found.environment))


def started_stack() -> Stack:
    """The stack of this checkout; ends the program when it was never started."""
    state = State.find()
    if not state.exists:
        fail("was never started here; start it with ./bangfu up")
    return Stack(state)


def main() -> None:
    """Run the command; failures that a person can do something about are a few lines, not a traceback."""
    try:
        app(prog_name="./bangfu")
    except FAILURES as error:
        say(str(error))
    except httpx.HTTPError as error:
        say((str(error) or type(error).__name__).splitlines()[0])
    else:
        return
    sys.exit(1)


if __name__ == "__main__":
    main()
