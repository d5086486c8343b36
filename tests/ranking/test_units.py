"""Units of tables bear the names of their day."""

from datetime import date

from services.ranking.tables.units import Units
from shared.contracts.division import FormerName
from tests.ranking.world import divisions


def test_a_renamed_unit_keeps_its_old_name_in_tables_of_before() -> None:
    known = [
        division.model_copy(
            update={
                "name": f"新{division.name}",
                "former_names": [FormerName(name=division.name, valid_to=date(2018, 10, 1))],
            }
        )
        for division in divisions()
    ]
    before, after = Units(known, date(2018, 9, 30)), Units(known, date(2018, 10, 1))
    for code, unit in (before.at("county") | before.at("village")).items():
        assert (after.at("county") | after.at("village"))[code].name == f"新{unit.name}"
    assert after.city_name == f"新{before.city_name}"
