"""HTTP shapes of statistics."""

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.division import Level
from shared.http.fields import Day


class Figures(BaseModel):
    """Counts as of a day, by what households were on it."""

    stock_households: int = Field(description="Poor households 贫困户: not yet exited, pre-exit or relapsed.")
    stock_people: int = Field(description="Their members 贫困人口.")
    served_households: int = Field(description="Households owed help 帮扶对象户: stock and exited with policies kept.")
    served_people: int = Field(description="Their members.")
    registered_households: int = Field(description="All on the register 在册农户.")
    registered_people: int = Field(description="Their members.")


class DivisionFigures(Figures):
    """The figures of one division."""

    code: str
    name: str
    level: Level


class PovertyStatistics(BaseModel):
    """Stock and served households of a division and of those below it 贫困统计."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    as_of: Day = Field(description="Day the figures hold for 截至日期.")
    division: DivisionFigures
    below: list[DivisionFigures] = Field(
        description="Divisions run by it, in official order: of a city its managing units 管理单位, zones included."
    )
    watermark: str | None = Field(description="演示数据 where the data is invented.")
