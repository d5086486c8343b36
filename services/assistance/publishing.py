"""What assistance publishes, and how it publishes everything again (architecture rule 3)."""

from collections.abc import Awaitable, Callable

from services.assistance.catalogue import service as catalogue
from services.assistance.intake.contracts import ACTION_OUTCOMES
from shared.clock import Clock
from shared.contracts.action import ACTION
from shared.contracts.programme import PROGRAMME, TARGET
from shared.db import Pg
from shared.settings import Settings

PUBLISHED = (ACTION, PROGRAMME, TARGET, ACTION_OUTCOMES)


def republisher(settings: Settings, clock: Clock) -> Callable[[Pg], Awaitable[int]]:
    """Writes every aggregate's present state to the outbox, in the transaction given."""

    async def republish(pg: Pg) -> int:
        return await catalogue.republish(pg, settings, clock.now())

    return republish
