"""Numbers of households and people as they are written 各类号码: what is refused before any rule reads it."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from services.registry.checks.numbers import MOBILE, phone_format
from shared.errors import unfit
from shared.idnumbers import normalised_id_number


def _mobile(value: str) -> str:
    if not MOBILE.fullmatch(value):
        raise unfit(phone_format.code, *phone_format.message)
    return value


Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{14}$")]
IdNumber = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(normalised_id_number)]
Phone = Annotated[str, AfterValidator(_mobile), WithJsonSchema({"type": "string", "pattern": f"^{MOBILE.pattern}$"})]
DisabilityNumber = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(normalised_id_number)]
BankCard = Annotated[str, StringConstraints(pattern=r"^[0-9]{12,19}$")]
