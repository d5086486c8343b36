"""Shapes of DCI messages (SPDCI 1.0.0, social and core). Known typos are understood.

What need not be given may be blank, as in the published samples, or null. Unknown names are ignored, but not in
criteria: those are kept, and rejected by whoever answers them.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.registry.exchange.attributes import ATTRIBUTES, IDENTIFIERS
from services.registry.exchange.queries import EXPRESSION_OPERATORS, MOST_CONDITIONS, PREDICATE_OPERATORS
from shared.http.fields import Instant
from shared.idnumbers import holds_id_number


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _opaque(name: str) -> str:
    if holds_id_number(name):  # they are kept as they are, and logged elsewhere
        raise PydanticCustomError("personal_number", "an ID number")
    return name


Id99 = Annotated[str, StringConstraints(min_length=1, max_length=99), AfterValidator(_opaque)]
"""A name that a party draws for a message, transaction or request; an ID number is none."""
Uri = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[\x21-\x7e]+$")]
Locale = Annotated[str, StringConstraints(pattern=r"^([a-z]{3}|[A-Za-z]{2}[/_-][A-Za-z]{2})$")]
"""Three letters; published samples send ``EN/GB``."""
Entity = Literal["Group", "Member"]
_ENTITIES = {"group": "Group", "household": "Group", "member": "Member"}
MOST_REQUESTS = 100
"""Requests in one message."""
Count = StrictInt | Annotated[str, StringConstraints(strict=True, max_length=99)]
"""Digits as text are understood: published samples send them."""
_INSTANTS = AliasChoices("timestamp", "timesstamp", "timesatmp")


def _entity(name: Any) -> Any:
    return _ENTITIES.get(name.lower(), name) if isinstance(name, str) else name


class _Blank(BaseModel):
    """What may be left out may be blank or null instead, and is left out then."""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        needed = {name for name, held in cls.model_fields.items() if held.is_required()}
        return {name: value for name, value in given.items() if value not in ("", None) or name in needed}


class _Shape(_Blank):
    model_config = ConfigDict(extra="ignore")


class _Criteria(_Blank):
    model_config = ConfigDict(extra="allow")

    def says_more(self) -> bool:
        """Whether there are names that are not read here; annotations of JSON-LD (``@type``) say nothing to us."""
        return any(not name.startswith("@") for name in self.model_extra or ())


class Header(_Shape):
    """Header of a request 请求头."""

    version: str = Field(default="1.0.0", max_length=20)
    message_id: Id99 = Field(description="Names the message; taken once only, whether asked at once or by callback.")
    message_ts: Instant = Field(description="Not older than a day, nor five minutes ahead.")
    action: Annotated[str, StringConstraints(max_length=40)]
    sender_id: Id99
    sender_uri: Uri | None = Field(default=None, description="Where to call back, below the registered address.")
    receiver_id: str | None = Field(
        default=None,
        max_length=99,
        description="This registry, where it is named: the `sender_id` of its answers, or the host in it. A message "
        "for another is not taken.",
    )
    total_count: Count = Field(description="Requests in the message, 100 at most; digits as text are understood.")
    is_msg_encrypted: StrictBool = Field(default=False, description="Must be false: encrypted messages are not read.")


class Sort(_Criteria):
    """One key to sort by."""

    attribute_name: Annotated[str, StringConstraints(max_length=100)] = Field(
        description="An attribute of a query, but none of members for households, nor `division` or `national_id`."
    )
    sort_order: Literal["asc", "desc"] = "asc"


class Page(_Criteria):
    """Which page."""

    page_size: int = Field(ge=1, le=2**31 - 1, description="At most 100.", strict=True)
    page_number: int = Field(default=1, ge=1, le=2**31 - 1, strict=True)


class SearchCriteria(_Criteria):
    """What is sought; what is not named here is rejected."""

    version: str | None = Field(default=None, max_length=20, description="1.0.0, where it is given.")
    reg_type: str | None = Field(default=None, max_length=200, description="`ns:org:RegistryType:Social`, likewise.")
    reg_event_type: str | None = Field(
        default=None, max_length=200, description="`REGISTER`, `NewHouseHoldMember` or `SEARCH`; all search alike."
    )
    query_type: Literal["idtype-value", "expression", "predicate"]
    query: Any = Field(
        description=f"""As `query_type` says; anything else in it is rejected.

