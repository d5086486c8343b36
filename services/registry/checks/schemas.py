"""HTTP shapes of the rule catalogue."""

from typing import Annotated

from pydantic import BaseModel, Field

from services.registry.checks.rules import Rule, Severity

FailedRule = Annotated[
    str | None,
    Field(
        exclude_if=lambda value: value is None,
        description="Of `rule_failed` and `remark_failed` alone: the rule that could not be evaluated 未能执行的规则.",
    ),
]


class FindingOut(BaseModel):
    """Something a rule of the catalogue found 疑点."""

    rule: str = Field(description="Code of the rule, as in `/v1/rules`.")
    severity: Severity
    pointer: str = Field(
        description="Where: a JSON pointer into the household as it is now; members who left keep their place."
    )
    failed_rule: FailedRule = None


class RuleOut(BaseModel):
    """A rule 校验规则."""

    code: str = Field(description="Stable code.")
    severity: Severity = Field(
        description="error 错误: it is refused; warning 疑点: look at it; exit_blocker 退出障碍: it cannot exit."
    )
    message_zh: str = Field(description="What it says 提示.")
    message_en: str
    reads: list[str] = Field(description="Fields it looks at 涉及字段.")
    source: str = Field(description="Where it comes from 依据.")

    @classmethod
    def of(cls, rule: Rule) -> "RuleOut":
        return cls(
            code=rule.code,
            severity=rule.severity,
            message_zh=rule.message.zh,
            message_en=rule.message.en,
            reads=list(rule.reads),
            source=rule.source,
        )


class RulesOut(BaseModel):
    """The rule catalogue 规则目录."""

    items: list[RuleOut]
