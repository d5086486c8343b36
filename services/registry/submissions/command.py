"""``python -m services.registry new-submission-key``."""

import argparse

from services.registry.identity import agree_on_keys
from services.registry.settings import vault_of
from services.registry.submissions import keys
from shared.clock import SystemClock
from shared.db import Database
from shared.settings import Settings


async def new_submission_key(settings: Settings, arguments: list[str]) -> int:
    """Make another key for identity blocks and publish it; those of before open for 30 days more."""
    argparse.ArgumentParser(
        prog="python -m services.registry new-submission-key", description=new_submission_key.__doc__
    ).parse_args(arguments)
    database = Database(settings.database_url, pool_size=2, application="bangfu-registry-submission-key")
    try:
        vault = vault_of()
        async with database.driver() as pg, pg.transaction():
            await agree_on_keys(pg, vault)
            kid = await keys.renew(pg, vault, SystemClock().now())
    finally:
        await database.close()
    print(kid)
    return 0
