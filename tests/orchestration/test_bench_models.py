"""The statements that are timed beside a plain loop make the snapshots that dbt makes."""

import shutil
from pathlib import Path

import duckdb

from ledger.settings import Settings
from orchestration.bench_models import run_script, script_of, synthesize
from orchestration.dbt_in_process import load_manifest, run_dbt

SNAPSHOTS = "agent_performance_snapshots"


def test_the_statements_of_a_mart_give_what_dbt_gives(tmp_path: Path) -> None:
    """They are those of the mart and of what it reads, and no others; its rows are the same."""
    place = Settings(home=tmp_path)
    last_day, entries = synthesize(place.warehouse_path, 40)
    assert entries > 200
    manifest = load_manifest(place)
    variables = {"log_size": 2**40, "as_of_date": last_day.isoformat(), "definition_version": "bench"}
    for kind in ("seed", "model"):
        command = ["build", "--no-write-json", "--resource-type", kind]
        assert run_dbt(place, command, manifest=manifest, variables=variables).is_success
        if kind == "seed":
            shutil.copy(place.warehouse_path, tmp_path / "base")
    shutil.move(place.warehouse_path, tmp_path / "by_dbt.duckdb")
    shutil.move(tmp_path / "base", place.warehouse_path)
    run_script(place.warehouse_path, script_of(place, manifest, SNAPSHOTS))
    with duckdb.connect(place.warehouse_path, read_only=True) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'by_dbt.duckdb'}' AS by_dbt (READ_ONLY)")
        ours, theirs = f"SELECT * FROM marts.{SNAPSHOTS}", f"SELECT * FROM by_dbt.marts.{SNAPSHOTS}"
        [(rows,)] = connection.execute(f"SELECT count(*) FROM ({ours})").fetchall()
        assert rows > 1_000
        different = f"({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours})"
        assert not connection.execute(different).fetchall()
        tables = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' AND database_name = 'warehouse'"
        made = connection.execute(tables).fetchall()
        assert {name for (name,) in made} == {SNAPSHOTS, "agent_currency_snapshots", "deal_revisions"}
