"""Use cases of imports: sending a file, watching it, its rejected rows, taking it back, saved mappings."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from uuid import UUID

from pydantic import ValidationError

from services.registry.commands import claim, command, complete
from services.registry.context import Registry, scopes, today, within
from services.registry.divisions.service import current_tree
from services.registry.identity import Vault
from services.registry.imports import auditing, journal, mappings, store
from services.registry.imports.records import Instruction, Job, Status, Tally
from services.registry.imports.schemas import ImportForm, ImportOut, LeftStanding, Progress, Refusal, Undoing
from services.registry.imports.store import Sight, Stretch
from services.registry.imports.uploading import Upload
from services.registry.reports import MAX_ERRORS, Counts, ImportReport, RowError
from shared import errors
from shared.auth import Caller
from shared.contracts.division import DivisionTree
from shared.db import Pg
from shared.errors import Language, Problem
from shared.http.body import parse_json
from shared.http.idempotency import KEPT_DAYS, IdempotencyKey
from shared.http.problems import faults_of
from shared.ids import uuid7

NOT_UNDOABLE = errors.kind(
    "import_not_undoable", 409, "This import cannot be taken back", "该导入不能撤销",
    "Only an import that has ended and wrote something can be taken back, and only once.",
    "只有已结束且写入了数据的导入可以撤销,且只能撤销一次。",
)  # fmt: skip


def form_of(upload: Upload) -> ImportForm:
    """The options that came with a file. Raises 422."""
    given: dict[str, object] = dict(upload.fields)
    if "overwrite_columns" in given:
        given["overwrite_columns"] = parse_json(upload.fields["overwrite_columns"].encode())
    try:
        return ImportForm.model_validate(given)
    except ValidationError as error:
        faults = faults_of(error.errors(include_input=False, include_url=False))
        raise errors.invalid(*faults) from error


def fingerprint(vault: Vault, upload: Upload) -> bytes:
    """Of a request: its file and fields, whatever boundary was between them."""
    digest = hashlib.sha256(upload.file)
    digest.update(json.dumps(sorted(upload.fields.items())).encode())
    return vault.fingerprint(digest.digest())


async def send(
    registry: Registry, caller: Caller, upload: Upload, form: ImportForm, key: IdempotencyKey, language: Language
) -> tuple[Job, bool]:
    """Take a file in; the job, and whether it was sent before.

    A file is known by ``Idempotency-Key``, and by its content and options while it is taken in and for a week after.
    """
    async with command(registry.runtime) as pg:
        earlier = await claim(pg, key)
        if earlier is not None:
            return await store.load(pg, earlier.resource_id), True
        instruction = await _instruction(pg, caller, form, language)
        digest = _digest(registry, caller, upload, instruction)
        now = registry.runtime.clock.now()
        if not instruction.dry_run:
            await pg.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", digest.hex())
            same = await store.same(pg, digest, now - timedelta(days=KEPT_DAYS))
            if same is not None:
                await complete(pg, key, same.id, 1)
                return same, True
        job = _job(instruction, upload, caller, registry)
        owners = _owners(await current_tree(pg, registry.divisions), caller.divisions, today(registry))
        await store.add(pg, registry.vault, job, caller, digest, owners, upload.file)
        await auditing.note(pg, registry, job.id, "sent")
        await complete(pg, key, job.id, 1)
    return job, False


async def _instruction(pg: Pg, caller: Caller, form: ImportForm, language: Language) -> Instruction:
    saved = None if form.source is None else await mappings.find(pg, form.source, caller)
    return Instruction(
        mode=form.mode,
        dry_run=form.dry_run == "true",
        source=form.source,
        overwrite=form.overwrite or (saved.overwrite if saved else "never"),
        overwrite_columns={**(saved.overwrite_columns if saved else {}), **form.overwrite_columns},
        columns=saved.columns if saved else {},
        ethnicity_codes=saved.ethnicity_codes if saved else None,
        language=language,
    )


def _digest(registry: Registry, caller: Caller, upload: Upload, instruction: Instruction) -> bytes:
    """Blind: a plain digest of a small file of ID numbers could be guessed."""
    asked = instruction.model_dump_json(exclude={"language"})
    told = f"{caller.key_id} {hashlib.sha256(upload.file).hexdigest()} {asked}"
    return registry.vault.index(told, "content")


def _job(instruction: Instruction, upload: Upload, caller: Caller, registry: Registry) -> Job:
    return Job(
        id=uuid7(),
        status="queued",
        instruction=instruction,
        caller="",
        size=len(upload.file),
        position=0,
        tally=Tally(),
        layout=None,
        refusal=None,
        recorded_at=registry.runtime.clock.now(),
        recorded_by=caller.key_id,
        undo_asked_by=None,
        started_at=None,
        ended_at=None,
    )


def _owners(tree: DivisionTree, divisions: Iterable[str], day: date) -> Sequence[str]:
    """The divisions each of which alone reaches everything that these reach; the city is one."""
    above = [frozenset(scopes(tree, [code], day)) for code in divisions]
    return sorted(frozenset.intersection(*above) if above else tree.cities)


async def _sight(pg: Pg, registry: Registry, caller: Caller, stretch: Stretch) -> Sight:
    """How the caller looks at a stretch of jobs: it may see those of senders that reach no further (rule 9)."""
    tree, day = await registry.divisions.get(pg), today(registry)
    sent = await store.sent_from(pg, stretch, caller.divisions, caller.key_id)
    reached = [code for code in sent if not code or within(caller, tree, code, day)]
    return Sight(caller.divisions, reached, caller.key_id)


async def find(pg: Pg, registry: Registry, job: UUID, caller: Caller) -> Job:
    """A job that the caller may see. Raises 404."""
    found = await store.find(pg, job, await _sight(pg, registry, caller, Stretch.of(job)))
    if found is None:
        raise Problem(errors.NOT_FOUND)
    return found


async def find_own(pg: Pg, registry: Registry, job: UUID, caller: Caller) -> Job:
    """A job that this very key sent: its rejected rows show identity data as the sender gave it. Raises 404."""
    found = await find(pg, registry, job, caller)
    if found.recorded_by != caller.key_id:
        raise Problem(errors.NOT_FOUND)
    return found


async def undo(registry: Registry, caller: Caller, job: UUID) -> Job:
    """Have an import taken back. Raises 404, 409."""
    async with command(registry.runtime, dry_run=registry.dry_run) as pg:
        await find(pg, registry, job, caller)
        found = await store.load(pg, job, lock=True)
        if found.status in ("undoing", "undone"):
            return found
        wrote = found.tally.wrote and not found.instruction.dry_run
        if found.status not in ("completed", "refused") or not wrote:
            raise Problem(NOT_UNDOABLE)
        await store.ask_undo(pg, job, caller.key_id)
        await auditing.note(pg, registry, job, "undo_asked", key_id=caller.key_id)
        return await store.load(pg, job)


async def shown(pg: Pg, job: Job, language: Language, *, listed: bool = False) -> ImportOut:
    """A job as it is shown; in a list without the report's rows."""
    instruction, tally, layout = job.instruction, job.tally, job.layout
    return ImportOut(
        id=job.id,
        kind=instruction.kind,
        status=job.status,
        mode=instruction.mode,
        dry_run=instruction.dry_run,
        source=instruction.source,
        format=layout.format if layout else None,
        header_row=(layout.header_row or None) if layout else None,
        progress=Progress(
            rows=tally.rows + tally.passed_over,
            expected_rows=layout.expected_rows if layout else None,
            households=tally.received,
        ),
        report=await _report(pg, job, language, listed=listed),
        refusals=_refusals(job, language),
        rejected_rows=tally.rejected_rows,
        undoing=await _undoing(pg, job),
        recorded_at=job.recorded_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


async def _report(pg: Pg, job: Job, language: Language, *, listed: bool) -> ImportReport | None:
    if job.ended_at is None:
        return None
    tally, instruction = job.tally, job.instruction
    remarks = [] if listed else await journal.remarks(pg, job.id)
    nothing = job.status == "rejected" or (job.status == "refused" and not tally.wrote)
    return ImportReport(
        id=None if nothing or instruction.dry_run else job.id,
        status="rejected" if nothing else "completed",
        mode=instruction.mode,
        dry_run=instruction.dry_run,
        counts=Counts(
            received=tally.received,
            created=tally.created,
            updated=tally.updated,
            unchanged=tally.unchanged,
            rejected=tally.rejected,
        ),
        errors=[
            RowError(
                row=each.row,
                column=each.column,
                code=each.code,
                message=each.en if language == "en" else each.zh,
                severity=each.severity,
            )
            for each in remarks
        ],
    )


def _refusals(job: Job, language: Language) -> list[Refusal]:
    told = [] if job.refusal is None else json.loads(job.refusal)
    return [Refusal(column=each["column"], code=each["code"], message=each[language]) for each in told]


async def _undoing(pg: Pg, job: Job) -> Undoing | None:
    if job.status not in ("undoing", "undone"):
        return None
    counts = await journal.undone_counts(pg, job.id)
    left = await journal.left_standing(pg, job.id, MAX_ERRORS)
    return Undoing(
        undone=counts.get("undone", 0),
        left=sum(count for why, count in counts.items() if why != "undone"),
        households=[LeftStanding(household=identifier, why=why) for identifier, why in left],
    )


async def page(
    pg: Pg,
    registry: Registry,
    caller: Caller,
    status: Status | None,
    before: UUID | None,
    limit: int,
    *,
    counted: bool,
) -> tuple[list[Job], int | None]:
    """Imports that the caller may see, newest first; and how many there are in all, if that is asked.

    Those that an index finds come first: of the others, only such are looked for as are newer than the last of these.
    """
    jobs = await store.owned(pg, caller.divisions, status, before, limit)
    stretch = Stretch(before, jobs[-1].id if len(jobs) == limit else None)
    sight = await _sight(pg, registry, caller, stretch)
    if sight.reached:
        others = await store.reached(pg, sight, status, stretch, limit)
        jobs = sorted([*jobs, *others], key=lambda job: job.id, reverse=True)[:limit]
    if not counted:
        return jobs, None
    return jobs, await store.count(pg, await _sight(pg, registry, caller, Stretch()), status)
