"""The route that a certificate's QR code leads to: open to everybody, so it tells little and counts who asks."""

from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from fastapi.responses import HTMLResponse

from services.registry.certificates import pages, service
from services.registry.certificates.schemas import CertificateOut
from services.registry.certificates.visitors import Visitors
from services.registry.context import RegistryDep, watermark
from services.registry.identities.quota import Left
from shared import errors
from shared.app import NOT_FOUND_RESPONSE, router
from shared.errors import Problem
from shared.http.problems import language_of

routes = router("certificates", guarded=False)
HTML = "text/html"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What may be told; with `Accept: text/html`, as browsers send it, a page to read.",
        "content": {HTML: {"schema": {"type": "string"}}},
    },
    **NOT_FOUND_RESPONSE,
    429: {**NOT_FOUND_RESPONSE[404], "description": "Too often from this address, see Retry-After 查询过于频繁"},
}


async def _counted(request: Request, registry: RegistryDep) -> Left:
    visitors: Visitors = request.app.state.visitors
    return visitors.count(request.client.host if request.client else "", registry.runtime.clock.now())


@routes.get(
    "/certificates/{number}",
    operation_id="verify_certificate",
    summary="Verify an honour certificate 核验脱贫光荣证",
    response_model=CertificateOut,
    responses=_ANSWERS,
    openapi_extra={"security": []},
)
async def verify_certificate(
    number: Annotated[str, Path(pattern=r"^[0-9]{16}$", description="Number 证书编号, 16 digits.")],
    request: Request,
    response: Response,
    left: Annotated[Left, Depends(_counted)],
    registry: RegistryDep,
) -> CertificateOut | Response:
    """Whether it is valid or withdrawn, of which village and year; to everybody, without a key, and nobody's name.

    So many in an hour from one address (`BANGFU_REGISTRY_VERIFICATION_QUOTA`).
    """
    headers = {**left.headers(), "Cache-Control": "no-store", "Vary": "Accept"}
    async with registry.runtime.database.driver() as pg:
        found = await service.by_number(pg, number)
    shown = None if found is None else CertificateOut.of(found, watermark(registry))
    if HTML in request.headers.get("accept", ""):
        return HTMLResponse(pages.verified(number, shown, language_of(request)), 200 if shown else 404, headers)
    if shown is None:
        raise Problem(errors.NOT_FOUND, headers=headers)
    response.headers.update(headers)
    return shown
