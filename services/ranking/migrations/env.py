"""Alembic's entry point."""

from services.ranking.facts import models as facts
from services.ranking.indicators import models as indicators
from services.ranking.metadata import metadata
from services.ranking.mirror import models as mirror
from services.ranking.versions import models as versions
from shared.migrations import run

TABLES = (facts, indicators, mirror, versions)
run(metadata)
