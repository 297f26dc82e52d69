"""What keeps the dbt project readable and movable: descriptions, grains, layers, one place for engine-specific SQL."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ledger.vocabulary import PipelineStage
from tests.support.dbt_runs import PROJECT

MODELS = sorted((PROJECT / "models").rglob("*.sql"))
MARTS = [path for path in MODELS if path.parent.name == "marts"]
SQL = MODELS + sorted((PROJECT / "tests").rglob("*.sql"))


def described(path: Path) -> dict[str, Any]:
    """The description of a model, from the yml beside it."""
    (model,) = yaml.safe_load(path.with_suffix(".yml").read_text())["models"]
    assert model["name"] == path.stem
    return dict(model)


def test_the_stages_of_the_seed_are_those_of_the_vocabulary() -> None:
    """Same words, same order, same openness; every open stage has a confidence to fall back on and a limit."""
    with (PROJECT / "seeds" / "pipeline_stages.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == [stage.value for stage in PipelineStage]
    for row in rows:
        stage = PipelineStage(row["stage"])
        assert (int(row["stage_order"]), row["is_open"]) == (stage.order, str(stage.is_open).lower())
        assert 0 <= float(row["default_confidence"]) <= 1
        assert bool(row["limit_days"]) == stage.is_open


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_opens_with_its_grain_and_describes_every_column(path: Path) -> None:
    """Whoever reads the docs learns first what one row is."""
    model = described(path)
    assert model["description"].startswith("One row per ")
    assert all(column.get("description") for column in model["columns"])


def test_the_last_columns_say_where_a_row_comes_from() -> None:
    """Every mart row carries the day asked about, how much of the log was read and by which definitions."""
    for path in MARTS:
        names = [column["name"] for column in described(path)["columns"]]
        assert names[-3:] == ["as_of_date", "log_size", "definition_version"], path.stem


def test_every_mart_has_a_grain_that_is_tested() -> None:
    """No duplicates, in every mart."""
    for path in MARTS:
        assert any("grain" in test for test in described(path)["data_tests"]), path.stem


def test_only_staging_reads_sources() -> None:
    """What was landed is renamed and limited in one place."""
    readers = {path.parent.name for path in MODELS if "source(" in path.read_text()}
    assert readers == {"staging"}


def code_lines(path: Path) -> Iterator[str]:
    """The lines of a SQL file that are not comments."""
    return (line for line in path.read_text().lower().splitlines() if not line.strip().startswith("--"))


def test_no_model_reads_the_clock() -> None:
    """Last month's number can be reproduced: nothing depends on when it is computed."""
    clock = re.compile(r"current_date|current_timestamp|\bnow\(|\btoday\(|get_current|run_started_at|localtime")
    texts = SQL + sorted((PROJECT / "macros").rglob("*.sql"))
    assert not [f"{path.name}: {line}" for path in texts for line in code_lines(path) if clock.search(line)]


def test_sql_of_one_engine_stands_in_its_macros_alone() -> None:
    """A second engine needs a second folder of macros, not other models."""
    dialect = re.compile(
        r"::|\bunnest\(|\bepoch|\bstruct_pack|\bdate_diff\(|\bqualify\b|\basof\b|ignore nulls|\bmedian\(|"
        r"generate_series|\bproduct\(|at time zone|\binterval\b|group by all|\bexclude\b|list_"
    )
    macros = [path for path in (PROJECT / "macros").rglob("*.sql") if path.parent.name != "duckdb"]
    hits = [
        f"{path.name}: {line.strip()}"
        for path in SQL + macros
        for line in code_lines(path)
        if dialect.search(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", line)) and "macro" not in line
    ]
    assert not hits
