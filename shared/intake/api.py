"""Routes of an intake, the same in every service that has one: sources, and what became of a submission."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from shared import errors
from shared.app import CONFLICT_RESPONSE, NOT_FOUND_RESPONSE, VERSION_RESPONSES, RuntimeDep, router
from shared.auth import Caller, requires
from shared.clock import local_day
from shared.commands import command
from shared.contracts.division import DivisionTree
from shared.errors import Problem, fault, invalid
from shared.http.claiming import claim, complete
from shared.http.dryrun import DryRun
from shared.http.etag import required_version, set_etag
from shared.http.fields import Id
from shared.http.idempotency import IdempotencyKey, idempotency_key, mark_replayed
from shared.http.listing import ListQuery
from shared.http.pagination import Page, page_of
from shared.intake import inbox, sources
from shared.intake.contracts import Receipt
from shared.intake.sources import NewSecretOut, Noted, SecretIn, SourceContent, SourceIn, SourceOut
from shared.watched import Watched

routes = router("intake")
Key = Annotated[IdempotencyKey, Depends(idempotency_key)]
Admin = Annotated[Caller, Depends(requires("admin"))]
Reader = Annotated[Caller, Depends(requires("reader", "recorder", "reviewer", "drafter", "signer", "importer"))]
R = TypeVar("R", bound=Receipt)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which divisions lie within whose scope today."""

    tree: DivisionTree
    day: date

    def of(self, caller: Caller, codes: Iterable[str]) -> list[bool]:
        """For each division whether it is there and the caller reaches it."""
        return [self._within(caller, code) for code in codes]

    def _within(self, caller: Caller, code: str) -> bool:
        division, path = self.tree.get(code), self.tree.path(code, self.day)
        if division is None or not division.holds_on(self.day):
            return False
        return code in caller.divisions or (path is not None and caller.reaches(path))


async def _reach(request: Request, runtime: RuntimeDep) -> Reach:
    divisions: Watched[DivisionTree] = request.app.state.divisions
    async with runtime.database.driver() as pg:
        return Reach(await divisions.get(pg), local_day(runtime.clock.now()))


def _noted(request: Request) -> Noted:
    noted: Noted = request.app.state.source_noted
    return noted


ReachDep = Annotated[Reach, Depends(_reach)]
NotedDep = Annotated[Noted, Depends(_noted)]


@routes.post(
    "/sources",
    operation_id="register_source",
    summary="Register a submission source 登记报送来源",
    status_code=201,
    response_model=SourceOut,
    responses=CONFLICT_RESPONSE,
)
async def register_source(
    content: SourceIn,
    response: Response,
    caller: Admin,
    key: Key,
    runtime: RuntimeDep,
    reach: ReachDep,
    noted: NotedDep,
    dry_run: DryRun,
) -> SourceOut:
    """Let a system submit through Kafka, under its `ce_source`, within its divisions."""
    now = runtime.clock.now()
    _check_divisions(content, caller, reach)
    async with command(runtime, dry_run=dry_run) as pg:
        if (earlier := await claim(pg, key)) is not None:
            mark_replayed(response)
            made = await sources.find(pg, earlier.resource_id)
        else:
            made = await sources.register(pg, content, name=content.name, by=caller.key_id, now=now)
            await noted(pg, "registered", made, caller.key_id, now)
            await complete(pg, key, made.id, made.version)
    response.headers["Location"] = f"/v1/sources/{made.id}"
    set_etag(response, made.version)
    return made


@routes.get("/sources", operation_id="list_sources", summary="List sources 报送来源", response_model=Page[SourceOut])
async def list_sources(
    request: Request,
    response: Response,
    query: Annotated[ListQuery, Query()],
    caller: Admin,
    runtime: RuntimeDep,
    reach: ReachDep,
) -> Page[SourceOut]:
    """Sources that reach no further than you, in order of registration."""
    after = query.after(request)
    async with runtime.database.driver() as pg:
        yours = [each for each in await sources.listed(pg) if all(reach.of(caller, each.divisions))]
    rest = [each for each in yours if after is None or str(each.id) > after[0]]
    kept, cursor = page_of(
        rest[: query.limit + 1],
        limit=query.limit,
        key=lambda row: [str(row.id)],
        request=request,
        response=response,
    )
    return Page(items=list(kept), next_cursor=cursor, count=len(yours) if query.count else None)


