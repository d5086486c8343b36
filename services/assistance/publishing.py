"""What assistance publishes, and how it publishes everything again (architecture rule 3)."""

from collections.abc import Awaitable, Callable

from services.assistance.actions import ledger
from services.assistance.catalogue import service as catalogue
from services.assistance.intake.contracts import ACTION_OUTCOMES
from services.assistance.targets import service as targets
from shared.clock import Clock
from shared.contracts.action import ACTION
from shared.contracts.programme import PROGRAMME, TARGET
from shared.db import Pg
from shared.settings import Settings

PUBLISHED = (ACTION, PROGRAMME, TARGET, ACTION_OUTCOMES)


def republisher(settings: Settings, clock: Clock) -> Callable[[Pg], Awaitable[int]]:
    """Writes every aggregate's present state to the outbox, in the transaction given.

    Receipts are not sent again: importers ask for them at ``/v1/submissions``.
    """

    async def republish(pg: Pg) -> int:
        now = clock.now()
        written = await catalogue.republish(pg, settings, now)
        written += await targets.republish(pg, settings, now)
        return written + await ledger.republish(pg, settings)

    return republish
