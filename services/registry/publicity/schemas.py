"""HTTP shapes of what may be published."""

from pydantic import BaseModel, Field

from services.registry.publicity.rules import PublicStanding
from shared.contracts.household import Standing
from shared.http.fields import Day
from shared.http.listing import ListQuery


class PublicQuery(ListQuery):
    """Which households; together they narrow."""

    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code, or a prefix of village codes 行政区划.",
    )
    standing: PublicStanding | None = Field(default=None, description="Standing 状态.")


class BoardQuery(ListQuery):
    """Which households of the village."""

    standing: PublicStanding | None = Field(default=None, description="Standing 状态.")


class PublicHousehold(BaseModel):
    """A household as a public notice may name it: no number, cause, illness, disability or member but the head."""

    village: str = Field(description="Responsible village 责任村.")
    village_name: str
    head: str | None = Field(
        description="Name of the head 户主, masked 脱敏 (on a village board in full where the register is so set); "
        "null for a minor, and for who was erased.",
        examples=["张*丰"],
    )
    people: int = Field(description="Members 人口.")
    standing: Standing = Field(description="Standing today 状态.")
    since: Day = Field(description="Since when 起始日期.")
