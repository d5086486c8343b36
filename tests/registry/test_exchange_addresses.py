"""DCI: where callbacks may not go, whatever a party registered, and what answers them."""

from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import pytest

from services.registry.exchange.callbacks import NotDeliveredError, allowed, below, post, refusal_in
from tests.registry.dci import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("10.1.2.3", [], False),
        ("8.8.8.8", ["10.0.0.0/8"], False),
        ("127.0.0.1", ["0.0.0.0/0"], False),
        ("127.0.0.1", ["127.0.0.0/8"], True),
        ("::ffff:127.0.0.1", ["0.0.0.0/0", "::/0"], False),
        ("::1", ["::/0"], False),
        ("169.254.169.254", ["0.0.0.0/0"], False),
        ("100.100.100.200", ["100.64.0.0/10"], False),
        ("fd00:ec2::254", ["fd00::/8"], False),
    ],
)
def test_where_callbacks_may_go(address: str, networks: list[str], expected: bool) -> None:
    assert allowed(ip_address(address), [ip_network(network) for network in networks]) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://a.example/dci", True),
        ("https://a.example/dci/on-search?x=/../y", True),
        ("https://a.example/dci/%E4%B8%8A/a..b/.well", True),
        ("https://a.example/dci.evil/x", False),
        ("https://a.example/dci@evil/x", False),
        ("https://a.example/other", False),
        ("https://a.example/dci/../other", False),
        ("https://a.example/dci/./x", False),
        ("https://a.example/dci/..", False),
        ("https://a.example/dci/..#x", False),
        ("https://a.example/dci/..;x=1/other", False),
        ("https://a.example/dci/%2e%2e/other", False),
        ("https://a.example/dci/.%2E/other", False),
        ("https://a.example/dci/%252e%252e/other", False),
        ("https://a.example/dci/x%2f..%2f..%2fother", False),
        ("https://a.example/dci/x%3f/../../other", False),
        ("https://a.example/dci/\\..\\other", False),
        ("https://a.example/dci/x%5c..%5c..%5cother", False),
    ],
)
def test_what_is_below_a_callback_address(address: str, expected: bool) -> None:
    assert below(address, "https://a.example/dci") is expected
    assert below(address, "https://a.example/dci/") is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "no-such-name.invalid", "a" * 300])
async def test_this_machine_is_not_called_unless_the_setting_says_so(receiver: Receiver, host: str) -> None:
    with pytest.raises(NotDeliveredError):
        await post([ip_network("0.0.0.0/0"), ip_network("::/0")], f"http://{host}:{receiver.port}/", {})
    assert receiver.posted.empty()


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.status = 302
    with pytest.raises(NotDeliveredError):
        await post([ip_network("127.0.0.0/8")], f"http://127.0.0.1:{receiver.port}/", {})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", None),
        (b"thanks", None),
        (b"[" * 100_000, None),
        (b"[1]", None),
        (b'{"message": []}', None),
        (b'{"message": {"ack_status": "ACK"}}', None),
        (b'{"message": {"ack_status": "NACK", "error": {"code": "err.request.bad"}}}', None),
        (b'{"message": {"ack_status": "ERR"}}', "ERR"),
        (
            b'{"message": {"ack_status": "ERR", "error": {"code": "err.signature.invalid"}}}',
            "ERR err.signature.invalid",
        ),
        (b'{"message": {"ack_status": "ERR", "error": {"code": "<script>"}}}', "ERR"),
    ],
)
def test_what_an_acknowledgement_refuses(answer: bytes, expected: str | None) -> None:
    assert refusal_in(answer) == expected


async def test_a_message_that_is_answered_with_err_is_not_delivered(receiver: Receiver) -> None:
    """Though over HTTP all is well, as with receivers that answer 200 to everything."""
    networks, address = [ip_network("127.0.0.0/8")], f"http://127.0.0.1:{receiver.port}/"
    receiver.body = b'{"message": {"ack_status": "ERR", "error": {"code": "err.service.unavailable"}}}'
    with pytest.raises(NotDeliveredError, match=r"answered with ERR err\.service\.unavailable"):
        await post(networks, address, {})
    receiver.body = b'{"message": {"ack_status": "ACK"}}' + b" " * 1_000_000
    await post(networks, address, {})
