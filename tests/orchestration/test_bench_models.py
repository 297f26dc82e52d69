"""The yardstick of the models' bench gives the same marts: what is compared are two ways to the same result."""

import shutil
from pathlib import Path

import duckdb

from ledger.settings import Settings
from orchestration.bench_models import run_script, script_of, synthesize
from orchestration.dbt_in_process import load_manifest, run_dbt


def test_one_sql_script_gives_the_same_marts_as_dbt(tmp_path: Path) -> None:
    """Every mart holds the same rows both ways, and most of them hold some."""
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
    run_script(place.warehouse_path, script_of(place, manifest))
    with duckdb.connect(place.warehouse_path, read_only=True) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'by_dbt.duckdb'}' AS by_dbt (READ_ONLY)")
        marts = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts' AND database_name = 'by_dbt'"
        names = [name for (name,) in connection.execute(marts).fetchall()]
        filled = 0
        for name in names:
            ours, theirs = f"SELECT * FROM marts.{name}", f"SELECT * FROM by_dbt.marts.{name}"
            counts = f"SELECT (SELECT count(*) FROM ({ours})), (SELECT count(*) FROM ({theirs}))"
            [(here, there)] = connection.execute(counts).fetchall()
            different = f"({ours} EXCEPT {theirs}) UNION ALL ({theirs} EXCEPT {ours})"
            assert (here, connection.execute(different).fetchall()) == (there, []), name
            filled += here > 0
    assert filled > len(names) / 2
