"""``dry_run=true``: a command is checked as in earnest, answered with what would come, and undone (interfaces.md)."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

_OF_WHAT_IS_THERE = ("ETag", "Location", "Retry-After")


async def _dry_run(
    request: Request,
    dry_run: Annotated[
        bool,
        Query(
            description="Check only: all is checked as in earnest, the answer (always 200, no `Location` or `ETag`) is "
            "what would come, and nothing is written. Ids and numbers in it are drawn anew in earnest; secrets are "
            "null. An `Idempotency-Key` is not used up; one that another request used is refused. "
            "仅校验:按正式请求校验并返回结果(一律 200,不含 `Location` 和 `ETag`),不写入;其中的编号以正式请求为准,"
            "不给出密钥;不占用幂等键,已被其他请求使用的幂等键仍会被拒绝。"
        ),
    ] = False,
) -> bool:
    request.state.dry_run = dry_run
    return dry_run


DryRun = Annotated[bool, Depends(_dry_run)]
"""Whether a command is to be undone at its end; for every POST that records something."""


def told(request: Request, response: Response) -> Response:
    """The answer to a request; after a dry run without what is said of something that is there."""
    if getattr(request.state, "dry_run", False):
        response.status_code = 200
        for name in _OF_WHAT_IS_THERE:
            del response.headers[name]
    return response
