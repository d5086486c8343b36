"""Alembic's entry: migrations are written by hand, the metadata is there to compare against."""

from services.assistance.metadata import metadata
from shared.migrations import run

run(metadata)
