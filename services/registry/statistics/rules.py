"""What counts as what, and how ratios are rounded. Pure."""

from collections.abc import Mapping
from typing import Literal, get_args

from shared.contracts.household import EXITED, SERVED, STOCK, Standing

Among = Literal["stock", "served", "registered"]
Step = Literal["exited", "relapsed", "added", "removed"]
POPULATIONS: Mapping[Among, frozenset[str]] = {
    "stock": frozenset(STOCK), "served": frozenset(SERVED), "registered": frozenset(get_args(Standing))
}  # fmt: skip
"""The standings of the households that belong to each."""
_POOR = POPULATIONS["stock"]

WELFARE: Mapping[str, str] = {
    "none": "无", "dibao": "低保", "tekun": "特困", "dibao_and_tekun": "低保和特困"
}  # fmt: skip


def step(before: str, after: str) -> Step | None:
    """What a change of standing is in the balance of the stock: out of it, or into it; None if it stays.

    Exit 脱贫 and relapse 返贫 are decisions about poverty. Whatever else changes the stock is an addition 新增 (also
    the first registration) or a removal 清退 (also off the register).
    """
    if (before in _POOR) == (after in _POOR):
        return None
    if after in _POOR:
        return "relapsed" if before in EXITED else "added"
    return "exited" if after in EXITED else "removed"


def percent(part: int, whole: int | None) -> str | None:
    """A ratio in per cent with two places, rounded half up, as text: binary fractions would round 3.205 down."""
    if not whole:
        return None
    hundredths = (2 * 10_000 * part + whole) // (2 * whole)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
