"""Who is whose: the rules on relations 家庭关系."""

from collections.abc import Iterator

from services.registry.checks.rules import Facts, Rule, rule
from services.registry.households.rules import FEMALE, MALE


@rule("one_head", "error", "a household has exactly one head", "须有且仅有一名户主", "members.relation")
def one_head(facts: Facts) -> Iterator[str]:
    if sum(member.relation == "head" for member in facts.members) != 1:
        yield "/members"


@rule("one_spouse", "error", "a household has at most one spouse of its head", "配偶至多一名", "members.relation")
def one_spouse(facts: Facts) -> Iterator[str]:
    if sum(member.relation == "spouse" for member in facts.members) > 1:
        yield "/members"


@rule(
    "spouse_sex", "error", "head and spouse have the same sex", "户主与配偶性别相同", "members.relation", "members.sex"
)
def spouse_sex(facts: Facts) -> Iterator[str]:
    heads = [member.sex for member in facts.members if member.relation == "head"]
    spouses = [member.sex for member in facts.members if member.relation == "spouse"]
    if len(heads) == len(spouses) == 1 and heads == spouses and heads[0] in ("male", "female"):
        yield "/members"


@rule("relation_sex", "error", "does not fit the sex", "与性别不符", "members.relation", "members.sex")
def relation_sex(facts: Facts) -> Iterator[str]:
    for member in facts.members:
        wrong = FEMALE if member.sex == "male" else MALE if member.sex == "female" else frozenset()
        if member.relation in wrong:
            yield f"{member.pointer}/relation"


RULES: tuple[Rule, ...] = (
    one_head,
    one_spouse,
    spouse_sex,
    relation_sex,
)
