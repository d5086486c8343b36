"""Clock, ids, settings, cursors, keys: the small parts everything rests on."""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.auth import Caller, new_secret
from shared.clock import FixedClock, local_day
from shared.contracts.division import Path
from shared.errors import Problem
from shared.http.etag import check_version, required_version
from shared.http.idempotency import parse_key
from shared.http.pagination import Cursors
from shared.ids import uuid7
from shared.settings import Settings
from shared.watched import Watched


def test_days_are_days_in_shanghai() -> None:
    assert local_day(datetime(2018, 10, 7, 15, 59, 59, tzinfo=UTC)) == date(2018, 10, 7)
    assert local_day(datetime(2018, 10, 7, 16, 0, tzinfo=UTC)) == date(2018, 10, 8)
    assert local_day(datetime(2018, 12, 31, 23, 0, tzinfo=timezone(-timedelta(hours=8)))) == date(2019, 1, 1)


def test_summer_time_of_the_past_is_known() -> None:
    """Shanghai was UTC+9 in the summer of 1990 (reliability.md 4, 55)."""
    assert local_day(datetime(1990, 7, 1, 15, 30, tzinfo=UTC)) == date(1990, 7, 2)


def test_naive_instants_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        local_day(datetime(2018, 1, 1))  # noqa: DTZ001


def test_a_fixed_clock_moves_when_told() -> None:
    clock = FixedClock(datetime(2018, 1, 1, tzinfo=UTC))
    clock.advance(timedelta(hours=1))
    assert clock.now() == datetime(2018, 1, 1, 1, tzinfo=UTC)


def test_ids_are_version_7_unique_and_sorted_by_time() -> None:
    before = [uuid7() for _ in range(1000)]
    started = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == started:
        pass
    after = uuid7()
    assert len(set(before)) == 1000
    assert all(i.version == 7 and i.variant == "specified in RFC 4122" for i in before)
    assert max(before) < after


def test_a_setting_of_one_service_wins_over_the_common_one() -> None:
    environ = {
        "BANGFU_DATABASE_URL": "postgresql://common", "BANGFU_RANKING_DATABASE_URL": "postgresql://ranking",
        "BANGFU_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "BANGFU_KAFKA_IDEMPOTENCE": "false",
    }  # fmt: skip
    assert Settings.load("ranking", environ).database_url == "postgresql://ranking"
    registry = Settings.load("registry", environ)
    assert (registry.database_url, registry.listen_port, registry.kafka_idempotence) == (
        "postgresql://common",
        8101,
        False,
    )


def test_missing_settings_are_named() -> None:
    with pytest.raises(ValidationError, match="database_url"):
        Settings.load("registry", {})


def test_what_a_wrong_setting_says_is_not_told_back() -> None:
    """It may be a secret, and goes to the log."""
    given = {"BANGFU_DATABASE_URL": "postgresql://x:hidden@y", "BANGFU_SIGNING_SECRETS": "too-short-to-sign"}
    with pytest.raises(ValidationError, match="signing_secrets") as caught:
        Settings.load("registry", given)
    assert not any(secret in str(caught.value) for secret in ("hidden", "too-short"))


LIST = "/v1/households"


@given(st.lists(st.one_of(st.text(max_size=30), st.integers(-(2**60), 2**60)), min_size=1, max_size=4))
def test_cursors_come_back_and_cannot_be_made_by_others(key: list[str | int]) -> None:
    ours = Cursors(b"secret", "registry")
    cursor = ours.sign(LIST, key)
    assert ours.read(LIST, cursor, len(key)) == key
    theirs = Cursors(b"other", "registry").sign(LIST, key)
    for broken in (theirs, cursor[:-1], cursor + "A", "", "é", cursor[::-1]):
        if broken == cursor:
            continue
        with pytest.raises(Problem) as caught:
            ours.read(LIST, broken, len(key))
        assert caught.value.kind.status == 400


@pytest.mark.parametrize(
    ("service", "path", "key"),
    [
        ("registry", "/v1/persons", ["a"]),
        ("registry", f"{LIST}/a/members", ["a"]),
        ("assistance", LIST, ["a"]),
        ("registry", LIST, ["a", "b"]),
    ],
)
def test_a_cursor_of_another_list_is_refused(service: str, path: str, key: list[str | int]) -> None:
    """Of another path, another service with the same secret, or of this list when it was sorted in another way."""
    cursor = Cursors(b"secret", service).sign(path, key)
    with pytest.raises(Problem) as caught:
        Cursors(b"secret", "registry").read(LIST, cursor, 1)
    assert caught.value.kind.status == 400


@pytest.mark.parametrize(
    ("header", "key"),
    [('"a-b"', "a-b"), ("bare", "bare"), (r'"say \"hi\""', 'say "hi"'), (" x ", "x"), ("k" * 255, "k" * 255)],
)
def test_idempotency_keys_are_read_quoted_or_bare(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "k" * 256, "a\tb", "schlüssel", '" x"'])
def test_idempotency_keys_out_of_bounds_are_malformed(header: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_key(header)
    assert caught.value.kind.status == 400


async def test_if_match_is_needed_and_must_be_current() -> None:
    assert await required_version('"3"') == 3
    assert await required_version('W/"3"') == 3
    for header, status in ((None, 428), ("*", 412), ('"x"', 412), ("3", 412)):
        with pytest.raises(Problem) as caught:
            await required_version(header)
        assert caught.value.kind.status == status
    check_version(3, 3)
    with pytest.raises(Problem):
        check_version(4, 3)


def test_new_secrets_differ_and_are_hashed() -> None:
    first, second = new_secret(), new_secret()
    assert first[1] != second[1]
    assert first[1].startswith(first[0] + ".")
    assert len(first[1].split(".")[1]) >= 43
    assert first[1].split(".")[1] not in first[2]


def test_scope_follows_the_managing_unit_not_the_code() -> None:
    """皇路店镇 lies in 南召 by code and is run by 鸭河 (ranking.md, "Units")."""
    path = Path(
        city="411300000000", county="411321000000", township="411321103000", village=None, managing_unit="411392000000"
    )

    def caller(*divisions: str) -> Caller:
        return Caller(uuid4(), "test", frozenset({"reader"}), divisions)

    assert caller("411392000000").reaches(path)
    assert caller("411300000000").reaches(path)
    assert caller("411321103000").reaches(path)
    assert not caller("411321000000").reaches(path)
    assert not caller().reaches(path)


def test_admin_does_not_reveal_identities() -> None:
    admin = Caller(uuid4(), "test", frozenset({"admin"}), ())
    assert admin.may("signer")
    assert not admin.may("identity:reveal")


async def test_what_expires_while_it_is_being_looked_at_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs what was just changed must not be handed what somebody else read a moment before."""
    monkeypatch.setattr("shared.watched.CHECK_SECONDS", 60.0)
    there, looked, goes_on = ["before"], asyncio.Event(), asyncio.Event()

    class Table:
        async def fetchval(self, *_: Any) -> int:
            return len(there)

    async def load(_: Any) -> str:
        found = there[-1]
        looked.set()
        await goes_on.wait()
        return found

    table: Any = Table()
    watched = Watched("table", load)
    early = asyncio.create_task(watched.get(table))
    await looked.wait()
    there.append("after")
    watched.expire()
    goes_on.set()
    assert await early == "before"
    assert await watched.get(table) == "after"
    there.append("later")
    assert await watched.get(table) == "after", "looked at a moment ago"
