"""Routes of certificates."""

import asyncio

from fastapi import Response

from services.registry.certificates import pdf, service
from services.registry.certificates.service import Certificate
from services.registry.context import Reader, Registry, RegistryDep
from services.registry.households import reading
from services.registry.identity import masked_name
from shared import errors
from shared.app import NOT_FOUND_RESPONSE, router
from shared.db import Pg
from shared.errors import Problem

routes = router("certificates")
PDF = "application/pdf"
MARK = "演示数据"


@routes.get(
    "/households/{household}/certificate.pdf",
    operation_id="print_certificate",
    summary="A household's honour certificate to print 打印脱贫光荣证",
    response_class=Response,
    responses={
        200: {
            "description": "One page, A4 landscape.",
            "content": {PDF: {"schema": {"type": "string", "format": "binary"}}},
        },
        **NOT_FOUND_RESPONSE,
    },
)
async def print_certificate(household: str, caller: Reader, registry: RegistryDep) -> Response:
    """The certificate it holds, with a QR code that leads to its verification.

    The head's full name is printed for callers with the role `identity:reveal`; for others it is masked.
    """
    async with registry.runtime.database.driver() as pg:
        holder = await reading.find(pg, household, caller, registry.vault)
        found = await service.of_household(pg, holder.id)
        if found is None:
            raise Problem(errors.NOT_FOUND)
        name = await _head(pg, registry, found)
    head = name if caller.may("identity:reveal") else masked_name(name)
    address = f"{registry.runtime.settings.base_url}/v1/certificates/{found.number}"
    page = await asyncio.to_thread(pdf.render, found, head=head, address=address, watermark=_watermark(registry))
    named = {"Content-Disposition": f'inline; filename="{found.number}.pdf"', "Cache-Control": "no-store"}
    return Response(page, media_type=PDF, headers=named)


async def _head(pg: Pg, registry: Registry, certificate: Certificate) -> str:
    """The name of who was head when it was issued."""
    [household] = await reading.several(pg, [certificate.household_id], registry.vault)
    return next(member.name for member in household.members if member.id == certificate.head_id)


def _watermark(registry: Registry) -> str | None:
    return MARK if registry.runtime.settings.demonstration else None
