"""The registry service: divisions, households and persons, API keys, statistics."""

from collections.abc import Mapping
from functools import partial

from fastapi import FastAPI

from services.registry import instants
from services.registry.audit import api as audit_api
from services.registry.audit.sealing import Sealer
from services.registry.certificates import api as certificates_api
from services.registry.certificates import verification_api
from services.registry.certificates.visitors import Visitors
from services.registry.checks import api as checks_api
from services.registry.codes import api as codes_api
from services.registry.commands import command
from services.registry.context import Registry
from services.registry.divisions import api as divisions_api
from services.registry.divisions import reorganising_api
from services.registry.divisions import rules as division_rules
from services.registry.divisions import service as divisions
from services.registry.exchange import api as exchange_api
from services.registry.exchange import parties_api, tasks, tokens_api
from services.registry.exchange.service import Exchange
from services.registry.households import api as households_api
from services.registry.households import incomes_api, members_api, moves_api
from services.registry.households import problems as household_problems
from services.registry.households import service as households
from services.registry.households.following import Residents
from services.registry.households.persons import api as persons_api
from services.registry.households.persons import service as persons
from services.registry.identities import api as identities_api
from services.registry.identity import agree_on_keys
from services.registry.imports import api as imports_api
from services.registry.imports.running import Runner
from services.registry.imports.service import NOT_UNDOABLE
from services.registry.keys import api as keys_api
from services.registry.keys import service as keys
from services.registry.publicity import api as publicity_api
from services.registry.retention import service as retention
from services.registry.rowsecurity import warn_unless_bound
from services.registry.rule_runs import api as rule_runs_api
from services.registry.rule_runs import service as rule_runs
from services.registry.settings import (
    bootstrap_key,
    callback_networks,
    import_max_rows,
    quotas_of,
    retention_years,
    vault_of,
)
from services.registry.standing import api as standing_api
from services.registry.standing import rules as standing_rules
from services.registry.standing import service as standing
from services.registry.standing.settings import StandingSettings
from services.registry.statistics import api as statistics_api
from services.registry.statistics import denominators_api
from services.registry.submissions import api as submissions_api
from services.registry.submissions import keys as submission_keys
from services.registry.submissions.auditing import note_source
from services.registry.submissions.contracts import HOUSEHOLD_OUTCOMES, HOUSEHOLD_SUBMISSIONS, HouseholdOutcome
from services.registry.submissions.service import GROUP, MAX_RECORDS, HouseholdDesk
from services.registry.years import api as years_api
from shared.app import Role, Runtime, create_app
from shared.clock import Clock, SystemClock
from shared.consumer import Consumer
from shared.contracts.division import DIVISION
from shared.contracts.household import HOUSEHOLD, PERSON
from shared.contracts.key import KEY
from shared.contracts.standing import STANDING
from shared.db import Database, Pg
from shared.deadletter import OriginQuota
from shared.http.idempotency import REUSED
from shared.intake import api as intake_api
from shared.intake.handler import Intake
from shared.intake.sources import Source, sources
from shared.relay import Relay
from shared.settings import Settings
from shared.watched import Watched

Submitters = Watched[Mapping[str, Source]]
PUBLISHED = (DIVISION, HOUSEHOLD, PERSON, STANDING, KEY, HOUSEHOLD_OUTCOMES)
CITY = "411300000000"
DESCRIPTION = """The register 建档立卡 of households and persons, divisions 行政区划, API keys 密钥 and statistics 统计.

Names, ID numbers and phones are encrypted at rest, shown masked, and never leave this service. Other systems may submit
households through Kafka, identities encrypted (`bangfu.registry.household-submissions.v1`, see `/asyncapi`)."""

TAGS = [
    {"name": "households", "description": "The register of households and their members 农户与家庭成员"},
    {"name": "persons", "description": "Persons without a household 无户人员"},
    {"name": "standing", "description": "Identification, exit and relapse as reviewed decisions 状态认定"},
    {"name": "certificates", "description": "Honour certificates of exits 脱贫光荣证"},
    {"name": "imports", "description": "Files of clerks 导入"},
    {"name": "intake", "description": "Submissions through Kafka: sources, our key, receipts 数据报送"},
    {"name": "checks", "description": "The rules every record is held to 校验规则"},
    {"name": "codes", "description": "What coded fields may say 代码表"},
    {"name": "divisions", "description": "Divisions, managing units and designations 行政区划"},
    {"name": "statistics", "description": "Counts as of a day 统计"},
    {"name": "keys", "description": "API keys 密钥"},
    {"name": "exchange", "description": "Other systems search and subscribe by DCI (SPDCI 1.0.0) 数据交换"},
    {"name": "identities", "description": "Reveals, look-ups and erasures of identity data 身份信息"},
    {"name": "publicity", "description": "What may be published 公示公开"},
    {"name": "audit", "description": "Who changed, revealed or looked up what 审计日志"},
    {"name": "operations", "description": "Health 运行状态"},
]
ROUTERS = (
    households_api.routes,
    members_api.routes,
    persons_api.routes,
    imports_api.routes,
    incomes_api.routes,
    moves_api.routes,
    years_api.routes,
    submissions_api.routes,
    intake_api.routes,
    intake_api.receipts(HouseholdOutcome),
    standing_api.routes,
    certificates_api.routes,
    verification_api.routes,
    identities_api.routes,
    publicity_api.routes,
    checks_api.routes,
    rule_runs_api.routes,
    codes_api.routes,
    divisions_api.routes,
    reorganising_api.routes,
    statistics_api.routes,
    denominators_api.routes,
    keys_api.routes,
    parties_api.routes,
    exchange_api.routes,
    tokens_api.routes,
    audit_api.routes,
)
KINDS = (
    REUSED,
    *household_problems.KINDS,
    NOT_UNDOABLE,
    division_rules.CODE_TAKEN,
    instants.NOT_SETTLED,
    *standing_rules.KINDS,
)


