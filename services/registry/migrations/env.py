"""Alembic's entry; the work is in ``shared.migrations``."""

from services.registry.metadata import metadata
from shared.migrations import run

run(metadata)
