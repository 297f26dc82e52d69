"""Run the dbt project in this process on a warehouse of a test's own."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from orchestration.dbt_in_process import release_warehouse

PROJECT = Path(__file__).resolve().parent.parent.parent / "dbt_project"


@cache
def parse_project() -> Manifest:
    """Return the project as dbt reads it, once for all tests of a process: no variable and no path is part of that."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DEALBOOK_WAREHOUSE", "warehouse.duckdb")
        folders = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        outcome = dbtRunner().invoke(["--quiet", "--log-level-file", "none", "parse", "--no-write-json", *folders])
        release_warehouse()
    assert isinstance(outcome.result, Manifest), outcome.exception
    return outcome.result


class Warehouse:
    """A DuckDB file with raw tables, and the marts that dbt builds from them."""

    def __init__(self, folder: Path, project: Path = PROJECT) -> None:
        self.path = folder / "warehouse.duckdb"
        self.target = folder / "target"
        self.project = project

    def copy_to(self, folder: Path) -> "Warehouse":
        """Return a copy, so that a test may build something else without disturbing the others."""
        copy = Warehouse(folder, self.project)
        shutil.copy(self.path, copy.path)
        return copy

    def run_dbt(self, *arguments: str, as_of_date: str, log_size: int | str = 2**40, **variables: str) -> list[Any]:
        """Invoke dbt and return its results; fails the test with dbt's own messages where a node failed."""
        facts = {"as_of_date": as_of_date, "log_size": log_size, "definition_version": "test"} | variables
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DEALBOOK_WAREHOUSE", str(self.path))
            environment.setenv("DBT_TARGET_PATH", str(self.target))
            folders = ["--project-dir", str(self.project), "--profiles-dir", str(self.project)]
            parsed = parse_project() if self.project == PROJECT else None
            outcome = dbtRunner(manifest=parsed).invoke(
                ["--quiet", "--log-level-file", "none", *arguments, *folders, "--vars", json.dumps(facts)]
            )
            release_warehouse()
        results = getattr(outcome.result, "results", [])
        failed = [f"{result.node.name}: {result.message}" for result in results if result.status in ("error", "fail")]
        assert outcome.success, failed or outcome.exception
        return list(results)

    def build(self, as_of_date: str, **options: Any) -> None:
        """Build and test every seed, model and data test, as a refresh does."""
        self.run_dbt("build", "--exclude-resource-type", "unit_test", as_of_date=as_of_date, **options)

    def connect(self, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
        """Open the file; close it before the next run of dbt."""
        connection = duckdb.connect(self.path, read_only=read_only)
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries."""
        with self.connect() as connection:
            result = connection.execute(sql, parameters)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def row(self, sql: str, *parameters: Any) -> dict[str, Any]:
        """Return the one row of a query."""
        rows = self.rows(sql, *parameters)
        assert len(rows) == 1, rows
        return rows[0]
