"""How many threads a statement of dbt's gets, and that it gets them."""

import os
from pathlib import Path

import pytest
import yaml
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.duckdb.environments.local import LocalEnvironment

from ingestion import side_by_side
from ingestion.warehouse import open_warehouse
from ledger.settings import Settings
from orchestration import dbt_in_process, environment
from tests.support.dbt_runs import PROJECT, parse_project


@pytest.mark.parametrize(("processors", "share"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_nodes_at_work_share_the_processors_unless_a_table_is_large(
    processors: int, share: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each statement gets its part, and one at least; each gets all where everything of a large one is computed."""
    monkeypatch.setattr(environment, "count_processors", lambda: processors)
    path = tmp_path / "warehouse.duckdb"
    assert environment.statement_threads(path) == share, "there is none yet"
    with open_warehouse(path) as warehouse:
        warehouse.execute("CREATE TABLE raw.some AS FROM range(5000)")
    assert environment.statement_threads(path) == share
    monkeypatch.setattr(side_by_side, "LARGE", 5000)
    assert environment.statement_threads(path) == processors
    assert environment.statement_threads(path, is_whole=False) == share


def test_processors_are_those_that_duckdb_would_use() -> None:
    """It knows about limits that the number of processors does not tell."""
    assert 1 <= environment.count_processors() <= (os.cpu_count() or 1)


def test_a_run_has_so_many_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """dbt works on as many nodes as is assumed here, and DuckDB gets the number for a run."""
    [output] = yaml.safe_load((PROJECT / "profiles.yml").read_text())["dealbook"]["outputs"].values()
    assert output["threads"] == environment.NODES_AT_A_TIME
    monkeypatch.setattr(environment, "count_processors", lambda: 14)
    asked: list[int] = []

    def ask(_event: dict[str, object]) -> None:
        opened = DuckDBConnectionManager._ENV
        assert isinstance(opened, LocalEnvironment)
        asked.extend(opened.conn.cursor().execute("SELECT current_setting('threads')").fetchone())

    place = Settings(home=tmp_path)
    facts = {"log_size": 0, "as_of_date": "2026-01-01", "definition_version": "test"}
    command = ["seed", "--no-write-json", "--select", "pipeline_stages"]
    monkeypatch.setattr(side_by_side, "LARGE", 0)  # so that every table is
    with open_warehouse(place.warehouse_path):
        pass
    for on_top, threads in (({}, 14), ({"built_log_size": 1}, 7)):
        run = dbt_in_process.run_dbt(place, command, manifest=parse_project(), variables=facts | on_top, on_result=ask)
        assert run.is_success
        assert asked.pop() == threads
