"""Routes of notices."""

from typing import Annotated

from fastapi import Path, Request, Response

from services.ranking.context import RankingDep
from services.ranking.notices.schemas import DailyNotice
from services.ranking.periods import rules as periods
from services.ranking.tables.api import ETAG_HEADERS, NOT_MODIFIED, IfNoneMatch, answer
from shared import errors
from shared.app import router
from shared.auth import AnyCaller, Caller
from shared.http.problems import language_of

routes = router("notices")


@routes.get(
    "/notices/daily/{date}",
    operation_id="get_daily_notice",
    summary="The daily notice 日通报",
    response_model=DailyNotice,
    responses={200: {"headers": ETAG_HEADERS}, **NOT_MODIFIED},
)
async def get_daily_notice(
    date: Annotated[str, Path(max_length=10, description="Day in Asia/Shanghai.", examples=["2018-10-05"])],
    caller: AnyCaller,
    ranking: RankingDep,
    request: Request,
    _: IfNoneMatch = None,
) -> Response:
    """Per county: new today, cumulative of the year, running tasks against time progress, late reports; city totals.

    Open to every key. The text is Chinese, or English with `Accept-Language: en`.
    """
    try:
        day = periods.parse("day", date).first
    except ValueError as error:
        raise errors.invalid(
            errors.fault("path:date", "date", "must be a date YYYY-MM-DD", "须为日期 YYYY-MM-DD")
        ) from error

    async def again(request: Request, _: Caller) -> Response:
        language = language_of(request)
        snapshot = await ranking.notices.snapshot(day, language)
        headers = {
            "ETag": snapshot.etag,
            "Cache-Control": "private, no-cache",
            "Vary": "Accept-Language",
            "Content-Language": "en" if language == "en" else "zh-CN",
        }
        return answer(request, snapshot.body, headers)

    response = await again(request, caller)
    ranking.notice_answers.remember(request, again)
    return response
