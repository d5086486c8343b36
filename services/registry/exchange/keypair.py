"""Our own key pair: made at the first start, kept sealed in the database."""

import json
from datetime import datetime
from uuid import UUID

from joserfc.jwk import OKPKey

from services.registry.identity import Vault
from shared.db import Pg
from shared.ids import uuid7

_COLUMN = "exchange_key"


async def load_key(pg: Pg, vault: Vault, now: datetime) -> OKPKey:
    """The newest key pair; makes the first. In a transaction, which others wait for."""
    await pg.execute("LOCK TABLE exchange_key IN SHARE ROW EXCLUSIVE MODE")
    row = await pg.fetchrow("SELECT id, sealed FROM exchange_key ORDER BY id DESC LIMIT 1")
    if row is not None:
        return OKPKey.import_key(json.loads(vault.open(row["sealed"], _COLUMN, row["id"])))
    key = OKPKey.generate_key("Ed25519", {"use": "sig"})
    identifier: UUID = uuid7()
    private = json.dumps({**key.as_dict(private=True), "kid": key.thumbprint()})
    await pg.execute(
        "INSERT INTO exchange_key (id, sealed, created_at) VALUES ($1, $2, $3)",
        identifier,
        vault.seal(private, _COLUMN, identifier),
        now,
    )
    return OKPKey.import_key(json.loads(private))


def public_jwks(key: OKPKey) -> dict[str, list[dict[str, object]]]:
    """The key set that others check our signatures and tokens with."""
    public = {**key.as_dict(private=False), "alg": "Ed25519", "use": "sig"}
    return {"keys": [dict(public)]}
