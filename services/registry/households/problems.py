"""Why requests about households and persons are refused, as far as more than one of them is. Pure."""

from shared import errors
from shared.errors import fault

HOUSEHOLD_DEREGISTERED = errors.kind(
    "household_deregistered", 409, "The household is off the register", "该户已注销",
    "A deregistered household does not change any more; register it again.", "已注销的农户不再变更,如需请重新登记。",
)  # fmt: skip
PERSON_DEREGISTERED = errors.kind(
    "person_deregistered", 409, "The person is off the register", "该人员已注销",
    "A deregistered person does not change any more; register them again.", "已注销的人员不再变更,如需请重新登记。",
)  # fmt: skip
PERSON_ERASED = errors.kind(
    "person_erased", 409, "The identity was erased", "身份信息已删除",
    "What was erased does not come back; register the person anew.", "已删除的身份信息不可恢复,如需请重新登记。",
)  # fmt: skip
PERSON_IN_HOUSEHOLD = errors.kind(
    "person_in_household", 409, "The person belongs to a household", "该人员属于某一农户",
    "Members change with their household: use its members, or let the member leave it first.",
    "家庭成员随所在户变更,请通过该户的成员接口办理,或先办理离户。",
)  # fmt: skip
ALREADY_REGISTERED = errors.kind(
    "already_registered", 409, "It is registered already", "已登记",
    "The number, external name or ID number belongs to another record; `errors` says which.",
    "户编号、来源编号或身份号码已被其他记录使用,详见 `errors`。",
)  # fmt: skip
KINDS = (HOUSEHOLD_DEREGISTERED, PERSON_ERASED, ALREADY_REGISTERED, PERSON_IN_HOUSEHOLD, PERSON_DEREGISTERED)

UNKNOWN_VILLAGE = fault("/village", "division_unknown", "no such village of yours", "辖区内无此村")
