"""The project on a warehouse without a single fact, and the unit tests of its formulas."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dbt_runs import PROJECT, Warehouse
from tests.support.raw_tables import create_raw_tables

MARTS = sorted((PROJECT / "models" / "marts").glob("*.sql"))
NUMBERS = ("bigint", "boolean", "decimal", "double", "integer")
PROVENANCE = ("log_size",)
DOC = re.compile(r"\{\{ doc\('(\w+)'\) \}\}")
DOCS = dict(re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", (PROJECT / "docs" / "columns.md").read_text(), re.DOTALL))


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
    assert len(results) == len(unit_tests())


def unit_tests() -> list[dict[str, Any]]:
    """All unit tests of the project as they are written."""
    files = (PROJECT / "models").glob("*/unit_tests/*.yml")
    return [test for file in files for test in yaml.safe_load(file.read_text())["unit_tests"]]


def test_every_formula_has_a_unit_test() -> None:
    """Each mart and each intermediate model is the subject of at least one."""
    models = {path.stem for folder in ("marts", "intermediate") for path in (PROJECT / "models" / folder).glob("*.sql")}
    assert models <= {test["model"] for test in unit_tests()}


@pytest.mark.parametrize("path", MARTS, ids=lambda path: path.stem)
def test_every_number_of_a_mart_is_stated_by_a_unit_test(path: Path) -> None:
    """Each number, each yes or no is expected by a unit test of its mart: with a value, and as null where it can be."""
    (mart,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
    stated: dict[str, set[bool]] = defaultdict(set)
    for test in unit_tests():
        if test["model"] == path.stem and test["expect"].get("format", "dict") == "dict":
            for row in test["expect"]["rows"]:
                for column, value in row.items():
                    stated[column].add(value is None)
    for column in mart["columns"]:
        if not column["data_type"].startswith(NUMBERS) or column["name"] in PROVENANCE:
            continue
        assert False in stated[column["name"]], f"no unit test of {path.stem} states a value of {column['name']}"
        if "null" in DOC.sub(lambda doc: DOCS[doc[1]], column["description"]).lower():
            assert True in stated[column["name"]], f"no unit test of {path.stem} states when {column['name']} is null"


def test_a_run_that_was_not_told_its_day_fails(empty: Warehouse) -> None:
    """There is no default day: a forgotten variable must not build marts of some other day."""
    with pytest.raises(AssertionError, match="not_given"):
        empty.run_dbt("run", "--select", "stg_ledger__deal_events", as_of_date="not_given", log_size="not_given")
