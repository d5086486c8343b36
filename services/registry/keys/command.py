"""``python -m services.registry issue-key --name NAME --role ROLE... --division CODE...``."""

import argparse
from collections.abc import Mapping

from pydantic import ValidationError

from services.registry.divisions.service import load_tree
from services.registry.keys import service
from services.registry.keys.schemas import KeyIn
from services.registry.keys.service import UnknownDivisionError
from shared.clock import SystemClock
from shared.db import Database
from shared.http.problems import faults_of
from shared.server import complain
from shared.settings import Settings

_OPTIONS: Mapping[int | str, str] = {"name": "--name", "roles": "--role", "divisions": "--division"}


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
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        for entry, told in zip(found, faults_of(found), strict=True):
            complain(f"{_OPTIONS[entry['loc'][0]]}: {told.message.en}")
        return 1
    except UnknownDivisionError as error:
        complain(f"--division {error}: there is no such division; GET /v1/divisions lists them")
        return 1
    finally:
        await database.close()
    print(plain)
    return 0
