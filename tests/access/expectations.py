"""Who may call what, and where the division of the object decides: one line for every operation of every service.

A new route fails the tests until it has a line here. To add one:

1. Name its ``operation_id`` and who may call it: ``ANYBODY`` (no credentials), ``EVERY_KEY``, ``only("signer", ...)``.
   ``admin`` holds every role but ``identity:reveal`` and need not be named.
2. Where the path names an object that lies in a division (a household, an action), say ``of="household"``. A caller of
   another division must then get the very answer to an unknown id. The request's body is the first example of its
   schema; give ``body=`` where that has none, or would be refused before the object is looked for.
3. Where the route lists such objects, say ``lists="household"``: those of other divisions must not be in the answer.
4. A list that goes page by page below an object, whose division does not matter: ``inside="table_row"``, so that its
   cursors are tried on the list below another.
4. Where the route holds for every division at once, such as a year that is locked, say ``citywide=True``.
5. A new kind of object: add one within and one outside Xixia county to that service's world in ``worlds.py``. A new
   path parameter that is part of no object: add a value to ``PARAMETERS``.

Routes that take a foreign object inside their body answer 422 and are tested where they live.
"""

from dataclasses import dataclass, replace
from typing import Any, get_args

from shared.contracts.key import Role

ROLES: tuple[Role, ...] = get_args(Role)
PARAMETERS = {
    "year": "2016", "name": "cause", "kind": "poor_village", "cadence": "weekly", "period": "2018-W99", "date": "never",
    "code": "unheard_of", "number": "1", "source": "nobody", "village": "9" * 12,
}  # fmt: skip
"""Path parameters that are part of no object; so chosen that nothing is changed, and no stream is opened."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an operation asks of its caller."""

    roles: frozenset[str] | None
    """Any of them is enough; None asks for no credentials at all, an empty set for any key."""
    of: str | None = None
    """The kind of object in its path whose division matters."""
    lists: str | None = None
    """The kind of object in its answer of which only those within the caller's divisions are shown."""
    body: Any = None
    inside: str | None = None
    """The kind of object in its path that everybody may see and whose parts it lists."""
    citywide: bool = False
    """Whether it holds for every division at once, so that the caller's must be the whole city."""

    def admits(self, role: str | None) -> bool:
        """Whether a key with this role alone (or none) may call it."""
        beyond_admin = ({"identity:reveal"}, {"party"})
        return not self.roles or role in self.roles or (role == "admin" and self.roles not in beyond_admin)

    @property
    def refusal(self) -> int:
        """What a key without the role is told: where keys count for nothing, that it is not authenticated."""
        return 401 if self.roles is not None and "party" in self.roles else 403


def only(
    *roles: Role, of: str | None = None, lists: str | None = None, body: Any = None, citywide: bool = False
) -> Expectation:
    return Expectation(frozenset(roles), of, lists, body, citywide=citywide)


def readers(*, of: str | None = None, lists: str | None = None) -> Expectation:
    return only("reader", "recorder", "reviewer", "drafter", "signer", "importer", of=of, lists=lists)


def recorders(*, of: str | None = None, body: Any = None) -> Expectation:
    return only("recorder", "importer", of=of, body=body)


ANYBODY = Expectation(None)
EVERY_KEY = Expectation(frozenset())
PARTIES = Expectation(frozenset({"party"}))
"""Whoever holds a token that we gave to a party of the DCI interface; API keys are none."""
_OPERATIONS = {"livez": ANYBODY, "readyz": ANYBODY}
_VISIT = {
    "programme": "visit", "kind": "household_visit", "household": {"number": f"{1:014}"}, "reason": "更正",
    "occurred_at": "2018-10-08T10:00:00+08:00",
}  # fmt: skip

_SOURCE = {"label": "测试", "divisions": ["411323000000"], "mode": "test", "status": "active"}
_LATER = {"valid_from": "2999-01-01", "reason": "测试"}
"""Divisions never change in the past."""

_PART = {"code": "411323102298", "name": "新村", "sort_order": 1}

