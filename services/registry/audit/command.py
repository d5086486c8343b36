"""``python -m services.registry verify-audit [--head POSITION:HASH]``."""

import argparse
import re
import sys

import asyncpg

from services.registry.audit import service
from services.registry.audit.rules import BrokenError, Head
from shared.db import SESSION_SETTINGS
from shared.server import complain
from shared.settings import Settings

_HEAD = re.compile("[0-9]{1,18}:[0-9a-fA-F]{64}")


async def verify_audit(settings: Settings, arguments: list[str]) -> int:
    """Check the audit chain from its first entry to its head; exit status 1 names the first that does not hold."""
    parser = argparse.ArgumentParser(prog="python -m services.registry verify-audit", description=verify_audit.__doc__)
    parser.add_argument("--head", metavar="POSITION:HASH", help="a head noted earlier, as /v1/audit/head told it")
    given = parser.parse_args(arguments).head
    noted = None if given is None else _head(given)
    if given is not None and noted is None:
        complain("--head is POSITION:HASH as GET /v1/audit/head told them: a number, and 64 hexadecimal digits")
        return 2
    pg = await asyncpg.connect(settings.database_url, server_settings=SESSION_SETTINGS)
    try:
        async with pg.transaction(isolation="repeatable_read", readonly=True):
            head = await service.verify(pg, noted)
            waiting = await service.unsealed(pg)
    except BrokenError as broken:
        print(f"BROKEN at {broken}", file=sys.stderr)
        return 1
    finally:
        await pg.close()
    print(f"{head.position} entries hold, head {head.position}:{head.hash.hex()}; {waiting} wait to be sealed")
    return 0


def _head(text: str) -> Head | None:
    position, _, digest = text.partition(":")
    return Head(int(position), bytes.fromhex(digest)) if _HEAD.fullmatch(text) else None
