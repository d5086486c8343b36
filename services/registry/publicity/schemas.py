"""HTTP shapes of what may be published."""

from pydantic import BaseModel, Field

from services.registry.publicity.rules import PublicStanding
from shared.contracts.household import Standing
from shared.contracts.standing import DecisionKind, StepCode
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


class BoardNoticeQuery(ListQuery):
    """Which notices of the village."""

    kind: DecisionKind | None = Field(default=None, description="Kind of decision 认定类别.")


class NoticeQuery(BoardNoticeQuery):
    """Which notices; together they narrow."""

    division: str | None = Field(
        default=None,
        pattern=r"^[0-9]{2,12}$",
        description="A whole 12-digit code (a county by what it manages), or a prefix 行政区划.",
    )


class PublicNotice(BaseModel):
    """A decision as its public notice 公示 may tell of it: no number, cause, note, document or member but the head."""

    kind: DecisionKind = Field(
        description="identification 贫困户识别, exit 贫困户退出, relapse 返贫, village_exit 贫困村退出, "
        "county_exit 贫困县退出, monitoring 纳入监测, monitoring_end 监测风险消除."
    )
    notice: StepCode = Field(description="Which notice 公示环节.", examples=["public_notice"])
    year: int | None = Field(description="Year of an exit 脱贫年度.")
    division: str = Field(description="Responsible village 责任村, or the village or county that is to exit.")
    division_name: str
    head: str | None = Field(
        description="Name of the head 户主, masked 脱敏 (on a village board in full where the register is so set); "
        "null for a minor, for who was erased, and where it is about a village or county.",
        examples=["张*丰"],
    )
    people: int | None = Field(description="Members 人口; null where it is about a village or county.")
    posted_on: Day = Field(description="First day 公示起始日.")
    last_day: Day = Field(description="Last day 公示截止日; objections are taken until the decision is concluded.")


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
    since: Day = Field(description="Since when it has this standing 状态起始日期.")