REGISTRY = {
    **_OPERATIONS,
    # The register
    "register_household": recorders(),
    "register_households": only("importer"),
    "list_households": readers(lists="household"),
    "get_household": readers(of="household"),
    "change_household": recorders(of="household"),
    "list_household_versions": readers(of="household"),
    "deregister_household": recorders(of="household"),
    "list_members": readers(of="household"),
    "add_member": recorders(of="household"),
    "get_member": readers(of="member"),
    "change_member": recorders(of="member"),
    "list_incomes": readers(of="household"),
    "set_income": recorders(of="household"),
    "transfer_member": recorders(of="member"),
    "split_household": recorders(of="household"),
    "merge_households": recorders(of="household"),
    "register_person": recorders(),
    "list_persons": readers(lists="person"),
    "get_person": readers(of="person"),
    "change_person": recorders(of="person"),
    "deregister_person": recorders(of="person"),
    "place_person": recorders(of="person"),
    "release_member": recorders(of="member"),
    # Identity data
    "reveal_member": only("identity:reveal", of="member"),
    "reveal_person": only("identity:reveal", of="person"),
    "look_up_persons": readers(),
    "erase_member": only("admin", of="member"),
    "erase_person": only("admin", of="person"),
    "list_audit_entries": only("admin"),
    "get_audit_head": only("admin"),
    "erase_expired_households": only("admin"),
    "list_public_register": readers(),
    "list_public_notices": readers(),
    "show_village_board": only("recorder", "reviewer", of="division"),
    "show_village_notices": only("recorder", "reviewer", of="division"),
    # Standing; whose exit test and certificate may be read is tested with them
    "list_standing_decisions": readers(lists="decision"),
    "propose_standing_decision": only("recorder"),
    "get_standing_decision": readers(of="decision"),
    "take_standing_step": only("recorder", "reviewer", of="decision"),
    "object_to_standing_decision": only("recorder", "reviewer", of="decision"),
    "resolve_standing_objection": only("reviewer", of="decision"),
    "withdraw_standing_decision": only("recorder", of="decision"),
    "test_household_exit": readers(),
    "verify_certificate": ANYBODY,
    "print_certificate": readers(),
    "print_certificate_in_full": only("identity:reveal"),
    # Imports; whose jobs are seen by whom is tested with them
    "import_file": only("importer"),
    "list_imports": only("importer"),
    "get_import": only("importer"),
    "get_rejected_rows": only("importer"),
    "undo_import": only("importer"),
    "get_template": EVERY_KEY,
    "get_import_mapping": only("importer"),
    "put_import_mapping": only("importer"),
    # Submissions through Kafka
    "get_submission_keys": ANYBODY,
    "register_source": only("admin"),
    "list_sources": only("admin", lists="source"),
    "read_source": only("admin", of="source"),
    "change_source": only("admin", of="source", body=_SOURCE),
    "issue_source_secret": only("admin", of="source", body={"keep_previous_days": 0}),
    "read_submission": readers(of="submission"),
    "list_locked_years": readers(),
    "lock_year": only("admin", citywide=True),
    # Statistics: aggregates are open; villages outside the caller's divisions are tested in test_statistics
    "poverty_statistics": EVERY_KEY,
    "exit_statistics": EVERY_KEY,
    "cause_statistics": EVERY_KEY,
    "welfare_statistics": EVERY_KEY,
    "village_statistics": EVERY_KEY,
    "monitoring_statistics": EVERY_KEY,
    "put_denominators": only("importer"),
    "list_denominators": readers(),
    # Reference data is open to all who read; a change of a division belongs to those above it
    "start_rule_run": only("recorder", "reviewer", "importer"),
    "list_rule_runs": readers(lists="rule_run"),
    "get_rule_run": readers(of="rule_run"),
    "list_findings": readers(of="rule_run"),
    "list_rules": EVERY_KEY,
    "list_code_lists": EVERY_KEY,
    "get_code_list": EVERY_KEY,
    "list_divisions": readers(),
    "get_division": readers(),
    "register_division": only("admin"),
    "designate_division": only("admin", of="division"),
    "end_designation": only("admin", of="division", body={"valid_to": "2018-10-01"}),
    "list_division_versions": readers(),
    "hand_over_division": only("admin", of="division", body={"unit": None, **_LATER}),
    "rename_division": only("admin", of="division", body={"name": "新名", **_LATER}),
    "move_division": only("admin", of="division", body={"parent": "411323102000", **_LATER}),
    "end_division": only("admin", of="division", body={"valid_to": "2999-01-01", "reason": "测试"}),
    "merge_division": only("admin", of="division", body={"into": "411323102201", **_LATER}),
    "split_division": only("admin", of="division", body={"parts": [_PART], "rest": "411323102298", **_LATER}),
    "designate_divisions": only("admin"),
    # Parties of the DCI interface, who have tokens of their own
    "register_exchange_party": only("admin"),
    "list_exchange_parties": only("admin", lists="party"),
    "get_exchange_party": only("admin", of="party"),
    "replace_exchange_party": only("admin", of="party"),
    "renew_exchange_party_secret": only("admin", of="party"),
    "list_exchange_callbacks": only("admin", of="party"),
    "dci_sync_search": PARTIES,
    "dci_search": PARTIES,
    "dci_subscribe": PARTIES,
    "dci_unsubscribe": PARTIES,
    "dci_sync_status": PARTIES,
    "dci_status": PARTIES,
    "dci_receive_on_search": PARTIES,
    "dci_receive_on_subscribe": PARTIES,
    "dci_receive_on_unsubscribe": PARTIES,
    "dci_receive_notify": PARTIES,
    "dci_receive_txn_on_status": PARTIES,
    "dci_token": ANYBODY,
    "dci_jwks": ANYBODY,
    # Keys
    "issue_key": only("admin"),
    "list_keys": only("admin", lists="key"),
    "revoke_key": only("admin", of="key"),
}

