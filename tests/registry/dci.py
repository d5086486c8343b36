"""A party of the tests: its key, its token, its signed messages, and a small receiver of its callbacks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from joserfc.jwk import OKPKey

from services.registry.exchange import signature
from shared.contracts.base import rfc3339
from shared.ids import uuid7
from tests.registry.conftest import CITY

Json = dict[str, Any]


@dataclass
class Receiver:
    """What was posted where; answers with ``status`` and ``body``."""

    port: int = 0
    status: int = 200
    body: bytes = b""
    posted: asyncio.Queue[tuple[str, Json]] = field(default_factory=asyncio.Queue)

    async def next(self, path: str) -> Json:
        """The next callback, which must have gone to this path."""
        async with asyncio.timeout(60):
            where, body = await self.posted.get()
        assert where == path
        return body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:"))
        body = json.loads(await reader.readexactly(length))
        head_out = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        writer.write(head_out.encode() + self.body)
        await writer.drain()
        writer.close()
        await self.posted.put((head.split(" ")[1], body))


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@dataclass
class Partner:
    """A registered party and how it speaks."""

    client: httpx.AsyncClient
    sender_id: str
    key: OKPKey
    registered: Json
    token: str = ""

    @classmethod
    async def register(cls, client: httpx.AsyncClient, **more: Any) -> "Partner":
        key = OKPKey.generate_key("Ed25519", {"kid": "k1"})
        public = {**key.as_dict(private=False), "use": "sig", "alg": "EdDSA"}
        body = {
            "sender_id": "health.example.org", "name": "市卫健委", "public_keys": [public], "divisions": [CITY],
            "callback_uri": "http://127.0.0.1:9/dci", "purposes": ["medical-aid"], **more,
        }  # fmt: skip
        answer = await client.post("/v1/exchange/parties", json=body)
        assert answer.status_code == 201, answer.text
        partner = cls(client, body["sender_id"], key, answer.json())
        partner.token = (await partner.ask_token(partner.registered["client_secret"])).json()["access_token"]
        return partner

    async def ask_token(self, secret: str, **more: str) -> httpx.Response:
        form = {"grant_type": "client_credentials", "client_id": self.registered["client_id"], "client_secret": secret}
        return await self.client.post("/oauth2/client/token", data={**form, **more}, headers={"Authorization": ""})

    def envelope(self, action: str, message: Any, /, *, at: datetime | None = None, **header: Any) -> Json:
        """A signed envelope."""
        head = {
            "version": "1.0.0", "message_id": str(uuid7()), "message_ts": rfc3339(datetime.now(UTC)), "action": action,
            "sender_id": self.sender_id, "total_count": str(_requests(message)), **header,
        }  # fmt: skip
        text = signature.sign(self.key, self.sender_id, at or datetime.now(UTC), head, message)
        return {"signature": text, "header": head, "message": message}

    async def post(self, path: str, body: Any, token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return await self.client.post("/registry" + path, json=body, headers=headers)

    async def search(self, *criteria: Json) -> list[Json]:
        """The responses to a batch."""
        envelope = self.envelope("search", searching(*criteria))
        answer = await self.post("/sync/search", envelope)
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["message"]["search_response"]
        return found


def _requests(message: Any) -> int:
    """How many there are in a message: of the kinds of which it can hold several, else one."""
    batches = ("search_request", "subscribe_request")
    return next((len(message[name]) for name in batches if name in message), 1) if isinstance(message, dict) else 1


def now() -> str:
    return rfc3339(datetime.now(UTC))


def searching(*criteria: Json, **more: Any) -> Json:
    requests = [
        {"reference_id": f"r{i}", "timestamp": now(), "search_criteria": each, "locale": "EN/GB", **more}
        for i, each in enumerate(criteria)
    ]
    return {"transaction_id": "t1", "search_request": requests}


def by_expression(query: Json, **more: Any) -> Json:
    value = {"expression": {"collection": "groups", "query": query}}
    return {"query_type": "expression", "query": {"type": "ns:org:QueryType:NoSql", "value": value}, **more}


def term(name: str, operator: str, value: Any) -> Json:
    return {"attribute_name": name, "operator": operator, "attribute_value": value}


def by_predicate(*elements: Json, **more: Any) -> Json:
    numbered = [{"seq_num": i, **element} for i, element in enumerate(elements)]
    return {"query_type": "predicate", "query": numbered, **more}


async def verify(client: httpx.AsyncClient, envelope: Json) -> None:
    """The envelope is signed by the key that the registry publishes."""
    [public] = (await client.get("/.well-known/jwks.json")).json()["keys"]
    key = OKPKey.import_key(public)
    sender, now = envelope["header"]["sender_id"], datetime.now(UTC)
    signature.verify(envelope["signature"], sender, [key], now, envelope["header"], envelope["message"])