def build(settings: Settings, role: Role = "all", clock: Clock | None = None) -> tuple[FastAPI, Runtime]:
    """Build the application and what it runs on. Raises ``KeyMissingError`` without a key to identity data."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, pool_size=settings.database_pool, application="bangfu-registry")

    async def republish(pg: Pg) -> int:
        return await _republish(pg, registry)

    runtime = Runtime(settings, database, Relay(settings, database, PUBLISHED, republish=republish), clock)
    registry = Registry(
        runtime, divisions.watched_divisions(), vault_of(), StandingSettings.load(), quotas_of(), retention_years()
    )
    exchange = Exchange(registry, callback_networks())
    imports = Runner(registry, import_max_rows())
    keys_to_us = submission_keys.watched_keys(registry.vault)
    submitters = sources(settings)
    runtime.consumers.append(_submissions(runtime, submitters, HouseholdDesk(registry, keys_to_us)))
    app = create_app(
        runtime,
        title="Bangfu registry 建档立卡",
        description=DESCRIPTION,
        routers=ROUTERS,
        publishes=PUBLISHED,
        reads=(HOUSEHOLD_SUBMISSIONS,),
        kinds=KINDS,
        tags=TAGS,
        on_start=[partial(_begin, registry, submitters, exchange)],
        jobs=[
            partial(rule_runs.work, registry),
            partial(tasks.run, exchange),
            imports.run,
            Sealer(database, clock).run,
            partial(retention.run, runtime, retention.Kept.load()),
        ],
        fingerprint=registry.vault.fingerprint,
        role=role,
    )
    app.state.registry = registry
    app.state.divisions = registry.divisions
    app.state.source_noted = partial(note_source, registry)
    app.state.submission_keys = keys_to_us
    app.state.residents = Residents(registry)
    app.state.exchange = exchange
    app.state.visitors = Visitors(registry.quotas.verification)
    app.state.imports = imports
    return app, runtime


def _submissions(runtime: Runtime, submitters: Submitters, desk: HouseholdDesk) -> Consumer:
    """What takes in the households that other systems submit."""
    return Consumer(
        settings=runtime.settings,
        database=runtime.database,
        clock=runtime.clock,
        group=GROUP,
        topics=(HOUSEHOLD_SUBMISSIONS,),
        handle=Intake(runtime.settings, submitters, desk),
        allowance=OriginQuota(),
        max_records=MAX_RECORDS,
        after_batch=runtime.wake_relay,
        keeps_content=False,
    )


async def _republish(pg: Pg, registry: Registry) -> int:
    """Write the present state of everything that is published to the outbox; returns how many events."""
    runtime = registry.runtime
    count = await divisions.republish(pg, runtime.settings)
    count += await keys.republish(pg, runtime.settings, runtime.clock.now())
    count += await standing.republish(pg, registry)
    count += await persons.republish(pg, registry)
    return count + await households.republish(pg, registry)


async def _begin(registry: Registry, submitters: Submitters, exchange: Exchange) -> None:
    """Before requests are served: the keys there must be, of our own, of submitters and the launcher's."""
    runtime = registry.runtime
    async with command(runtime) as pg:
        await agree_on_keys(pg, registry.vault)
        await submitters.get(pg)
        await exchange.start(pg)
        await submission_keys.ensure(pg, registry.vault, runtime.clock.now())
        await warn_unless_bound(pg)
        plain = bootstrap_key()
        if plain is not None:
            await keys.seed_bootstrap(pg, runtime.settings, plain, CITY, runtime.clock.now())


async def load_reference_data(settings: Settings) -> None:
    """Load the real divisions into a database that has none."""
    database = Database(settings.database_url, pool_size=2, application="bangfu-registry-migrate")
    try:
        async with database.driver() as pg, pg.transaction():
            await instants.begin(pg, SystemClock())
            await divisions.seed(pg, settings, SystemClock().now())
    finally:
        await database.close()
