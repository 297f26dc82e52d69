"""The table `jobs_registry` of a published file: a row per run that had ended before the file was made.

It stands beside the marts and not among them: it tells of the clock and the machine, so it has no digest and no part in
comparing publications. Its source is the file with a line of JSON per run.
"""

from pathlib import Path

import duckdb

# Of a line, what is kept, and its type. Older lines lack what came later: null.
_FIELDS = {
    "event": "VARCHAR",
    "run_id": "VARCHAR",
    "job": "VARCHAR",
    "started_by": "VARCHAR",
    "timestamp": "TIMESTAMPTZ",
    "duration_seconds": "DOUBLE",
    "entries_landed": "BIGINT",
    "deals_processed": "BIGINT",
    "rows_published": "BIGINT",
    "outcome": "VARCHAR",
    "log_size": "BIGINT",
    "as_of_date": "DATE",
    "publication": "VARCHAR",
    "failed_checks": "VARCHAR[]",
}


def write_jobs_registry(connection: duckdb.DuckDBPyConnection, schema: str, run_records: Path | None) -> None:
    """Create the table in a schema, in the order in which runs ended; empty where there are no records yet.

    A line that cannot be read, as one cut short by a full disk, is left out.
    """
    columns = ", ".join(f"{name}: '{data_type}'" for name, data_type in _FIELDS.items())
    if run_records is not None and run_records.exists():
        path = str(run_records).replace("'", "''")
        lines = f"read_json('{path}', format = 'newline_delimited', ignore_errors = true, columns = {{{columns}}})"
    else:
        nothing = ", ".join(f"NULL::{data_type} AS {name}" for name, data_type in _FIELDS.items())
        lines = f"(SELECT {nothing} LIMIT 0)"
    connection.execute(
        f"""CREATE OR REPLACE TABLE {schema}.jobs_registry AS
            SELECT
                run_id,
                job,
                started_by,
                timestamp - to_microseconds(round(duration_seconds * 1000000)::BIGINT) AS started_at,
                timestamp AS ended_at,
                duration_seconds,
                entries_landed AS entries_read,
                deals_processed,
                rows_published AS rows_out,
                outcome,
                log_size,
                as_of_date,
                nullif(publication, '') AS publication,
                failed_checks
            FROM {lines}
            WHERE event = 'refresh.run_ended'
            ORDER BY ended_at, run_id"""  # noqa: S608 (our own names, a quoted path)
    )
    connection.execute(
        f"COMMENT ON TABLE {schema}.jobs_registry IS 'One row per run that had ended before this file was made'"
    )
