"""Shapes of DCI messages (SPDCI 1.0.0, social and core). Known typos are understood.

Unknown names are ignored, but not in criteria (``criteria.py``): those are rejected.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from services.registry.exchange.criteria import Blank, SearchCriteria, SubscribeCriteria
from shared.http.fields import Instant
from shared.idnumbers import holds_id_number


def _opaque(name: str) -> str:
    if holds_id_number(name):  # they are kept as they are, and logged elsewhere
        raise PydanticCustomError("personal_number", "an ID number")
    return name


Id99 = Annotated[str, StringConstraints(min_length=1, max_length=99), AfterValidator(_opaque)]
"""A name that a party draws for a message, transaction or request; an ID number is none."""
Uri = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[\x21-\x7e]+$")]
Locale = Annotated[str, StringConstraints(pattern=r"^([a-z]{3}|[A-Za-z]{2}[/_-][A-Za-z]{2})$")]
"""Three letters; published samples send ``EN/GB``."""
MOST_REQUESTS = 100
"""Requests in one message."""
Count = StrictInt | Annotated[str, StringConstraints(strict=True, max_length=99)]
"""Digits as text are understood: published samples send them."""
_INSTANTS = AliasChoices("timestamp", "timesstamp", "timesatmp")


class _Shape(Blank):
    model_config = ConfigDict(extra="ignore")


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
    is_msg_encrypted: bool = Field(default=False, description="Must be false: encrypted messages are not read.")


class SearchItem(_Shape):
    """One request of a batch."""

    reference_id: Id99
    timestamp: Instant = Field(validation_alias=_INSTANTS)
    search_criteria: SearchCriteria
    locale: Locale | None = None


class SearchMessage(_Shape):
    transaction_id: Id99
    search_request: Annotated[list[SearchItem], Field(min_length=1, max_length=MOST_REQUESTS)]


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
