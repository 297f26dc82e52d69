"""Many rows into one table at once. On SQLite without a statement object per row: half of an import's time went there.

The types of the columns write their values here as everywhere (`Money` as cents, `UtcDateTime` as text); only the
machinery around them is left out. Other databases go the ordinary way.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, LargeBinary, Table, insert
from sqlalchemy.orm import DeclarativeBase

Row = Mapping[str, Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows that all name the same columns, two or more. Raises what the database raises, as SQLAlchemy does."""
    if connection.dialect.name != "sqlite" or not rows:
        if rows:
            connection.execute(insert(table), [dict(row) for row in rows])
        return
    statement, take, writers = _prepare(table, tuple(rows[0]), connection.dialect)
    if not writers:
        connection.exec_driver_sql(statement, [take(row) for row in rows])
        return
    written = []
    for row in rows:
        values = list(take(row))
        for place, write in writers:
            values[place] = write(values[place])
        written.append(tuple(values))
    connection.exec_driver_sql(statement, written)


def table_of(model: type[DeclarativeBase]) -> Table:
    """Return the table of a model."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - for the type checker: our models are mapped to tables alone
    return table


@lru_cache(maxsize=256)
def _prepare(
    table: Table, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Row], tuple[Any, ...]], list[tuple[int, Any]]]:
    """Return the statement, what takes a row's values in order, and the columns whose type writes them otherwise."""
    columns = [table.columns[name] for name in names]
    quote = dialect.identifier_preparer.quote
    listed = ", ".join(quote(column.name) for column in columns)
    marks = ", ".join("?" * len(columns))
    writers = []
    for place, column in enumerate(columns):
        write = column.type.dialect_impl(dialect).bind_processor(dialect)
        if write is not None and not isinstance(column.type, LargeBinary):  # bytes go in as they are
            writers.append((place, write))
    statement = f"INSERT INTO {quote(table.name)} ({listed}) VALUES ({marks})"  # noqa: S608 (our own tables and columns)
    take: Callable[[Row], tuple[Any, ...]] = itemgetter(*names)
    return statement, take, writers
