"""S25: a household is relocated; its exit blocker clears, and it goes on counting for the responsible village."""

import uuid
from datetime import date

from tests.demos.stage import Json, Stage, answered, run

VILLAGE, COUNTY = "411323102217", "411323000000"
"""西峡县西坪镇下营村, where the article begins."""


def demonstrate(stage: Stage) -> None:
    """A dangerous house stands in the way of an exit until the household has moved into the county seat."""
    household = register(stage)
    stage.shows("in the way of its exit", _blockers(household), ["dangerous_housing", "unsafe_water"])
    elsewhere = answered(stage.registry.get("/v1/divisions", params={"parent": COUNTY, "limit": "1"}))["items"][0]
    relocation = {
        "method": "individual", "resettlement": "concentrated", "site": "county_seat",
        "moved_on": stage.today(), "lives_in": elsewhere["code"],
    }  # fmt: skip
    attributes = {"relocation": relocation, "housing": {"danger": "none"}, "water": {"safe": True}}
    moved = answered(
        stage.registry.patch(
            f"/v1/households/{household['id']}",
            json={"attributes": attributes, "reason": "易地扶贫搬迁入住"},
            headers={"If-Match": f'"{household["version"]}"'},
        )
    )
    stage.shows("in the way of its exit", _blockers(moved), [])
    stage.shows("responsible village 责任村", moved["village"], VILLAGE)
    stage.shows("lives in 现居住地", moved["attributes"]["relocation"]["lives_in"], elsewhere["code"])
    year, week, _ = date.fromisoformat(stage.today()).isocalendar()
    before = _counted(stage, f"{year}-W{week:02}")
    action = stage.record(moving_in(stage, household))
    stage.shows("the action counts for", action["path"]["village"], VILLAGE)
    stage.eventually_shows("this week in 西峡县", lambda: _counted(stage, f"{year}-W{week:02}"), before + 1)


def register(stage: Stage) -> Json:
    """A household in a dangerous house without safe water."""
    body = {
        "village": VILLAGE,
        "standing": "poor",
        "registered_on": "2014-05-01",
        "cause": "poor_transport",
        "attributes": {"housing": {"danger": "grade_d"}, "water": {"safe": False}},
        "members": [
            {"name": "测试搬迁", "relation": "head", "sex": "male", "birth_date": "1966-03-12", "employable": "full"}
        ],
    }
    return answered(stage.registry.post("/v1/households", json=body), 201)


def _blockers(household: Json) -> list[str]:
    return [finding["rule"] for finding in household["findings"] if finding["severity"] == "exit_blocker"]


def moving_in(stage: Stage, household: Json) -> Json:
    """The aid action that moved it into its new house today."""
    return {
        "source_system": "demonstration",
        "external_id": str(uuid.uuid4()),
        "programme": "relocation",
        "kind": "moved_in",
        "household": {"number": household["number"]},
        "occurred_at": f"{stage.today()}T00:00:01+08:00",
        "quantity": 1,
        "details": {"settlement": "concentrated", "site": "county_town"},
    }


def _counted(stage: Stage, week: str) -> int:
    table = answered(stage.ranking.get(f"/v1/league-tables/weekly/{week}"))
    rows = [*table["rows"], *table["not_ranked"]]
    return sum(row["figures"]["actions"] for row in rows if row["unit"]["code"] == COUNTY)


if __name__ == "__main__":
    run(demonstrate)
