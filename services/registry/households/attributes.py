"""What the register says of a household and of a person beyond who they are: coded, dated by version, never sealed.

Every field may be unknown. Words are those of the code lists (services/registry/codes); fields and national codes
are those of domain.md 1.1 to 1.3.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from services.registry.codes.service import words
from shared.errors import unfit
from shared.http.fields import Day, Division

Cause = Literal[
    "illness", "disability", "schooling", "disaster", "lack_of_land", "lack_of_water", "lack_of_skills",
    "lack_of_labour", "lack_of_funds", "poor_transport", "lack_of_motivation", "other",
]  # fmt: skip
"""主要致贫原因 AAC007 01 to 11 and 99 in this order (domain.md 1.1)."""
OtherCause = Literal[
    "illness", "disability", "schooling", "disaster", "lack_of_land", "lack_of_water", "lack_of_skills",
    "lack_of_labour", "lack_of_funds", "poor_transport", "lack_of_motivation", "marriage", "funeral", "other",
]  # fmt: skip
Schooling = Literal[
    "none", "preschool", "primary", "grade_7", "grade_8", "grade_9", "senior_1", "senior_2", "senior_3",
    "vocational_1", "vocational_2", "vocational_3", "higher_vocational_1", "higher_vocational_2",
    "higher_vocational_3", "college",
]  # fmt: skip
PoliticalStatus = Literal[
    "party_member", "probationary_member", "league_member", "revolutionary_committee", "democratic_league",
    "democratic_construction", "promoting_democracy", "peasants_and_workers", "zhi_gong", "jiu_san", "taiwan_league",
    "no_party", "masses",
]  # fmt: skip
Health = Literal["healthy", "chronic_disease", "serious_disease", "disabled"]


def _number(value: object) -> object:
    """JSON numbers alone: a strict model would take a text for a decimal."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unfit("decimal_type", "a number", "须为数字")
    return Decimal(str(value))


def _ethnicity(value: str) -> str:
    if value not in words("ethnicity"):
        raise unfit("unknown_code", "not a code of GB/T 3304", "不是 GB/T 3304 民族代码")
    return value


def _without_doubles(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise unfit("named_twice", "something is named twice", "有重复项")
    return values


_TWO_DECIMALS = (
    BeforeValidator(_number),
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100_000}),
)
Quantity = Annotated[Decimal, *_TWO_DECIMALS, Field(ge=0, le=100_000, decimal_places=2)]
"""At most two decimals, a number in JSON: so small a number passes through a float unharmed."""
Ethnicity = Annotated[str, AfterValidator(_ethnicity), Field(pattern=r"^[0-9]{2}$")]


class _Attributes(BaseModel):
    """Strict, closed, and small when stored: what is unknown is left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def __eq__(self, other: object) -> bool:
        """By value. What is left out as unknown is found by comparing, and pydantic compares ten times as slowly."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself, for it does not change: pydantic copies a default deeply for every household and member."""
        return self


class Housing(_Attributes):
    """Housing 住房."""

    area_m2: Quantity | None = Field(default=None, description="Floor area in square metres 住房面积.")
    danger: Literal["none", "grade_c", "grade_d"] | None = Field(default=None, description="Danger 危房等级.")
    sanitary_toilet: bool | None = Field(default=None, description="Sanitary toilet 卫生厕所.")
    domestic_power: bool | None = Field(default=None, description="Power for the house 生活用电.")
    production_power: bool | None = Field(default=None, description="Power for work 生产用电.")
    broadcast: bool | None = Field(default=None, description="Radio and television 广播电视.")
    fuel: Literal["firewood", "dung", "coal", "clean", "other"] | None = Field(
        default=None, description="Main fuel 主要燃料 AAC320."
    )


class Water(_Attributes):
    """Drinking water 饮水."""

    safe: bool | None = Field(default=None, description="Safe 饮水安全.")
    scarce: bool | None = Field(default=None, description="Hard to get 饮水困难.")


class Road(_Attributes):
    """The road to the house 入户路."""

    kind: Literal["dirt", "gravel", "cement", "asphalt"] | None = Field(
        default=None, description="Surface 入户路类型 AAC316."
    )
    distance_km: Quantity | None = Field(default=None, description="Distance to the main road in km 距主干路距离.")


class Land(_Attributes):
    """Land 土地, in mu 亩."""

    arable: Quantity | None = Field(default=None, description="Arable 耕地, mu.")
    irrigated: Quantity | None = Field(default=None, description="Of it irrigated 有效灌溉, mu.")
    forest: Quantity | None = Field(default=None, description="Forest 林地, mu.")
    returned: Quantity | None = Field(default=None, description="Arable returned to forest 退耕还林, mu.")
    orchard: Quantity | None = Field(default=None, description="Orchard 林果, mu.")
    pasture: Quantity | None = Field(default=None, description="Pasture 牧草, mu.")
    water_surface: Quantity | None = Field(default=None, description="Water surface 水面, mu.")


