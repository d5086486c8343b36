"""The DCI interface: two partners search with both expressions, subscribe, and are notified; all of it signed.

    python -m tests.demos.dci

The stack has to be allowed to call this machine back: start it with ``BANGFU_REGISTRY_CALLBACK_NETWORKS=127.0.0.0/8``.
Offices, households and people are invented.
"""

from collections.abc import Sequence
from typing import Any

from joserfc.jwk import KeySet

from tests.demos.dci_partner import Partner, is_signed, now, partners
from tests.demos.stage import Json, Stage, answered, run

CITY, XIXIA = "411300000000", "411323000000"
VILLAGE, ELSEWHERE = "411323102217", "411325101201"
"""A village of 西峡县, which both partners see, and one of 内乡县, which one of them does."""


def demonstrate(stage: Stage) -> None:
    """A county's health office sees its county, the city's civil affairs the whole city; both ask the same."""
    with partners(stage.registry, "health", "civil-affairs") as (health, civil):
        health.register("西峡县卫健委(演示)", [XIXIA])
        civil.register("市民政局(演示)", [CITY])
        _search(stage, health, civil)
        _signatures(stage, health)
        _subscriptions(stage, health, civil)
    refused = health.post("/sync/search", health.envelope("search", _batch(_expression({"people": {"$gt": 0}}))))
    stage.shows("shut out again, a partner gets", refused.status_code, 403)


def _search(stage: Stage, health: Partner, civil: Partner) -> None:
    """Six requests in one batch."""
    first = _register(stage, "2014-05-01", people=3)
    second = _register(stage, "2015-03-01", cause="disability")
    third = _register(stage, "2016-01-01", people=2)
    fourth = _register(stage, "2017-01-01", people=2, village=ELSEWHERE)
    ours = [first, second, third, fourth]
    oldest, newest = ({"sort": [{"attribute_name": "registered_on", "sort_order": order}]} for order in ("asc", "desc"))
    every = _expression({"household_number": {"$in": ours}}, **oldest)
    batch = _batch(
        _expression({"$and": [{"household_number": {"$in": ours}}, {"people": {"$gte": 2}}]}, **newest),
        _predicate(
            {"expression1": _term("household_number", "in", ours)},
            {
                "expression1": _term("cause", "eq", "disability"), "condition": "or",
                "expression2": _term("people", "ge", 3),
            },
            sort=[{"attribute_name": "people", "sort_order": "asc"}],
        ),
        {**every, "pagination": {"page_size": 2, "page_number": 1}},
        {**every, "pagination": {"page_size": 2, "page_number": 2}},
        _expression({"poverty_score": {"$lt": 5}}),
        _expression(
            {"household_number": first}, response_entity="Member", sort=[{"attribute_name": "birth_year"}],
        ),
    )  # fmt: skip
    for partner, large, last, total in (
        (health, [third, first], [third], 3),
        (civil, [fourth, third, first], [third, fourth], 4),
    ):
        name = partner.registered["name"]
        answers = partner.asked("/sync/search", "search", batch)["message"]["search_response"]
        found = [_numbers(answer) for answer in answers[:4]]
        stage.shows(f"{name}, by expression, newest first", found[0], large)
        stage.shows(f"{name}, by predicate, smallest first", found[1], [second, first])
        stage.shows(f"{name}, page 1 of two households each", found[2], [first, second])
        stage.shows(f"{name}, page 2", found[3], last)
        stage.shows(f"{name}, households in all pages", answers[3]["pagination"]["total_count"], total)
        reason = answers[4]["status"], answers[4]["status_reason_code"]
        stage.shows(f"{name}, an unknown attribute, rejected by itself", reason, ("rjct", "rjct.filter.invalid"))
        names = [record["demographic_info"]["name"] for record in answers[5]["data"]["reg_records"]]
        stage.shows(f"{name}, names of members", names, ["演*一", "演*二", "演*三"])


def _signatures(stage: Stage, partner: Partner) -> None:
    """What either side signed holds; with a word changed it does not, for this script or for the registry."""
    envelope = partner.envelope("search", _batch(_expression({"people": {"$gt": 100}})))
    own = KeySet([partner.key])
    stage.shows("the partner's signature holds", is_signed(envelope, own), True)
    answer = answered(partner.post("/sync/search", envelope))
    stage.shows("the registry's signature holds", is_signed(answer, partner.keys), True)
    answer["message"]["transaction_id"] = "another"
    stage.shows("over a changed answer", is_signed(answer, partner.keys), False)
    changed = partner.envelope("search", _batch(_expression({"people": {"$gt": 100}})))
    changed["message"]["transaction_id"] = "another"
    refused = partner.post("/sync/search", changed)
    stage.shows("a changed search gets", (refused.status_code, refused.json()["errors"][0]["code"]),
                (401, "err.signature.invalid"))  # fmt: skip


