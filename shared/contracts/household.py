"""Households 农户 and persons 人员 as registry publishes them: coded attributes, never names or ID numbers."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.base import Contract, Day, Number14, topic
from shared.contracts.division import Path

Standing = Literal["poor", "pre_exit", "exited_supported", "exited", "relapsed", "ordinary", "welfare_only"]
STOCK: frozenset[Standing] = frozenset({"poor", "pre_exit", "relapsed"})
"""Counts as poor 贫困存量: the numerator of incidence."""
SERVED: frozenset[Standing] = STOCK | {"exited_supported"}
"""Still owed help 脱贫不脱政策: the denominator of rankings (ranking.md, "What counts")."""
EXITED: frozenset[Standing] = frozenset({"exited_supported", "exited"})
"""Out of poverty 已脱贫, helped further or not."""
NEVER_POOR: frozenset[Standing] = frozenset({"ordinary", "welfare_only"})
"""Never registered as poor 非建档立卡户."""


class HouseholdState(Contract):
    """What a household was from a day on, and which village was responsible for it."""

    valid_from: Day
    standing: Standing
    path: Path


class HouseholdEvent(Contract):
    """The whole public state of a household, its dated past included, so that no reader needs older events."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["active", "deregistered", "erased"]
    number: Number14 = Field(description="Household number 户编号, 14 digits, opaque.")
    seq: int = Field(ge=1, lt=2**32, description="32-bit number issued by registry, for compact sets.")
    timeline: list[HouseholdState] = Field(description="Dated states, oldest first.")
    valid_to: Day | None = Field(default=None, description="First day the household is no longer on the register.")

    def state_on(self, day: date) -> HouseholdState | None:
        """The state on a day; None before registration and after deregistration."""
        if self.valid_to is not None and day >= self.valid_to:
            return None
        return next((state for state in reversed(self.timeline) if state.valid_from <= day), None)


class PersonEvent(Contract):
    """The coded attributes of a person that other services may know (architecture rule 8)."""

    id: UUID
    version: int = Field(ge=1)
    status: Literal["active", "deceased", "moved_away", "deregistered", "erased"]
    number: Number14 = Field(description="Person number 人编号, 14 digits, opaque.")
    household_id: UUID | None
    path: Path | None = Field(
        default=None,
        description="Where a person without a household belongs; of a member the household tells.",
    )
    sex: Literal["unknown", "male", "female", "unspecified"]
    birth_year: int = Field(ge=1850, le=2200)
    employable: Literal["full", "partial", "lost", "none"] = Field(description="Labour ability 劳动能力.")
    in_school: bool
    disability_level: int | None = Field(default=None, ge=1, le=4)


HOUSEHOLD = topic(
    "registry.household",
    HouseholdEvent,
    ("registered", "changed", "deregistered"),
    "Households 农户 of the register, whole state without names or ID numbers.",
    readers=("assistance-mirror", "ranking-mirror"),
)
PERSON = topic(
    "registry.person",
    PersonEvent,
    ("registered", "changed", "deregistered"),
    "Persons 人员, coded attributes only.",
    readers=("assistance-mirror",),
)
