"""How long identities are kept. Pure."""

from datetime import date


def latest_expired(day: date, years: int) -> date:
    """The latest day that lies so many years back; of 29 February, the 28th where there is none."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
