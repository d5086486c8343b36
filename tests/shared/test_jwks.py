"""When the keys of an issuer are fetched, and who waits for it."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from shared import jwks
from shared.jwks import COOLDOWN_SECONDS, FRESH_SECONDS, STALE_SECONDS, IssuerAwayError, IssuerKeys
from tests.shared.issuer import Issuer, ec, rsa, running


class Watch:
    """Seconds that pass when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running() as made:
        yield made


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def keys(issuer: Issuer, watch: Watch) -> IssuerKeys:
    return IssuerKeys(issuer.url, None, watch)


async def test_many_requests_ask_once(keys: IssuerKeys, issuer: Issuer) -> None:
    found = await asyncio.gather(*(keys.find(kid) for kid in ["first", "unknown"] * 50))
    assert [key is not None for key in found] == [True, False] * 50
    assert issuer.answers == 2  # discovery and keys


async def test_unknown_ids_ask_only_now_and_then(keys: IssuerKeys, issuer: Issuer, watch: Watch) -> None:
    for number in range(20):
        assert await keys.find(f"invented {number}") is None
    assert issuer.answers == 2
    issuer.publish(rsa("first"), ec("second"))
    watch.now += COOLDOWN_SECONDS
    assert await keys.find("second") is not None
    assert issuer.answers == 4


async def test_known_keys_hold_while_the_issuer_is_away(keys: IssuerKeys, issuer: Issuer, watch: Watch) -> None:
    assert await keys.find("first") is not None
    issuer.stop()
    watch.now += FRESH_SECONDS + 1
    assert await keys.find("first") is not None
    assert await keys.find("unknown") is None
    watch.now += STALE_SECONDS
    with pytest.raises(IssuerAwayError):
        await keys.find("first")
    issuer.start()
    with pytest.raises(IssuerAwayError):
        await keys.find("first")  # it was tried just now
    watch.now += COOLDOWN_SECONDS
    assert await keys.find("first") is not None


async def test_a_hanging_issuer_holds_up_one_request_at_most(keys: IssuerKeys, issuer: Issuer, watch: Watch) -> None:
    assert await keys.find("first") is not None
    issuer.hold.clear()
    watch.now += FRESH_SECONDS + 1
    first = asyncio.create_task(keys.find("first"))
    while not keys._fetching:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):  # the issuer holds its answer back for longer
        assert await keys.find("first") is not None
    assert not first.done()
    first.cancel()  # its caller has gone; the fetch goes on
    fetching = keys._fetching
    issuer.hold.set()
    await asyncio.wait({fetching})
    assert issuer.answers == 4
    watch.now += FRESH_SECONDS
    assert await keys.find("first") is not None
    assert issuer.answers == 4


async def test_a_set_that_cannot_be_read_changes_nothing(keys: IssuerKeys, issuer: Issuer, watch: Watch) -> None:
    assert await keys.find("first") is not None
    watch.now += FRESH_SECONDS + 1
    issuer.keys = "nonsense"  # type: ignore[assignment]
    assert await keys.find("first") is not None
    issuer.keys = []
    watch.now += COOLDOWN_SECONDS
    await keys.find("first")
    while keys._fetching:
        await asyncio.sleep(0.001)
    assert await keys.find("first") is None


@pytest.mark.parametrize("curve", ["brainpoolP256r1", "", 5, ["P-256"]])
async def test_a_key_of_an_unknown_curve_is_passed_over(keys: IssuerKeys, issuer: Issuer, curve: object) -> None:
    issuer.keys = [{**ec("odd").as_dict(private=False), "crv": curve}, rsa("first").as_dict(private=False)]
    assert await keys.find("odd") is None
    assert await keys.find("first") is not None


async def test_a_document_nested_too_deep_changes_nothing(
    keys: IssuerKeys, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deep(*_: object) -> object:
        return json.loads("[" * 100_000)

    assert await keys.find("first") is not None
    watch.now += FRESH_SECONDS + 1
    monkeypatch.setattr(jwks, "_json", deep)
    assert await keys.find("first") is not None
