"""Use cases of actors."""

import json

ACTOR_BY_ID = "SELECT 'actor', id, NULL::text FROM actor WHERE id = ANY({0}::uuid[])"
ACTOR_BY_NAME = (
    "SELECT 'actor', a.id, json_build_array(a.source_system, a.external_id)::text FROM actor a "
    "JOIN unnest({0}::text[], {1}::text[]) AS wanted (source_system, external_id) USING (source_system, external_id)"
)
"""Branches of a lookup, as the mirror's. Retired actors are found too: what they did may be recorded late."""


def external_name(found: str) -> tuple[str, str]:
    """The name under which ``ACTOR_BY_NAME`` found an actor."""
    system, name = json.loads(found)
    return system, name
