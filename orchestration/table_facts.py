"""What the Dagster UI shows of a table: its columns, how many rows it has, the first few, and a small plot."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from orchestration.plots import SHOWN_AT_ONCE, plot_mart

PREVIEW_ROWS = 5
PREVIEW_COLUMNS, LEAST_COLUMNS = 12, 8


def count_rows(warehouse_path: Path, schema: str) -> dict[str, int]:
    """Return the number of rows of every table and view in a schema of the warehouse, by name."""
    from ingestion.mart_digests import list_marts
    from ingestion.warehouse import open_warehouse

    with open_warehouse(warehouse_path) as warehouse:
        return {table: _count(warehouse, f'"{schema}"."{table}"') for table in list_marts(warehouse, schema)}


def describe_tables(warehouse_path: Path, nodes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return Dagster metadata by dbt node: columns of every relation, rows of every table and mart, and of every mart a
    preview and a plot."""
    from ingestion.mart_digests import list_marts
    from ingestion.warehouse import open_warehouse

    facts: dict[str, dict[str, Any]] = {}
    with open_warehouse(warehouse_path) as warehouse:
        tables = set(warehouse.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall())
        tables |= {("marts", mart) for mart in list_marts(warehouse, "marts")}
        types = _column_types(warehouse)
        for node in nodes:
            place = (node["schema"], node["alias"])
            found = facts.setdefault(node["unique_id"], {})
            if not (node["columns"] and all(column.get("data_type") for column in node["columns"].values())):
                # Where a contract states the types the definition has them already.
                found["dagster/column_schema"] = table_schema(types.get(place, {}), node["columns"])
            if place not in tables:
                continue
            relation = f'"{node["schema"]}"."{node["alias"]}"'
            found["dagster/row_count"] = _count(warehouse, relation)
            if node["schema"] == "marts":
                found["preview"] = dg.MetadataValue.md(_preview(warehouse, relation))
                plot = plot_mart(warehouse, node["alias"])
                if plot is not None:
                    found["plot"] = dg.MetadataValue.md(plot)
    return facts


def describe_raw_tables(warehouse_path: Path) -> dict[str, dict[str, Any]]:
    """Return Dagster metadata by raw table: its columns and how many rows it has."""
    from ingestion.warehouse import open_warehouse

    rows = count_rows(warehouse_path, "raw")
    with open_warehouse(warehouse_path) as warehouse:
        types = _column_types(warehouse)
    return {
        table: {"dagster/row_count": count, "dagster/column_schema": table_schema(types[("raw", table)], {})}
        for table, count in rows.items()
    }


def table_schema(types: Mapping[str, str], described: Mapping[str, Any]) -> dg.TableSchema:
    """Return a relation's columns with their types and what is said of them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, data_type, description=described.get(name, {}).get("description") or None)
            for name, data_type in types.items()
        ]
    )


def _column_types(warehouse: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, data_type in warehouse.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
        " ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        found.setdefault((schema, table), {})[column] = data_type
    return found


def _count(warehouse: duckdb.DuckDBPyConnection, relation: str) -> int:
    [(rows,)] = warehouse.execute(f"SELECT count(*) FROM {relation}").fetchall()  # noqa: S608 (a name DuckDB listed)
    return int(rows)


def _preview(warehouse: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Return the first rows of a table as a markdown table: as many rows and columns as the UI shows at once."""
    cursor = warehouse.execute(f"SELECT * FROM {relation} LIMIT {PREVIEW_ROWS}")  # noqa: S608 (a name DuckDB listed)
    names = [column[0] for column in cursor.description or []]
    rows = [[str(value).replace("|", "\\|") for value in row] for row in cursor.fetchall()]
    for size in range(PREVIEW_ROWS, 2, -1):
        for width in range(PREVIEW_COLUMNS, LEAST_COLUMNS - 1, -1):
            lines = [names[:width], ["---"] * len(names[:width]), *(row[:width] for row in rows[:size])]
            preview = "\n".join(f"| {' | '.join(line)} |" for line in lines)
            if len(preview) < SHOWN_AT_ONCE:
                return preview
    return preview
