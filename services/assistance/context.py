"""What the slices of a running assistance service share."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Request

from services.assistance.actions.references import resolve
from services.assistance.actions.rules import World
from services.assistance.actions.schemas import ActionContent
from services.assistance.catalogue.rules import Catalogue
from shared.app import Runtime
from shared.auth import Caller, requires
from shared.contracts.division import DivisionTree
from shared.contracts.key import Role
from shared.db import Pg
from shared.http.dryrun import DryRun
from shared.watched import Watched


@dataclass(frozen=True, slots=True)
class Assistance:
    """The runtime, and the two small tables kept in memory; ``request.app.state.assistance``."""

    runtime: Runtime
    catalogue: Watched[Catalogue]
    divisions: Watched[DivisionTree]
    dry_run: bool = False
    """Whether the command it is handed to is to be undone at its end 仅校验."""

    async def world(self, pg: Pg, contents: Iterable[ActionContent]) -> World:
        """What a batch of actions is judged against, as of now."""
        return World(
            await self.catalogue.get(pg),
            await self.divisions.get(pg),
            await resolve(pg, contents),
            self.runtime.clock.now(),
        )


async def _assistance(request: Request) -> Assistance:
    assistance: Assistance = request.app.state.assistance
    return assistance


AssistanceDep = Annotated[Assistance, Depends(_assistance)]


async def _for_command(assistance: AssistanceDep, dry_run: DryRun) -> Assistance:
    return replace(assistance, dry_run=True) if dry_run else assistance


CommandDep = Annotated[Assistance, Depends(_for_command)]
"""For a command that takes ``dry_run``: every POST that records something."""
Reader = Annotated[Caller, Depends(requires("reader", "recorder", "reviewer", "drafter", "signer", "importer"))]
RECORDING_ROLES: tuple[Role, ...] = ("recorder", "importer")
Recorder = Annotated[Caller, Depends(requires(*RECORDING_ROLES))]
Reviewer = Annotated[Caller, Depends(requires("reviewer"))]
Admin = Annotated[Caller, Depends(requires("admin"))]
TargetSetter = Annotated[Caller, Depends(requires("signer", "importer"))]
"""Targets are official: set by whoever signs notices, or imported for them."""
