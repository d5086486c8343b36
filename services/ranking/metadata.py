"""The metadata that every table of ranking's own hangs on."""

from sqlalchemy import MetaData

metadata = MetaData()
