"""All marts by hand: DuckDB SQL written for speed, without dbt. Nothing of the product uses it.

It is the yardstick of `dealbook bench --only models`, and it counts every number a second time: a test compares it,
row for row, with what dbt builds. Each file is a theme; they are run in the order of their names, and share temporary
tables.
"""

from datetime import date
from pathlib import Path

import duckdb

from ingestion.warehouse import MEMORY_LIMIT
from ledger.settings import PROJECT_DIR


def build_marts_by_hand(
    path: Path,
    *,
    as_of_date: date,
    log_size: int,
    definition_version: str,
    business_timezone: str = "Asia/Singapore",
    reporting_currency: str = "SGD",
    home_region: str = "SG",
    conversion_window_days: int = 180,
) -> None:
    """Make schema `marts` in the DuckDB file at `path`, which has raw tables and no marts, with dbt's own settings."""
    variables = {
        "as_of_date": as_of_date,
        "log_size": log_size,
        "definition_version": definition_version,
        "business_timezone": business_timezone,
        "reporting_currency": reporting_currency,
        "home_region": home_region,
        "conversion_window_days": conversion_window_days,
        "seeds": str(PROJECT_DIR / "dbt_project" / "seeds"),
    }
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("SET preserve_insertion_order = false")
        for name, value in variables.items():
            wide = "::BIGINT" if isinstance(value, int) else ""
            connection.execute(f"SET VARIABLE {name} = ?{wide}", [value])
        connection.execute("CREATE SCHEMA marts")
        for script in sorted(Path(__file__).parent.glob("*.sql")):
            connection.execute(script.read_text())
