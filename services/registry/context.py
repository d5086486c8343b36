"""What the slices of a running registry share."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Request

from services.registry.identities.quota import Quotas
from services.registry.identity import Vault
from services.registry.standing.settings import StandingSettings
from shared import errors
from shared.app import Runtime
from shared.auth import Caller, requires
from shared.clock import local_day
from shared.contracts.division import DivisionTree
from shared.contracts.key import Role
from shared.errors import Fault, Problem, Text, fault
from shared.http.dryrun import DryRun
from shared.watched import Watched


@dataclass(frozen=True, slots=True)
class Registry:
    """The runtime, the divisions kept in memory, the keys to identity data, and how much of it may be seen.

    ``request.app.state.registry``.
    """

    runtime: Runtime
    divisions: Watched[DivisionTree]
    vault: Vault
    standing: StandingSettings
    quotas: Quotas
    retention_years: int
    """How long identities are kept at least after a household left the register 保存期."""
    dry_run: bool = False
    """Whether the command it is handed to is to be undone at its end 仅校验."""


async def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


RegistryDep = Annotated[Registry, Depends(_registry)]


async def _for_command(registry: RegistryDep, dry_run: DryRun) -> Registry:
    return replace(registry, dry_run=True) if dry_run else registry


CommandDep = Annotated[Registry, Depends(_for_command)]
"""For a command that takes ``dry_run``: every POST that records something."""
READERS: tuple[Role, ...] = ("reader", "recorder", "reviewer", "drafter", "signer", "importer")
"""Roles that read the register."""
Reader = Annotated[Caller, Depends(requires(*READERS))]
Recorder = Annotated[Caller, Depends(requires("recorder", "importer"))]
Reviewer = Annotated[Caller, Depends(requires("reviewer"))]
Importer = Annotated[Caller, Depends(requires("importer"))]
Admin = Annotated[Caller, Depends(requires("admin"))]


async def _divisions_now(registry: RegistryDep) -> DivisionTree:
    """The tree as it stands; at most a second old."""
    async with registry.runtime.database.driver() as pg:
        return await registry.divisions.get(pg)


Divisions = Annotated[DivisionTree, Depends(_divisions_now)]


async def _city_admin(caller: Admin, tree: Divisions) -> Caller:
    """An admin with the whole city in scope. Raises 403."""
    if not reaches_all(caller, tree):
        raise Problem(errors.FORBIDDEN, Text("it concerns the whole city, which is not yours", "涉及全市,超出您的辖区"))
    return caller


CityAdmin = Annotated[Caller, Depends(_city_admin)]
"""Whoever may command what holds for every division at once."""


def watermark(registry: Registry) -> str | None:
    """What marks figures and papers about invented people 演示数据."""
    return "演示数据" if registry.runtime.settings.demonstration else None


def today(registry: Registry) -> date:
    """The day in Asia/Shanghai."""
    return local_day(registry.runtime.clock.now())


def day_known(registry: Registry, known_at: datetime | None) -> date:
    """The day of which it is asked without naming one: of the knowledge that is asked for, so that the answer stays."""
    now = registry.runtime.clock.now()
    return local_day(now if known_at is None else min(known_at, now))


def within(caller: Caller, tree: DivisionTree, code: str, day: date) -> bool:
    """Whether a division lies in the caller's scope 辖区 on a day."""
    path = tree.path(code, day)
    return code in caller.divisions or (path is not None and caller.reaches(path))


def foreign_divisions(caller: Caller, tree: DivisionTree, codes: Iterable[str], day: date) -> list[Fault]:
    """What speaks against giving out these ``/divisions``, or what holds in them: those outside the caller's scope."""
    return [
        fault(f"/divisions/{position}", "division_unknown", "no such division of yours", "不在您的辖区内")
        for position, code in enumerate(codes)
        if not within(caller, tree, code, day)
    ]


def reaches_all(caller: Caller, tree: DivisionTree) -> bool:
    """Whether the whole city 全市 lies in the caller's scope; of a tree that is still empty nobody knows."""
    return bool(tree.cities) and tree.cities.issubset(caller.divisions)


def scopes(tree: DivisionTree, codes: Iterable[str], day: date) -> tuple[str, ...]:
    """These divisions and those above them on a day: whoever has one of them in scope reaches one of these.

    The city is always among them: a token may come without divisions, or with some that hold no longer.
    """
    given = set(codes)
    found = given | tree.cities
    for path in [tree.path(code, day) for code in given]:
        found.update(() if path is None else path.scopes())
    return tuple(sorted(found))
