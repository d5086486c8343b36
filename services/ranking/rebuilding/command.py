"""``python -m services.ranking rebuild [--check]``."""

import argparse
import time

import asyncpg

from services.ranking.rebuilding import service
from services.ranking.rebuilding.service import Comparison
from shared.db import SESSION_SETTINGS
from shared.settings import Settings

_SHOWN = 20


async def rebuild(settings: Settings, arguments: list[str]) -> int:
    """Recompute counters, households reached and denominators from facts (--check: compare only)."""
    parser = argparse.ArgumentParser(prog="python -m services.ranking rebuild", description=rebuild.__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit status 1 when something differs")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    pg = await asyncpg.connect(settings.database_url, server_settings=SESSION_SETTINGS)
    try:
        async with pg.transaction():
            found = await (service.check(pg) if options.check else service.rebuild(pg))
    finally:
        await pg.close()
    _report(found, time.monotonic() - started, checked_only=options.check)
    return 1 if options.check and not found.equal else 0


def _report(found: Comparison, seconds: float, *, checked_only: bool) -> None:
    done = "compared" if checked_only else "rebuilt"
    print(f"{done} {found.cells} cells and {found.served_changes} changes of denominators in {seconds:.1f} s")
    print(f"stored   {found.stored}")
    print(f"computed {found.computed}")
    if found.equal:
        print("equal")
        return
    differing: list[tuple[object, ...]] = [*found.differing_cells, *found.differing_served]
    print(f"{len(differing)} differed{'' if checked_only else ', now corrected'}:")
    for key in differing[:_SHOWN]:
        print("  ", *key)
    if len(differing) > _SHOWN:
        print(f"   and {len(differing) - _SHOWN} more")
