"""Settings of decisions on standing, read once and passed down."""

import os
import re
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.registry.standing.standards import Standards, load_standards

_WINDOW = re.compile(r"(\d\d)-(\d\d)\.\.(\d\d)-(\d\d)", re.ASCII)
_LINE = re.compile(r"(20\d\d)=(\d{3,6})", re.ASCII)
_LEAP_YEAR = 2016


class Window(NamedTuple):
    """A stretch of every year, both ends included; it may run over the turn of the year."""

    first: tuple[int, int]
    last: tuple[int, int]

    def year_of(self, day: date) -> int | None:
        """The year in which the stretch began that a day lies in; None outside."""
        at = (day.month, day.day)
        if self.first <= self.last:
            return day.year if self.first <= at <= self.last else None
        return day.year if at >= self.first else day.year - 1 if at <= self.last else None


class StandingSettings(BaseModel):
    """``BANGFU_REGISTRY_X`` of each field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standing_by_decision: bool = Field(
        default=False, description="identifications, exits and relapses by decision alone"
    )
    notice_days: int = Field(default=7, ge=1, le=90, description="days that a public notice 公示 runs")
    full_names_on_boards: bool = Field(
        default=False, description="village boards 村公示栏 name heads of households in full"
    )
    windows: tuple[Window, ...] = Field(default=(), description="when identifications and exits are open 动态管理")
    monitoring: bool = Field(
        default=False, description="categories of monitoring 监测对象, of 2020 and later, are kept"
    )
    exit_lines: dict[int, int] = Field(default={}, description="working exit line 省定脱贫线 by year, yuan")

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Raises ``pydantic.ValidationError`` naming what cannot be read."""
        given = {name: environ.get(f"BANGFU_REGISTRY_{name}".upper(), "") for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in given.items() if value})

    @field_validator("windows", mode="before")
    @classmethod
    def _read_windows(cls, value: object) -> object:
        return tuple(_window(part) for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("exit_lines", mode="before")
    @classmethod
    def _read_lines(cls, value: object) -> object:
        return dict(_line(part) for part in value.split(",")) if isinstance(value, str) else value

    @cached_property
    def standards(self) -> Standards:
        """The lines and thresholds, with the province's lines."""
        return load_standards(self.exit_lines)

    def open_for(self, day: date, today: date) -> bool:
        """Whether an identification or exit may be proposed or concluded as on a day, and is entered today.

        Both days lie in one stretch of a window: stating another day gets nobody past a closed one.
        """
        return not self.windows or any(
            window.year_of(day) is not None and window.year_of(day) == window.year_of(today) for window in self.windows
        )


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError("windows read like 09-01..12-31")
    first_month, first_day, last_month, last_day = map(int, match.groups())
    for month, day in ((first_month, first_day), (last_month, last_day)):
        date(_LEAP_YEAR, month, day)
    return Window((first_month, first_day), (last_month, last_day))


def _line(text: str) -> tuple[int, int]:
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise ValueError("exit lines read like 2017=3208,2018=3400")
    return int(match.group(1)), int(match.group(2))
