"""Keyset pages: a signed opaque cursor holds the last row's sort key, so that no page is skipped or repeated."""

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from shared import errors
from shared.errors import Problem

MAX_LIMIT = 500
T = TypeVar("T")
Row = TypeVar("Row")

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows a page")]


class Page(BaseModel, Generic[T]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page.")
    count: int | None = Field(default=None, description="Rows in all; only with `count=true`.")


class Cursors:
    """Makes and reads cursors, signed so that nobody builds queries out of them, nor carries one to another list.

    A list is named by its path, in one service: several may share a secret. A cursor holds a place in it, not the
    filters; whoever goes on sends these again, as the ``Link`` does, and may ask for more rows a page.
    """

    def __init__(self, secret: bytes, service: str) -> None:
        self._secret = hmac.digest(secret, service.encode(), "sha256")

    def sign(self, path: str, key: Sequence[str | int]) -> str:
        raw = json.dumps(list(key), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(path, raw) + raw).decode().rstrip("=")

    def read(self, path: str, cursor: str, length: int) -> list[Any]:
        """The sort key in a cursor. Raises 400 for one we did not make, one of another list or of another sort key."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError as error:
            raise _broken() from error
        mac, body = raw[:16], raw[16:]
        if not hmac.compare_digest(mac, self._mac(path, body)):
            raise _broken()
        key = json.loads(body)
        if len(key) != length:
            raise _broken()
        return list(key)

    def _mac(self, path: str, raw: bytes) -> bytes:
        of_the_list = hmac.digest(self._secret, path.encode(), "sha256")
        return hmac.digest(of_the_list, raw, "sha256")[:16]


def _broken() -> Problem:
    return Problem(errors.MALFORMED, faults=[errors.fault("query:cursor", "cursor", "not one of ours", "游标无效")])


def place_after(request: Request, cursor: str | None, length: int = 1) -> list[Any] | None:
    """The sort key to go on from in the list asked for. Raises 400 for a cursor that is not of this list."""
    cursors: Cursors = request.app.state.cursors
    return None if cursor is None else cursors.read(request.scope["path"], cursor, length)


def page_of(
    rows: Sequence[Row],
    *,
    limit: int,
    key: Callable[[Row], Sequence[str | int]],
    request: Request,
    response: Response,
) -> tuple[Sequence[Row], str | None]:
    """Cut ``limit + 1`` fetched rows to a page; sets ``Link: rel="next"`` when there is more."""
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    cursors: Cursors = request.app.state.cursors
    cursor = cursors.sign(request.scope["path"], key(kept[-1]))
    query = urlencode({**dict(request.query_params), "cursor": cursor})
    response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return kept, cursor
