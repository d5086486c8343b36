"""The service's tables, described once for queries; migrations hold the DDL that creates them."""

from sqlalchemy import MetaData

metadata = MetaData()
