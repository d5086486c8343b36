"""HTTP shapes of rule runs."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.registry.checks.rules import Severity
from services.registry.checks.schemas import FailedRule
from shared.http.fields import Division, Instant

State = Literal["waiting", "running", "completed"]


class RuleRunIn(BaseModel):
    """What to look at."""

    model_config = ConfigDict(
        strict=True, extra="forbid", json_schema_extra={"examples": [{"division": "411323000000"}]}
    )

    division: Division = Field(description="Every household registered there, and who has none 核查范围.")


class RuleCount(BaseModel):
    """How often a rule found something."""

    rule: str = Field(description="Code of the rule, as in `/v1/rules`.")
    severity: Severity
    findings: int


class RuleRunOut(BaseModel):
    """A rule run 规则核查."""

    id: UUID
    division: str
    state: State = Field(description="waiting 等待, running 进行中, completed 已完成. May be extended.")
    requested_at: Instant
    requested_by: UUID = Field(description="API key that asked for it.")
    finished_at: Instant | None
    households: int = Field(description="Looked at so far 已核查户数.")
    persons: int = Field(
        description="Persons without a household looked at so far, after the households 已核查无户人数."
    )
    rules: list[RuleCount] = Field(description="What was found so far, by rule, in the order of the catalogue.")


class FindingRow(BaseModel):
    """One finding about one household, or about one person who has none 疑点."""

    household_number: str | None = Field(description="Household number 户编号; null: about a person without one.")
    person_number: str | None = Field(description="Number of a person without a household 无户人员编号.")
    village: str = Field(description="Responsible village 责任村.")
    rule: str
    severity: Severity
    pointer: str = Field(
        description="Where: a JSON pointer into `/v1/households/{household_number}`, where members who left keep their "
        "place, or into `/v1/persons/{person_number}`."
    )
    message: str = Field(description="What it says, in the language asked for.")
    failed_rule: FailedRule = None
