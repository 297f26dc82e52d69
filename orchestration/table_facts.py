"""What the Dagster UI shows of a table: how many rows it has, and the first few."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 12


def count_rows(warehouse_path: Path, schema: str) -> dict[str, int]:
    """Return the number of rows of every table in a schema of the warehouse, by name. Views are left uncounted."""
    from ingestion.warehouse import open_warehouse

    with open_warehouse(warehouse_path) as warehouse:
        tables = warehouse.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [schema]).fetchall()
        return {table: _count(warehouse, f'"{schema}"."{table}"') for (table,) in tables}


def describe_tables(warehouse_path: Path, nodes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return Dagster metadata by dbt node: rows of every table, and a preview of every mart. Views are left out."""
    from ingestion.warehouse import open_warehouse

    facts: dict[str, dict[str, Any]] = {}
    with open_warehouse(warehouse_path) as warehouse:
        tables = set(warehouse.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall())
        for node in nodes:
            if (node["schema"], node["alias"]) not in tables:
                continue
            relation = f'"{node["schema"]}"."{node["alias"]}"'
            facts[node["unique_id"]] = {"dagster/row_count": _count(warehouse, relation)}
            if node["schema"] == "marts":
                facts[node["unique_id"]]["preview"] = dg.MetadataValue.md(_preview(warehouse, relation))
    return facts


def _count(warehouse: duckdb.DuckDBPyConnection, relation: str) -> int:
    [(rows,)] = warehouse.execute(f"SELECT count(*) FROM {relation}").fetchall()  # noqa: S608 (a name DuckDB listed)
    return int(rows)


def _preview(warehouse: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Return the first rows of a table as a markdown table."""
    cursor = warehouse.execute(f"SELECT * FROM {relation} LIMIT {PREVIEW_ROWS}")  # noqa: S608 (a name DuckDB listed)
    columns = [column[0] for column in cursor.description or []][:PREVIEW_COLUMNS]
    rows = [[str(value).replace("|", "\\|") for value in row[:PREVIEW_COLUMNS]] for row in cursor.fetchall()]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *rows])
