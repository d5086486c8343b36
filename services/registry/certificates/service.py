"""Use cases of certificates: issue one for an exit, find one; the audit log learns of every one issued or revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.certificates.rules import withdrawn_on
from services.registry.households import reading
from services.registry.households.records import Author, Household
from services.registry.identities.schemas import RevealIn
from shared.auth import Caller
from shared.contracts.division import Path
from shared.db import Pg


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate 脱贫光荣证 as it was issued."""

    number: str
    household_id: UUID
    head_id: UUID
    """The head of the household on the day of issue."""
    village_name: str
    issued_on: date
    withdrawn_on: date | None
    """The day from which it holds no longer."""


_COLUMNS = "number, household_id, head_id, village_name, issued_on, revoked_on"


async def issue(
    pg: Pg, household: Household, *, county: str, village_name: str, head_id: UUID, decision_id: UUID, on: date
) -> str:
    """Issue a household's certificate in place of the one it may hold; returns its number.

    County and village are those of the day; the audit log has it where the household lives now, as it has any change.
    County prefix, year and a running number of that county and year. The counter's row stays locked until the
    transaction ends, so that a number that is not used is not drawn either.
    """
    replaced = await pg.fetch(
        "UPDATE certificate SET revoked_on = $2 WHERE household_id = $1 AND revoked_on IS NULL RETURNING number",
        household.id,
        on,
    )
    running = await pg.fetchval(
        "INSERT INTO certificate_counter AS held (county, year, last) VALUES ($1, $2, 1) "
        "ON CONFLICT (county, year) DO UPDATE SET last = held.last + 1 RETURNING last",
        county,
        on.year,
    )
    number = f"{county[:6]}{on.year}{running:06d}"
    await pg.execute(
        "INSERT INTO certificate (number, household_id, decision_id, head_id, village_name, issued_on) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        number,
        household.id,
        decision_id,
        head_id,
        village_name,
        on,
    )
    path, author = household.latest.path, household.author
    revoked = [_entry("revoked", row["number"], path, author) for row in replaced]
    await audit.record(pg, [*revoked, _entry("issued", number, path, author)])
    return number


async def note_printed(
    pg: Pg, certificate: Certificate, path: Path, caller: Caller, now: datetime, asked: RevealIn
) -> None:
    """Tell the audit log that a certificate is printed with the full name."""
    author = Author(caller.key_id, now, asked.reason)
    await audit.record(pg, [_entry("revealed", certificate.number, path, author, asked.purpose)])


def _entry(verb: str, number: str, path: Path, author: Author, purpose: str | None = None) -> Entry:
    return Entry(
        recorded_at=author.now,
        key_id=author.key_id,
        operation=f"certificate.{verb}",
        object_id=number,
        reason=author.reason,
        purpose=purpose,
        divisions=path.scopes(),
    )


async def by_number(pg: Pg, number: str) -> Certificate | None:
    """The certificate with a number, valid or withdrawn."""
    return await _read(pg, await pg.fetchrow(f"SELECT {_COLUMNS} FROM certificate WHERE number = $1", number))


async def of_household(pg: Pg, household_id: UUID) -> Certificate | None:
    """The certificate that a household holds; None when it has none, or when that is withdrawn."""
    found = await pg.fetchrow(
        f"SELECT {_COLUMNS} FROM certificate WHERE household_id = $1 AND revoked_on IS NULL", household_id
    )
    certificate = await _read(pg, found)
    return certificate if certificate is not None and certificate.withdrawn_on is None else None


async def numbers(pg: Pg, households: Sequence[UUID]) -> Sequence[Any]:
    """``id`` of a household and ``number`` of each certificate that it ever held."""
    return await pg.fetch(
        "SELECT household_id AS id, number FROM certificate WHERE household_id = ANY($1::uuid[])", households
    )


async def _read(pg: Pg, row: Any) -> Certificate | None:
    if row is None:
        return None
    fields = dict(row)
    replaced_on = fields.pop("revoked_on")
    standings, ended_on = await reading.standings_of(pg, row["household_id"])
    return Certificate(**fields, withdrawn_on=withdrawn_on(row["issued_on"], replaced_on, standings, ended_on))
