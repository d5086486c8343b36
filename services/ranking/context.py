"""What ranking's routes need beyond the request: the live tables and notices of this process."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.ranking.notices.live import LiveNotices
from services.ranking.tables.live import LiveTables
from services.ranking.tables.remembering import Remembered
from shared.app import Runtime


@dataclass(frozen=True, slots=True)
class Ranking:
    """``request.app.state.ranking``."""

    runtime: Runtime
    tables: LiveTables
    notices: LiveNotices
    table_answers: Remembered
    notice_answers: Remembered


async def ranking_of(request: Request) -> Ranking:
    ranking: Ranking = request.app.state.ranking
    return ranking


RankingDep = Annotated[Ranking, Depends(ranking_of)]
