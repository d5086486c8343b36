"""Alembic's entry; the work is in ``shared.migrations``."""

import services.registry.divisions.models
import services.registry.households.models  # noqa: F401 - declare the tables
from services.registry.metadata import metadata
from shared.migrations import run

run(metadata)
