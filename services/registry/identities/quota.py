"""Quotas on seeing identity data: so much a key and hour, whichever process it asks.

Counted in the transaction of what is asked: when counting fails, nothing is shown. Headers and answer follow the IETF
draft "RateLimit header fields for HTTP".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Response

from shared import errors
from shared.app import NOT_FOUND_RESPONSE
from shared.db import Pg
from shared.errors import Problem

_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_WINDOW = timedelta(hours=1)
QUOTA_RESPONSE: dict[int | str, dict[str, Any]] = {
    429: {**NOT_FOUND_RESPONSE[404], "description": "Quota used up, see RateLimit and Retry-After 超出配额"}
}
_USE = (
    "INSERT INTO quota_use AS held (key_id, policy, window_start, used) VALUES ($1, $2, $3, $4) "
    "ON CONFLICT (key_id, policy) DO UPDATE SET window_start = excluded.window_start, "
    "used = excluded.used + CASE WHEN held.window_start = excluded.window_start THEN held.used ELSE 0 END "
    "RETURNING used"
)
_USED = "SELECT used FROM quota_use WHERE key_id = $1 AND policy = $2 AND window_start = $3"


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a quota, and until when."""

    policy: str
    quota: int
    used: int
    seconds: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={int(_WINDOW.total_seconds())}',
            "RateLimit": f'"{self.policy}";r={max(0, self.quota - self.used)};t={self.seconds}',
        }

    def tell(self, response: Response) -> None:
        response.headers.update(self.headers())


@dataclass(frozen=True, slots=True)
class Quota:
    """So much an hour for each key, or each address."""

    policy: str
    an_hour: int

    async def use(self, pg: Pg, key_id: UUID, amount: int, now: datetime) -> Left:
        """Take an amount; what is left. Raises 429, which takes nothing, when it is not there."""
        return self.left(await self.count(pg, key_id, amount, now), amount, now)

    async def count(self, pg: Pg, key_id: UUID, amount: int, now: datetime) -> int:
        """Take an amount of what was seen already, whether it is there or not; how much is used with it."""
        used: int = await pg.fetchval(_USE, key_id, self.policy, hour_of(now), amount)
        return used

    async def check(self, pg: Pg, key_id: UUID, now: datetime) -> None:
        """Raises 429 where more was counted than there was; not yet where all is used."""
        self.left(await pg.fetchval(_USED, key_id, self.policy, hour_of(now)) or 0, 0, now)

    def left(self, used: int, amount: int, now: datetime) -> Left:
        """What is left after an amount was taken. Raises 429 when there was not enough."""
        seconds = int((hour_of(now) + _WINDOW - now).total_seconds()) + 1
        if used > self.an_hour:
            before = Left(self.policy, self.an_hour, used - amount, seconds)
            raise Problem(
                errors.TOO_MANY,
                headers={**before.headers(), "Retry-After": str(seconds)},
                extensions={"type": _EXCEEDED, "violated-policies": [self.policy]},
            )
        return Left(self.policy, self.an_hour, used, seconds)


def hour_of(now: datetime) -> datetime:
    """The beginning of the hour that is counted."""
    return now.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas of a running registry."""

    lookup: Quota
    """In ID numbers."""
    reveal: Quota
    """In persons."""
    verification: Quota
    """In certificates, for each address."""
