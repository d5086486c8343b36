"""The query of every list: exact names only, so that a mistyped filter is refused rather than ignored."""

import re
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from shared.http.pagination import MAX_LIMIT, place_after

_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)


def _read_digits(value: object) -> object:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise PydanticCustomError("int_parsing", "an integer")
        return int(value)
    return value


Digits = Annotated[int, BeforeValidator(_read_digits)]


class ListQuery(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid")

    limit: Digits = Field(default=100, ge=1, le=MAX_LIMIT, description="Rows a page 每页条数.")
    cursor: str | None = Field(default=None, max_length=500, description="`next_cursor` of the page before 游标.")
    count: bool = Field(default=False, description="Also count all rows 返回总数.")

    def after(self, request: Request, length: int = 1) -> list[Any] | None:
        """The sort key to go on from. Raises 400 for a cursor that is not of this list."""
        return place_after(request, self.cursor, length)


def link_headers(response: Response) -> dict[str, str]:
    """The ``Link`` that ``page_of`` set, for an answer rendered by hand."""
    link = response.headers.get("link")
    return {} if link is None else {"Link": link}
