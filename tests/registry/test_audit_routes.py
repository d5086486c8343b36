"""Every route of registry that changes or shows something leaves its entry in the audit log, or says why it does not.

The routes come from the OpenAPI document. A day of an office is lived through over HTTP, and what the audit log has
gained is put down to the route that was called.
"""

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from services.registry.context import today
from shared.ids import uuid7
from tests.registry.conftest import (
    CITY,
    OTHER_VILLAGE,
    XIPING,
    XIXIA,
    client_of,
    household,
    id_number,
    issue,
    make,
    matching,
    member,
    put_key,
)
from tests.registry.dci import Partner, by_predicate, now, searching, term
from tests.registry.sheets import counts, ended, head, imported, workbook
from tests.registry.standing import DOCUMENT, INSURED, Office, able
from tests.registry.test_moves import body as going
from tests.registry.test_moves import family
from tests.registry.test_persons import person, placement

LEAVES = {
    "register_household": "household.registered", "register_households": "household.registered",
    "change_household": "household.changed", "deregister_household": "household.deregistered",
    "set_income": "income.reported", "add_member": "person.registered", "change_member": "person.changed",
    "transfer_member": "household.changed", "split_household": "household.registered",
    "merge_households": "household.deregistered",
    "register_person": "person.registered", "change_person": "person.changed",
    "deregister_person": "person.deregistered",
    "place_person": "person.changed", "release_member": "person.changed",
    "reveal_person": "person.revealed", "erase_person": "person.erased",
    "reveal_member": "person.revealed", "look_up_persons": "person.looked_up", "erase_member": "person.erased",
    "erase_expired_households": "person.erased",
    "propose_standing_decision": "decision.proposed", "take_standing_step": "decision.concluded",
    "object_to_standing_decision": "decision.changed", "resolve_standing_objection": "decision.refused",
    "withdraw_standing_decision": "decision.withdrawn", "print_certificate_in_full": "certificate.revealed",
    "import_file": "import.sent", "undo_import": "import.undo_asked", "put_import_mapping": "import_mapping.saved",
    "get_rejected_rows": "import.rejected_rows_downloaded",
    "lock_year": "year.locked", "put_denominators": "denominator.recorded", "start_rule_run": "rule_run.started",
    "list_findings": "rule_run.downloaded",
    "register_division": "division.registered", "designate_division": "division.changed",
    "end_designation": "division.changed", "designate_divisions": "division.changed",
    "hand_over_division": "division.changed", "rename_division": "division.changed",
    "move_division": "division.changed", "end_division": "division.changed", "merge_division": "division.changed",
    "split_division": "division.registered",
    "issue_key": "key.issued", "revoke_key": "key.revoked",
    "register_source": "source.registered", "change_source": "source.changed",
    "issue_source_secret": "source.secret_issued",
    "register_exchange_party": "party.registered", "replace_exchange_party": "party.changed",
    "renew_exchange_party_secret": "party.secret_issued",
    "dci_token": "party.token_issued", "dci_sync_search": "person.looked_up", "dci_search": "exchange.searched",
    "dci_subscribe": "exchange.subscribed", "dci_unsubscribe": "exchange.unsubscribed",
    "dci_receive_on_search": "exchange.received", "dci_receive_on_subscribe": "exchange.received",
    "dci_receive_on_unsubscribe": "exchange.received", "dci_receive_notify": "exchange.received",
    "dci_receive_txn_on_status": "exchange.received",
}  # fmt: skip
"""What each route leaves, among others."""
COLLIDES = {
    "register_household", "register_households", "add_member", "change_member", "register_person", "change_person",
}  # fmt: skip
"""Routes that tell of an ID number that somebody outside the caller's divisions holds; they leave that, too."""
LEAVES_NOTHING = {
    "dci_sync_status": "tells a party how its own requests went; nothing of persons, nothing changes",
    "dci_status": "as dci_sync_status, by callback",
}
READ_ONLY = {"get", "head"}


@dataclass
class Watched:
    """A client whose every answer is put down to its route, with what the audit log gained meanwhile."""

    app: FastAPI
    left: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _seen: set[Any] = field(default_factory=set)

    def operations(self) -> dict[str, tuple[str, re.Pattern[str]]]:
        """Method and address of every route."""
        found = {}
        for path, methods in self.app.openapi()["paths"].items():
            for method, operation in methods.items():
                pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
                found[operation["operationId"]] = (method, re.compile(pattern))
        return found

    async def note(self, response: httpx.Response) -> None:
        request = response.request
        [name] = [
            name
            for name, (method, pattern) in self.operations().items()
            if method == request.method.lower() and pattern.fullmatch(request.url.path)
        ][-1:]
        async with self.app.state.runtime.database.driver() as pg:
            rows = await pg.fetch("SELECT id, operation FROM audit_entry")
        self.left[name] |= {row["operation"] for row in rows if row["id"] not in self._seen}
        self._seen |= {row["id"] for row in rows}


