"""Routes of certificates."""

from typing import Annotated, Any

from fastapi import Depends, Request, Response

from services.registry.certificates import printing
from services.registry.certificates.service import Certificate
from services.registry.context import Reader, RegistryDep
from services.registry.identities.denials import admitted
from services.registry.identities.quota import QUOTA_RESPONSE
from services.registry.identities.schemas import RevealIn
from shared.app import NOT_FOUND_RESPONSE, router
from shared.auth import AnyCaller, Caller

routes = router("certificates")
PDF = "application/pdf"
_PAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One page, A4 landscape.",
        "content": {PDF: {"schema": {"type": "string", "format": "binary"}}},
    },
    **NOT_FOUND_RESPONSE,
}


@routes.get(
    "/households/{household}/certificate.pdf",
    operation_id="print_certificate",
    summary="A household's honour certificate to print 打印脱贫光荣证",
    response_class=Response,
    responses=_PAGE,
)
async def print_certificate(household: str, caller: Reader, registry: RegistryDep) -> Response:
    """The certificate it holds, with a QR code that leads to its verification; the head's name is masked."""
    return _printed(*await printing.masked(registry, caller, household))


async def _revealer(request: Request, caller: AnyCaller, registry: RegistryDep) -> Caller:
    household = request.path_params["household"]
    return await admitted(registry, caller, "certificate.reveal_denied", household, "identity:reveal")


@routes.post(
    "/households/{household}/certificate.pdf",
    operation_id="print_certificate_in_full",
    summary="Print it with the head's full name 打印脱贫光荣证(显示全名)",
    response_class=Response,
    responses={**_PAGE, **QUOTA_RESPONSE},
)
async def print_certificate_in_full(
    household: str, body: RevealIn, caller: Annotated[Caller, Depends(_revealer)], registry: RegistryDep
) -> Response:
    """As it is handed over, for the role `identity:reveal` alone: a reveal of the head, audited and counted as one."""
    certificate, page, left = await printing.in_full(registry, caller, household, body)
    answer = _printed(certificate, page)
    left.tell(answer)
    return answer


def _printed(certificate: Certificate, page: bytes) -> Response:
    named = {"Content-Disposition": f'inline; filename="{certificate.number}.pdf"', "Cache-Control": "no-store"}
    return Response(page, media_type=PDF, headers=named)
