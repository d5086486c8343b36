"""What the services say of themselves: Prometheus metrics, JSON logs without personal data, trace context."""

import json
import logging
import re
import secrets
import sys
import time
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# All metrics in one place. Labels never carry numbers, names or ids.
HTTP_REQUESTS = Counter("bangfu_http_requests_total", "Requests answered", ["service", "method", "route", "status"])
HTTP_SECONDS = Histogram(
    "bangfu_http_request_seconds",
    "Time to answer",
    ["service", "method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
EVENTS_SENT = Counter("bangfu_events_sent_total", "Events acknowledged by the broker", ["service", "topic"])
OUTBOX_ROWS = Gauge("bangfu_outbox_rows", "Events waiting to be sent", ["service"])
OUTBOX_AGE = Gauge("bangfu_outbox_oldest_seconds", "Age of the oldest waiting event", ["service"])
RECORDS = Counter("bangfu_records_consumed_total", "Records taken in, by outcome", ["group", "topic", "outcome"])
BATCH_SECONDS = Histogram("bangfu_consumer_batch_seconds", "Time a batch took, commit included", ["group"])
CONSUMER_STOPPED = Gauge("bangfu_consumer_stopped", "1 when a consumer stopped at its dead-letter limit", ["group"])
PARKED = Gauge("bangfu_parked_records", "Records waiting for what they refer to", ["group"])
BODY_CLASHES = Counter("bangfu_version_clashes_total", "Equal version, other body: somebody forges or forks", ["topic"])
BAD_SIGNATURES = Counter(
    "bangfu_bad_signatures_total", "Submissions unsigned or signed wrongly: somebody forges, or signs anew", ["topic"]
)
RULE_FAILURES = Counter("bangfu_rule_failures_total", "Records that a rule failed on, by rule", ["rule"])
LOG_REFILLS = Counter("bangfu_log_refills_total", "Re-sends after the broker's log was replaced", ["service"])

_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def current_traceparent() -> str | None:
    """W3C trace context of the work in hand; None outside any."""
    return _traceparent.get()


def continue_trace(received: str | None) -> None:
    """Make the work in hand a child of a received trace context, or the start of a new trace."""
    span = secrets.token_hex(8)
    if received is not None and _VALID.fullmatch(received):
        _traceparent.set(f"00-{received[3:35]}-{span}-{received[-2:]}")
    else:
        _traceparent.set(f"00-{secrets.token_hex(16)}-{span}-01")


def trace_id() -> str | None:
    current = _traceparent.get()
    return current[3:35] if current else None


class JsonFormatter(logging.Formatter):
    """One JSON object a line. Exceptions appear as type and places, never with their text: it may quote data."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (trace := trace_id()) is not None:
            entry["trace_id"] = trace
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            entry["exception"] = type(error).__name__
            entry["at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
        return json.dumps(entry, ensure_ascii=False)


def configure_logging(service: str, level: str) -> None:
    """JSON lines on standard error; libraries from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bangfu").setLevel(level)
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Telemetry:
    """Pure ASGI middleware: trace context in and out, request metrics by route template, safe headers."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self.app = app
        self.service = service
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        """Looked up once a kind: finding a labelled series costs more than counting in it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"traceparent"), None)
        continue_trace(received)
        traceparent = (current_traceparent() or "").encode()
        keyed = any(name == b"authorization" for name, _ in scope["headers"])
        started = time.perf_counter()
        status = 500

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"traceparent", traceparent), *_SAFE_HEADERS]
                if keyed and all(name.lower() != b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append(_NOT_STORED)
            await send(message)

        try:
            await self.app(scope, receive, send_traced)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._count((method, route, status), time.perf_counter() - started)

    def _count(self, kind: tuple[str, str, int], seconds: float) -> None:
        found = self._series.get(kind)
        if found is None:
            method, route, status = kind
            requests = HTTP_REQUESTS.labels(self.service, method, route, status)
            found = self._series[kind] = (requests, HTTP_SECONDS.labels(self.service, method, route))
        found[0].inc()
        found[1].observe(seconds)


_NOT_STORED = (b"cache-control", b"no-store")
"""What whoever showed a key reads is kept by no browser or proxy, unless its route says otherwise (ASVS 14.3.2)."""
_SAFE_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
