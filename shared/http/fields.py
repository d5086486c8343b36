"""Field types of HTTP and Kafka input: JSON values read strictly, text that can be shown safely.

FastAPI hands parsed JSON to pydantic, where a strict model would refuse every instant and id because they are
text by then; a lax one would take numbers for instants. These types take text alone, in one form.
"""

import re
import unicodedata
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.errors import unfit
from shared.idnumbers import holds_id_number

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""Java and .NET write seven or nine places of a second by default; what is beyond microseconds is cut off."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_COMBINING_RUN = 4
_PLAIN = re.compile(r"[ -~\u3400-\u9fff]*")
"""Printable ASCII and Chinese characters, which most text is made of."""


def _read_instant(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise PydanticCustomError("datetime_parsing", "an RFC 3339 instant with offset")
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise PydanticCustomError("datetime_parsing", "an RFC 3339 instant with offset") from error
    if not 1 < instant.year < 9999:  # the edges overflow when they are brought to UTC
        raise PydanticCustomError("datetime_parsing", "an RFC 3339 instant with offset")
    return instant


def _read_day(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise PydanticCustomError("date_parsing", "a date YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("date_parsing", "a date YYYY-MM-DD") from error


def _read_uuid(value: object) -> object:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise PydanticCustomError("uuid_parsing", "a UUID")
    return UUID(value)


def displayable(value: str) -> str:
    """Refuses text that shows as something else than it is: control and direction characters, zero width, stacks."""
    if _PLAIN.fullmatch(value):
        return value
    stacked = 0
    for character in value:
        if character.isascii():
            stacked = 0
            if character < " " or character == "\x7f":
                raise unfit("text_characters", "characters that cannot be shown", "含有无法显示的字符")
            continue
        category = unicodedata.category(character)
        stacked = stacked + 1 if category in ("Mn", "Me") else 0
        if category in ("Cc", "Cf", "Cs", "Zl", "Zp") or stacked > _COMBINING_RUN:
            raise unfit("text_characters", "characters that cannot be shown", "含有无法显示的字符")
    return value


def _nobodys(name: str) -> str:
    """Refuses an ID number: names that others give are kept in the clear, sent in events and stand in addresses."""
    if holds_id_number(name):
        raise PydanticCustomError("personal_number", "an ID number")
    return name


Instant = Annotated[datetime, BeforeValidator(_read_instant), Field(description="Instant, RFC 3339 with offset.")]
Day = Annotated[date, BeforeValidator(_read_day), Field(description="Day in Asia/Shanghai, YYYY-MM-DD.")]
Id = Annotated[UUID, BeforeValidator(_read_uuid)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Division = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{12}$"), Field(description="Division code 行政区划代码, 12 digits.")
]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True), AfterValidator(displayable)
]
ShortText = Annotated[
    str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True), AfterValidator(displayable)
]
ExternalName = Annotated[
    str,
    StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,98}[^\s\x00-\x1f\x7f])?$"),
    AfterValidator(displayable),
    AfterValidator(_nobodys),
]
"""What another system calls itself or a record of its own."""