class Relocation(_Attributes):
    """Relocation for poverty alleviation 易地扶贫搬迁: where it lives now; the responsible village stays."""

    method: Literal["whole_village", "whole_hamlet", "individual"] = Field(description="搬迁方式.")
    resettlement: Literal["concentrated", "scattered"] = Field(description="安置方式.")
    site: Literal["county_seat", "township", "in_village", "out_of_village", "out_of_county"] = Field(
        description="安置地点."
    )
    moved_on: Day | None = Field(default=None, description="Day it moved in 入住日期.")
    lives_in: Division | None = Field(default=None, description="Division it lives in now 现居住地.")


class HouseholdAttributes(_Attributes):
    """Of a household."""

    standard: Literal["national", "provincial", "municipal"] | None = Field(
        default=None, description="Standard it was identified by 识别标准 AAC005."
    )
    other_causes: Annotated[list[OtherCause], AfterValidator(_without_doubles)] = Field(
        default=[], max_length=2, description="Other causes 其他致贫原因 AAC008, at most two."
    )
    relapse_cause: Cause | None = Field(default=None, description="Cause of the relapse 返贫原因 AAC009.")
    military_family: bool | None = Field(default=None, description="Family of the fallen or of soldiers 军烈属.")
    only_child_family: bool | None = Field(default=None, description="One child 独生子女户.")
    two_daughters_family: bool | None = Field(default=None, description="Two daughters 双女户.")
    cooperative_member: bool | None = Field(default=None, description="In a co-operative 加入合作社.")
    housing: Housing = Housing()
    water: Water = Water()
    road: Road = Road()
    land: Land = Land()
    relocation: Relocation | None = Field(default=None, description="Relocated 易地搬迁; null: not.")


class Insurance(_Attributes):
    """Social insurance 社会保险."""

    resident_medical: bool | None = Field(default=None, description="Residents' medical 城乡居民基本医疗保险.")
    employee_medical: bool | None = Field(default=None, description="Employees' medical 城镇职工基本医疗保险.")
    critical_illness: bool | None = Field(default=None, description="Critical illness 大病保险.")
    pension: bool | None = Field(default=None, description="Residents' pension 城乡居民基本养老保险.")


class Work(_Attributes):
    """Work away from home 务工, in a year."""

    place: Literal["township", "county", "province", "elsewhere", "other"] | None = Field(
        default=None, description="Where 务工地点."
    )
    months: int = Field(default=0, ge=0, le=12, description="Months 务工时间(月).")
    monthly_fen: int | None = Field(default=None, ge=0, le=10**9, description="Monthly pay in fen 月收入(分).")


class PersonAttributes(_Attributes):
    """Of a person."""

    id_kind: Literal["citizen", "officer", "disability"] = Field(default="citizen", description="Kind of ID 证件类型.")
    ethnicity: Ethnicity | None = Field(default=None, description="Ethnicity 民族, GB/T 3304.", examples=["01"])
    education: (
        Literal["illiterate", "primary", "junior_middle", "senior_middle", "college", "preschool_child"] | None
    ) = Field(default=None, description="Education of who is not in school 文化程度.")
    schooling: Schooling | None = Field(default=None, description="Grade of who is in school 在校生状况.")
    dropped_out: bool | None = Field(default=None, description="Left compulsory schooling 义务教育阶段辍学.")
    health: Annotated[list[Health], AfterValidator(_without_doubles)] = Field(
        default=[], max_length=4, description="Health 健康状况; several may hold."
    )
    disability_kind: Literal["sight", "hearing", "speech", "physical", "intellectual", "mental", "multiple"] | None = (
        Field(default=None, description="Kind of disability 残疾类别, GB/T 26341.")
    )
    skilled: bool | None = Field(default=None, description="Skilled worker 技能劳动力.")
    work: Work = Work()
    insurance: Insurance = Insurance()
    dibao: bool | None = Field(default=None, description="Gets subsistence allowance 享受低保.")
    tekun: bool | None = Field(default=None, description="Supported as destitute 特困供养.")
    in_service: bool | None = Field(default=None, description="Serves in the army 现役军人.")
    political_status: PoliticalStatus | None = Field(default=None, description="政治面貌.")


def stored(attributes: HouseholdAttributes | PersonAttributes) -> str:
    """As it is kept in a column: JSON without what is unknown."""
    return attributes.model_dump_json(exclude_defaults=True)
