"""The app factory: what makes three FastAPI services alike."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import HTMLResponse, JSONResponse

from shared import errors, health
from shared.asyncapi import asyncapi_document
from shared.asyncapi_page import asyncapi_page
from shared.auth import ApiKeys, Authenticator
from shared.clock import Clock, SystemClock
from shared.consumer import Consumer
from shared.contracts.base import Topic, json_schema
from shared.db import Database
from shared.errors import Problem, ProblemBody, ProblemKind
from shared.http import problems
from shared.http.body import StrictRoute
from shared.http.idempotency import Fingerprint, plain_fingerprint
from shared.http.limits import Limits
from shared.http.pagination import Cursors
from shared.http.shortcuts import Shortcut, Shortcuts
from shared.openapi import EXTENSIBLE, install_openapi
from shared.relay import Relay
from shared.settings import Settings
from shared.telemetry import Telemetry

logger = logging.getLogger("bangfu.app")
Role = Literal["all", "api", "relay", "consumer"]
Job = Callable[[], Awaitable[None]]


@dataclass
class Runtime:
    """What a running service holds; ``request.app.state.runtime``."""

    settings: Settings
    database: Database
    relay: Relay
    clock: Clock = field(default_factory=SystemClock)
    consumers: list[Consumer] = field(default_factory=list)
    draining: bool = False
    """Writes are refused while the service lets its backlog run out before it stops."""
    stopping: bool = False
    """The process was told to stop: streams end themselves instead of holding it up."""

    def wake_relay(self) -> None:
        """After a commit that wrote events."""
        self.relay.wake()


async def runtime_of(request: Request) -> Runtime:
    """``async``, like every dependency here: FastAPI would send a plain function through its thread pool."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]


async def transaction(runtime: RuntimeDep) -> AsyncIterator[AsyncConnection]:
    """A transaction around the handler: committed before the answer goes out, undone by any exception."""
    async with runtime.database.transaction() as connection:
        yield connection
    runtime.wake_relay()


Transaction = Annotated[AsyncConnection, Depends(transaction, scope="function")]