def _subscriptions(stage: Stage, health: Partner, civil: Partner) -> None:
    """Both subscribe to registrations of poor households; each is told of those it sees, until it unsubscribes."""
    codes = [_subscribe(stage, partner) for partner in (health, civil)]
    here = _register(stage, "2018-05-01")
    for partner in (health, civil):
        stage.shows(f"{partner.registered['name']} is told of", _notified(partner), here)
    elsewhere = _register(stage, "2018-05-01", village=ELSEWHERE)
    stage.shows(f"{civil.registered['name']} is told of", _notified(civil), elsewhere)
    for partner, code in zip((health, civil), codes, strict=True):
        ending = {"transaction_id": "t3", "timestamp": now(), "subscription_codes": [code]}
        ended = partner.told("/unsubscribe", "unsubscribe", ending)["message"]["subscription_status"]
        stage.shows("unsubscribed, with nothing told in between", ended, [{"code": code, "status": "unsubscribe"}])
    after = _register(stage, "2018-05-01")
    for partner in (health, civil):
        answer = partner.told("/search", "search", _batch(_expression({"household_number": after})))
        [response] = answer["message"]["search_response"]
        stage.shows("not told of, but found, by callback", _numbers(response), [after])


def _subscribe(stage: Stage, partner: Partner) -> str:
    """The code of a new subscription."""
    criteria = {
        "reg_type": "ns:org:RegistryType:Social", "reg_event_type": "REGISTER", "notify_record_type": "Group",
        "filter_type": "expression", "filter": {"standing": {"$eq": "poor"}},
    }  # fmt: skip
    request = {"reference_id": "s1", "timestamp": now(), "subscribe_criteria": criteria}
    answer = partner.told("/subscribe", "subscribe", {"transaction_id": "t2", "subscribe_request": [request]})
    [response] = answer["message"]["subscribe_response"]
    stage.shows(f"{partner.registered['name']} subscribes", response["status"], "succ")
    code: str = response["subscriptions"][0]["code"]
    return code


def _notified(partner: Partner) -> str:
    """The household that a notification is about."""
    [event] = partner.called("/notify")["message"]["notify_event"]
    [number] = _numbers(event)
    return number


def _register(stage: Stage, day: str, people: int = 1, village: str = VILLAGE, cause: str = "illness") -> str:
    """The number of a new household."""
    members = [
        {"name": f"演示{'一二三'[place]}", "relation": relation, "sex": sex, "birth_date": birth_date}
        for place, (relation, sex, birth_date) in enumerate(
            (("head", "male", "1968-03-12"), ("spouse", "female", "1970-06-01"), ("son", "male", "1996-02-03"))[:people]
        )
    ]
    body = {"village": village, "standing": "poor", "registered_on": day, "cause": cause, "members": members}
    number: str = answered(stage.registry.post("/v1/households", json=body), 201)["number"]
    return number


def _batch(*criteria: Json) -> Json:
    requests = [
        {"reference_id": f"r{place}", "timestamp": now(), "search_criteria": each}
        for place, each in enumerate(criteria, start=1)
    ]
    return {"transaction_id": "t1", "search_request": requests}


def _expression(query: Json, **more: Any) -> Json:
    value = {"expression": {"collection": "groups", "query": query}}
    return {"query_type": "expression", "query": {"type": "ns:org:QueryType:NoSql", "value": value}, **more}


def _predicate(*elements: Json, **more: Any) -> Json:
    numbered = [{"seq_num": place, **element} for place, element in enumerate(elements, start=1)]
    return {"query_type": "predicate", "query": numbered, **more}


def _term(name: str, operator: str, value: Any) -> Json:
    return {"attribute_name": name, "operator": operator, "attribute_value": value}


def _numbers(response: Json) -> Sequence[str]:
    """Household numbers of the groups in a response or an event."""
    return [group["group_identifier"][0]["identifier_value"] for group in response["data"]["reg_records"]]


if __name__ == "__main__":
    run(demonstrate)
