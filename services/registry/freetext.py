"""Free text 自由文本 that clerks write: reasons, notes, titles of documents. It is kept as written and shown to others.

Whoever writes it is asked to name nobody. A name cannot be told from other words; an ID number or a mobile number can,
and is refused as ``personal_number``. Free text never enters events, logs or metrics.
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from shared.http.fields import ShortText
from shared.idnumbers import holds_id_number

_MOBILE = re.compile(r"(?<![0-9])(?:(?:00)?86[ -]?)?1[ -]?[3-9](?:[ -]?[0-9]){9}(?![0-9])")


def holds_mobile_number(text: str) -> bool:
    """Whether a text holds a mobile number 手机号: 11 digits from 13 to 19 on, perhaps in groups."""
    return _MOBILE.search(unicodedata.normalize("NFKC", text)) is not None


def _nobodys(text: str) -> str:
    if holds_id_number(text) or holds_mobile_number(text):
        raise PydanticCustomError("personal_number", "an ID or mobile number")
    return text


FreeText = Annotated[ShortText, AfterValidator(_nobodys)]
"""Up to 500 characters without ID and mobile numbers."""
