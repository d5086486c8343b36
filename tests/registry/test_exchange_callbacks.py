"""DCI by callback: asynchronous search, subscriptions and their notifications, status."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.registry.exchange import callbacks, tasks
from services.registry.exchange import searching as searching_module
from services.registry.exchange.subscriptions import SEALED
from shared.contracts.base import rfc3339
from tests.registry.conftest import OTHER_VILLAGE, XIXIA, app_on, client_of, issue, make, matching, member
from tests.registry.dci import Json, Partner, Receiver, by_expression, now, receiving, searching, verify
from tests.registry.test_persons import person, placement

POOR = by_expression({"standing": "poor"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
def calling_app(url: str, secrets: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An app that may call this machine."""
    monkeypatch.setenv("BANGFU_REGISTRY_CALLBACK_NETWORKS", "127.0.0.0/8")
    return app_on(url)


@pytest.fixture
async def calling(calling_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(calling_app) as client:
        yield client


@pytest.fixture
async def partner(calling: httpx.AsyncClient, receiver: Receiver) -> Partner:
    return await Partner.register(
        calling, callback_uri=f"http://127.0.0.1:{receiver.port}/dci", divisions=[XIXIA]
    )  # fmt: skip


async def acknowledged(partner: Partner, path: str, action: str, message: Json, **header: Any) -> str:
    """The correlation id of a message that was taken."""
    answer = await partner.post(path, partner.envelope(action, message, **header))
    assert answer.status_code == 202, answer.text
    assert answer.json()["message"]["ack_status"] == "ACK"
    return str(answer.json()["message"]["correlation_id"])


def subscription(event: str, entity: str = "Group", **more: Any) -> Json:
    wanted = {"standing": {"$eq": "poor"}}
    criteria = {"reg_event_type": event, "filter_type": "expression", "filter": wanted, "notify_record_type": entity}
    frequency = {"frequency": "0 8 * * *"}
    return {
        "transaction_id": "t2",
        "subscribe_request": [
            {
                "reference_id": "s1",
                "timestamp": now(),
                "subscribe_criteria": {**criteria, "frequency": frequency, **more},
            }
        ],
    }


async def subscribed(partner: Partner, receiver: Receiver, event: str, entity: str = "Group", **more: Any) -> str:
    """The code of a new subscription."""
    await acknowledged(partner, "/subscribe", "subscribe", subscription(event, entity, **more))
    answer = await receiver.next("/dci/on-subscribe")
    await verify(partner.client, answer)
    [response] = answer["message"]["subscribe_response"]
    assert response["status"] == "succ", response
    return str(response["subscriptions"][0]["code"])


def asking(kind: str, attribute: str, value: Any) -> Json:
    request = {"reference_id": "q1", "txn_type": kind, "attribute_type": attribute, "attribute_value": value}
    return {"transaction_id": "t3", "txnstatus_request": request}


async def test_a_search_is_answered_by_a_signed_callback(partner: Partner, receiver: Receiver) -> None:
    home = await make(partner.client)
    correlation = await acknowledged(partner, "/search", "search", searching(POOR))
    answer = await receiver.next("/dci/on-search")
    await verify(partner.client, answer)
    assert answer["message"]["correlation_id"] == correlation
    [response] = answer["message"]["search_response"]
    [group] = response["data"]["reg_records"]
    assert group["group_identifier"][0]["identifier_value"] == home["number"]
    own = f"http://127.0.0.1:{receiver.port}/dci/elsewhere"
    await acknowledged(partner, "/search", "search", searching(POOR), sender_uri=own)
    assert (await receiver.next("/dci/elsewhere"))["header"]["action"] == "on-search"


async def test_registrations_within_filter_and_divisions_are_notified(partner: Partner, receiver: Receiver) -> None:
    code = await subscribed(partner, receiver, "REGISTER")
    await make(partner.client, village=OTHER_VILLAGE)
    await make(partner.client, standing="ordinary", cause=None, members=[member(name="测试丙")])
    home = await make(partner.client, members=[member(name="测试丁")])
    notice = await receiver.next("/dci/notify")
    await verify(partner.client, notice)
    assert notice["header"]["action"] == "notify"
    [event] = notice["message"]["notify_event"]
    assert event["reference_id"] == code
    [group] = event["data"]["reg_records"]
    assert group["group_identifier"][0]["identifier_value"] == home["number"]
    assert "测试" not in str(notice)


async def test_a_new_member_is_notified_until_unsubscribed(partner: Partner, receiver: Receiver) -> None:
    home = await make(partner.client)
    code = await subscribed(partner, receiver, "NewHouseHoldMember", "Member")
    path = f"/v1/households/{home['number']}/members"
    child = member("son", name="测试戊", birth_date="2010-01-01")
    added = await partner.client.post(path, json=child, headers=matching(1))
    assert added.status_code == 201, added.text
    notice = await receiver.next("/dci/notify")
    [record] = notice["message"]["notify_event"][0]["data"]["reg_records"]
    assert (record["relationship_type"], record["demographic_info"]["birth_year"]) == ("son", 2010)
    alone = (await partner.client.post("/v1/persons", json=person())).json()
    placing = f"/v1/persons/{alone['id']}/placement"
    placed = await partner.client.post(placing, json=placement(home), headers=matching(1))
    assert placed.status_code == 200, placed.text
    notice = await receiver.next("/dci/notify")
    [record] = notice["message"]["notify_event"][0]["data"]["reg_records"]
    assert (record["relationship_type"], record["demographic_info"]["birth_year"]) == ("other", 1950)
    ending = {"transaction_id": "t4", "timesstamp": now(), "sunscription_codes": [code]}
    await acknowledged(partner, "/unsubscribe", "unsubscribe", ending)
    answer = (await receiver.next("/dci/on-unsubscribe"))["message"]
    assert answer["subscription_status"] == [{"code": code, "status": "unsubscribe"}]
    await acknowledged(partner, "/unsubscribe", "unsubscribe", ending)
    again = (await receiver.next("/dci/on-unsubscribe"))["message"]
    assert again["status_reason_code"] == "rjct.event.already_unsubscribed"
    await partner.client.post(path, json={**child, "name": "测试己"}, headers=matching(3))
    await acknowledged(partner, "/search", "search", searching(POOR))
    assert (await receiver.next("/dci/on-search"))["header"]["status"] == "succ"
    assert receiver.posted.empty()


async def test_subscriptions_that_are_refused(partner: Partner, receiver: Receiver) -> None:
    await subscribed(partner, receiver, "REGISTER")
    for message, code in (
        (subscription("REGISTER"), "rjct.event.already_subscribed"),
        (subscription("DEATH"), "rjct.notify_types.invalid"),
        (subscription("REGISTER", "Dog"), "rjct.notify_details.invalid"),
        (subscription("NewHouseHoldMember", reg_type="ns:org:RegistryType:Civil"), "rjct.notify_details.invalid"),
        (subscription("NewHouseHoldMember", version="9.9"), "rjct.notify_details.invalid"),
        (subscription("NewHouseHoldMember", sort=[]), "rjct.notify_details.invalid"),
        (subscription("NewHouseHoldMember", frequency={"every": "day"}), "rjct.notify_details.invalid"),
    ):
        await acknowledged(partner, "/subscribe", "subscibe", message)
        [response] = (await receiver.next("/dci/on-subscribe"))["message"]["subscribe_response"]
        assert (response["status"], response["status_reason_code"]) == ("rjct", code)
    foreign = {"transaction_id": "t", "timestamp": now(), "subscription_codes": ["somebody else's"]}
    await acknowledged(partner, "/unsubscribe", "unsubscribe", foreign)
    answer = (await receiver.next("/dci/on-unsubscribe"))["message"]
    assert answer["status_reason_code"] == "rjct.subscription_code.invalid"


async def test_a_filter_that_is_read_no_longer_holds_up_no_other(
    partner: Partner, receiver: Receiver, calling_app: FastAPI
) -> None:
    """An attribute that a release before knew, say."""
    odd = await subscribed(partner, receiver, "REGISTER")
    code = await subscribed(partner, receiver, "REGISTER", filter={"people": {"$gte": 1}})
    sealed = calling_app.state.registry.vault.seal('{"type": "expression", "filter": {"x": 1}}', SEALED, UUID(odd))
    async with calling_app.state.runtime.database.driver() as pg:
        await pg.execute("UPDATE exchange_subscription SET filter = $2 WHERE code = $1", UUID(odd), sealed)
    await make(partner.client)
    [event] = (await receiver.next("/dci/notify"))["message"]["notify_event"]
    assert event["reference_id"] == code


async def test_who_subscribed_until_a_time_may_subscribe_again_after_it(
    partner: Partner, receiver: Receiver, calling_app: FastAPI
) -> None:
    until: Json = {"frequency": {"end_time": rfc3339(datetime.now(UTC) + timedelta(hours=1))}}
    code = await subscribed(partner, receiver, "REGISTER", **until)
    async with calling_app.state.runtime.database.driver() as pg:
        await pg.execute(
            "UPDATE exchange_subscription SET starts_at = starts_at - interval '2 hours', "
            "ends_at = ends_at - interval '2 hours'"
        )
    assert await subscribed(partner, receiver, "REGISTER", **until) != code


async def test_a_code_whose_callback_was_lost_is_told_again(partner: Partner, receiver: Receiver) -> None:
    """By status, with whether the subscription runs, and where the same is subscribed to once more."""
    code = await subscribed(partner, receiver, "REGISTER")
    asked = asking("subscribe", "transaction_id", "t2")

    async def told() -> list[tuple[str, str]]:
        answer = (await partner.post("/sync/txn/status", partner.envelope("txn-status", asked))).json()
        [item] = answer["message"]["txnstatus_response"]["txn_status"]["subscribe_response"]
        return [(each["code"], each["status"]) for each in item["subscriptions"]]

    assert await told() == [(code, "subscribe")]
    again = {**subscription("REGISTER"), "transaction_id": "t5"}
    await acknowledged(partner, "/subscribe", "subscribe", again)
    [response] = (await receiver.next("/dci/on-subscribe"))["message"]["subscribe_response"]
    assert response["status_reason_message"].endswith(code)
    ending = {"transaction_id": "t4", "timestamp": now(), "subscription_codes": [code]}
    await acknowledged(partner, "/unsubscribe", "unsubscribe", ending)
    assert await told() == [(code, "unsubscribe")]


async def test_status_by_every_attribute(partner: Partner, receiver: Receiver) -> None:
    code = await subscribed(partner, receiver, "REGISTER")
    correlation = await acknowledged(partner, "/search", "search", searching(POOR))
    await receiver.next("/dci/on-search")
    for kind, attribute, value in (
        ("search", "transaction_id", "t1"),
        ("search", "reference_id_list", ["r0"]),
        ("search", "correlation_id", correlation),
        ("subscribe", "subscription_code_list", [code]),
    ):
        asked = partner.envelope("txn-status", asking(kind, attribute, value))
        answer = (await partner.post("/sync/txn/status", asked)).json()
        await verify(partner.client, answer)
        found = answer["message"]["txnstatus_response"]
        assert found["txn_type"] == f"on-{kind}"
        [item] = found["txn_status"][f"{kind}_response"]
        assert item["status"] == "succ"
        assert "data" not in item
    unknown = partner.envelope("txn-status", asking("search", "transaction_id", "nothing"))
    answer = (await partner.post("/sync/txn/status", unknown)).json()
    [item] = answer["message"]["txnstatus_response"]["txn_status"]["search_response"]
    assert item["status_reason_code"] == "rjct.reference_id.invalid"
    await acknowledged(partner, "/txn/status", "txn-status", asking("search", "transaction_id", "t1"))
    assert (await receiver.next("/dci/txn/on-status"))["header"]["action"] == "txn-on-status"


async def test_a_callback_that_fails_is_tried_again(calling_app: FastAPI, partner: Partner, receiver: Receiver) -> None:
    receiver.status = 500
    await acknowledged(partner, "/search", "search", searching(POOR))
    first = await receiver.next("/dci/on-search")
    receiver.status = 200
    await tried_again(calling_app, receiver)
    second = await receiver.next("/dci/on-search")
    assert second["header"]["message_id"] == first["header"]["message_id"]


async def tried_again(app: FastAPI, receiver: Receiver) -> None:
    """Have callbacks that failed made again now, until one has come."""
    async with asyncio.timeout(60), app.state.runtime.database.driver() as pg:
        while receiver.posted.empty():
            await pg.execute("UPDATE exchange_task SET due_at = now() WHERE due_at > now()")


async def called_back_at(partner: Partner, address: str) -> None:
    """The party as an administrator changes it: called back elsewhere from now on."""
    path = f"/v1/exchange/parties/{partner.registered['id']}"
    own = ("id", "version", "client_id", "client_secret")
    held = await partner.client.get(path)
    body = {name: value for name, value in held.json().items() if name not in own}
    changed = await partner.client.put(
        path, json={**body, "callback_uri": address}, headers={"If-Match": held.headers["ETag"]}
    )
    assert changed.status_code == 200, changed.text


async def test_notifications_go_where_the_party_is_called_back_now(partner: Partner, receiver: Receiver) -> None:
    await subscribed(partner, receiver, "REGISTER")
    await called_back_at(partner, f"http://127.0.0.1:{receiver.port}/dci/moved")
    home = await make(partner.client)
    [event] = (await receiver.next("/dci/moved/notify"))["message"]["notify_event"]
    [group] = event["data"]["reg_records"]
    assert group["group_identifier"][0]["identifier_value"] == home["number"]


@pytest.mark.parametrize(
    ("named", "moved", "expected"),
    [
        (None, "/moved", "/moved/on-search"),
        (None, "/dci/moved/", "/dci/moved/on-search"),
        (None, "", "/on-search"),
        ("/dci/elsewhere", "/moved", "/moved/on-search"),
        ("/dci/elsewhere", "/dci/moved", "/dci/moved/on-search"),
        ("/dci/elsewhere", "", "/dci/elsewhere"),
    ],
)
async def test_a_pending_callback_goes_where_the_party_is_called_back_now(
    calling_app: FastAPI, partner: Partner, receiver: Receiver, named: str | None, moved: str, expected: str
) -> None:
    """To the address that the message named only while that is below the party's."""
    root = f"http://127.0.0.1:{receiver.port}"
    receiver.status = 500
    header = {} if named is None else {"sender_uri": root + named}
    await acknowledged(partner, "/search", "search", searching(POOR), **header)
    await receiver.next(named or "/dci/on-search")
    await called_back_at(partner, root + moved)
    receiver.status = 200
    await tried_again(calling_app, receiver)
    await receiver.next(expected)


async def test_what_others_answer_is_acknowledged(partner: Partner) -> None:
    for path, action in (
        ("/on-search", "on-search"),
        ("/on-subscribe", "on-subscribe"),
        ("/on-unsubscribe", "on-unsubscribe"),
        ("/notify", "notify"),
        ("/txn/on-status", "txn-on-status"),
    ):
        await acknowledged(partner, path, action, {"transaction_id": "t9"}, status="succ")


# One party and the others


async def test_a_party_that_does_not_answer_holds_up_no_other(
    calling: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: others are called back while it does not."""

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    monkeypatch.setattr(callbacks, "TIMEOUT_SECONDS", 600)
    taken: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        uri = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/dci"
        slow = await Partner.register(calling, sender_id="slow.example.org", callback_uri=uri)
        good = await Partner.register(calling, callback_uri=f"http://127.0.0.1:{receiver.port}/dci")
        for _ in range(12):
            await acknowledged(slow, "/search", "search", searching(POOR))
        while not taken:
            await asyncio.sleep(0.01)
        for _ in range(12):
            await acknowledged(good, "/search", "search", searching(POOR))
            await receiver.next("/dci/on-search")
        for writer in taken:
            writer.close()


@pytest.mark.parametrize("fault", ["address", "statement"])
async def test_a_callback_that_cannot_be_made_is_given_up(
    calling: httpx.AsyncClient, calling_app: FastAPI, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """An address that is none; an answer that takes the database too long each time."""

    async def too_long(*_: Any) -> Any:
        raise asyncpg.QueryCanceledError("canceling statement due to statement timeout")

    if fault == "statement":
        monkeypatch.setattr(searching_module, "answer", too_long)
    monkeypatch.setattr(tasks, "PAUSES", (timedelta(milliseconds=1),) * 2)
    uri = "http://[none/dci" if fault == "address" else "http://127.0.0.1:9/dci"
    partner = await Partner.register(calling, callback_uri=uri)
    await acknowledged(partner, "/search", "search", searching(POOR))
    async with asyncio.timeout(60), calling_app.state.runtime.database.driver() as pg:
        while not await pg.fetchval("SELECT count(*) FROM exchange_task WHERE failed_at IS NOT NULL"):
            await asyncio.sleep(0.05)
        row = await pg.fetchrow("SELECT attempts, sealed, failure FROM exchange_task")
    told = {"address": "the name does not resolve", "statement": "a fault of ours: QueryCanceledError"}
    assert tuple(row) == (3, None, told[fault])
    path = f"/v1/exchange/parties/{partner.registered['id']}/callbacks"
    [shown] = (await calling.get(path, params={"count": "true"})).json()["items"]
    assert (shown["action"], shown["attempts"], shown["failure"]) == ("on-search", 3, told[fault])
    assert shown["given_up_at"] is not None
    local = await issue(calling, ["admin"], [XIXIA])
    assert (await calling.get(path, headers=local)).status_code == 404
    asked = partner.envelope("txn-status", asking("search", "transaction_id", "t1"))
    answer = (await partner.post("/sync/txn/status", asked)).json()
    [item] = answer["message"]["txnstatus_response"]["txn_status"]["search_response"]
    assert item["status"] == ("succ" if fault == "address" else "rjct")  # and not pending for good


async def test_a_callback_put_off_by_a_clock_that_was_ahead_is_made(
    partner: Partner, receiver: Receiver, calling_app: FastAPI
) -> None:
    receiver.status = 500
    await acknowledged(partner, "/search", "search", searching(POOR))
    await receiver.next("/dci/on-search")
    receiver.status = 200
    async with asyncio.timeout(60), calling_app.state.runtime.database.driver() as pg:
        while not await pg.fetchval("SELECT count(*) FROM exchange_task WHERE failure IS NOT NULL"):
            await asyncio.sleep(0.01)
        await pg.execute("UPDATE exchange_task SET due_at = due_at + interval '3 days'")
    await receiver.next("/dci/on-search")