ASSISTANCE = {
    **_OPERATIONS,
    "record_action": recorders(),
    "record_actions_in_bulk": recorders(),
    "list_actions": readers(lists="action"),
    "read_action": readers(of="action"),
    "list_action_versions": readers(of="action"),
    "correct_action": recorders(of="action", body=_VISIT),
    "revoke_action": recorders(of="action"),
    "verify_action": only("reviewer", of="action", body={"note": "属实"}),
    "list_sectors": readers(),
    "list_taxonomy": readers(),
    "list_programmes": readers(),
    "read_programme": readers(),
    "create_programme": only("admin"),
    "change_programme": only("admin"),
    "create_actor": recorders(),
    "list_actors": readers(lists="actor"),
    "read_actor": readers(of="actor"),
    "change_actor": recorders(of="actor", body={"kind": "helper", "name": "李明", "division": "411323000000"}),
    "set_target": only("signer", "importer"),
    "set_targets_in_bulk": only("signer", "importer"),
    "list_targets": readers(lists="target"),
    "read_target": readers(of="target"),
    "change_target": only("signer", "importer", of="target", body={"due": 7, "deadline": "2018-10-14"}),
    "withdraw_target": only("signer", "importer", of="target"),
    "register_source": only("admin"),
    "list_sources": only("admin", lists="source"),
    "read_source": only("admin", of="source"),
    "change_source": only("admin", of="source", body=_SOURCE),
    "issue_source_secret": only("admin", of="source", body={"keep_previous_days": 0}),
    "read_submission": readers(of="submission"),
}

RANKING = {
    **_OPERATIONS,
    # Aggregates are open; villages outside the caller's divisions are tested in tests/ranking
    "get_league_table": EVERY_KEY,
    "explain_league_table_row": replace(EVERY_KEY, inside="table_row"),
    "stream_league_table": EVERY_KEY,
    "get_daily_notice": EVERY_KEY,
    "list_indicators": EVERY_KEY,
    "list_rule_sets": EVERY_KEY,
    "get_rule_set": EVERY_KEY,
    "put_rule_set": only("admin", citywide=True),
}

EXPECTED = {"registry": REGISTRY, "assistance": ASSISTANCE, "ranking": RANKING}
