"""Live notices: rendered once per version and language."""

from dataclasses import dataclass
from datetime import date

from services.ranking.notices import service
from services.ranking.notices.presentation import present
from services.ranking.periods.calendar import official_calendar
from services.ranking.periods.rules import Period
from services.ranking.tables.assembly import Moment, moment_of
from services.ranking.tables.sources import Sources
from services.ranking.versions.cache import Recipe, VersionedCache, Versions
from shared.clock import Clock, local_day
from shared.db import Database, Pg
from shared.errors import Language
from shared.settings import Settings

NoticeKey = tuple[date, Language]


@dataclass(frozen=True, slots=True)
class NoticeSnapshot:
    """A notice as of one version, and its JSON."""

    version: str
    body: bytes

    @property
    def etag(self) -> str:
        return f'"{self.version}"'


class LiveNotices:
    """The live notices this process has served lately."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, sources: Sources) -> None:
        self._settings = settings
        self._clock = clock
        self._sources = sources
        self._cache = VersionedCache(database, Recipe(_names, self._stamp, self._render))

    async def snapshot(self, day: date, language: Language) -> NoticeSnapshot:
        """The notice as it is now, at most 20 ms old."""
        return await self._cache.get((day, language))

    def _moment(self, day: date) -> Moment:
        return moment_of(Period("day", day), local_day(self._clock.now()), official_calendar())

    def _stamp(self, key: NoticeKey, versions: Versions) -> str:
        day, language = key
        moment = self._moment(day)
        state = "r" if moment.running else "c"
        return f"{moment.as_of:%Y%m%d}{state}{language}." + ".".join(map(str, versions.values()))

    async def _render(self, pg: Pg, key: NoticeKey, versions: Versions, version: str) -> NoticeSnapshot:
        day, language = key
        notice = await service.compose(pg, self._sources, versions, day, self._moment(day))
        body = present(notice, version, language, self._settings.demonstration).model_dump_json().encode()
        return NoticeSnapshot(version, body)


def _names(key: NoticeKey) -> list[str]:
    return service.version_names(key[0])
