"""From what was received to the household it tells of: both parts checked, then put together. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from services.registry.households.schemas import HouseholdIn
from services.registry.identity import Vault
from services.registry.submissions import opening
from services.registry.submissions.contracts import HouseholdRecording, HouseholdRevocation, IdentityBlock
from services.registry.submissions.keys import Keys
from services.registry.submissions.opening import UnopenedError
from shared.errors import Fault, fault
from shared.http.problems import faults_of
from shared.intake.contracts import Envelope
from shared.intake.receiving import Received
from shared.intake.sources import Source

ELSEWHERE = fault(
    "/identity", "identity_of_another_record", "was made for another record or source", "身份信息属于其他记录或来源"
)
UNLIKE = fault("/identity", "identity_count", "as many members as in `members`, please", "身份信息人数与家庭成员数不符")
_OF_ENVELOPE = {"op", "source_version", "reason", "identity"}


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission of a household, with its content."""

    received: Received
    digest: bytes
    """Blind index of what was said; encrypting the same identities once more gives the same."""
    content: HouseholdIn | None = field(repr=False)
    """None for a revocation, or where ``faults`` says why."""
    faults: Sequence[Fault]

    @property
    def source(self) -> Source:
        return self.received.source

    @property
    def envelope(self) -> Envelope:
        return self.received.envelope


def read(received: Received, keys: Keys, vault: Vault) -> Submission:
    """A submission with its content; every fault in that is kept for its receipt."""
    said, content, faults = _content(received, keys)
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Submission(received, vault.index(f"submission {text}", "content"), content, faults)


def _content(received: Received, keys: Keys) -> tuple[Mapping[str, Any], HouseholdIn | None, list[Fault]]:
    """What was said, with the identity block opened where that can be; the household; what is wrong with it."""
    data = received.data
    if received.envelope.op == "revoke":
        return data, None, _faults(HouseholdRevocation, data)
    faults = _faults(HouseholdRecording, data)
    identity = data.get("identity")
    if not isinstance(identity, str):
        return data, None, faults
    try:
        block = opening.opened(identity, keys)
    except UnopenedError as error:
        return data, None, [*faults, error.fault]
    said = {**data, "identity": block}
    faults += _faults(IdentityBlock, block) or _misplaced(received, block)
    if faults:
        return said, None, faults
    together = _together(data, block)
    faults = _faults(HouseholdIn, together)
    return said, None if faults else HouseholdIn.model_validate(together), faults


def _faults(model: type[BaseModel], value: Mapping[str, Any]) -> list[Fault]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return faults_of(error.errors(include_url=False, include_input=False))
    return []


def _misplaced(received: Received, block: Mapping[str, Any]) -> list[Fault]:
    """A block lies open on a topic that others may read: only with the record it was made for it says anything."""
    if (block["source"], block["source_system"], block["external_id"]) != (received.source.name, *received.name):
        return [ELSEWHERE]
    members = received.data.get("members")
    return [] if isinstance(members, list) and len(members) == len(block["members"]) else [UNLIKE]


def _together(data: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Both parts as one household, in the shape of ``POST /v1/households``."""
    household = {name: value for name, value in data.items() if name not in _OF_ENVELOPE}
    members = zip(data["members"], block["members"], strict=True)
    return {**household, "members": [{**coded, **who} for coded, who in members]}
