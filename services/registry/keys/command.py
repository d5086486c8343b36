"""``python -m services.registry issue-key --name NAME --role ROLE... --division CODE...``."""

import argparse
import sys

from pydantic import ValidationError

from services.registry.divisions.service import load_tree
from services.registry.keys import service
from services.registry.keys.schemas import KeyIn
from services.registry.keys.service import UnknownDivisionError
from shared.clock import SystemClock
from shared.db import Database
from shared.settings import Settings


async def issue_key(settings: Settings, arguments: list[str]) -> int:
    """Issue an API key as the operator of this machine and print it, once.

    The only way to a first key that holds identity:reveal: over HTTP a key gives away no more than it holds.
    """
    parser = argparse.ArgumentParser(prog="python -m services.registry issue-key", description=issue_key.__doc__)
    parser.add_argument("--name", required=True, help="who uses it")
    parser.add_argument("--role", required=True, action="append", help="what it may do; may be given several times")
    parser.add_argument("--division", required=True, action="append", help="where, 12 digits; likewise")
    options = parser.parse_args(arguments)
    database = Database(settings.database_url, pool_size=2, application="bangfu-registry-keys")
    try:
        content = KeyIn(name=options.name, roles=options.role, divisions=options.division)
        async with database.driver() as pg, pg.transaction():
            _, plain = await service.issue_on_machine(pg, settings, content, await load_tree(pg), SystemClock().now())
    except (ValidationError, UnknownDivisionError) as error:
        print(str(error), file=sys.stderr)
        return 1
    finally:
        await database.close()
    print(plain)
    return 0
