"""Requests that are good in earnest, one for every POST of registry that takes ``dry_run``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from services.registry.standing.rules import PROCEDURES
from tests.access.desk import SOURCE, WHY, Call, Case, Desk, lines, plain
from tests.access.worlds import ALONE
from tests.registry.conftest import VILLAGE, XIPING, XIXIA, household, member
from tests.registry.sheets import head, workbook
from tests.registry.standing import DOCUMENT, INSURED, SAFE, START

TOWN, NEXT_COUNTY = "411323103000", "411325000000"

# The register


def of_home(body: Any) -> Case:
    async def case(desk: Desk) -> Call:
        return Call(body, {"household": (await desk.home())["id"]}, 1)

    return case


def of_member(body: Any) -> Case:
    async def case(desk: Desk) -> Call:
        home = await desk.home()
        return Call(body, {"household": home["id"], "member": home["members"][1]["id"]}, 1)

    return case


def of_person(body: Any) -> Case:
    async def case(desk: Desk) -> Call:
        return Call(body, {"person": (await desk.make("/v1/persons", {**ALONE, "village": VILLAGE}))["id"]}, 1)

    return case


async def _transfer(desk: Desk) -> Call:
    call = await of_member({})(desk)
    joined = {"number": (await desk.home())["number"]}
    return Call({**WHY, "household": joined, "relation": "other"}, call.named, 1)


async def _split(desk: Desk) -> Call:
    home = await desk.home()
    relations = [{"member": home["members"][1]["id"], "relation": "head"}]
    return Call({**WHY, "members": relations}, {"household": home["id"]}, 1)


async def _merger(desk: Desk) -> Call:
    home, into = await desk.home(), await desk.home()
    relations = [{"member": each["id"], "relation": "other"} for each in home["members"]]
    return Call({**WHY, "into": {"number": into["number"]}, "relations": relations}, {"household": home["id"]}, 1)


async def _placement(desk: Desk) -> Call:
    call = await of_person({})(desk)
    joined = {"number": (await desk.home())["number"]}
    return Call({**WHY, "household": joined, "relation": "other"}, call.named, 1)


async def _expired(desk: Desk) -> Call:
    home = await desk.home()
    await desk.change(f"/v1/households/{home['id']}/deregistration", {**WHY, "effective_on": "2015-01-01"}, 1)
    return Call({**WHY, "deregistered_before": "2018-01-01"})


async def _undo(desk: Desk) -> Call:
    headers = {"Authorization": f"Bearer {desk.key}"}
    files = {"file": ("农户.xlsx", workbook([head()]))}
    job = (await desk.world.client.post("/v1/imports", files=files, headers=headers)).json()["id"]
    await desk.world.app.state.imports.work_once()
    return Call(named={"job": job})


# Decisions


async def _identification(desk: Desk) -> dict[str, Any]:
    home = await desk.home(standing="ordinary")
    return await desk.office.proposed(kind="identification", household=home["id"], cause="illness")


def of_decision(body: Any) -> Case:
    async def case(desk: Desk) -> Call:
        made = await _identification(desk)
        return Call({"on": "2018-10-09", **body}, {"decision_id": made["id"]}, 1)

    return case


async def _proposal(desk: Desk) -> Call:
    home = await desk.home(standing="ordinary")
    body = {"kind": "identification", "household": home["id"], "cause": "illness"}
    return Call({**body, "on": START.isoformat(), "evidence": DOCUMENT})


async def _resolution(desk: Desk) -> Call:
    made = await _identification(desk)
    await desk.office.act(made, "objections", note="测试", on="2018-10-09")
    body = {"outcome": "dismissed", "note": "测试", "on": "2018-10-10"}
    return Call(body, {"decision_id": made["id"], "number": "1"}, 2, desk.other)


async def _conclusion(desk: Desk, decision: Mapping[str, Any]) -> Call:
    """The last step of a decision."""
    last = await desk.office.upto(decision, PROCEDURES[decision["kind"]][-1].code)
    body = {"step": last["next"]["step"], "on": last["next"]["not_before"], "evidence": DOCUMENT}
    by = desk.other if last["next"]["role"] == "reviewer" else desk.key
    return Call(body, {"decision_id": last["id"]}, last["version"], by)


async def _exit(desk: Desk) -> Call:
    """It makes the household one that exited, with a certificate."""
    income = [{"year": 2018, "people": 1, "wages_fen": 300_000}]
    home = await desk.home(attributes=SAFE, members=[member(attributes=INSURED)], incomes=income)
    return await _conclusion(desk, await desk.office.proposed(kind="exit", household=home["id"], year=2018))


async def _village_exit(desk: Desk) -> Call:
    """It ends the designation of the village."""
    code = await desk.village()
    await desk.change(f"/v1/divisions/{code}/designations", {"kind": "poor_village", "valid_from": "2014-01-01"}, 1)
    there = ("access_road", "bus", "safe_water", "power", "broadcast", "culture_centre", "clinic", "broadband")
    evidence = {"rural_population": 1000, **dict.fromkeys(there, True)}
    decision = await desk.office.proposed(kind="village_exit", division=code, village=evidence)
    return await _conclusion(desk, decision)


# Divisions


def of_village(body: Callable[[Desk], Awaitable[Any]]) -> Case:
    async def case(desk: Desk) -> Call:
        code = await desk.village()
        home = await desk.home(village=code)
        given = await body(desk)
        return Call({"valid_from": desk.today, **WHY, **given(home)}, {"code": code}, 1)

    return case


async def _renamed(_: Desk) -> Any:
    return lambda _: {"name": "新营村"}


async def _moved(_: Desk) -> Any:
    return lambda _: {"parent": TOWN}


async def _merged(desk: Desk) -> Any:
    into = await desk.village()
    return lambda _: {"into": into}


async def _parted(_: Desk) -> Any:
    part = {"code": "411323102698", "name": "二村", "sort_order": 9001}
    return lambda home: {"parts": [{**part, "households": [home["number"]]}], "rest": "411323102698"}


async def _handover(desk: Desk) -> Call:
    home = await desk.home(village="411323103201")
    return Call({**WHY, "unit": NEXT_COUNTY, "valid_from": desk.today}, {"code": home["path"]["township"]}, 1)


async def _ending(desk: Desk) -> Call:
    return Call({**WHY, "valid_to": desk.today}, {"code": await desk.village()}, 1)


_DESIGNATION = {"kind": "poor_village", "valid_from": "2014-01-01"}


async def _designation(desk: Desk) -> Call:
    return Call(_DESIGNATION, {"code": await desk.village()}, 1)


async def _designation_end(desk: Desk) -> Call:
    code = await desk.village()
    await desk.change(f"/v1/divisions/{code}/designations", _DESIGNATION, 1)
    return Call({"valid_to": "2018-10-01"}, {"code": code, "kind": "poor_village"}, 2)


async def _designations(desk: Desk) -> Call:
    return Call(lines({"code": await desk.village(), **_DESIGNATION}))


async def _key(desk: Desk) -> Call:
    body = {"name": "测试", "roles": ["reader"], "divisions": [XIXIA]}
    return Call(named={"key_id": (await desk.make("/v1/keys", body))["id"]}, version=1)


_NEW_DIVISION = {
    "code": "411323102699", "name": "新村", "level": "village", "parent": XIPING, "valid_from": "2018-10-08",
    "sort_order": 9000,
}  # fmt: skip
_PARTY = {
    "sender_id": "health.example.org", "name": "市卫健委", "public_keys": [], "status": "active",
    "callback_uri": "https://health.example.org/dci", "divisions": [XIXIA], "purposes": ["medical-aid"],
}  # fmt: skip
CALLS: dict[str, Case] = {
    "register_household": plain(household()),
    "register_households": plain(lines(household(), household())),
    "add_member": of_home(member("other", name="测试丁")),
    "deregister_household": of_home(WHY),
    "transfer_member": _transfer,
    "split_household": _split,
    "merge_households": _merger,
    "register_person": plain({**ALONE, "village": VILLAGE}),
    "deregister_person": of_person(WHY),
    "place_person": _placement,
    "release_member": of_member(WHY),
    "erase_member": of_member(WHY),
    "erase_person": of_person(WHY),
    "erase_expired_households": _expired,
    "undo_import": _undo,
    "propose_standing_decision": _proposal,
    "take_standing_step": of_decision({"step": "democratic_appraisal", "evidence": DOCUMENT}),
    "take_standing_step: a household exits": _exit,
    "take_standing_step: a village exits": _village_exit,
    "object_to_standing_decision": of_decision({"note": "测试"}),
    "resolve_standing_objection": _resolution,
    "withdraw_standing_decision": of_decision({"note": "测试"}),
    "register_division": plain(_NEW_DIVISION),
    "designate_division": _designation,
    "end_designation": _designation_end,
    "designate_divisions": _designations,
    "rename_division": of_village(_renamed),
    "move_division": of_village(_moved),
    "hand_over_division": _handover,
    "end_division": _ending,
    "merge_division": of_village(_merged),
    "split_division": of_village(_parted),
    "start_rule_run": plain({"division": XIXIA}),
    "issue_key": plain({"name": "测试", "roles": ["reader"], "divisions": [XIXIA]}),
    "revoke_key": _key,
    "register_source": plain(SOURCE),
    "register_exchange_party": plain(_PARTY),
}
