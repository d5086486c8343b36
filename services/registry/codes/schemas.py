"""HTTP shapes of code lists."""

from pydantic import BaseModel, Field

from services.registry.codes.rules import CodeList, Subject, Term


class TermOut(BaseModel):
    """A term 代码项."""

    code: str = Field(description="The word of this interface.")
    national: str | None = Field(description="National code 国标代码; null where none is established.")
    label_zh: str = Field(description="Label 名称.")
    first_year: int | None = Field(description="First year 启用年度; null: always.")
    last_year: int | None = Field(description="Last year 停用年度; null: still in use.")

    @classmethod
    def of(cls, term: Term) -> "TermOut":
        return cls(
            code=term.code,
            national=term.national or None,
            label_zh=term.label_zh,
            first_year=term.first_year,
            last_year=term.last_year,
        )


class CodeListOut(BaseModel):
    """A code list 代码表."""

    name: str
    label_zh: str = Field(description="Name 名称.")
    field: str | None = Field(description="National field or standard 指标项或标准号.", examples=["AAC007"])
    describes: Subject = Field(description="What it describes: household 户 or person 人.")
    terms: list[TermOut]

    @classmethod
    def of(cls, found: CodeList) -> "CodeListOut":
        return cls(
            name=found.name,
            label_zh=found.label_zh,
            field=found.field or None,
            describes=found.describes,
            terms=[TermOut.of(term) for term in found.terms],
        )


class CodeListsOut(BaseModel):
    """Every code list."""

    items: list[CodeListOut]
