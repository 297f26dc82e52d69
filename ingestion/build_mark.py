"""The mark in the warehouse of the last whole build of the marts, and of what it was built from.

A build may rest on the tables only while the mark is there. It lies in the same file as they do, so that another copy
of the warehouse has its own; it is removed before a build touches anything and written when all of it has succeeded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingestion.warehouse import open_warehouse


def write_build_mark(warehouse_path: Path, inputs: Mapping[str, Any]) -> None:
    """Say that every table in the warehouse was built from these inputs."""
    with open_warehouse(warehouse_path) as warehouse:
        warehouse.execute("BEGIN")
        warehouse.execute("CREATE OR REPLACE TABLE raw.built (inputs JSON NOT NULL)")
        warehouse.execute("INSERT INTO raw.built VALUES (?)", [msgspec.json.encode(dict(inputs)).decode()])
        warehouse.execute("COMMIT")


def read_build_mark(warehouse_path: Path) -> dict[str, Any] | None:
    """Return what all tables in the warehouse were built from; None where nobody can say."""
    if not warehouse_path.exists():
        return None
    with open_warehouse(warehouse_path) as warehouse:
        tables = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'raw' AND table_name = 'built'"
        if not warehouse.execute(tables).fetchall():
            return None
        [(inputs,)] = warehouse.execute("SELECT inputs FROM raw.built").fetchall()
    return msgspec.json.decode(inputs, type=dict[str, Any])


def remove_build_mark(warehouse_path: Path) -> None:
    """Take the mark away: the tables are about to change."""
    if warehouse_path.exists():
        with open_warehouse(warehouse_path) as warehouse:
            warehouse.execute("DROP TABLE IF EXISTS raw.built")
