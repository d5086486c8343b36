"""Use cases of printing a certificate: with the head's name masked for every reader, in full as a reveal."""

import asyncio

from services.registry.certificates import service
from services.registry.certificates.service import Certificate
from services.registry.commands import command
from services.registry.context import Registry, watermark
from services.registry.households import reading
from services.registry.households.records import Household, Person
from services.registry.identities.denials import denials_noted
from services.registry.identities.quota import Left
from services.registry.identities.schemas import RevealIn
from services.registry.identities.service import take_reveal
from services.registry.masking import masked_name
from shared import errors
from shared.auth import Caller
from shared.db import Pg
from shared.errors import Problem


async def masked(registry: Registry, caller: Caller, household: str) -> tuple[Certificate, bytes]:
    """A household's certificate and its page. Raises 404."""
    async with registry.runtime.database.driver() as pg:
        _, certificate, head = await _held(pg, registry, caller, household)
    return certificate, await _page(registry, certificate, masked_name(head.name))


async def in_full(
    registry: Registry, caller: Caller, household: str, asked: RevealIn
) -> tuple[Certificate, bytes, Left]:
    """With the head's full name, once the audit log knows who sees it and why. Raises 404, 429."""
    async with (
        denials_noted(registry, caller, "certificate.reveal_denied", household, asked),
        command(registry.runtime) as pg,
    ):
        holder, certificate, head = await _held(pg, registry, caller, household)
        if not head.name:  # erased, here or where they went to
            raise Problem(errors.NOT_FOUND)
        left = await take_reveal(pg, registry, caller, head, holder.latest.path, asked)
        await service.note_printed(pg, certificate, holder.latest.path, caller, registry.runtime.clock.now(), asked)
    return certificate, await _page(registry, certificate, head.name), left


async def _held(pg: Pg, registry: Registry, caller: Caller, household: str) -> tuple[Household, Certificate, Person]:
    holder = await reading.find(pg, household, caller, registry.vault)
    certificate = await service.of_household(pg, holder.id)
    if certificate is None:
        raise Problem(errors.NOT_FOUND)
    return holder, certificate, await _head_of(pg, registry, certificate)


async def _head_of(pg: Pg, registry: Registry, certificate: Certificate) -> Person:
    """Who was head of the household when it was issued."""
    [household] = await reading.several(pg, [certificate.household_id], registry.vault)
    return next(member for member in household.members if member.id == certificate.head_id)


async def _page(registry: Registry, certificate: Certificate, head: str) -> bytes:
    from services.registry.certificates import pdf  # ReportLab is slow to import, and few processes print

    address = f"{registry.runtime.settings.base_url}/v1/certificates/{certificate.number}"
    return await asyncio.to_thread(pdf.render, certificate, head=head, address=address, watermark=watermark(registry))
