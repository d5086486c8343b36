"""What the terminal shows while the demonstration runs: today's notice beside this week's table."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.local.demo.actions import CITY_TIME

Body = Mapping[str, Any]


class Screen:
    """Reads ranking's public interface and draws it."""

    def __init__(self, ranking: httpx.AsyncClient) -> None:
        self._ranking = ranking

    async def draw(self, recorded: Mapping[str, int]) -> RenderableType:
        """The present picture; `recorded` is how many actions went which way. Never fails: it says what is away."""
        now = datetime.now(CITY_TIME)
        day, week = now.date().isoformat(), now.strftime("%G-W%V")
        try:
            notice = await self._read(f"/v1/notices/daily/{day}")
            table = await self._read(f"/v1/league-tables/weekly/{week}")
        except httpx.HTTPError as error:
            return Text(f"{now:%H:%M:%S} ranking is away ({type(error).__name__}); waiting for it")
        mark = f"{notice['watermark']} demonstration data   " if notice["watermark"] else ""
        head = Text(f"{mark}{now:%H:%M:%S}   recorded here: {_sent(recorded)}", style="bold")
        return Group(head, Columns([_notice(notice, day), _week(table, week)]))

    async def summary(self, recorded: Mapping[str, int]) -> str:
        """The picture in one line, for output that is no terminal."""
        now = datetime.now(CITY_TIME)
        try:
            notice = await self._read(f"/v1/notices/daily/{now.date().isoformat()}")
        except httpx.HTTPError as error:
            return f"ranking is away ({type(error).__name__})"
        city = notice["city"]["new"]
        seen = f"today {city['actions']} actions reached {city['households']} households"
        return f"{seen}; recorded here: {_sent(recorded)}"

    async def _read(self, path: str) -> Body:
        answer = await self._ranking.get(path)
        answer.raise_for_status()
        body: Body = answer.json()
        return body


def _sent(recorded: Mapping[str, int]) -> str:
    return ", ".join(f"{count} over {way}" for way, count in recorded.items())


def _notice(notice: Body, day: str) -> Table:
    city = notice["city"]
    table = _table(f"日通报 daily notice {day}")
    for heading in ("今日\ntoday", "户\nreached", "本年\nyear"):
        table.add_column(heading, justify="right")
    for county in notice["counties"]:
        table.add_row(county["unit"]["name"], *_counters(county))
    table.add_section()
    table.add_row(city["name"], *_counters(city), style="bold")
    return table


def _counters(line: Body) -> tuple[str, str, str]:
    return str(line["new"]["actions"]), str(line["new"]["households"]), str(line["cumulative"]["actions"])


def _week(table: Body, week: str) -> Table:
    shown = _table(f"周评比 weekly table {week}")
    for heading in ("名次\nrank", "得分\nscore", "户/应帮\nreached"):
        shown.add_column(heading, justify="right")
    for row in (*table["rows"], *table["not_ranked"]):
        figures = row["figures"]
        reached = f"{figures['households']}/{figures['served']}"
        shown.add_row(row["unit"]["name"], str(row["rank"] or "-"), row["score"] if row["rank"] else "不参评", reached)
    return shown


def _table(title: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("县区\nunit", max_width=14, no_wrap=True)
    return table
