"""Denied reveals and look-ups 被拒绝的查看: who tried what, and why it was denied (reliability.md 4, test 48)."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.commands import command
from services.registry.context import Registry, scopes, today
from services.registry.identities.schemas import LookupIn, RevealIn
from shared import errors
from shared.auth import Caller, requires
from shared.contracts.key import Role
from shared.errors import Problem

_DENIALS = (errors.FORBIDDEN, errors.NOT_FOUND, errors.TOO_MANY)
_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{14}")
"""An id, or the number of a household or person: other text from an address could itself be an identity."""


@asynccontextmanager
async def denials_noted(
    registry: Registry, caller: Caller, operation: str, object_id: str, asked: RevealIn | LookupIn | None = None
) -> AsyncIterator[None]:
    """Tell the audit log of a denial that is raised inside: in a transaction of its own, since the command's is undone.

    ``asked`` is None where the caller is sent away before the request is read.
    """
    try:
        yield
    except Problem as problem:
        if problem.kind in _DENIALS:
            await _note(registry, caller, operation, object_id, asked, problem.kind.code)
        raise


async def admitted(registry: Registry, caller: Caller, operation: str, object_id: str, *roles: Role) -> Caller:
    """The caller, if it holds one of the roles. Raises 403, which the audit log learns of."""
    async with denials_noted(registry, caller, operation, object_id):
        return await requires(*roles)(caller)


async def _note(
    registry: Registry, caller: Caller, operation: str, object_id: str, asked: RevealIn | LookupIn | None, outcome: str
) -> None:
    async with command(registry.runtime) as pg:
        tree = await registry.divisions.get(pg)
        entry = Entry(
            recorded_at=registry.runtime.clock.now(),
            key_id=caller.key_id,
            operation=operation,
            object_id=object_id if _NAME.fullmatch(object_id) else "?",
            purpose=None if asked is None else asked.purpose,
            reason=None if asked is None else asked.reason,
            outcome=outcome,
            divisions=scopes(tree, caller.divisions, today(registry)),
        )
        await audit.record(pg, [entry])
