"""Income of a household in a year 家庭年收入, with the identity of domain.md 1.2 held to the fen.

gross 年收入 AAC081 = wages AAC073 + business AAC071 + property AAC072 + transfers AAC085;
net 纯收入 AAC079 = gross - business costs AAC074; per head 人均纯收入 AAC082 = net / people AAC017.
"""

import json
from collections.abc import Iterable
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.registry.freetext import FreeText
from shared.errors import unfit

Fen = Annotated[int, Field(ge=0, le=10**12)]
Year = Annotated[int, Field(ge=2010, le=2100)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Transfers(_Strict):
    """Transfers 转移性收入, fen a year."""

    family_planning_fen: Fen = Field(default=0, description="Family planning 计划生育金 AAC076, fen a year.")
    dibao_fen: Fen = Field(default=0, description="Subsistence allowance 低保金 AAC077, fen a year.")
    tekun_fen: Fen = Field(default=0, description="Support of the destitute 五保金 AAC086, fen a year.")
    pension_fen: Fen = Field(default=0, description="Pension 养老金 AAC087, fen a year.")
    ecological_fen: Fen = Field(default=0, description="Ecological compensation 生态补偿金 AAC078, fen a year.")
    other_fen: Fen = Field(default=0, description="Other transfers 其他转移性收入 AAC083, fen a year.")

    @property
    def total_fen(self) -> int:
        """转移性收入 AAC085."""
        return (
            self.family_planning_fen + self.dibao_fen + self.tekun_fen
            + self.pension_fen + self.ecological_fen + self.other_fen
        )  # fmt: skip


class Totals(NamedTuple):
    """What follows from the parts, fen."""

    gross_fen: int
    """年收入 AAC081."""
    net_fen: int
    """年纯收入 AAC079; below zero where costs were higher than everything earned."""
    per_capita_fen: int
    """人均纯收入 AAC082, to the fen, half up."""


class IncomeParts(_Strict):
    """What an income is made of 收入构成."""

    people: int = Field(ge=1, le=100, description="Members it is shared by 家庭人口 AAC017.")
    wages_fen: Fen = Field(default=0, description="Wages 工资性收入 AAC073, fen a year.")
    business_fen: Fen = Field(default=0, description="Own business, gross 生产经营性收入 AAC071, fen a year.")
    business_costs_fen: Fen = Field(default=0, description="Its costs 生产经营性支出 AAC074, fen a year.")
    property_fen: Fen = Field(default=0, description="Property 财产性收入 AAC072, fen a year.")
    transfers: Transfers = Transfers()

    def totals(self) -> Totals:
        """The sums, by the identity above."""
        gross = self.wages_fen + self.business_fen + self.property_fen + self.transfers.total_fen
        net = gross - self.business_costs_fen
        return Totals(gross, net, (2 * net + self.people) // (2 * self.people))


class Income(IncomeParts):
    """What a household earned in a year."""

    year: Year = Field(description="Year 年度.")

    @property
    def net_fen(self) -> int:
        return self.totals().net_fen

    @property
    def per_capita_fen(self) -> int:
        return self.totals().per_capita_fen


_TOTALS = {"gross_fen": "年收入", "net_fen": "年纯收入", "per_capita_fen": "人均纯收入"}


class StatedIncome(IncomeParts):
    """An income as it is reported. Totals may be left out; stated, they must be what the parts add up to."""

    gross_fen: int | None = Field(default=None, description="年收入 AAC081, fen a year; must add up.")
    net_fen: int | None = Field(default=None, description="年纯收入 AAC079, fen a year; must add up.")
    per_capita_fen: int | None = Field(default=None, description="人均纯收入 AAC082, fen; must add up.")

    @model_validator(mode="after")
    def _adds_up(self) -> "StatedIncome":
        for name, total in self.totals()._asdict().items():
            if getattr(self, name) not in (None, total):
                chinese = f"各项之和与所填{_TOTALS[name]}不符"
                raise unfit("income_identity", f"the parts do not add up to {name} as stated", chinese)
        return self

    def parts(self) -> dict[str, object]:
        """The parts by name."""
        return {name: getattr(self, name) for name in IncomeParts.model_fields}


class IncomeIn(StatedIncome):
    """A year's income of a household that is registered."""

    year: Year = Field(description="Year 年度.")

    def income(self) -> Income:
        return Income.model_validate(self.parts() | {"year": self.year})


class IncomeReport(StatedIncome):
    """A year's income that is reported later, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "people": 3,
                    "wages_fen": 1_200_000,
                    "business_fen": 400_000,
                    "business_costs_fen": 150_000,
                    "transfers": {"dibao_fen": 180_000},
                    "per_capita_fen": 543_333,
                    "reason": "2018 年度动态管理",
                }
            ]
        }
    )

    reason: FreeText = Field(description="Why 填报或变更原因.")

    def income(self, year: int) -> Income:
        return Income.model_validate(self.parts() | {"year": year})


class IncomeOut(IncomeParts):
    """A year's income with what follows from it 家庭年收入."""

    year: int
    gross_fen: int = Field(description="年收入 AAC081, fen a year.")
    net_fen: int = Field(description="年纯收入 AAC079, fen a year.")
    per_capita_fen: int = Field(description="人均纯收入 AAC082, fen a year.")

    @classmethod
    def of(cls, income: Income) -> "IncomeOut":
        return cls.model_validate(income.model_dump() | income.totals()._asdict())


class IncomesOut(BaseModel):
    """The incomes of a household."""

    items: list[IncomeOut]


def _one_a_year(incomes: list[IncomeIn]) -> list[IncomeIn]:
    if len({income.year for income in incomes}) != len(incomes):
        raise unfit("named_twice", "something is named twice", "有重复项")
    return incomes


Incomes = Annotated[list[IncomeIn], Field(max_length=30), AfterValidator(_one_a_year)]


def with_income(incomes: Iterable[Income], given: Income) -> tuple[Income, ...]:
    """The incomes with one year set, oldest first."""
    return tuple(sorted([*(each for each in incomes if each.year != given.year), given], key=lambda each: each.year))


def stored(incomes: Iterable[Income]) -> str:
    """As they are kept in a column."""
    return f"[{','.join([income.model_dump_json(exclude_defaults=True) for income in incomes])}]"


def read(text: str) -> tuple[Income, ...]:
    """Out of the column again."""
    return tuple(Income.model_validate(entry) for entry in json.loads(text))
