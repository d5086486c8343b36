"""Routes of the rule catalogue."""

from services.registry.checks.catalogue import CATALOGUE
from services.registry.checks.schemas import RuleOut, RulesOut
from shared.app import router
from shared.auth import AnyCaller

routes = router("checks")


@routes.get("/rules", operation_id="list_rules", summary="The rule catalogue 规则目录")
async def list_rules(_: AnyCaller) -> RulesOut:
    """Every check of the register. The same rules run over HTTP, bulk and files, and over the register as it stands."""
    return RulesOut(items=[RuleOut.of(rule) for rule in CATALOGUE])