@asynccontextmanager
async def watching(app: FastAPI) -> AsyncIterator[tuple[httpx.AsyncClient, Watched]]:
    watched = Watched(app)
    async with client_of(app) as client:
        client.event_hooks = {"response": [watched.note]}
        yield client, watched


async def done(answer: httpx.Response) -> Any:
    assert answer.status_code < 300, (answer.request.url, answer.text)
    return answer.json() if answer.headers["content-type"].startswith("application/json") else None


async def _register(client: httpx.AsyncClient) -> None:
    made = await make(client, members=[member(), member("other", name="测试乙")])
    url = f"/v1/households/{made['id']}"
    patch = {"cause": "disability", "reason": "更正"}
    await done(await client.patch(url, json=patch, headers=matching(1)))
    report = {"people": 2, "wages_fen": 1, "reason": "年度填报"}
    await done(await client.put(f"{url}/incomes/2018", json=report, headers=matching(2)))
    added = await done(await client.post(f"{url}/members", json=member("other", name="测试丙"), headers=matching(3)))
    who = f"{url}/members/{added['members'][2]['id']}"
    await done(await client.patch(who, json={"status": "moved_away"}, headers=matching(4)))
    gone = {"effective_on": "2016-01-01", "reason": "整户迁出"}
    jsonl = {"Content-Type": "application/jsonl"}
    await done(await client.post("/v1/households/bulk", content=json.dumps(household()), headers=jsonl))
    old = await make(client)
    await done(await client.post(f"/v1/households/{old['id']}/deregistration", json=gone, headers=matching(1)))
    body = {"deregistered_before": "2017-01-01", "reason": "保存期届满"}
    assert (await done(await client.post("/v1/households/erasures", json=body)))["persons"] == 1


async def _moves(client: httpx.AsyncClient) -> None:
    here, there = await family(client), await family(client)
    son = here["members"][2]["id"]
    url = f"/v1/households/{here['id']}"
    await done(await client.post(f"{url}/members/{son}/transfer", json=going(there, "son"), headers=matching(1)))
    wife = {"members": [{"member": here["members"][1]["id"], "relation": "head"}], "reason": "分户"}
    split = await done(await client.post(f"{url}/split", json=wife, headers=matching(2)))
    assert split
    joins = {
        "into": {"number": there["number"]},
        "relations": [{"member": here["members"][0]["id"], "relation": "other"}],
        "reason": "并户",
    }
    await done(await client.post(f"{url}/merger", json=joins, headers=matching(3)))


async def _persons(client: httpx.AsyncClient, knowing: dict[str, str]) -> None:
    alone, home = await done(await client.post("/v1/persons", json=person())), await make(client)
    url = f"/v1/persons/{alone['id']}"
    await done(await client.post(f"{url}/reveal", json={"purpose": "law", "reason": "核查"}, headers=knowing))
    phone = {"phone": "13800000000", "reason": "更正"}
    changed = await done(await client.patch(url, json=phone, headers=matching(alone["version"])))
    joins = placement(home)
    await done(await client.post(f"{url}/placement", json=joins, headers=matching(changed["version"])))
    joined = (await client.get(f"/v1/households/{home['id']}")).json()
    leaving = {"effective_on": "2018-10-01", "reason": "离户独居"}
    departure = f"/v1/households/{home['id']}/members/{alone['id']}/departure"
    left = await done(await client.post(departure, json=leaving, headers=matching(joined["version"])))
    alone, why = left["person"], {"reason": "本人申请"}
    gone = await done(await client.post(f"{url}/deregistration", json=why, headers=matching(alone["version"])))
    await done(await client.post(f"{url}/erasure", json=why, headers=matching(gone["version"])))


