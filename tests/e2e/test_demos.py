"""The demonstrations of product.md on a running stack."""

from collections.abc import Callable

import pytest

from tests.demos import history, s02_divisions, s24_vocabulary, s25_relocation
from tests.demos.stage import NotAsExpectedError, Stage, stage
from tests.e2e.city import City

pytestmark = pytest.mark.xdist_group("city")
DEMONSTRATIONS = (
    s02_divisions.demonstrate, s24_vocabulary.demonstrate, s25_relocation.demonstrate, history.demonstrate
)  # fmt: skip


@pytest.mark.parametrize("demonstrate", DEMONSTRATIONS, ids=lambda each: each.__module__.rsplit(".", 1)[1])
def test_a_demonstration_shows_what_it_expects(city: City, demonstrate: Callable[[Stage], None]) -> None:
    city.wait_until_quiet()
    urls = {name: city.url(name) for name in ("registry", "assistance", "ranking")}
    demonstrate(stage(urls, city.stack.api_key))


def test_a_demonstration_fails_where_something_else_shows(city: City) -> None:
    shown = stage({name: city.url(name) for name in ("registry", "assistance", "ranking")}, city.stack.api_key)
    with pytest.raises(NotAsExpectedError, match="expected 2, found 1"):
        shown.shows("cities", 1, 2)
