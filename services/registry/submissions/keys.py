"""Our key pairs for identity blocks: the first made at the first start, each kept sealed; importers use the newest."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from joserfc.jwk import ECKey

from services.registry.audit import service as audit
from services.registry.audit.rules import Entry
from services.registry.identity import Vault
from shared.db import Pg
from shared.ids import uuid7
from shared.watched import RAISE_REVISION, Watched

REVISION = "submission_key"
ALGORITHM, ENCRYPTION, CURVE = "ECDH-ES+A256KW", "A256GCM", "P-256"
"""The one way to encrypt to us: known to every JOSE library, without a password, a shared secret or padding."""
GRACE = timedelta(days=30)
"""How long a key still opens after another was made: longer than any topic of submissions is kept."""
_COLUMN = "submission_key"
Keys = Sequence[ECKey]
"""Newest first."""


def watched_keys(vault: Vault) -> Watched[Keys]:
    """The keys in memory, at most a second old."""

    async def load(pg: Pg) -> Keys:
        rows = await pg.fetch("SELECT id, sealed FROM submission_key ORDER BY id DESC")
        return [ECKey.import_key(json.loads(vault.open(row["sealed"], _COLUMN, row["id"]))) for row in rows]

    return Watched(REVISION, load)


async def ensure(pg: Pg, vault: Vault, now: datetime) -> None:
    """Make the first key pair. In a transaction, which others wait for."""
    await pg.execute("LOCK TABLE submission_key IN SHARE ROW EXCLUSIVE MODE")
    if not await pg.fetchval("SELECT EXISTS (SELECT FROM submission_key)"):
        await _add(pg, vault, now)


async def renew(pg: Pg, vault: Vault, now: datetime) -> str:
    """Make another key pair and forget those that were replaced long enough ago; its ``kid``. In a transaction."""
    await pg.execute("LOCK TABLE submission_key IN SHARE ROW EXCLUSIVE MODE")
    await pg.execute(
        "DELETE FROM submission_key WHERE EXISTS (SELECT FROM submission_key AS later "
        "WHERE later.id > submission_key.id AND later.created_at < $1)",
        now - GRACE,
    )
    kid = await _add(pg, vault, now)
    await audit.record(pg, [Entry(recorded_at=now, key_id=None, operation="submission_key.made", object_id=kid)])
    return kid


async def _add(pg: Pg, vault: Vault, now: datetime) -> str:
    key = ECKey.generate_key(CURVE, {"use": "enc"})
    identifier, kid = uuid7(), key.thumbprint()
    private = json.dumps({**key.as_dict(private=True), "kid": kid})
    await pg.execute(
        "INSERT INTO submission_key (id, sealed, created_at) VALUES ($1, $2, $3)",
        identifier,
        vault.seal(private, _COLUMN, identifier),
        now,
    )
    await pg.execute(RAISE_REVISION, REVISION)
    return kid


def public_jwk(key: ECKey) -> dict[str, Any]:
    """What others encrypt to us with."""
    return {**key.as_dict(private=False), "use": "enc", "alg": ALGORITHM}