async def _collisions(client: httpx.AsyncClient) -> None:
    """A county's clerk runs into somebody of another one by every route that tells so."""
    number = id_number(sequence=97)
    await make(client, village=OTHER_VILLAGE, members=[member(id_number=number)])
    clerk = await issue(client, ["importer"], [XIXIA])
    home = await make(client)
    alone = await done(await client.post("/v1/persons", json=person(id_number=id_number(sequence=95))))
    members, jsonl = f"/v1/households/{home['id']}/members", {"Content-Type": "application/jsonl"}
    patch, taken = {"id_number": number, "reason": "更正"}, household(members=[member(id_number=number)])
    seen = {**clerk, **matching(1)}
    first = f"{members}/{home['members'][0]['id']}"
    line = json.dumps(taken)
    for answer in (
        await client.post("/v1/households", json=taken, headers=clerk),
        await client.post(members, json=member("other", id_number=number), headers=seen),
        await client.patch(first, json=patch, headers=seen),
        await client.post("/v1/persons", json=person(id_number=number), headers=clerk),
        await client.patch(f"/v1/persons/{alone['id']}", json=patch, headers=seen),
    ):
        assert answer.status_code == 409, answer.text
    dry = "/v1/households/bulk?mode=each&dry_run=true"
    report = await done(await client.post(dry, content=line, headers={**clerk, **jsonl}))
    assert report["counts"]["rejected"] == 1


async def _identities(client: httpx.AsyncClient, knowing: dict[str, str]) -> None:
    number = id_number()
    made = await make(client, members=[member(id_number=number)])
    who = f"/v1/households/{made['id']}/members/{made['members'][0]['id']}"
    asked = {"purpose": "law", "reason": "核查"}
    await done(await client.post(f"{who}/reveal", json=asked, headers=knowing))
    await done(await client.post("/v1/persons/lookup", json={"purpose": "law", "id_numbers": [number]}))
    await done(await client.post(f"{who}/erasure", json={"reason": "本人申请"}, headers=matching(1)))


async def _standing(client: httpx.AsyncClient, knowing: dict[str, str]) -> None:
    office = await Office.of(client)
    home = await able(client, members=[member(attributes=INSURED)])
    await office.concluded(await office.proposed(kind="exit", household=home["id"], year=2018))
    printed = {"purpose": "correction", "reason": "制发证书"}
    url = f"/v1/households/{home['id']}/certificate.pdf"
    await done(await client.post(url, json=printed, headers=knowing))
    other = await able(client)
    open_one = await office.proposed(kind="exit", household=other["id"], year=2018)
    contested = await done(await office.act(open_one, "objections", note="反映有商品房", evidence=DOCUMENT))
    day = contested["objections"][0]["on"]
    resolution = {"outcome": "upheld", "note": "属实", "on": day}
    await done(await office.act(contested, "objections/1/resolution", who="reviewer", **resolution))
    again = await office.proposed(kind="exit", household=other["id"], year=2018)
    await done(await office.act(again, "withdrawal", note="录入有误"))


async def _imports(client: httpx.AsyncClient) -> None:
    rows = [head("41132399000001", 7), head("41132399000002", 8, cause="没有原因")]
    job = await imported(client, workbook(rows), mode="each")
    assert counts(job) == {"received": 2, "created": 1, "rejected": 1}, job["report"]["errors"]
    await done(await client.get(f"/v1/imports/{job['id']}/rejected.xlsx"))
    await done(await client.post(f"/v1/imports/{job['id']}/undo"))
    await ended(client, job["id"])
    await done(await client.put("/v1/imports/mappings/西峡县扶贫办", json={"columns": {"户主姓名": "name"}}))


async def _figures(client: httpx.AsyncClient) -> None:
    await done(await client.put("/v1/locked-years/2016", json={"reason": "已上报"}))
    line = json.dumps({"division": XIXIA, "year": 2017, "people": 380_000})
    jsonl = {"Content-Type": "application/jsonl"}
    await done(await client.put("/v1/statistics/denominators", content=line, headers=jsonl))
    run = await done(await client.post("/v1/rule-runs", json={"division": XIXIA}))
    await done(await client.get(f"/v1/rule-runs/{run['id']}/findings", headers={"Accept": "text/csv"}))


async def _divisions(client: httpx.AsyncClient, day: str) -> None:
    later = {"valid_from": day, "reason": "西民〔2018〕1号"}

    async def change(code: str, what: str, body: dict[str, Any]) -> None:
        version = (await client.get(f"/v1/divisions/{code}")).json()["version"]
        await done(await client.post(f"/v1/divisions/{code}/{what}", json=body, headers=matching(version)))

    new = {"code": "411323102290", "name": "新村", "level": "village", "parent": XIPING, "sort_order": 1}
    await done(await client.post("/v1/divisions", json={**new, "valid_from": "2018-01-01"}))
    await change("411323102201", "designations", {"kind": "weak_village", "valid_from": "2018-01-01"})
    await change("411323102201", "designations/weak_village/end", {"valid_to": "2018-06-01"})
    line = json.dumps({"code": "411323102202", "kind": "weak_village", "valid_from": "2018-01-01"})
    jsonl = {"Content-Type": "application/jsonl"}
    assert (await done(await client.post("/v1/divisions/designations/bulk", content=line, headers=jsonl)))[
        "status"
    ] == "completed"
    await change("411323102203", "name", {"name": "新名", **later})
    await change("411323102204", "parent", {"parent": "411323103000", **later})
    await change("411323102290", "end", {"valid_to": day, "reason": "西民〔2018〕3号"})
    await change("411323102206", "merge", {"into": "411323102207", **later})
    part = {"code": "411323102298", "name": "分村", "sort_order": 1}
    await change("411323102208", "split", {"parts": [part], "rest": "411323102298", **later})
    await change("411323104000", "managing-unit", {"unit": "411391000000", **later})


