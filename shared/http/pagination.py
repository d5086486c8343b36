"""Keyset pages: a signed opaque cursor holds the last row's sort key, so that no page is skipped or repeated."""

import base64
import hashlib
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
    """Makes and reads cursors, signed so that nobody builds queries out of them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, key: Sequence[str | int]) -> str:
        raw = json.dumps(list(key), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(raw) + raw).decode().rstrip("=")

    def read(self, cursor: str, length: int) -> list[Any]:
        """The sort key in a cursor. Raises 400 for one we did not make, or one of another list."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError as error:
            raise _broken() from error
        mac, body = raw[:16], raw[16:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise _broken()
        key = json.loads(body)
        if len(key) != length:
            raise _broken()
        return list(key)

    def _mac(self, raw: bytes) -> bytes:
        return hmac.new(self._secret, raw, hashlib.sha256).digest()[:16]


def _broken() -> Problem:
    return Problem(errors.MALFORMED, faults=[errors.fault("query:cursor", "cursor", "not one of ours", "游标无效")])


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
    cursor = cursors.sign(key(kept[-1]))
    query = urlencode({**dict(request.query_params), "cursor": cursor})
    response.headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return kept, cursor
