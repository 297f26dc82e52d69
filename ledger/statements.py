"""Statements of the paths that every change takes: compiled once for each database, sent straight to its driver.

SQLAlchemy says what the SQL is and how the types of columns write and read their values (`Money` as cents,
`UtcDateTime` as text). Only its machinery around each execution is left out: it took seven times as long as SQLite
takes to find a row. Errors are SQLAlchemy's own, as everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from operator import itemgetter, methodcaller
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Enum, Executable, LargeBinary, Select, Table, bindparam, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session

from ledger.columns import UtcDateTime

Row = Mapping[str, Any]
Values = tuple[Any, ...]
AnyModel = TypeVar("AnyModel", bound=DeclarativeBase)
_Processor = Callable[[Any], Any]


@dataclass(slots=True)
class _Prepared:
    """A statement for one database: its text, what makes its parameters of values, what reads its rows."""

    sql: str
    names: tuple[str, ...]
    is_positional: bool
    fixed: dict[str, Any]
    writers: tuple[tuple[str, _Processor], ...]
    types: tuple[Any, ...]  # of the columns that it returns
    readers: tuple[tuple[int, _Processor], ...] | None = None

    def parameters(self, values: Row) -> Any:
        given = {**self.fixed, **values}
        for name, write in self.writers:
            given[name] = write(given[name])
        return tuple([given[name] for name in self.names]) if self.is_positional else given

    def all_parameters(self, rows: Sequence[Row]) -> list[Any]:
        """Return the parameters of many rows; those that need no writing are taken as they are, all at once."""
        if self.fixed or not self.is_positional:
            return [self.parameters(row) for row in rows]
        take = itemgetter(*self.names)
        writers = [(self.names.index(name), write) for name, write in self.writers]
        if not writers or len(self.names) == 1:
            return [take(row) for row in rows] if len(self.names) > 1 else [self.parameters(row) for row in rows]
        written = []
        for row in rows:
            values = list(take(row))
            for place, write in writers:
                values[place] = write(values[place])
            written.append(values)
        return written

    def reading(self, cursor: Any, dialect: Dialect) -> Callable[[Sequence[Any]], Values]:
        """Return what reads the cursor's rows; the driver's own types of the columns are seen with the first."""
        if self.readers is None:
            found = [
                (place, kind.dialect_impl(dialect).result_processor(dialect, described[1]))
                for place, (kind, described) in enumerate(zip(self.types, cursor.description, strict=True))
            ]
            self.readers = tuple((place, read) for place, read in found if read is not None)
        return self._read if self.readers else tuple

    def _read(self, row: Sequence[Any]) -> Values:
        values = list(row)
        for place, read in self.readers or ():
            values[place] = read(values[place])
        return tuple(values)


class Statement:
    """A statement whose values are `bindparam`s. It may not hold an `IN` of a list, whose length is no constant."""

    def __init__(self, executable: Executable) -> None:
        self._executable = executable
        self._prepared: dict[str, _Prepared] = {}

    def all(self, session: Session, **values: Any) -> list[Values]:
        """Return all rows."""
        connection = connection_of(session)
        prepared = self.prepare_for(connection.dialect)
        cursor, rows = _send(connection, prepared.sql, prepared.parameters(values), _fetch_all)
        read = prepared.reading(cursor, connection.dialect)
        return rows if read is tuple and rows and type(rows[0]) is tuple else [read(row) for row in rows]

    def first(self, session: Session, **values: Any) -> Values | None:
        """Return the first row, None where there is none."""
        connection = connection_of(session)
        prepared = self.prepare_for(connection.dialect)
        cursor, row = _send(connection, prepared.sql, prepared.parameters(values), _fetch_one)
        return None if row is None else prepared.reading(cursor, connection.dialect)(row)

    def run(self, session: Session, rows: Sequence[Row]) -> int:
        """Run it once for each of `rows`, which name the same values; return how many rows of the table it touched."""
        connection = connection_of(session)
        prepared = self.prepare_for(connection.dialect)
        if len(rows) == 1:
            cursor, _ = _send(connection, prepared.sql, prepared.parameters(rows[0]))
        else:
            cursor, _ = _send(connection, prepared.sql, prepared.all_parameters(rows), is_many=True)
        touched: int = cursor.rowcount
        return touched

    def prepare_for(self, dialect: Dialect) -> _Prepared:
        """Return it compiled for a database."""
        found = self._prepared.get(dialect.name)
        if found is None:
            found = self._prepared[dialect.name] = _prepare(self._executable, dialect)
        return found


def connection_of(session: Session) -> Connection:
    """Return the connection of a session's transaction: the one that `Ledger` gave it, or what it has made itself."""
    known: Connection | None = session.info.get("connection")
    return session.connection() if known is None else known


_fetch_all, _fetch_one = methodcaller("fetchall"), methodcaller("fetchone")


def _send(
    connection: Connection,
    sql: str,
    parameters: Any,
    fetch: Callable[[Any], Any] = lambda _: None,
    *,
    is_many: bool = False,
) -> tuple[Any, Any]:
    """Send a statement; return the driver's cursor and what was fetched from it. Errors leave as SQLAlchemy's own."""
    driver: Any = connection.connection.dbapi_connection
    cursor = driver.cursor()
    try:
        if is_many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
        return cursor, fetch(cursor)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_everywhere(error, connection, sql, cursor) from error


