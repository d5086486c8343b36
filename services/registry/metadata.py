"""What Alembic is told of the tables: nothing, for they are plain SQL; every statement on them is set-based."""

from sqlalchemy import MetaData

metadata = MetaData()