* `idtype-value`: `{{type, value}}`, where the type is one of {_listed(IDENTIFIERS)}, in any case of letters.
* `expression`: attributes, `$and`, `$or`, `$not` and {_listed(EXPRESSION_OPERATORS)}, in the specification's wrappings
  (`{{type, value: {{expression: {{collection, query}}}}}}`) or without them.
* `predicate`: an array of `{{seq_num, expression1, condition, expression2}}`, every one of which must hold; `condition`
  is `and`, `or` or `not`, operators are {_listed(PREDICATE_OPERATORS)}.

Attributes: {_listed(ATTRIBUTES)}. A household is found by any of its members'. `division` is found on every level;
`national_id` is compared by value only and takes from the look-up quota; `last_updated` is an instant as in records.
At most {MOST_CONDITIONS} comparisons."""
    )
    response_entity: Annotated[Entity, BeforeValidator(_entity)] = Field(
        default="Group", description="As samples do, `Household` and small letters are understood as well."
    )
    sort: Annotated[list[Sort], Field(max_length=5)] | None = None
    pagination: Page | None = Field(default=None, description="Page 1 of 100 by default.")
    consent: Any = Field(default=None, description="Logged.")
    authorize: Any = Field(default=None, description="Logged; `purpose.code` must be one of the party's.")


class SearchItem(_Shape):
    """One request of a batch."""

    reference_id: Id99
    timestamp: Instant = Field(validation_alias=_INSTANTS)
    search_criteria: SearchCriteria
    locale: Locale | None = None


class SearchMessage(_Shape):
    transaction_id: Id99
    search_request: Annotated[list[SearchItem], Field(min_length=1, max_length=MOST_REQUESTS)]


class Frequency(_Criteria):
    """When to notify: the times are honoured, `frequency` is accepted but events are sent as they happen."""

    start_time: Instant | None = None
    end_time: Instant | None = None
    frequency: Annotated[str, StringConstraints(pattern=r"^\S+( \S+){4,6}$", max_length=100)] | None = Field(
        default=None, description="Cron expression; accepted, not honoured: notifications go out at once."
    )


class SubscribeCriteria(_Criteria):
    """What is watched; what is not named here is rejected."""

    version: str | None = Field(default=None, max_length=20, description="1.0.0, where it is given.")
    reg_type: str | None = Field(default=None, max_length=200)
    reg_event_type: Annotated[str, StringConstraints(max_length=200)]
    frequency: Frequency | None = None
    filter_type: Literal["idtype-value", "expression", "predicate"] = "expression"
    filter: Any
    notify_record_type: Annotated[str, StringConstraints(max_length=200)]
    authorize: Any = None


class SubscribeItem(_Shape):
    reference_id: Id99
    timestamp: Instant = Field(validation_alias=_INSTANTS)
    subscribe_criteria: SubscribeCriteria
    locale: Locale | None = None


class SubscribeMessage(_Shape):
    transaction_id: Id99
    subscribe_request: Annotated[list[SubscribeItem], Field(min_length=1, max_length=MOST_REQUESTS)] = Field(
        validation_alias=AliasChoices("subscribe_request", "subscibe_request")
    )


class UnsubscribeMessage(_Shape):
    transaction_id: Id99
    timestamp: Instant = Field(validation_alias=_INSTANTS)
    subscription_codes: Annotated[list[Id99], Field(min_length=1, max_length=100)] = Field(
        validation_alias=AliasChoices("subscription_codes", "sunscription_codes")
    )


class StatusItem(_Shape):
    reference_id: Id99
    txn_type: Literal["search", "subscribe", "subscibe", "unsubscribe"]
    attribute_type: Literal["transaction_id", "reference_id_list", "correlation_id", "subscription_code_list"]
    attribute_value: Id99 | Annotated[list[Id99], Field(min_length=1, max_length=100)]
    locale: Locale | None = None


class StatusMessage(_Shape):
    transaction_id: Id99
    txnstatus_request: StatusItem


class CallbackMessage(_Shape):
    """What another registry answers us; taken note of."""

    transaction_id: Id99


class _Envelope(_Shape):
    signature: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        default=None,
        description="""Needed once the party has a key registered. One line of text:

