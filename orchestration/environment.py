"""Environment variables for a while: dbt's profile and Dagster's configuration name places by them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

NODES_AT_A_TIME = 2
"""How many nodes dbt works on at a time, as its profile says."""


@contextlib.contextmanager
def changed_environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set these variables while the context lasts, and put back what was there."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def profile_environment(warehouse_path: Path, threads: int = 1) -> dict[str, str]:
    """Return what dbt's profile reads: which file, and how many threads a statement gets."""
    return {"DEALBOOK_WAREHOUSE": str(warehouse_path), "DEALBOOK_STATEMENT_THREADS": str(threads)}


def count_processors() -> int:
    """Return how many processors this process may use, as DuckDB counts them."""
    with duckdb.connect() as connection:
        [(threads,)] = connection.execute("SELECT current_setting('threads')").fetchall()
    return int(threads)


def statement_threads(warehouse_path: Path, *, is_whole: bool = True) -> int:
    """Return the processors that a statement of a dbt run gets: its share while dbt works on several nodes, or all of
    them where the run computes everything and a table is large. Waits its turn to look into the warehouse then.
    """
    from ingestion.side_by_side import has_large_table
    from ingestion.warehouse import open_warehouse

    processors = count_processors()
    if is_whole and warehouse_path.exists():
        with open_warehouse(warehouse_path) as warehouse:
            if has_large_table(warehouse):
                return processors
    return max(1, processors // NODES_AT_A_TIME)
