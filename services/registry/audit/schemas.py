"""HTTP shapes of the audit log."""

from uuid import UUID

from pydantic import BaseModel, Field

from services.registry.audit.rules import Sealed
from shared.contracts.base import Instant as InstantOut
from shared.http.fields import Id, Instant
from shared.http.listing import ListQuery


class AuditFilters(ListQuery):
    """Filters of audit entries; together they narrow."""

    object: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Of this household, person, decision, import, key or look-up (id), division (code) or year 对象.",
    )
    key: Id | None = Field(default=None, description="Done with this key, or by this DCI party 操作者.")
    operation: str | None = Field(
        default=None, pattern=r"^[a-z_]+\.[a-z_]+$", max_length=60, description="`household.changed`, say 操作."
    )
    from_: Instant | None = Field(default=None, alias="from", description="Recorded at or after 起始时间.")
    until: Instant | None = Field(default=None, description="Recorded before 截止时间.")


class AuditEntryOut(BaseModel):
    """Something that was done, in its place in the chain 审计记录."""

    position: int = Field(description="Place in the chain, from 1 without gaps 序号.")
    id: UUID
    recorded_at: InstantOut
    key_id: UUID | None = Field(description="Key or DCI party that did it; null: the operator, on the machine 操作者.")
    operation: str = Field(description="What 操作. May be extended.", examples=["household.changed"])
    object_id: str = Field(description="To what 对象.")
    version: int | None = Field(description="The version it made.")
    reason: str | None = Field(description="Why 原因.")
    purpose: str | None = Field(description="What for, of reveals and look-ups 用途.")
    outcome: str | None = Field(
        description="Why it was denied (`forbidden`, `not_found`, `too_many_requests`); counts 结果."
    )
    digest: str | None = Field(description="SHA-256 of what was stored, hex.")
    hash: str = Field(description="SHA-256 over the hash before and this entry, hex.")

    @classmethod
    def of(cls, sealed: Sealed) -> "AuditEntryOut":
        entry = sealed.entry
        return cls(
            position=sealed.position,
            id=sealed.id,
            recorded_at=entry.recorded_at,
            key_id=entry.key_id,
            operation=entry.operation,
            object_id=entry.object_id,
            version=entry.version,
            reason=entry.reason,
            purpose=entry.purpose,
            outcome=entry.outcome,
            digest=None if entry.digest is None else entry.digest.hex(),
            hash=sealed.hash.hex(),
        )


class AuditHeadOut(BaseModel):
    """The head of the chain 审计链首: kept elsewhere, it proves later that nothing up to it was changed."""

    position: int = Field(description="Of the newest sealed entry; 0: none yet.")
    hash: str = Field(description="Its hash, hex.")
    unsealed: int = Field(description="Entries that wait to be sealed; about a second's worth.")
