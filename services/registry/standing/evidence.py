"""What the exit of a village or county rests on: stated in the decision, kept with it. Pure."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import Text, unfit


class VillageEvidence(BaseModel):
    """Rural population and facilities of a village 贫困村退出条件."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    rural_population: int = Field(ge=1, le=10**9, description="Rural population 农村户籍人口.")
    access_road: bool | None = Field(default=None, description="A hardened access road 一条硬化通村路.")
    bus: bool | None = Field(default=None, description="A bus goes there, or none can 通客车(或不具备条件).")
    safe_water: bool | None = Field(default=None, description="Safe water 饮水安全.")
    power: bool | None = Field(default=None, description="Power 通电(含动力电).")
    broadcast: bool | None = Field(default=None, description="Radio and television in every house 广播电视户户通.")
    culture_centre: bool | None = Field(default=None, description="A culture centre 综合性文化服务中心.")
    clinic: bool | None = Field(default=None, description="A standard clinic with a doctor 标准化卫生室及合格乡医.")
    broadband: bool | None = Field(default=None, description="Broadband 通宽带.")
    industry: bool | None = Field(default=None, description="Industry, considered only 特色产业.")
    collective_income: bool | None = Field(default=None, description="Collective income, considered only 集体经济.")

    def facilities(self) -> Iterator[tuple[str, Text, bool | None]]:
        """What must be there."""
        yield "access_road", Text("a hardened access road", "有一条硬化通村路"), self.access_road
        yield "bus", Text("a bus, where one can go", "通客车(具备条件的)"), self.bus
        yield "safe_water", Text("safe water", "饮水安全"), self.safe_water
        yield "power", Text("power", "通电"), self.power
        yield "broadcast", Text("radio and television in every house", "广播电视户户通"), self.broadcast
        yield "culture_centre", Text("a culture centre", "有综合性文化服务中心"), self.culture_centre
        yield "clinic", Text("a standard clinic with a doctor", "有标准化卫生室和合格乡医"), self.clinic
        yield "broadband", Text("broadband", "通宽带"), self.broadband


class CountySurvey(BaseModel):
    """Counts of the special assessment 专项评估检查 of a county."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    rural_population: int = Field(ge=1, le=10**9, description="Rural population 农村户籍人口.")
    unregistered_people: int = Field(ge=0, le=10**9, description="Rural people off the register 非建档立卡人口.")
    exited_people: int = Field(ge=0, le=10**9, description="People who exited 脱贫人口.")
    surveyed_unregistered: int = Field(
        ge=1, le=10**9, description="Of those off the register, surveyed 调查非建档人口."
    )
    missed: int = Field(ge=0, le=10**9, description="Of them poor, hence missed 漏评人口.")
    surveyed_exited: int = Field(ge=1, le=10**9, description="Of those who exited, surveyed 调查脱贫人口.")
    wrongly_exited: int = Field(ge=0, le=10**9, description="Of them still poor 错退人口.")
    asked: int = Field(ge=1, le=10**9, description="Households asked for their opinion 认可度调查户数.")
    satisfied: int = Field(ge=0, le=10**9, description="Of them approving 认可户数.")
    income_growth_bp: int | None = Field(
        default=None,
        ge=-(10**4),
        le=10**5,
        description="Growth of rural income per head on the year before, in hundredths of a per cent "
        "农村居民人均可支配收入增幅(万分之一).",
    )
    province_income_growth_bp: int | None = Field(
        default=None, ge=-(10**4), le=10**5, description="The same of the whole province 全省平均增幅(万分之一)."
    )
    services_near_mean: bool | None = Field(
        default=None, description="Main public services are near the mean 基本公共服务主要领域指标接近平均水平."
    )

    @model_validator(mode="after")
    def _parts(self) -> "CountySurvey":
        parts = (
            (self.missed, self.surveyed_unregistered),
            (self.surveyed_unregistered, self.unregistered_people),
            (self.wrongly_exited, self.surveyed_exited),
            (self.surveyed_exited, self.exited_people),
            (self.satisfied, self.asked),
            (self.unregistered_people + self.exited_people, self.rural_population),
        )
        if any(part > whole for part, whole in parts):
            raise unfit("part_above_whole", "a part is larger than its whole", "部分大于整体")
        return self
