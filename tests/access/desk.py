"""What the requests of ``registry_calls.py`` and ``assistance_calls.py`` are made with."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from shared.clock import local_day
from tests.access.worlds import Parameters, World
from tests.registry.conftest import XIPING, XIXIA, household, member
from tests.registry.standing import Office


@dataclass(frozen=True)
class Call:
    """A request, and who sends it: by default the key of the whole city with every role but to reveal."""

    body: Any = None
    """JSON; text is sent as JSON lines."""
    named: Parameters = field(default_factory=dict)
    version: int | None = None
    """Of ``If-Match``."""
    by: str | None = None


@dataclass
class Desk:
    """Where cases are made."""

    world: World
    key: str
    other: str
    """A second key of the whole city: nobody reviews what they proposed or recorded."""
    villages: int = 600
    """Ends the code of the last village that was added."""

    async def make(self, path: str, body: Any) -> dict[str, Any]:
        return await self.world.post(path, body, self.key)

    async def home(self, **more: Any) -> dict[str, Any]:
        """A poor household of two."""
        members = [member(), member("spouse", name="测试乙", sex="female", birth_date="1970-06-01")]
        return await self.make("/v1/households", household(**{"members": members, **more}))

    async def change(self, path: str, body: Any, version: int) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}", "If-Match": f'"{version}"'}
        answer = await self.world.client.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    async def village(self) -> str:
        """A new village of 西坪镇, where nobody lives."""
        self.villages += 1
        code = f"411323102{self.villages}"
        dated = {"valid_from": "2012-01-01", "sort_order": 9000}
        await self.make("/v1/divisions", {"code": code, "name": "新村", "level": "village", "parent": XIPING, **dated})
        return code

    @property
    def today(self) -> str:
        return local_day(self.world.app.state.runtime.clock.now()).isoformat()

    @property
    def office(self) -> Office:
        keys = ({"Authorization": f"Bearer {key}"} for key in (self.key, self.other))
        return Office(self.world.client, *keys)


Case = Callable[[Desk], Awaitable[Call]]
WHY = {"reason": "测试"}
SOURCE = {"name": "urn:new", "label": "测试", "divisions": [XIXIA]}


def plain(body: Any) -> Case:
    """A request that needs nothing."""

    async def case(_: Desk) -> Call:
        return Call(body)

    return case


def lines(*rows: Any) -> str:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
