"""HTTP shapes of statistics. The title of a figure heads its column in exports."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from services.registry.statistics.rules import Among
from shared.contracts.base import Instant
from shared.contracts.division import Level
from shared.http.fields import Day, Division
from shared.http.fields import Instant as InstantIn

CITY = "411300000000"
Format = Literal["json", "csv", "xlsx"]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    division: str = Field(default=CITY, pattern=r"^[0-9]{12}$", description="Division 行政区划.")
    level: Literal["county", "township", "village"] | None = Field(
        default=None,
        description="Units to list: county 县区, township 乡镇, village 村; default: the next level below.",
    )
    known_at: InstantIn | None = Field(default=None, description="As was known then; default now 已知时点.")
    format: Format | None = Field(default=None, description="json, csv or xlsx; default: as `Accept` says 格式.")


class DayQuery(_Query):
    """Which figures, of which day."""

    as_of: Day | None = Field(
        default=None, description="Day the figures hold for; default that of `known_at` 截至日期."
    )


class ProfileQuery(DayQuery):
    """Which households to break down, and of which day."""

    among: Among = Field(default="stock", description="stock 贫困户, served 帮扶对象户, registered 在册农户.")


class SpanQuery(_Query):
    """Which figures, of which days."""

    since: Day | None = Field(default=None, description="First day; default: the first of the year 起始日期.")
    until: Day | None = Field(default=None, description="Last day, counted too; default that of `known_at` 截止日期.")


class UnitRow(BaseModel):
    """A division 行政区划."""

    code: str = Field(title="行政区划代码")
    name: str = Field(title="名称")
    level: Level = Field(title="级别")


class PovertyRow(UnitRow):
    """Counts of a division as of a day, by what households were on it."""

    stock_households: int = Field(title="贫困户数", description="Poor: not yet exited, pre-exit or relapsed.")
    stock_people: int = Field(title="贫困人口数", description="Their members.")
    served_households: int = Field(title="帮扶对象户数", description="Stock, and exited with policies kept.")
    served_people: int = Field(title="帮扶对象人口数", description="Their members.")
    registered_households: int = Field(title="在册农户数", description="All on the register.")
    registered_people: int = Field(title="在册人口数", description="Their members.")
    rural_people: int | None = Field(title="农村人口数", description="Rural population; null where none was loaded.")
    incidence_percent: str | None = Field(
        title="贫困发生率(%)",
        description="Incidence: stock people / rural people in per cent, two places, half up.",
        examples=["3.21"],
    )


class ExitsRow(UnitRow):
    """Households that left the stock, or came into it, in a span of days, by the dated decisions."""

    exited_households: int = Field(title="脱贫户数", description="Out of poverty.")
    exited_people: int = Field(title="脱贫人口数")
    relapsed_households: int = Field(title="返贫户数", description="Poor again after an exit.")
    relapsed_people: int = Field(title="返贫人口数")
    added_households: int = Field(title="新增贫困户数", description="Poor for the first time, first loading included.")
    added_people: int = Field(title="新增贫困人口数")
    removed_households: int = Field(title="清退户数", description="Out of the stock without an exit.")
    removed_people: int = Field(title="清退人口数")


class VillagesRow(UnitRow):
    """Villages of a division by designation 认定."""

    villages: int = Field(title="行政村数")
    poor_villages: int = Field(title="贫困村数")
    deep_poverty_villages: int = Field(title="深度贫困村数", description="They are poor villages, too.")
    key_villages: int = Field(title="重点村数")
    weak_villages: int = Field(title="软弱涣散村数")


class Part(TypedDict):
    """One part of a population. Not a model: five thousand villages have sixty thousand of them."""

    code: Annotated[str, Field(description="Code of the list; empty: not stated. May be extended.")]
    label: Annotated[str, Field(description="Chinese term.")]
    households: int
    people: int
    percent: Annotated[
        str | None, Field(description="Of the households, two places, half up; null where there are none.")
    ]


class ProfileRow(UnitRow):
    """The households of a division, broken down."""

    households: int = Field(title="户数")
    people: int = Field(title="人口数")
    parts: list[Part] = Field(description="In the order of the code list.")


RowT = TypeVar("RowT", bound=UnitRow)


def _example(row: dict[str, Any], **more: Any) -> ConfigDict:
    unit = {"code": CITY, "name": "南阳市", "level": "city"}
    shown: dict[str, Any] = {
        "as_of": "2017-12-31",
        "known_at": None,
        "division": unit | row,
        "below": [],
        "watermark": None,
    }
    return ConfigDict(json_schema_extra={"examples": [shown | more]})


class _Answer(BaseModel, Generic[RowT]):
    division: RowT = Field(description="The whole division 合计.")
    below: list[RowT] = Field(
        description="Units in official order; counties are the managing units 管理单位, with zones."
    )
    known_at: Instant | None = Field(description="The instant whose knowledge this is; null: now.")
    watermark: str | None = Field(description="演示数据 where the data is invented.")


class PovertyStatistics(_Answer[PovertyRow]):
    """Stock, served and registered households, and incidence 贫困统计."""

    model_config = _example({
        "stock_households": 144000, "stock_people": 334200, "served_households": 144000, "served_people": 334200,
        "registered_households": 144000, "registered_people": 334200, "rural_people": 10411215,
        "incidence_percent": "3.21",
    }, as_of="2017-12-31", rural_year=2017)  # fmt: skip

    as_of: Day = Field(description="Day the figures hold for 截至日期.")
    rural_year: int | None = Field(description="Year of the rural populations 农村人口年度; null: none loaded.")


class ProfileStatistics(_Answer[ProfileRow]):
    """A population broken down 构成."""

    model_config = _example({
        "households": 10, "people": 23,
        "parts": [{"code": "illness", "label": "因病", "households": 6, "people": 13, "percent": "60.00"}],
    }, as_of="2017-12-31", among="stock")  # fmt: skip

    as_of: Day = Field(description="Day the figures hold for 截至日期.")
    among: Among = Field(description="The population broken down.")


class MonitoringStatistics(_Answer[ProfileRow]):
    """Monitored households by category 监测对象统计."""

    model_config = _example({
        "households": 10, "people": 23,
        "parts": [{"code": "marginal", "label": "边缘易致贫户", "households": 6, "people": 13, "percent": "60.00"}],
    }, as_of="2021-12-31")  # fmt: skip

    as_of: Day = Field(description="Day the figures hold for 截至日期.")


class VillageStatistics(_Answer[VillagesRow]):
    """Villages by designation 村认定统计."""

    model_config = _example({
        "villages": 4994, "poor_villages": 552, "deep_poverty_villages": 199, "key_villages": 0, "weak_villages": 82
    }, as_of="2017-12-31")  # fmt: skip

    as_of: Day = Field(description="Day the figures hold for 截至日期.")


class ExitStatistics(_Answer[ExitsRow]):
    """What changed the stock in a span of days 脱贫返贫统计."""

    model_config = _example({
        "exited_households": 2164, "exited_people": 5866, "relapsed_households": 0, "relapsed_people": 0,
        "added_households": 0, "added_people": 0, "removed_households": 0, "removed_people": 0,
    }, since="2018-01-01", until="2018-12-31")  # fmt: skip

    since: Day = Field(description="First day 起始日期.")
    until: Day = Field(description="Last day 截止日期.")


class DenominatorLine(BaseModel):
    """The rural population of a division in a year."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"division": CITY, "year": 2017, "people": 10411215}]},
    )

    division: Division
    year: int = Field(ge=2000, le=2100, description="Year 年度.")
    people: int = Field(ge=0, le=2_000_000_000, description="Rural population 农村人口数, at the end of the year.")


class DenominatorOut(BaseModel):
    """The rural population of a division in a year, as recorded last."""

    division: str
    year: int
    people: int
    recorded_at: Instant
