"""The assistance service: programmes, actors, targets, and the ledger of aid actions."""

from fastapi import FastAPI

from services.assistance.actions import api as actions_api
from services.assistance.actions.changing import OWN_RECORD, REVOKED, VERIFIED
from services.assistance.actions.direct import RecordAction
from services.assistance.actions.recording import NAME_TAKEN, Recording
from services.assistance.actors import api as actors_api
from services.assistance.catalogue import api as catalogue_api
from services.assistance.catalogue import service as catalogue
from services.assistance.context import Assistance
from services.assistance.intake.contracts import ACTION_SUBMISSIONS, ActionOutcome
from services.assistance.intake.service import GROUP, MAX_RECORDS, ActionDesk
from services.assistance.mirror import consumers as mirror_consumers
from services.assistance.mirror import service as mirror
from services.assistance.publishing import PUBLISHED, republisher
from services.assistance.targets import api as targets_api
from services.assistance.targets.service import TAKEN
from shared.app import Role, Runtime, create_app
from shared.clock import Clock, SystemClock
from shared.consumer import Consumer
from shared.db import Database
from shared.deadletter import DeadLetterLimit, OriginQuota
from shared.http.idempotency import REUSED
from shared.intake import api as intake_api
from shared.intake.handler import Intake
from shared.intake.sources import sources, unnoted
from shared.relay import Relay
from shared.settings import Settings

DESCRIPTION = """Programmes 帮扶项目, actors 帮扶主体, targets 任务, and the ledger of aid actions 帮扶行动台账.

Record actions one by one (`POST /v1/actions`), in bulk (`POST /v1/actions/bulk`), or through Kafka
(`bangfu.assistance.action-submissions.v1`, see `/asyncapi`)."""

TAGS = [
    {"name": "actions", "description": "The ledger of aid actions 帮扶行动"},
    {"name": "programmes", "description": "The catalogue of programmes 帮扶项目"},
    {"name": "actors", "description": "Who helps 帮扶主体"},
    {"name": "targets", "description": "What is due 任务"},
    {"name": "intake", "description": "Submission sources and what became of submissions 数据报送"},
]


def build(settings: Settings, role: Role = "all", clock: Clock | None = None) -> tuple[FastAPI, Runtime]:
    """Build the application and what it runs on."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, pool_size=settings.database_pool, application="bangfu-assistance")
    relay = Relay(settings, database, PUBLISHED, republish=republisher(settings, clock))
    runtime = Runtime(settings, database, relay, clock)
    assistance = Assistance(runtime, catalogue.catalogue(), mirror.divisions())
    submitters = sources(settings)
    runtime.consumers += [
        Consumer(
            settings=settings,
            database=database,
            clock=clock,
            group=mirror_consumers.GROUP,
            topics=mirror_consumers.TOPICS,
            handle=mirror_consumers.Mirror(settings),
            allowance=DeadLetterLimit(),
            after_batch=runtime.wake_relay,
        ),
        Consumer(
            settings=settings,
            database=database,
            clock=clock,
            group=GROUP,
            topics=(ACTION_SUBMISSIONS,),
            handle=Intake(settings, submitters, ActionDesk(assistance)),
            allowance=OriginQuota(),
            max_records=MAX_RECORDS,
            after_batch=runtime.wake_relay,
        ),
    ]

    async def seed() -> None:
        async with database.driver() as pg:
            await submitters.get(pg)
            await catalogue.seed(pg, settings, clock.now())

    recording = Recording(assistance)
    app = create_app(
        runtime,
        title="Bangfu assistance 帮扶服务",
        description=DESCRIPTION,
        routers=[
            actions_api.routes,
            catalogue_api.routes,
            actors_api.routes,
            targets_api.routes,
            intake_api.routes,
            intake_api.receipts(ActionOutcome),
        ],
        publishes=PUBLISHED,
        reads=(*mirror_consumers.TOPICS, ACTION_SUBMISSIONS),
        kinds=(NAME_TAKEN, OWN_RECORD, REVOKED, VERIFIED, TAKEN, REUSED),
        tags=TAGS,
        on_start=[seed],
        shortcuts=[RecordAction(recording)],
        role=role,
    )
    app.state.assistance = assistance
    app.state.divisions = assistance.divisions
    app.state.source_noted = unnoted
    app.state.recording = recording
    return app, runtime