`Signature: namespace="spdci", kidId="{sender_id}|{kid}|ed25519", algorithm="ed25519", created="1606970629",
expires="1606970929", headers="(created) (expires) digest", signature="{base64}"`

where the signature is Ed25519 over three lines joined by line feeds, `(created): 1606970629`, `(expires): 1606970929`
and `digest: SHA-256={base64}`; the digest is that of `{"header": ..., "message": ...}` in the canonical JSON of
RFC 8785 (names sorted, no blanks, UTF-8, whole numbers without fraction). `created` and `expires` are Unix seconds, a
day apart at most. Answers and callbacks are signed alike, with the key of `/.well-known/jwks.json`.""",
    )


class SearchEnvelope(_Envelope):
    """A search 查询."""

    header: Header
    message: SearchMessage


class SubscribeEnvelope(_Envelope):
    """A subscription 订阅."""

    header: Header
    message: SubscribeMessage


class UnsubscribeEnvelope(_Envelope):
    """The end of subscriptions 退订."""

    header: Header
    message: UnsubscribeMessage


class StatusEnvelope(_Envelope):
    """A question how an earlier request went 办理状态."""

    header: Header
    message: StatusMessage


class CallbackHeader(_Shape):
    """Header of a callback or of a synchronous answer."""

    version: str = Field(default="1.0.0", max_length=20)
    message_id: Id99
    message_ts: Instant
    action: Annotated[str, StringConstraints(max_length=40)]
    status: Literal["rcvd", "pdng", "succ", "rjct"] | None = None
    status_reason_code: str | None = Field(default=None, max_length=99)
    status_reason_message: str | None = Field(default=None, max_length=999)
    sender_id: Id99 | None = None
    receiver_id: str | None = Field(default=None, max_length=99, description="As in the header of a request.")
    total_count: Count | None = None
    completed_count: Count | None = None


class CallbackEnvelope(_Envelope):
    """A callback of another registry 回调."""

    header: CallbackHeader
    message: CallbackMessage


class AnswerEnvelope(BaseModel):
    """A synchronous answer, signed 同步应答."""

    signature: str
    header: dict[str, Any] = Field(description="message_id, message_ts, action, status, total_count, completed_count")
    message: dict[str, Any] = Field(
        description="`transaction_id`, `correlation_id` and the responses. Records are of kind `Group` "
        "(`group_identifier`, `group_type`, `place`, `group_head_info`, `group_size`, `member_list`, "
        "`registration_date`, `last_updated`, `additional_attributes`) or `Member` (`member_identifier`, "
        "`demographic_info`, `relationship_type`, `is_disabled`, `registration_date`, `last_updated`, "
        "`additional_attributes`); names are masked, there are no ID numbers."
    )


class AckBody(BaseModel):
    ack_status: Literal["ACK", "NACK", "ERR"]
    timestamp: str
    correlation_id: str
    error: dict[str, str] | None = Field(
        default=None,
        description="`code`, one of `err.…`, and `message`; with NACK it begins with the header's code, as in "
        "`rjct.message_id.duplicate: …`.",
    )


class Acknowledgement(BaseModel):
    """Whether a message was taken 受理回执."""

    message: AckBody


class ErrorBody(BaseModel):
    """DCI's own errors 错误."""

    errors: list[dict[str, str]] = Field(description="Each with code and message.")