_DECLARED: dict[int | str, dict[str, Any]] = {
    status: {
        "model": ProblemBody,
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
    for status, description in (
        (400, "Malformed request 请求无法读取"),
        (401, "No valid key 未认证"),
        (403, "Role missing 无权限"),
        (422, "Rules not met 内容不符合要求"),
        (503, "A dependency is away 依赖服务暂不可用"),
    )
}
NOT_FOUND_RESPONSE: dict[int | str, dict[str, Any]] = {404: {**_DECLARED[400], "description": "Nothing here 未找到"}}
CONFLICT_RESPONSE: dict[int | str, dict[str, Any]] = {409: {**_DECLARED[400], "description": "Conflict 冲突"}}
VERSION_RESPONSES: dict[int | str, dict[str, Any]] = {
    412: {**_DECLARED[400], "description": "Changed since you read it 版本已过期"},
    428: {**_DECLARED[400], "description": "If-Match is needed 需要 If-Match"},
}


_OURS_ALONE: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""The framework's own OpenTelemetry would tell addresses, queries and exceptions as they are."""


def router(tag: str, *, guarded: bool = True) -> APIRouter:
    """A router whose routes read strictly and declare the answers every route can give.

    ``guarded`` is false for routes that ask for no key.
    """
    declared = {status: told for status, told in _DECLARED.items() if guarded or status not in (401, 403)}
    return APIRouter(prefix="/v1", tags=[tag], route_class=StrictRoute, responses=declared)


def create_app(
    runtime: Runtime,
    *,
    title: str,
    description: str,
    routers: Sequence[APIRouter],
    publishes: Sequence[Topic],
    reads: Sequence[Topic],
    kinds: Sequence[ProblemKind] = (),
    tags: Sequence[dict[str, str]] = (),
    jobs: Sequence[Job] = (),
    on_start: Sequence[Job] = (),
    authenticators: Sequence[Authenticator] = (),
    shortcuts: Sequence[Shortcut] = (),
    fingerprint: Fingerprint = plain_fingerprint,
    role: Role = "all",
) -> FastAPI:
    """Build a service's application.

    ``on_start`` runs once before requests are served; ``jobs`` run beside them until shutdown. ``role`` picks the
    parts this process runs. ``authenticators`` come first in the chain, before the tokens of an OpenID Connect issuer
    (if there is one) and API keys; ``shortcuts`` come before the routes; ``fingerprint`` is what idempotency knows a
    request by.
    """
    settings = runtime.settings
    app: FastAPI = FastAPIOffline(
        title=title,
        description=_marked(description, settings),
        version="1",
        lifespan=_lifespan(runtime, role, on_start, jobs),
        openapi_tags=list(tags),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/", "description": "This service 本服务"}],
        openapi_url="/openapi.json",
        redirect_slashes=False,
        telemetry=_OURS_ALONE,
    )
    app.router.route_class = APIRoute
    app.state.runtime = runtime
    app.state.base_url = settings.base_url
    app.state.fingerprint = fingerprint
    app.state.authenticators = [*authenticators, *_tokens(runtime), ApiKeys(runtime.database, runtime.clock)]
    cursor_secret = settings.cursor_secret.get_secret_value().encode() or secrets.token_bytes(32)
    app.state.cursors = Cursors(cursor_secret, settings.service)
    for part in routers if role in ("all", "api") else ():
        app.router.routes.extend(part.routes)  # as they are: include_router makes each anew at the first request
    problems.install(app, (*errors.SHARED_KINDS, *kinds))
    _add_operations(app, runtime, role)
    _add_documents(app, publishes, reads)
    install_openapi(app, settings.oidc_issuer)
    if role in ("all", "api"):
        app.add_middleware(Shortcuts, shortcuts=shortcuts)
    app.add_middleware(Limits, bulk_bytes=settings.max_body_mb * 1024 * 1024, draining=lambda: runtime.draining)
    app.add_middleware(Telemetry, service=settings.service)
    return app


def _tokens(runtime: Runtime) -> list[Authenticator]:
    """What checks the tokens of an OpenID Connect issuer, if there is one."""
    if runtime.settings.oidc_issuer is None:
        return []
    from shared.oidc import OidcTokens  # with its HTTP client a seventh of a process's start

    return [OidcTokens(runtime.settings, runtime.clock)]


def _marked(description: str, settings: Settings) -> str:
    mark = "**演示数据 demonstration data: people and figures are invented.**\n\n" if settings.demonstration else ""
    return f"{mark}{description}\n\n{EXTENSIBLE}"


def _lifespan(
    runtime: Runtime, role: Role, on_start: Sequence[Job], jobs: Sequence[Job]
) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await runtime.database.check_version()
        await runtime.relay.clean_up(runtime.clock.now().date())
        for start in on_start:
            await start()
        running = [asyncio.create_task(_supervised(job), name=_name(job)) for job in _work(runtime, role, jobs)]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await runtime.database.close()

    return lifespan


def _work(runtime: Runtime, role: Role, jobs: Sequence[Job]) -> list[Job]:
    work: list[Job] = []
    if role in ("all", "relay"):
        work += [runtime.relay.run, runtime.relay.keep_house]
    if role in ("all", "consumer"):
        work += [consumer.run for consumer in runtime.consumers]
    return work + (list(jobs) if role in ("all", "api") else [])


def _name(job: Job) -> str:
    return getattr(job, "__qualname__", repr(job))


async def _supervised(job: Job) -> None:
    """Run a job again when it fails in a way it did not expect; the log says so each time."""
    while True:
        try:
            await job()
            return
        except Exception:
            logger.exception("%s failed and starts again", _name(job))
            await asyncio.sleep(1)


def _add_operations(app: FastAPI, runtime: Runtime, role: Role) -> None:
    @app.get("/livez", tags=["operations"], operation_id="livez", summary="The process runs 存活")
    async def livez() -> dict[str, str]:
        """Answers as long as the event loop turns; looks at nothing else."""
        return {"status": "alive"}

    @app.get(
        "/readyz",
        tags=["operations"],
        operation_id="readyz",
        summary="Ready for work, judged by backlog age 就绪",
        responses={503: {"model": health.Health, "description": "Not ready; `problems` says why"}},
    )
    async def readyz() -> Response:
        """Looks at the database, the broker, the age of the oldest unsent event, and every consumer."""
        relay = runtime.relay if role in ("all", "relay") else None
        consumers = runtime.consumers if role in ("all", "consumer") else []
        found = await health.check(runtime.settings.service, runtime.database, relay, consumers)
        if runtime.draining and found.ready:
            found.drained = await runtime.relay.mark_clean()
        return JSONResponse(found.model_dump(mode="json"), 200 if found.ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_documents(app: FastAPI, publishes: Sequence[Topic], reads: Sequence[Topic]) -> None:
    by_name = {topic.name: topic for topic in (*publishes, *reads)}

    @cache
    def document() -> dict[str, Any]:
        return asyncapi_document(app.title, app.state.runtime.settings, publishes, reads)

    @app.get("/asyncapi.json", include_in_schema=False)
    async def asyncapi() -> dict[str, Any]:
        return document()

    @app.get("/asyncapi", include_in_schema=False)
    async def asyncapi_for_people() -> HTMLResponse:
        return HTMLResponse(asyncapi_page(document()))

    @app.get("/schemas/{name}.json", include_in_schema=False)
    async def schema(name: str) -> JSONResponse:
        topic = by_name.get(name)
        if topic is None:
            raise Problem(errors.NOT_FOUND)
        identifier = f"{app.state.base_url}/schemas/{name}.json"
        return JSONResponse(json_schema(topic.model, identifier), media_type="application/schema+json")
