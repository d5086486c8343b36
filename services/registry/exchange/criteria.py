"""What is sought or watched, as DCI messages state it.

What need not be given may be blank, as in the published samples, or null. Names that are not known are kept, and
rejected by whoever answers.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from services.registry.exchange import budgets
from services.registry.exchange.attributes import AS_IN_RECORDS, ATTRIBUTES, IDENTIFIERS
from services.registry.exchange.queries import EXPRESSION_OPERATORS, MOST_CONDITIONS, PREDICATE_OPERATORS
from shared.http.fields import Instant

Entity = Literal["Group", "Member"]
_ENTITIES = {"group": "Group", "household": "Group", "member": "Member"}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _entity(name: Any) -> Any:
    return _ENTITIES.get(name.lower(), name) if isinstance(name, str) else name


class Blank(BaseModel):
    """What may be left out may be blank or null instead, and is left out then."""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        needed = {name for name, held in cls.model_fields.items() if held.is_required()}
        return {name: value for name, value in given.items() if value not in ("", None) or name in needed}


class _Criteria(Blank):
    model_config = ConfigDict(extra="allow")

    def says_more(self) -> bool:
        """Whether there are names that are not read here; annotations of JSON-LD (``@type``) say nothing to us."""
        return any(not name.startswith("@") for name in self.model_extra or ())


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

Attributes: {_listed(ATTRIBUTES)};
also the types of identifiers, and {_listed(AS_IN_RECORDS)} as in records. A household is found by what holds of any of
its members, for each comparison by itself. `division` is found on every level; `national_id` is compared by value only
and takes from the look-up quota; `last_updated` is an instant as in records.

At most {MOST_CONDITIONS} comparisons, and {budgets.MOST_CONDITIONS} in all requests of a message, which is answered
with {budgets.MOST_RECORDS} records at most; requests beyond are rejected by themselves, and so are those that are not
begun within {budgets.MOST_SECONDS:.0f} seconds."""
    )
    response_entity: Annotated[Entity, BeforeValidator(_entity)] = Field(
        default="Group", description="As samples do, `Household` and small letters are understood as well."
    )
    sort: Annotated[list[Sort], Field(max_length=5)] | None = None
    pagination: Page | None = Field(default=None, description="Page 1 of 100 by default.")
    consent: Any = Field(default=None, description="Logged.")
    authorize: Any = Field(default=None, description="Logged; `purpose.code` must be one of the party's.")


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