@routes.get(
    "/sources/{source_id}",
    operation_id="read_source",
    summary="Read a source 查看报送来源",
    response_model=SourceOut,
    responses=NOT_FOUND_RESPONSE,
)
async def read_source(
    source_id: Id, response: Response, caller: Admin, runtime: RuntimeDep, reach: ReachDep
) -> SourceOut:
    """One registered source that reaches no further than you."""
    found = await _find(source_id, caller, runtime, reach)
    set_etag(response, found.version)
    return found


@routes.put(
    "/sources/{source_id}",
    operation_id="change_source",
    summary="Change a source 修改报送来源",
    response_model=SourceOut,
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def change_source(
    source_id: Id,
    content: SourceContent,
    response: Response,
    caller: Admin,
    expected: Annotated[int, Depends(required_version)],
    runtime: RuntimeDep,
    reach: ReachDep,
    noted: NotedDep,
) -> SourceOut:
    """Replace a source's scope, mode or status; from live to test and back takes effect within a second."""
    now = runtime.clock.now()
    await _find(source_id, caller, runtime, reach)
    _check_divisions(content, caller, reach)
    async with runtime.database.driver() as pg, pg.transaction():
        made = await sources.change(pg, source_id, content, expected=expected, by=caller.key_id, now=now)
        await noted(pg, "changed", made, caller.key_id, now)
    set_etag(response, made.version)
    return made


@routes.post(
    "/sources/{source_id}/secrets",
    operation_id="issue_source_secret",
    summary="Issue a signing secret 签发签名密钥",
    status_code=201,
    response_model=NewSecretOut,
    responses={**NOT_FOUND_RESPONSE, **CONFLICT_RESPONSE, **VERSION_RESPONSES},
)
async def issue_source_secret(
    source_id: Id,
    content: SecretIn,
    response: Response,
    caller: Admin,
    expected: Annotated[int, Depends(required_version)],
    runtime: RuntimeDep,
    reach: ReachDep,
    noted: NotedDep,
) -> NewSecretOut:
    """Let a source sign its records where others may write to the broker too; then set `signature` to `required`.

    `ce_signature` of a record is `v1,` and the base64 of an HMAC-SHA256 over `ce_source`, `ce_id` and `ce_type`, each
    followed by a line feed, and then the record's value as it is sent. The secret is shown in this answer and never
    again. Where a signature is wrong, or missing and required, the record is a dead letter and gets no receipt.
    """
    now = runtime.clock.now()
    await _find(source_id, caller, runtime, reach)
    async with runtime.database.driver() as pg, pg.transaction():
        made, secret = await sources.issue_secret(
            pg, runtime.settings, source_id, content, expected=expected, by=caller.key_id, now=now
        )
        await noted(pg, "secret_issued", made, caller.key_id, now)
    set_etag(response, made.version)
    return NewSecretOut(**made.model_dump(), secret=secret)


async def _find(source_id: UUID, caller: Caller, runtime: RuntimeDep, reach: Reach) -> SourceOut:
    """A source that the caller may see: one that reaches no further. Raises 404."""
    async with runtime.database.driver() as pg:
        found = await sources.find(pg, source_id)
    if not all(reach.of(caller, found.divisions)):
        raise Problem(errors.NOT_FOUND)
    return found


def _check_divisions(content: SourceContent, caller: Caller, reach: Reach) -> None:
    """A source reaches no further than whoever registers it. Raises 422."""
    unknown = [
        fault(
            f"/divisions/{index}",
            "unknown_reference",
            "not known, or outside your divisions",
            "不存在,或不在您的辖区内",
        )
        for index, within in enumerate(reach.of(caller, content.divisions))
        if not within
    ]
    if unknown:
        raise invalid(*unknown)


def receipts(model: type[R]) -> APIRouter:
    """The route that tells what became of a submission, for a service whose receipts are these."""
    made = router("intake")

    @made.get(
        "/submissions/{source:path}/{id:path}",
        operation_id="read_submission",
        summary="What became of a submission 报送回执",
        response_model=model,
        responses=NOT_FOUND_RESPONSE,
    )
    async def read_submission(
        source: Annotated[str, Path(description="`ce_source` of the submission.")],
        submission: Annotated[str, Path(alias="id", description="`ce_id` of the submission.")],
        caller: Reader,
        runtime: RuntimeDep,
        reach: ReachDep,
    ) -> R:
        """The receipt of one submission, once it is decided. `source` may hold slashes, encoded or not."""
        async with runtime.database.driver() as pg:
            found, receipt = await inbox.find(pg, f"{source}/{submission}", model)
        if not any(reach.of(caller, found.divisions)):
            raise Problem(errors.NOT_FOUND)
        return receipt

    return made
