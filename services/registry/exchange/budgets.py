"""What one message may cost: its requests hold the database, and whoever asks, for as long as they are answered."""

import time
from dataclasses import dataclass, field

from services.registry.exchange.faults import Rejected
from services.registry.exchange.queries import Condition, comparisons

MOST_CONDITIONS = 500
MOST_RECORDS = 2_000
MOST_SECONDS = 20.0
"""Then no further request is begun."""


@dataclass(slots=True)
class Budget:
    """What is left for the requests of a message; those it is not enough for are rejected by themselves."""

    conditions: int = field(default_factory=lambda: MOST_CONDITIONS)
    records: int = field(default_factory=lambda: MOST_RECORDS)
    until: float = field(default_factory=lambda: time.monotonic() + MOST_SECONDS)

    def begin(self, condition: Condition) -> None:
        """Before a request is answered. Raises ``Rejected``."""
        if time.monotonic() > self.until:
            raise Rejected(
                "rjct.search.too_many_records_found", "the requests before took too long: ask this one alone"
            )
        self.conditions -= sum(1 for _ in comparisons(condition))
        if self.conditions < 0:
            raise Rejected("rjct.filter.invalid", f"a message has {MOST_CONDITIONS} conditions at most")

        if not self.records:
            self.spend(1)

    def spend(self, records: int) -> None:
        """Records that a request is answered with. Raises ``Rejected``."""
        if records > self.records:
            text = f"a message is answered with {MOST_RECORDS} records at most: ask for these in another"
            raise Rejected("rjct.search.too_many_records_found", text)
        self.records -= records
