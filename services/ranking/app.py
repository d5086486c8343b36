"""The ranking service: facts in, league tables and notices out."""

from fastapi import FastAPI

from services.ranking.context import Ranking
from services.ranking.facts.consumers import FactsHandler
from services.ranking.facts.reading import read_batch
from services.ranking.indicators import api as indicators_api
from services.ranking.indicators.api import IN_FORCE
from services.ranking.mirror import consumers as mirror
from services.ranking.notices import api as notices_api
from services.ranking.notices.live import LiveNotices
from services.ranking.tables import api as tables_api
from services.ranking.tables import stream as tables_stream
from services.ranking.tables.api import NO_EDITION
from services.ranking.tables.live import LiveTables
from services.ranking.tables.remembering import Remembered
from shared.app import Role, Runtime, create_app
from shared.clock import Clock, SystemClock
from shared.consumer import Consumer
from shared.contracts.action import ACTION
from shared.db import Database, Pg
from shared.deadletter import DeadLetterLimit
from shared.relay import Relay
from shared.settings import Settings

DESCRIPTION = """Daily notices 日通报, league tables 评比排名 and rule sets 评分规则.

Every newly recorded aid action moves the tables within a second. Aggregates of counties, townships and
departments are open to every key; villages and the actions behind a figure are bounded by the key's divisions.
Exact figures travel as strings, so that anybody can compute a score again to the last digit."""

TAGS = [
    {"name": "league-tables", "description": "Daily, weekly, monthly, quarterly and yearly tables 评比排名"},
    {"name": "notices", "description": "The daily notice 日通报"},
    {"name": "rule-sets", "description": "Indicators 指标 and how they are weighed 评分规则"},
]


async def _nothing_to_republish(_: Pg) -> int:
    """Ranking publishes no aggregates yet: copies of dead letters are sent again from ``outbox_sent`` alone."""
    return 0


def build(settings: Settings, role: Role = "all", clock: Clock | None = None) -> tuple[FastAPI, Runtime]:
    """Build the application and what it runs on."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, pool_size=settings.database_pool, application="bangfu-ranking")
    runtime = Runtime(settings, database, Relay(settings, database, (), republish=_nothing_to_republish), clock)
    runtime.consumers += [
        Consumer(
            settings=settings,
            database=database,
            clock=clock,
            group="ranking-facts",
            topics=(ACTION,),
            read=read_batch,
            handle=FactsHandler(clock),
            allowance=DeadLetterLimit(),
            max_records=5000,
            after_batch=runtime.wake_relay,
        ),
        Consumer(
            settings=settings,
            database=database,
            clock=clock,
            group="ranking-mirror",
            topics=mirror.TOPICS,
            handle=mirror.MirrorHandler(settings),
            allowance=DeadLetterLimit(),
            after_batch=runtime.wake_relay,
        ),
    ]
    table_answers = Remembered("/v1/league-tables/{cadence}/{period}")
    notice_answers = Remembered("/v1/notices/daily/{date}")
    app = create_app(
        runtime,
        title="Bangfu ranking 排名通报服务",
        description=DESCRIPTION,
        routers=[tables_api.routes, tables_stream.routes, notices_api.routes, indicators_api.routes],
        publishes=(),
        reads=(ACTION, *mirror.TOPICS),
        kinds=(NO_EDITION, IN_FORCE),
        tags=TAGS,
        shortcuts=[table_answers, notice_answers],
        role=role,
    )
    tables = LiveTables(settings, database, clock)
    notices = LiveNotices(settings, database, clock, tables.sources)
    app.state.ranking = Ranking(runtime, tables, notices, table_answers, notice_answers)
    return app, runtime
