"""Alembic's entry: migrations are written by hand, the tables are there to compare against."""

from services.assistance.tables import metadata
from shared.migrations import run

run(metadata)
