"""HTTP shapes of targets."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.programme import Cadence, Metric
from shared.http.fields import Day, Division

_STRICT = ConfigDict(strict=True, extra="forbid")


class TargetChange(BaseModel):
    """What may change of a target that stands."""

    model_config = _STRICT

    due: int = Field(ge=1, le=2**53, description="How much is due 任务数; amounts in fen.")
    deadline: Day = Field(description="By when 完成期限.")


class TargetIn(TargetChange):
    """A target to set 下达任务."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "unit": "411323000000",
                    "programme": "visit",
                    "cadence": "week",
                    "period": "2018-W41",
                    "metric": "households",
                    "due": 1200,
                    "deadline": "2018-10-14",
                }
            ]
        }
    )

    unit: Division = Field(description="Who is to do it 责任单位.")
    programme: Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9_]{0,59})$")] = Field(
        default="*", description="Programme code 帮扶项目, or `*` for every help programme."
    )
    cadence: Cadence = Field(description="day 日, week 周, month 月, quarter 季, year 年.")
    period: Annotated[str, Field(max_length=10)] = Field(
        description="Period id 期次: 2018-10-05, 2018-W40, 2018-10, 2018-Q4, 2018."
    )
    metric: Metric = Field(description="What is counted 指标.")