def _as_everywhere(error: Any, connection: Connection, sql: str, cursor: Any) -> Any:
    """Return SQLAlchemy's own error for the driver's."""
    errors, dialect = connection.dialect.loaded_dbapi.Error, connection.dialect
    is_gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
    return DBAPIError.instance(
        sql, None, error, errors, hide_parameters=True, connection_invalidated=is_gone, dialect=dialect
    )


def _prepare(executable: Executable, dialect: Dialect) -> _Prepared:
    compiled: Any = executable.compile(dialect=dialect)  # type: ignore[attr-defined]
    names = tuple(compiled.positiontup or compiled.binds)
    writers = []
    for name, bound in compiled.binds.items():
        write = bound.type.dialect_impl(dialect).bind_processor(dialect)
        if write is not None and not isinstance(bound.type, LargeBinary):  # bytes go in as they are
            writers.append((name, write))
    types = tuple(column.type for column in executable.selected_columns) if isinstance(executable, Select) else ()
    fixed = {name: bound.value for name, bound in compiled.binds.items() if not bound.required}
    return _Prepared(str(compiled), names, bool(compiled.positional), fixed, tuple(writers), types)


_COPIED_FROM = 100
"""From how many rows on PostgreSQL is sent a COPY: half the time of an executemany (measured)."""


def insert_rows(session: Session, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows that all name the same columns. Raises what the database raises, as SQLAlchemy does."""
    if not rows:
        return
    connection, statement = connection_of(session), _insertion(table, tuple(rows[0]))
    if len(rows) >= _COPIED_FROM and connection.dialect.name == "postgresql":
        _copy_rows(connection, table, statement.prepare_for(connection.dialect), rows)
    else:
        statement.run(session, rows)


def _copy_rows(connection: Connection, table: Table, prepared: _Prepared, rows: Sequence[Row]) -> None:
    names, quote = tuple(rows[0]), connection.dialect.identifier_preparer.quote
    sql = f"COPY {quote(table.name)} ({', '.join(quote(name) for name in names)}) FROM STDIN"
    driver: Any = connection.connection.dbapi_connection
    cursor = driver.cursor()
    try:
        with cursor.copy(sql) as copy:
            for row in rows:
                values = prepared.parameters(row)
                copy.write_row([values[name] for name in names])
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_everywhere(error, connection, sql, cursor) from error


@lru_cache(maxsize=256)
def _insertion(table: Table, names: tuple[str, ...]) -> Statement:
    return Statement(insert(table).values({name: bindparam(name, type_=table.columns[name].type) for name in names}))


def table_of(model: type[DeclarativeBase]) -> Table:
    """Return the table of a model."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 - for the type checker: our models are mapped to tables alone
    return table


class RowByKey(Generic[AnyModel]):
    """Reads one row by its key, as an object that no session watches: it stays what was read, whatever follows.

    A transaction reads a row once: in a snapshot it cannot change, and where one writes it is held. Whoever changes
    rows says how (`change_row`).
    """

    def __init__(self, model: type[AnyModel]) -> None:
        self._model = model
        attributes = list(model.__mapper__.column_attrs)
        self._names = [attribute.key for attribute in attributes]
        (key,) = table_of(model).primary_key
        query = select(*(attribute.columns[0] for attribute in attributes)).where(key == bindparam("key"))
        self._plain, self._held = Statement(query), Statement(query.with_for_update())

    def get(self, session: Session, key: str) -> AnyModel | None:
        """Return the row; a write transaction keeps others from writing it until it ends. None where there is none."""
        rows: dict[tuple[str, str], Any] = session.info.setdefault("rows", {})
        known: AnyModel | None = rows.get((self._model.__tablename__, key))
        if known is not None:
            return known
        statement = self._held if session.info.get("is_writing") else self._plain
        row = statement.first(session, key=key)
        if row is None:
            return None
        found: AnyModel = self._model.__mapper__.class_manager.new_instance()
        found.__dict__.update(zip(self._names, row, strict=True))
        rows[self._model.__tablename__, key] = found
        return found

    def get_one(self, session: Session, key: str) -> AnyModel:
        """Return the row, which is there."""
        found = self.get(session, key)
        if found is None:
            raise LookupError(f"No {self._model.__name__} {key}.")
        return found


def change_row(session: Session, table: Table, key: str, values: Row) -> None:
    """Have a row that this transaction has read and now changed be found as it is: as a reading would bring it."""
    rows: dict[tuple[str, str], Any] = session.info.get("rows", {})
    was = rows.get((table.name, key))
    if was is None:
        return
    model: type[DeclarativeBase] = type(was)
    readers = _readers_of(model)
    now: Any = model.__mapper__.class_manager.new_instance()
    now.__dict__.update(vars(was))
    for column, value in values.items():
        attribute, read = readers[column]
        now.__dict__[attribute] = value if read is None or value is None else read(value)
    rows[table.name, key] = now


@lru_cache(maxsize=64)
def _readers_of(model: type[DeclarativeBase]) -> dict[str, tuple[str, _Processor | None]]:
    """Column -> its attribute, and what makes a given value the one that is read: words become members, times UTC."""
    readers: dict[str, tuple[str, _Processor | None]] = {}
    for attribute in model.__mapper__.column_attrs:
        column = attribute.columns[0]
        read: _Processor | None = column.type.enum_class if isinstance(column.type, Enum) else None
        if isinstance(column.type, UtcDateTime):
            read = methodcaller("astimezone", UTC)
        readers[column.name] = (attribute.key, read)
    return readers
