"""A system that submits households: seals identities to registry's published key and feeds the intake's handler."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from fastapi import FastAPI
from joserfc import jwe
from joserfc.jwk import ECKey

from services.registry.submissions.contracts import HOUSEHOLD_OUTCOMES, HOUSEHOLD_SUBMISSIONS, IDENTITY
from services.registry.submissions.service import GROUP
from shared.consumer import Consumer
from shared.record import Record, Verdict
from tests.registry.conftest import XIXIA, household

SOURCE = "urn:xixia:exports"
Json = dict[str, Any]


def sealed(block: object, key: Mapping[str, Any], **header: Any) -> str:
    """An identity block as a JWE for a public key; ``header`` adds to its header, or replaces what stands there."""
    text = block if isinstance(block, bytes) else json.dumps(block).encode()
    protected = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": key["kid"], **header}
    algorithms = [protected["alg"], protected["enc"], "DEF"]
    public = {name: key[name] for name in ("kty", "crv", "x", "y")}
    return jwe.encrypt_compact(protected, text, ECKey.import_key(public), algorithms=algorithms)


@dataclass
class Importer:
    """A registered source, and the consumer that reads what it sends."""

    app: FastAPI
    client: httpx.AsyncClient
    key: Json = field(default_factory=dict)
    _offsets: Any = field(default_factory=count)

    @property
    def consumer(self) -> Consumer:
        consumers: list[Consumer] = self.app.state.runtime.consumers
        [found] = [each for each in consumers if each.group == GROUP]
        return found

    async def register(self, name: str = SOURCE, *, mode: str = "live", divisions: tuple[str, ...] = (XIXIA,)) -> Json:
        body = {"name": name, "label": "测试", "divisions": list(divisions), "mode": mode}
        answer = await self.client.post("/v1/sources", json=body)
        assert answer.status_code == 201, answer.text
        [self.key] = (await self.client.get("/.well-known/submission-keys.json")).json()["keys"]
        made: Json = answer.json()
        return made

    def data(self, name: str, *, source: str = SOURCE, op: str = "record", identity: Any = None, **more: Any) -> Json:
        """What a submission says of a household; ``more`` as ``POST /v1/households`` takes it, and the envelope's."""
        envelope = {"source_system": "xixia", "external_id": name}
        content = household(**more)
        members = content.pop("members")
        who = [{field: each[field] for field in IDENTITY if field in each} for each in members]
        coded = [{field: each[field] for field in each if field not in IDENTITY} for each in members]
        block = {"source": source, **envelope, "members": who}
        return {"op": op, **envelope, **content, "members": coded, "identity": identity or sealed(block, self.key)}

    def message(self, name: str, *, ce_id: str | None = None, source: str = SOURCE, **more: Any) -> Record:
        return self.raw(self.data(name, source=source, **more), ce_id=ce_id or name, source=source)

    def revocation(self, name: str, ce_id: str, **more: Any) -> Record:
        return self.raw({"op": "revoke", "source_system": "xixia", "external_id": name, **more}, ce_id=ce_id)

    def raw(
        self, value: Json | bytes | None, *, ce_id: str = "x", source: str = SOURCE, age: timedelta = timedelta(),
        key: bytes | None = None,
    ) -> Record:  # fmt: skip
        headers = {
            "ce_specversion": "1.0", "ce_id": ce_id, "ce_source": source, "ce_type": HOUSEHOLD_SUBMISSIONS.types[0]
        }  # fmt: skip
        encoded = [(name, text.encode()) for name, text in headers.items()]
        content = json.dumps(value).encode() if isinstance(value, dict) else value
        offset = next(self._offsets)
        return Record(HOUSEHOLD_SUBMISSIONS.name, 0, offset, key, content, encoded, 0, datetime.now(UTC) - age)

    async def submit(self, *records: Record) -> dict[int, Verdict]:
        """What the handler says of a batch, as the consumer would store it."""
        async with self.app.state.runtime.database.driver() as pg, pg.transaction():
            verdicts = await self.consumer._handle(pg, records)
            await self.consumer._settle(pg, records, verdicts)
        return dict(verdicts)

    async def outcome(self, ce_id: str, source: str = SOURCE) -> Json:
        answer = await self.client.get(f"/v1/submissions/{source}/{ce_id}")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def decided(self, record: Record, ce_id: str) -> Json:
        """The receipt of one record that is submitted now."""
        assert await self.submit(record) == {}
        return await self.outcome(ce_id)

    async def receipts(self) -> list[tuple[str, Json]]:
        """Those on their way to the topic, oldest first."""
        rows = await self.rows(
            "SELECT id, payload FROM outbox WHERE aggregatetype = $1 ORDER BY pos", HOUSEHOLD_OUTCOMES.name
        )
        return [(row["id"], json.loads(row["payload"])) for row in rows]

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        async with self.app.state.runtime.database.driver() as pg:
            return list(await pg.fetch(query, *arguments))

    async def value(self, query: str, *arguments: Any) -> Any:
        [row] = await self.rows(query, *arguments)
        return row[0]


def errors(receipt: Json) -> set[tuple[str, str]]:
    assert receipt["outcome"] == "rejected", receipt
    return {(each["pointer"], each["code"]) for each in receipt["errors"]}
