"""Contracts with importers of households: the shape of ``POST /v1/households`` in two parts, and the receipt.

What is coded travels in the clear. Who the members are travels in ``identity``, a JWE that only registry can open; a
field of one part is refused in the other. Both parts are derived from the HTTP shape, so that they cannot drift.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from services.registry.freetext import FreeText
from services.registry.households.schemas import MAX_MEMBERS, HouseholdIn, MemberIn
from shared.contracts.base import topic
from shared.http.fields import ExternalName
from shared.intake.contracts import Envelope, Receipt

IDENTITY = ("name", "id_number", "birth_date", "phone", "disability_number", "bank_card")
"""The fields of a member that tell who that is; the day of birth does with sex and village."""
MAX_IDENTITY = 48 * 1024
"""Characters an identity block may have: fifty members take a quarter of it."""
_CLOSED = ConfigDict(strict=True, extra="forbid", frozen=True)


def _fields(model: type[BaseModel], *, without: tuple[str, ...]) -> dict[str, Any]:
    return {name: (each.annotation, each) for name, each in model.model_fields.items() if name not in without}


SubmittedMember: type[BaseModel] = create_model(
    "SubmittedMember",
    __config__=_CLOSED,
    __doc__="A member 家庭成员 in the clear: all but who that is.",
    **_fields(MemberIn, without=IDENTITY),
)
MemberIdentity: type[BaseModel] = create_model(
    "MemberIdentity",
    __config__=_CLOSED,
    __doc__="Who a member is 身份信息; for the member at the same place of `members`.",
    **_fields(MemberIn, without=tuple(set(MemberIn.model_fields) - set(IDENTITY))),
)


class IdentityBlock(BaseModel):
    """What the JWE ``identity`` holds. It names the record it was made for: copied into another one it is refused."""

    model_config = _CLOSED

    source: str = Field(description="`ce_source` of the submission.")
    source_system: ExternalName = Field(description="As in the submission.")
    external_id: ExternalName = Field(description="As in the submission.")
    members: list[MemberIdentity] = Field(description="One object a member, in the order of `members`.")


def _schema_of_block() -> dict[str, Any]:
    schema = IdentityBlock.model_json_schema()
    schema["properties"]["members"]["items"] = schema.pop("$defs")["MemberIdentity"]
    return schema


class _Envelope(Envelope):
    """What any submission of a household says beside its content."""

    model_config = _CLOSED

    reason: FreeText | None = Field(default=None, description="Why, for corrections and revocations 原因.")


class _Recording(_Envelope):
    """A new household, or the whole content of a known one as it should have been."""

    op: Literal["record", "correct"]
    identity: str = Field(
        description="JWE (RFC 7516), compact: `alg` ECDH-ES+A256KW, `enc` A256GCM, `kid` that of our key at "
        "`/.well-known/submission-keys.json`, no `zip`. What it holds is JSON as in `contentSchema` 身份信息(加密).",
        json_schema_extra={
            "maxLength": MAX_IDENTITY,
            "contentMediaType": "application/jose",
            "contentSchema": _schema_of_block(),
        },
    )


HouseholdRecording: type[BaseModel] = create_model(
    "HouseholdRecording",
    __base__=_Recording,
    __doc__=_Recording.__doc__,
    members=(Annotated[list[SubmittedMember], Field(min_length=1, max_length=MAX_MEMBERS)], ...),
    **_fields(HouseholdIn, without=("members", "source_system", "external_id")),
)


class HouseholdRevocation(_Envelope):
    """A household that never was one: off the register from its first day on."""

    op: Literal["revoke"]


class HouseholdSubmission(RootModel[Annotated[HouseholdRecording | HouseholdRevocation, Field(discriminator="op")]]):
    """One submission of a household 农户报送."""


class HouseholdOutcome(Receipt):
    """The receipt of one submission 回执. Faults of identities are named by place, never by value."""

    household_id: UUID | None = None
    number: str | None = Field(default=None, description="Household number 户编号.")
    version: int | None = Field(default=None, description="Version of the household after this submission.")


HOUSEHOLD_SUBMISSIONS = topic(
    "registry.household-submissions",
    HouseholdSubmission,
    ("submitted",),
    "Submissions of households 农户报送: one CloudEvent a household, identities encrypted, published by other systems.",
    readers=("registry-submissions",),
)
HOUSEHOLD_OUTCOMES = topic(
    "registry.household-outcomes",
    HouseholdOutcome,
    ("accepted", "unchanged", "rejected"),
    "Receipts 回执: one for every submission; at least once, with the same id.",
)
