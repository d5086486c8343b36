"""The register as it was known at an instant: what later versions said is left out (architecture rule 7)."""

NEWEST = """(
    SELECT every.* FROM (
        SELECT current.* UNION ALL SELECT * FROM household_version WHERE id = current.id
    ) every WHERE every.recorded_at <= {instant} ORDER BY every.version DESC LIMIT 1
)"""
"""Laterally to ``household AS current``: its version as known at ``{instant}``; no row where it was unknown."""
MEMBERS = """(
    SELECT DISTINCT ON (every.id, every.joined_on) every.* FROM (
        SELECT * FROM person WHERE household_id = {household}.id
        UNION ALL SELECT * FROM person_version WHERE household_id = {household}.id
    ) every WHERE every.household_version <= {household}.version
    ORDER BY every.id, every.joined_on, every.version DESC
)"""
"""Laterally to a version of a household: its members as that version knew them."""
