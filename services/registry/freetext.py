"""Free text 自由文本 that clerks write: reasons, notes, titles of documents. It is kept as written and shown to others.

Whoever writes it is asked to name nobody. A name cannot be told from other words; an ID number or a mobile number can,
and is refused as ``personal_number``. Free text never enters events, logs or metrics.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from services.registry.idnumbers import BadIdNumberError, read_id_number
from shared.http.fields import ShortText

_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])[ -](?=[0-9Xx])")
_ID_NUMBER = re.compile(r"(?<![0-9])[0-9]{17}[0-9Xx](?![0-9])")
_MOBILE = re.compile(r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])")


def holds_id_number(text: str) -> bool:
    """Whether a text holds an ID number 公民身份号码 whose check digit and birth date fit, in digits of any width."""
    return any(_valid(found.group()) for found in _ID_NUMBER.finditer(_digits(text)))


def holds_mobile_number(text: str) -> bool:
    """Whether a text holds a mobile number 手机号: 11 digits from 13 to 19 on, perhaps in groups."""
    return _MOBILE.search(_digits(text)) is not None


def _digits(text: str) -> str:
    return _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", text))


def _valid(number: str) -> bool:
    try:
        read_id_number(number)
    except BadIdNumberError:
        return False
    return True


def _nobodys(text: str) -> str:
    if holds_id_number(text) or holds_mobile_number(text):
        raise PydanticCustomError("personal_number", "an ID or mobile number")
    return text


FreeText = Annotated[ShortText, AfterValidator(_nobodys)]
"""Up to 500 characters without ID and mobile numbers."""
