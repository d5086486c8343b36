"""``python -m services.registry rotate-keys``."""

import argparse
import sys

from services.registry.identity import KeyMissingError, OtherKeyError, UnreadableError, agree_on_keys
from services.registry.rotation import service
from services.registry.rotation.service import UnlistedError
from services.registry.settings import vault_of
from shared.clock import SystemClock
from shared.db import Database
from shared.settings import Settings


async def rotate_keys(settings: Settings, arguments: list[str]) -> int:
    """Seal identity data anew under BANGFU_REGISTRY_DATA_KEY; stopped, it goes on where it was.

    Every running process must know the key before; see README, "Changing the key".
    """
    argparse.ArgumentParser(prog="python -m services.registry rotate-keys", description=rotate_keys.__doc__).parse_args(
        arguments
    )
    database = Database(settings.database_url, pool_size=2, application="bangfu-registry-rotate")
    try:
        vault = vault_of()
        async with database.driver() as pg, pg.transaction():
            await agree_on_keys(pg, vault)
        count = await service.rotate(database, vault, SystemClock().now())
    except (KeyMissingError, OtherKeyError, UnreadableError, UnlistedError) as error:
        print(f"not finished: {error}", file=sys.stderr)
        return 1
    finally:
        await database.close()
    print(f"{count} rows sealed anew; everything is sealed under the present key")
    return 0
