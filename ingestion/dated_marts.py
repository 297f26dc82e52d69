"""Functions of a published file that give its marts for any past day: `FROM cycle_times_as_of(DATE '2024-06-30')`.

The text of the functions is made by orchestration, from the dbt models; here they are written into a file, with what
they read beside the published marts. That lies in schema `inputs`, which is no interface: tables there come and go.
"""

from dataclasses import dataclass

import duckdb

DAY = "as_of_day"
"""The name that the functions' text has for the day asked about."""
SCHEMA = "inputs"
# Whose cost a line is can be told from equal digests; the published file has no need of people's addresses.
_ADDRESSES = ("email", "agent_email")


@dataclass(frozen=True)
class DatedMarts:
    """`functions` has a query for each mart, `inputs` the relation of the warehouse from which each table is copied."""

    functions: dict[str, str]
    inputs: dict[str, str]


def write_dated_marts(connection: duckdb.DuckDBPyConnection, database: str, marts: DatedMarts) -> None:
    """Write functions and inputs into an attached database; the warehouse is the current one."""
    connection.execute(f"CREATE SCHEMA {database}.{SCHEMA}")
    for name, relation in sorted(marts.inputs.items()):
        columns = [column[0] for column in connection.execute(f"SELECT * FROM {relation} LIMIT 0").description or []]  # noqa: S608 (as dbt names it)
        hidden = ", ".join(f"sha256(lower({name})) AS {name}" for name in _ADDRESSES if name in columns)
        replaced = f" REPLACE ({hidden})" if hidden else ""
        connection.execute(
            f'CREATE TABLE {database}.{SCHEMA}."{name}" AS SELECT *{replaced} FROM {relation} ORDER BY ALL'  # noqa: S608 (as dbt names it)
        )
    # A function is checked when it is made, against what its own file holds.
    [(warehouse,)] = connection.execute("SELECT current_database()").fetchall()
    connection.execute(f"USE {database}")
    try:
        for mart, query in sorted(marts.functions.items()):
            connection.execute(f'CREATE MACRO main."{mart}_as_of"({DAY}) AS TABLE {query}')
    finally:
        connection.execute(f'USE "{warehouse}"')
