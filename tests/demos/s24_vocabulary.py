"""S24: the policy vocabulary, five batches, six precisions, four battles, two times six actions, four projects."""

from collections import Counter

from tests.demos.s25_relocation import moving_in, register
from tests.demos.stage import Stage, answered, count, run

GROUPS = {"五个一批": 5, "六个精准": 6, "四场硬仗": 4, "六大行动(省)": 6, "六大行动(市)": 6, "四项工程": 4}


def demonstrate(stage: Stage) -> None:
    """The taxonomy answers 5, 6, 4, 6, 6, 4, and actions are filtered by every term of it."""
    terms = answered(stage.assistance.get("/v1/taxonomy"))["items"]
    found = Counter(term["group_zh"] for term in terms)
    for group, expected in GROUPS.items():
        stage.shows(group, found[group], expected)
    programmes = answered(stage.assistance.get("/v1/programmes", params={"limit": "500"}))["items"]
    tagged = {tag for programme in programmes for tag in programme["tags"]}
    stage.shows("tags outside the vocabulary", tagged - {term["tag"] for term in terms}, set())
    stage.record(moving_in(stage, register(stage)))
    everything = count(stage.assistance, "/v1/actions")
    by_programme = {p["code"]: count(stage.assistance, "/v1/actions", programme=p["code"]) for p in programmes}
    stage.shows("actions by programme add up", sum(by_programme.values()), everything)
    for term in terms:
        expected = sum(by_programme[p["code"]] for p in programmes if term["tag"] in p["tags"])
        stage.shows(f"actions of {term['label_zh']}", count(stage.assistance, "/v1/actions", tag=term["tag"]), expected)
    relocated = count(stage.assistance, "/v1/actions", tag="batch:relocation")
    stage.shows("among them a relocation", relocated > 0, True)


if __name__ == "__main__":
    run(demonstrate)
