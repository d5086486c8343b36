"""ETags are aggregate versions; changes name the version they change (interfaces.md, "Concurrency")."""

import re
from typing import Annotated

from fastapi import Depends, Header, Response

from shared import errors
from shared.errors import Problem

_ETAG = re.compile(r'(?:W/)?"([0-9]{1,18})"')


def set_etag(response: Response, version: int) -> None:
    response.headers["ETag"] = f'"{version}"'


async def required_version(
    if_match: Annotated[
        str | None, Header(description='The `ETag` you read, for example `"3"`.', examples=['"1"'])
    ] = None,
) -> int:
    """The version that ``If-Match`` names. Raises 428 without the header, 412 for one we never gave."""
    if if_match is None:
        raise Problem(errors.PRECONDITION_REQUIRED)
    return _version(if_match)


Expected = Annotated[int, Depends(required_version)]
"""The version that a change is to be made of."""


async def named_version(
    if_match: Annotated[
        str | None, Header(description="The `ETag` you read; needed where something is replaced.", examples=['"1"'])
    ] = None,
) -> int | None:
    """The version that ``If-Match`` names; None without the header. Raises 412 for one we never gave."""
    return None if if_match is None else _version(if_match)


def _version(if_match: str) -> int:
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem(errors.PRECONDITION_FAILED)
    return int(match.group(1))


def check_version(actual: int, expected: int) -> None:
    """Raises 412 when the row has moved on."""
    if actual != expected:
        raise Problem(errors.PRECONDITION_FAILED, headers={"ETag": f'"{actual}"'})


def holds(if_none_match: str, etag: str) -> bool:
    """Whether the caller's copies include this version (weak comparison, RFC 9110)."""
    return if_none_match.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
