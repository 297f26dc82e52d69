"""Opens the private warehouse file for one writer at a time, and makes the raw schema in it.

DuckDB lets one process hold a file for writing, and then no other may even read it. So whoever touches the warehouse
comes through `open_warehouse`, which waits its turn. Readers of results read the published files instead.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from ingestion.errors import WarehouseBusy

WAIT_SECONDS = 60.0
MEMORY_LIMIT = "2GB"  # as in dbt's profile: what does not fit goes to disk beside the file
POLL_SECONDS = 0.1

# What ingestion knows about its own work: how far it read, what each landing brought, which reference files it took.
_BOOKS = (
    "CREATE TABLE IF NOT EXISTS raw.watermark (log_size BIGINT NOT NULL, last_hash VARCHAR, updated_at TIMESTAMPTZ)",
    "INSERT INTO raw.watermark SELECT 0, NULL, NULL WHERE NOT EXISTS (FROM raw.watermark)",
    """CREATE TABLE IF NOT EXISTS raw.landings (
        from_n BIGINT NOT NULL, to_n BIGINT NOT NULL, entries BIGINT NOT NULL, not_warehoused BIGINT NOT NULL,
        rows_by_table JSON NOT NULL, landed_at TIMESTAMPTZ NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS raw.reference_files (
        file_sha256 VARCHAR NOT NULL, file_name VARCHAR NOT NULL, kind VARCHAR NOT NULL, row_count BIGINT NOT NULL,
        accepted BIGINT NOT NULL, repeated BIGINT NOT NULL, rejected BIGINT NOT NULL,
        loaded_at TIMESTAMPTZ NOT NULL)""",
)


def warehouse_lock(path: Path, wait_seconds: float = WAIT_SECONDS) -> FileLock:
    """Return the lock that guards the warehouse; the same thread may take it again while it holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(path.name + ".lock"), timeout=wait_seconds, is_singleton=False)


@contextmanager
def open_warehouse(path: Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for this thread alone, with its raw schema in place, UTC as its time zone, and its
    memory limited.

    Nothing is written to a warehouse that already has its schema unless the caller does. Raises WarehouseBusy when
    another process keeps the file for longer than `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    try:
        with warehouse_lock(path, wait_seconds):
            connection = _connect(path, deadline)
            try:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
                # On by default where Python was started without a file, as by a pool of processes: not for a log.
                connection.execute("SET enable_progress_bar = false")
                _create_raw(connection)
                yield connection
            finally:
                connection.close()
    except Timeout as fault:
        raise WarehouseBusy(_busy(path)) from fault


def _connect(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    """Connect without options, as dbt does: within one process DuckDB only shares a file among equal connections."""
    while True:
        try:
            return duckdb.connect(path)
        except duckdb.IOException as fault:
            if "lock" not in str(fault):
                raise
            if time.monotonic() > deadline:
                raise WarehouseBusy(_busy(path)) from fault
            time.sleep(POLL_SECONDS)


def _busy(path: Path) -> str:
    return (
        f"Another process is writing {path}. Wait until its refresh is done, or close the program that has the file "
        "open (analysts' tools should open the file in published/ instead), then try again."
    )


def _create_raw(connection: duckdb.DuckDBPyConnection) -> None:
    # The oldest table and the youngest two: a warehouse of an earlier version gets what has been added since.
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() "
        "WHERE schema_name = 'raw' AND table_name IN ('deal_events', 'roi_metrics', 'deal_commissions')"
    ).fetchall()
    if found[0][0] == 3:
        return
    from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES, create_table  # imports polars; only when needed

    connection.execute("BEGIN")
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name, model in {**LOG_TABLES, **REFERENCE_TABLES}.items():
        connection.execute(create_table(name, model))
    for statement in _BOOKS:
        connection.execute(statement)
    connection.execute("COMMIT")
