"""What `./bangfu up` decides: which ports, whether to demonstrate, when to stop."""

import asyncio
import os

import httpx

from deploy.local.demo import running as demonstration
from deploy.local.demo.loading import DemonstrationError, RealDataError
from deploy.local.ports import PortTakenError
from deploy.local.stack import Stack
from deploy.local.state import State
from deploy.terminal import say


def start(stack: Stack, port: str | None, demonstration_scale: int | None) -> None:
    """Start what does not run at all, on other ports when somebody takes one while we start and that is allowed."""
    while True:
        stack.configure(os.environ, port=port, demonstration=demonstration_scale)
        try:
            return stack.up(say)
        except PortTakenError as error:
            if port != "auto":
                raise
            say(str(error))


def demonstration_wanted(stack: Stack, no_demo: bool, scale: int | None) -> bool:
    """Whether to demonstrate. Data once demonstrated stays marked; data of real use is never mixed with it."""
    if not stack.state.exists:
        return not no_demo
    before = stack.configuration.demonstration
    if before is None and not no_demo:
        say("this was started for real use: no demonstration; ./bangfu reset starts anew")
    if before is not None and no_demo:
        say("this holds demonstration data, and everything goes on saying so; ./bangfu reset starts anew")
    if before is not None and scale not in (None, before):
        say(f"the population was loaded at scale {before} and stays; ./bangfu reset starts anew")
    return before is not None and not no_demo


def demonstrate_on(stack: Stack, scale: int, *, stay: bool, stop_with_us: bool) -> None:
    """Load the demonstration and, if we stay, let it live until Ctrl-C. What cannot be demonstrated is stopped."""
    act = demonstration.run if stay else demonstration.load
    try:
        asyncio.run(act(stack, scale, say))
    except KeyboardInterrupt:
        say("the demonstration stopped")
    except (DemonstrationError, httpx.HTTPError) as error:
        if isinstance(error, RealDataError):
            stack.unmark()
        if stop_with_us:
            stop(stack.state)
        raise


def stop(state: State) -> None:
    """Stop what runs, in order."""
    with state.locked(say):
        stack = Stack(state)
        if stack.anything_runs:
            stack.down(say)
            say("stopped")
        else:
            say("does not run")
