"""The project on a warehouse without a single fact, and the unit tests of its formulas."""

import pytest
import yaml

from tests.support.dbt_runs import PROJECT, Warehouse
from tests.support.raw_tables import create_raw_tables

MARTS = sorted((PROJECT / "models" / "marts").glob("*.sql"))


@pytest.fixture(scope="module")
def empty(warehouse: Warehouse) -> Warehouse:
    """Raw tables as on the first day, and the marts built from them."""
    with warehouse.connect(read_only=False) as connection:
        create_raw_tables(connection)
    warehouse.build("2024-01-01")
    return warehouse


def test_an_empty_log_builds_empty_marts(empty: Warehouse) -> None:
    """A new agency's first refresh passes every check and has no rows, instead of failing on a missing first day."""
    marts = empty.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts'")
    assert len(marts) == len(MARTS)
    for mart in marts:
        assert empty.row(f"SELECT count(*) AS n FROM marts.{mart['table_name']}")["n"] == 0


def test_schemas_are_named_as_readers_expect(empty: Warehouse) -> None:
    """No prefix of the target: staging, intermediate, marts and seeds beside raw."""
    schemas = {row["s"] for row in empty.rows("SELECT DISTINCT table_schema AS s FROM information_schema.tables")}
    assert schemas == {"raw", "staging", "intermediate", "marts", "seeds"}


def test_every_formula_gives_the_number_that_its_unit_test_states(empty: Warehouse) -> None:
    """All of dbt's unit tests pass, and none was left out."""
    results = empty.run_dbt("test", "--select", "test_type:unit", as_of_date="2024-01-01")
    assert len(results) >= 48


def test_every_formula_has_a_unit_test() -> None:
    """Each mart and each intermediate model is the subject of at least one."""
    models = {path.stem for folder in ("marts", "intermediate") for path in (PROJECT / "models" / folder).glob("*.sql")}
    files = (PROJECT / "models").glob("*/unit_tests/*.yml")
    assert models <= {test["model"] for file in files for test in yaml.safe_load(file.read_text())["unit_tests"]}


def test_a_run_that_was_not_told_its_day_fails(empty: Warehouse) -> None:
    """There is no default day: a forgotten variable must not build marts of some other day."""
    with pytest.raises(AssertionError, match="not_given"):
        empty.run_dbt("run", "--select", "stg_ledger__deal_events", as_of_date="not_given", log_size="not_given")
