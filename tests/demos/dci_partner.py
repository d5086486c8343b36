"""A partner of the DCI interface, as another office would write one: from dci.md, with joserfc and nothing of ours.

The signature of an envelope is ``Signature: namespace="spdci", kidId="{sender}|{key}|ed25519", ..., signature="..."``:
Ed25519 over the lines ``(created): n``, ``(expires): n`` and ``digest: SHA-256=...`` of header and message in canonical
JSON.
"""

import base64
import hashlib
import json
import queue
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc.jwk import KeySet, OKPKey

from tests.demos.stage import Json, NotAsExpectedError, answered

LIFE = 300
"""Seconds that our signatures hold."""
PATIENCE = 60.0
"""Seconds that a callback may take."""
_COVERED = "(created) (expires) digest"
_PART = re.compile(r'([A-Za-z]+)="([^"]*)"')


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def signed(key: OKPKey, sender_id: str, header: Json, message: Json) -> Json:
    """The envelope of a message."""
    created = int(time.time())
    private = key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    signature = base64.b64encode(private.sign(_text(created, created + LIFE, header, message))).decode()
    text = (
        f'Signature: namespace="spdci", kidId="{sender_id}|{key.kid}|ed25519", algorithm="ed25519", '
        f'created="{created}", expires="{created + LIFE}", headers="{_COVERED}", signature="{signature}"'
    )
    return {"signature": text, "header": header, "message": message}


def is_signed(envelope: Json, keys: KeySet) -> bool:
    """Whether an envelope is signed, now, by the sender that its header names, with one of these keys."""
    parts = dict(_PART.findall(envelope["signature"]))
    sender, kid, algorithm = parts["kidId"].split("|")
    created, expires = int(parts["created"]), int(parts["expires"])
    if sender != envelope["header"]["sender_id"] or algorithm != "ed25519" or parts["headers"] != _COVERED:
        return False
    if not created - 60 <= time.time() < expires:
        return False
    public = next((key.public_key for key in keys.keys if key.kid == kid), None)
    if not isinstance(public, Ed25519PublicKey):
        return False
    try:
        public.verify(
            base64.b64decode(parts["signature"]), _text(created, expires, envelope["header"], envelope["message"])
        )
    except InvalidSignature:
        return False
    return True


def _text(created: int, expires: int, header: Json, message: Json) -> bytes:
    whole = {"header": header, "message": message}
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = base64.b64encode(hashlib.sha256(canonical).digest()).decode()
    return f"(created): {created}\n(expires): {expires}\ndigest: SHA-256={digest}".encode()


@dataclass
class Partner:
    """Another office's system: registered with the registry, with a key of its own and an address for callbacks."""

    registry: httpx.Client
    keys: KeySet
    """The registry's, as it publishes them."""
    sender_id: str
    callback_uri: str
    key: OKPKey
    posted: "queue.Queue[tuple[str, Json]]" = field(default_factory=queue.Queue)
    """What was called back: where below the address, and the envelope."""
    registered: Json = field(default_factory=dict)
    token: str = ""

    def register(self, name: str, divisions: list[str]) -> None:
        """What the registry's administrator does; then the partner gets a token with the secret it was given."""
        public = {**self.key.as_dict(private=False), "use": "sig", "alg": "EdDSA"}
        body = {
            "sender_id": self.sender_id, "name": name, "public_keys": [public], "divisions": divisions,
            "callback_uri": self.callback_uri, "purposes": ["medical-aid"],
        }  # fmt: skip
        self.registered = answered(self.registry.post("/v1/exchange/parties", json=body), 201)
        form = {name: self.registered[name] for name in ("client_id", "client_secret")}
        asked = self.registry.post("/oauth2/client/token", data={"grant_type": "client_credentials", **form})
        self.token = answered(asked)["access_token"]

    def block(self) -> None:
        """Shut the partner out again."""
        own = ("id", "version", "client_id", "client_secret")
        body = {name: value for name, value in self.registered.items() if name not in own}
        url, headers = f"/v1/exchange/parties/{self.registered['id']}", {"If-Match": f'"{self.registered["version"]}"'}
        answered(self.registry.put(url, json={**body, "status": "blocked"}, headers=headers))

    def envelope(self, action: str, message: Json) -> Json:
        header = {
            "version": "1.0.0", "message_id": str(uuid.uuid4()), "message_ts": now(), "action": action,
            "sender_id": self.sender_id, "total_count": len(message.get("search_request", [message])),
        }  # fmt: skip
        return signed(self.key, self.sender_id, header, message)

    def post(self, path: str, envelope: Json) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.registry.post(f"/registry{path}", json=envelope, headers=headers)

    def asked(self, path: str, action: str, message: Json) -> Json:
        """The signed answer to a message. Raises ``NotAsExpectedError`` where it is not signed."""
        return self._verified(answered(self.post(path, self.envelope(action, message))))

    def told(self, path: str, action: str, message: Json) -> Json:
        """The signed callback that answers a message."""
        acknowledged = answered(self.post(path, self.envelope(action, message)), 202)
        if acknowledged["message"]["ack_status"] != "ACK":
            raise NotAsExpectedError(f"{action}: {acknowledged}")
        return self.called(f"/on-{action}")

    def called(self, path: str) -> Json:
        """The next callback, which has to go here and be signed."""
        try:
            where, envelope = self.posted.get(timeout=PATIENCE)
        except queue.Empty:
            raise NotAsExpectedError(
                f"no callback came to {self.callback_uri}{path} within {PATIENCE:.0f} s: "
                "is BANGFU_REGISTRY_CALLBACK_NETWORKS=127.0.0.0/8 set?"
            ) from None
        if where != path:
            raise NotAsExpectedError(f"a callback to {path} was expected, one to {where} came")
        return self._verified(envelope)

    def _verified(self, envelope: Json) -> Json:
        if not is_signed(envelope, self.keys):
            raise NotAsExpectedError(f"not signed with the registry's key: {envelope}")
        return envelope


@contextmanager
def partners(registry: httpx.Client, *names: str) -> Iterator[list[Partner]]:
    """Partners not yet registered, and a receiver on this machine that takes their callbacks in.

    In the end those that were registered are shut out again, so that nobody calls where nothing listens.
    """
    keys = KeySet.import_key_set({"keys": answered(registry.get("/.well-known/jwks.json"))["keys"]})
    found: dict[str, Partner] = {}

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            envelope = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            _, name, path = self.path.split("/", 2)
            self.send_response(200)
            self.end_headers()
            found[name].posted.put((f"/{path}", envelope))

        def log_message(self, *_: Any) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        run = uuid.uuid4().hex[:8]
        for name in names:
            address = f"http://127.0.0.1:{server.server_port}/{name}"
            key = OKPKey.generate_key("Ed25519", {"kid": f"{name}-1"})
            found[name] = Partner(registry, keys, f"{name}-{run}.example.org", address, key)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield list(found.values())
        finally:
            for partner in found.values():
                if partner.registered:
                    partner.block()
            server.shutdown()
