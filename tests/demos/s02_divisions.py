"""S2: divisions on four levels, 552 poor villages of which 199 deep, 6 national and 1 provincial poverty counties."""

import json
import uuid
from datetime import date, timedelta
from itertools import islice

from tests.demos.stage import Stage, answered, count, listed, run

POOR, DEEP = 552, 199


def demonstrate(stage: Stage) -> None:
    """End one designation today: 551 from today on, 552 as of yesterday."""
    registry = stage.registry
    for level, expected in (("city", 1), ("county", 17), ("township", 256), ("village", 4_994)):
        stage.shows(level, count(registry, "/v1/divisions", level=level), expected)
    for kind, expected in (("national_poverty_county", 6), ("provincial_poverty_county", 1)):
        stage.shows(kind, count(registry, "/v1/divisions", designation=kind), expected)
    today = date.fromisoformat(stage.today())
    yesterday = (today - timedelta(days=1)).isoformat()
    _designate(stage)
    stage.shows("poor villages 贫困村", _poor(stage, yesterday), POOR)
    deep = count(registry, "/v1/divisions", designation="deep_poverty_village")
    stage.shows("deep-poverty villages 深度贫困村", deep, DEEP)
    before = _poor(stage, stage.today())
    village = answered(registry.get("/v1/divisions", params={"designation": "poor_village", "limit": "1"}))["items"][0]
    ended = registry.post(
        f"/v1/divisions/{village['code']}/designations/poor_village/end",
        json={"valid_to": today.isoformat()},
        headers={"If-Match": f'"{village["version"]}"'},
    )
    answered(ended)
    stage.shows(f"after {village['name']} left, today", _poor(stage, stage.today()), before - 1)
    stage.shows("as of yesterday", _poor(stage, yesterday), POOR)


def _poor(stage: Stage, day: str) -> int:
    return count(stage.registry, "/v1/divisions", designation="poor_village", as_of=day)


def _designate(stage: Stage) -> None:
    """Designate as many villages as the article counts where none are: which they were is not in it."""
    if _poor(stage, stage.today()):
        return
    villages = list(islice(listed(stage.registry, "/v1/divisions", level="village"), POOR))
    lines = [
        json.dumps({"code": village["code"], "kind": kind, "valid_from": "2014-01-01"})
        for kind, many in (("poor_village", POOR), ("deep_poverty_village", DEEP))
        for village in villages[:many]
    ]
    headers = {"Content-Type": "application/jsonl", "Idempotency-Key": str(uuid.uuid4())}
    answered(stage.registry.post("/v1/divisions/designations/bulk", content="\n".join(lines), headers=headers))


if __name__ == "__main__":
    run(demonstrate)
