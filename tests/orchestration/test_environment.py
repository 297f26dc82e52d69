"""What dbt's profile reads from the environment arrives in DuckDB."""

import json
import os
from pathlib import Path

import pytest
import yaml

from ledger.settings import Settings
from orchestration import dbt_in_process, environment
from tests.support.dbt_runs import PROJECT


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_nodes_at_work_share_the_processors(
    processors: int, threads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each statement gets its part, and one at least."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    wanted = {"DEALBOOK_WAREHOUSE": str(tmp_path), "DEALBOOK_STATEMENT_THREADS": str(threads)}
    assert environment.profile_environment(tmp_path) == wanted


def test_dbt_runs_statements_with_so_many_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The profile works on as many nodes as is assumed here, and hands DuckDB the number it is given."""
    [output] = yaml.safe_load((PROJECT / "profiles.yml").read_text())["dealbook"]["outputs"].values()
    assert output["threads"] == environment.NODES_AT_A_TIME
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(14)), raising=False)
    place, told = Settings(home=tmp_path), tmp_path / "threads.csv"
    asked = f"copy (select current_setting('threads') as threads) to '{told}'"
    dbt_in_process._invoke(place, ["run-operation", "run_query", "--args", json.dumps({"sql": asked})], None, None)
    assert told.read_text().split() == ["threads", "7"]
