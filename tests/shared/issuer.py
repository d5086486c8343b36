"""A token issuer on this machine: discovery, keys that can be changed, tokens in any shape a test wants."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "bangfu"


def signed(header: Any, payload: Any, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """A JWT, whatever its parts are: bytes as they are, anything else as JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = b".".join(map(_encoded, parts))
    return b".".join([text, _encoded(sign(text))]).decode()


def _encoded(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


@cache
def rsa(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def ec(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@cache
def okp(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})


class Issuer:
    """Serves its documents until it is stopped; can be started again at the same address, and be told to hang."""

    def __init__(self) -> None:
        self.keys: list[Any] = [rsa("first").as_dict(private=False)]
        self.answers = 0
        self.hold = threading.Event()
        self.hold.set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()
        self.claimed_issuer = self.url

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/realms/nanyang"

    def publish(self, *keys: Key) -> None:
        self.keys = [key.as_dict(private=False) for key in keys]

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.hold.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def token(self, key: Key | None = None, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good access token of somebody of Xixia county, but for what is given; None takes a claim away."""
        key = key or rsa("first")
        now = int(time.time())
        made: dict[str, Any] = {
            "iss": self.url, "aud": ["account", AUDIENCE], "sub": "9a1f", "exp": now + 300, "iat": now, "typ": "Bearer",
            "preferred_username": "wang", "realm_access": {"roles": ["recorder", "offline_access"]},
            "bangfu_divisions": ["411323000000"], **claims,
        }  # fmt: skip
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}[key.key_type]
        kept = {name: value for name, value in made.items() if value is not None}
        head = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **(header or {})}
        made_by = JWSRegistry.algorithms[algorithm]
        return signed({k: v for k, v in head.items() if v is not None}, kept, lambda text: made_by.sign(text, key))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.hold.wait(60)
                issuer.answers += 1
                documents = {
                    "/realms/nanyang/.well-known/openid-configuration": {
                        "issuer": issuer.claimed_issuer, "jwks_uri": f"{issuer.url}/certs"
                    },
                    "/realms/nanyang/certs": {"keys": issuer.keys},
                }  # fmt: skip
                found = documents.get(self.path)
                body = json.dumps(found).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def running() -> Iterator[Issuer]:
    issuer = Issuer()
    try:
        yield issuer
    finally:
        issuer.stop()
