"""DCI: what a message, and a party, may cost."""

import httpx
import pytest

from services.registry.exchange import budgets
from services.registry.exchange.queries import read_query
from services.registry.exchange.statements import Statement
from services.registry.identity import Vault
from tests.registry.audit import entries
from tests.registry.conftest import OTHER_VILLAGE, XIXIA, app_on, client_of, id_number, make, member, within_an_hour
from tests.registry.dci import Json, Partner, by_expression, by_predicate, now, searching, term
from tests.registry.test_exchange import numbers

ALL = by_expression({"people": {"$gte": 1}})


@pytest.fixture
async def partner(registry: httpx.AsyncClient) -> Partner:
    return await Partner.register(registry)


@pytest.fixture
async def homes(registry: httpx.AsyncClient) -> list[str]:
    """Numbers of three households: of a man and his wife, of a woman born in 1950, and of a man."""
    spouse = member("spouse", name="测试乙", sex="female", birth_date="1970-01-01")
    woman = member(sex="female", birth_date="1950-06-01")
    made = [
        await make(registry, members=[member(), spouse]),
        await make(registry, members=[woman]),
        await make(registry, village=OTHER_VILLAGE, cause="schooling"),
    ]
    return [home["number"] for home in made]


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [
        ("MOST_CONDITIONS", 5, "rjct.filter.invalid"),
        ("MOST_RECORDS", 5, "rjct.search.too_many_records_found"),
        ("MOST_RECORDS", 3, "rjct.search.too_many_records_found"),
        ("MOST_SECONDS", 0.0, "rjct.search.too_many_records_found"),
    ],
)
async def test_what_a_message_may_cost_is_limited(
    partner: Partner, homes: list[str], monkeypatch: pytest.MonkeyPatch, limit: str, value: float, code: str
) -> None:
    """Each request beyond it is rejected by itself; others are answered, and the next message begins anew."""
    three = by_expression({"people": {"$gte": 1, "$lte": 9}, "cause": {"$ne": "x"}})
    before = [each["status"] for each in await partner.search(three, three)]
    monkeypatch.setattr(budgets, limit, value)
    first, second = await partner.search(three, three)
    if limit != "MOST_SECONDS":
        assert first["status"] == "succ"
    assert before == ["succ", "succ"]
    assert (second["status"], second["status_reason_code"]) == ("rjct", code)
    assert "data" not in second


async def test_members_of_a_household_are_looked_through_once_for_an_or(partner: Partner, homes: list[str]) -> None:
    """A hundred comparisons took seconds on the register of a county."""
    years: list[Json] = [{"birth_year": year} for year in range(1901, 1999)]
    condition = read_query("expression", {"$or": [*years, {"cause": "schooling"}]})
    sql = Statement("Group", Vault.__new__(Vault), [XIXIA]).sql(condition)
    assert sql.count("EXISTS") == 1
    [answer] = await partner.search(by_expression({"$or": [*years, {"cause": "schooling"}]}))
    assert set(numbers(answer)) == set(homes)
    [answer] = await partner.search(by_expression({"$or": [{"birth_year": 1950}, {"sex": "male"}]}))
    assert set(numbers(answer)) == set(homes)
    [answer] = await partner.search(by_expression({"$or": [{"birth_year": 1950}, {"relation": "spouse"}]}))
    assert set(numbers(answer)) == set(homes[:2])


async def test_searches_by_id_number_take_from_the_quota_of_the_party(
    monkeypatch: pytest.MonkeyPatch, url: str, secrets: None
) -> None:
    """A message beyond it is not taken and takes nothing; other searches go on; each party has its own."""
    monkeypatch.setenv("BANGFU_REGISTRY_LOOKUP_QUOTA", "3")
    app = app_on(url, within_an_hour())
    exhausted = "err.request.too_many_requests"

    def by_number(*sequences: int) -> Json:
        numbers = [id_number(sequence=each) for each in sequences]
        return by_predicate({"expression1": term("national_id", "in", numbers)}, response_entity="Member")

    nid = {"query_type": "idtype-value", "query": {"type": "NID", "value": id_number()}}
    wrong = by_predicate({"expression1": term("national_id", "lt", "5")})
    async with client_of(app) as client:
        await make(client, members=[member(id_number=id_number())])
        partner = await Partner.register(client)
        assert [each["status"] for each in await partner.search(nid, by_number(3), ALL, wrong)] == [
            "succ", "succ", "succ", "rjct"
        ]  # fmt: skip
        envelope = partner.envelope("search", searching(by_number(1, 3)))
        later = partner.envelope("search", searching(by_number(1, 3)))
        # not taken: the same message may come again
        for path, message in (("/sync/search", envelope), ("/sync/search", envelope), ("/search", later)):
            over = await partner.post(path, message)
            assert (over.status_code, over.json()["message"]["ack_status"]) == (429, "ERR")
            assert over.json()["message"]["error"]["code"] == exhausted
            assert int(over.headers["Retry-After"]) > 0
        criteria = {"reg_event_type": "REGISTER", "filter_type": "predicate", "notify_record_type": "Member"}
        sought = {**criteria, "filter": by_number(1, 3)["query"]}
        item = {"reference_id": "s", "timestamp": now(), "subscribe_criteria": sought}
        message = {"transaction_id": "t", "subscribe_request": [item]}
        watched = await partner.post("/subscribe", partner.envelope("subscribe", message))
        assert watched.json()["message"]["error"]["code"] == exhausted
        assert [each["status"] for each in await partner.search(ALL, by_number(1))] == ["succ", "succ"]
        assert (await partner.post("/sync/search", envelope)).status_code == 429
        other = await Partner.register(client, sender_id="bank.example.org")
        assert [each["status"] for each in await other.search(by_number(1, 3))] == ["succ"]
        denied = await entries(client, app, operation="persons.look_up_denied")
        assert [(each["key_id"], each["outcome"]) for each in denied] == [
            (partner.registered["id"], "too_many_requests")
        ] * 5
        found = await entries(client, app, operation="person.looked_up")
        assert [each["key_id"] for each in found].count(other.registered["id"]) == 1
