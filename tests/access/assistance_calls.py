"""Requests that are good in earnest, one for every POST of assistance that takes ``dry_run``."""

from typing import Any

from tests.access.desk import SOURCE, WHY, Call, Case, Desk, lines, plain
from tests.registry.conftest import XIXIA

_VISIT = {
    "programme": "visit", "kind": "household_visit", "household": {"number": f"{1:014}"},
    "occurred_at": "2018-10-08T10:00:00+08:00",
}  # fmt: skip
_TARGET = {
    "programme": "visit", "cadence": "week", "metric": "actions", "due": 5, "deadline": "2018-12-31", "unit": XIXIA
}  # fmt: skip
_PROGRAMME = {
    "class": "help", "code": "edible_fungi", "issuer": XIXIA, "label_zh": "食用菌产业扶贫",
    "kinds": [{"code": "joined", "label_zh": "参与食用菌产业", "unit_zh": "户"}], "sector": "agriculture",
    "serves": "household", "tags": ["battle:industry"], "valid_from": "2018-01-01",
}  # fmt: skip


def of_action(body: Any) -> Case:
    """Of one that the second key recorded; the first one may verify it."""

    async def case(desk: Desk) -> Call:
        made = await desk.world.post("/v1/actions", _VISIT, desk.other)
        return Call(body, {"action_id": made["id"]}, 1)

    return case


async def _target(desk: Desk) -> Call:
    made = await desk.make("/v1/targets", {**_TARGET, "period": "2018-W45"})
    return Call(named={"target_id": made["id"]}, version=1)


CALLS: dict[str, Case] = {
    "record_action": plain(_VISIT),
    "record_action: with a name": plain({**_VISIT, "source_system": "county-office-411323", "external_id": "1"}),
    "record_actions_in_bulk": plain(lines(_VISIT, _VISIT)),
    "correct_action": of_action({**_VISIT, "quantity": 2, **WHY}),
    "revoke_action": of_action(WHY),
    "verify_action": of_action({"note": "属实"}),
    "create_programme": plain(_PROGRAMME),
    "create_actor": plain({"kind": "helper", "name": "李明", "division": XIXIA}),
    "set_target": plain({**_TARGET, "period": "2018-W46"}),
    "set_targets_in_bulk": plain(lines({**_TARGET, "period": "2018-W47"}, {**_TARGET, "period": "2018-W48"})),
    "withdraw_target": _target,
    "register_source": plain(SOURCE),
}
