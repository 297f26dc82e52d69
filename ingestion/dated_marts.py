"""Functions of a published file that give its marts for any past day: `FROM cycle_times_as_of(DATE '2024-06-30')`.

The text of the functions is made by orchestration, from the dbt models; here they are written into a file, with what
they read beside the published marts. That lies in schema `inputs`, which is no interface: tables there come and go.
"""

from dataclasses import dataclass

import duckdb

from ingestion.mart_digests import columns_of
from ingestion.marts_copied import CopiedTable, in_file
from ingestion.side_by_side import side_by_side

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


def input_tables(warehouse: duckdb.DuckDBPyConnection, marts: DatedMarts) -> list[CopiedTable]:
    """Return what the functions read beside the marts, to be copied."""
    tables = []
    for name, relation in sorted(marts.inputs.items()):
        columns = [name for name, _ in columns_of(warehouse, relation)]
        hidden = ", ".join(f"sha256(lower({name})) AS {name}" for name in _ADDRESSES if name in columns)
        source = f"(SELECT * REPLACE ({hidden}) FROM {relation})" if hidden else relation  # noqa: S608 (as dbt names it)
        tables.append(CopiedTable.of(warehouse, SCHEMA, name, source))
    return tables


def write_functions(warehouse: duckdb.DuckDBPyConnection, marts: DatedMarts) -> None:
    """Write the functions into the file being made, in place of those it may have; their inputs must be there.

    A function is checked when it is made, against what its own file holds.
    """

    def write(cursor: duckdb.DuckDBPyConnection, function: tuple[str, str]) -> None:
        mart, query = function
        with in_file(cursor):
            cursor.execute(f'CREATE OR REPLACE MACRO main."{mart}_as_of"({DAY}) AS TABLE {query}')

    side_by_side(warehouse, write, sorted(marts.functions.items()))