async def _exchange(client: httpx.AsyncClient) -> None:
    number = id_number(sequence=99)
    await make(client, members=[member(id_number=number)])
    partner = await Partner.register(client)
    party = f"/v1/exchange/parties/{partner.registered['id']}"
    content = {
        name: value for name, value in partner.registered.items()
        if name not in ("id", "version", "client_id", "client_secret")
    }  # fmt: skip
    await done(await client.put(party, json={**content, "name": "市卫健委信息中心"}, headers=matching(1)))
    await done(await client.post(f"{party}/secret", headers=matching(2)))
    person = by_predicate({"expression1": term("national_id", "eq", number)}, response_entity="Member")
    [found] = await partner.search(person)
    assert len(found["data"]["reg_records"]) == 1

    async def post(path: str, action: str, message: Any, **header: Any) -> Any:
        return await done(await partner.post(path, partner.envelope(action, message, **header)))

    await post("/search", "search", searching(person))
    criteria = {
        "reg_event_type": "REGISTER", "filter_type": "expression", "filter": {}, "notify_record_type": "Group",
    }  # fmt: skip
    item = {"reference_id": "s1", "timestamp": now(), "subscribe_criteria": criteria}
    await post("/subscribe", "subscribe", {"transaction_id": "t2", "subscribe_request": [item]})
    ending = {"transaction_id": "t3", "timestamp": now(), "subscription_codes": [str(uuid7())]}
    await post("/unsubscribe", "unsubscribe", ending)
    status = {"reference_id": "q", "txn_type": "search", "attribute_type": "transaction_id", "attribute_value": "t1"}
    asked = {"transaction_id": "t4", "txnstatus_request": status}
    await post("/sync/txn/status", "txn-status", asked)
    await post("/txn/status", "txn-status", asked)
    for path, action in (
        ("/on-search", "on-search"), ("/on-subscribe", "on-subscribe"), ("/on-unsubscribe", "on-unsubscribe"),
        ("/notify", "notify"), ("/txn/on-status", "txn-on-status"),
    ):  # fmt: skip
        await post(path, action, {"transaction_id": "t5"}, status="succ")


async def _sources(client: httpx.AsyncClient) -> None:
    content = {"label": "西峡县扶贫信息平台", "divisions": [XIXIA]}
    made = await done(await client.post("/v1/sources", json={**content, "name": "https://fupin.xixia.example"}))
    changed = {**content, "status": "disabled"}
    await done(await client.put(f"/v1/sources/{made['id']}", json=changed, headers=matching(made["version"])))
    secrets = f"/v1/sources/{made['id']}/secrets"
    await done(await client.post(secrets, json={"keep_previous_days": 0}, headers=matching(2)))


async def test_every_route_that_changes_something_leaves_an_entry(own_app: FastAPI) -> None:
    async with watching(own_app) as (client, watched):
        changing = {name for name, (method, _) in watched.operations().items() if method not in READ_ONLY}
        assert changing - set(LEAVES) == set(LEAVES_NOTHING), "say what it leaves in the audit log, or why nothing"
        assert set(LEAVES) <= set(watched.operations()), "there is no such route any more"
        knowing = await put_key(own_app, ["identity:reveal"], [CITY])
        await issue(client, ["reader"], [XIXIA])
        key = (await client.get("/v1/keys")).json()["items"][-1]["id"]
        await done(await client.post(f"/v1/keys/{key}/revocation", headers=matching(1)))
        await _register(client)
        await _moves(client)
        await _persons(client, knowing)
        await _collisions(client)
        await _identities(client, knowing)
        await _standing(client, knowing)
        await _imports(client)
        await _figures(client)
        await _divisions(client, today(own_app.state.registry).isoformat())
        await _exchange(client)
        await _sources(client)
    missing = {name: verb for name, verb in LEAVES.items() if verb not in watched.left[name]}
    assert not missing
    assert {name for name, left in watched.left.items() if "person.collided" in left} == COLLIDES
    told = {verb for name in LEAVES_NOTHING for verb in watched.left[name]}  # callbacks are made meanwhile
    assert not {verb for verb in told if verb.startswith("exchange.")}
