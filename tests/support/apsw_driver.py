"""apsw in the form that SQLAlchemy's SQLite dialect asks for, so that the real ledger runs on a virtual file system.

Only what the dialect uses. Transactions are begun and ended by SQL, as with `isolation_level = None` of `sqlite3`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import apsw


class Driver(ModuleType):
    """Stands where SQLAlchemy expects the module `sqlite3`: its names and errors, apsw's library."""

    sqlite_version = apsw.sqlite_lib_version()
    sqlite_version_info = tuple(int(part) for part in sqlite_version.split("."))

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as error:
        raise sqlite3.IntegrityError(str(error)) from error
    except apsw.Error as error:
        raise sqlite3.OperationalError(str(error)) from error


class Connection:
    """One connection to a file on the virtual file system `vfs`."""

    isolation_level: Any = None
    row_factory: Any = None

    def __init__(self, path: str, vfs: str) -> None:
        self._connection = apsw.Connection(path, vfs=vfs)

    def cursor(self) -> "Cursor":
        return Cursor(self._connection)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Cursor":
        return self.cursor().execute(sql, parameters)

    def create_function(self, name: str, arguments: int, function: Callable[..., Any], **_: Any) -> None:
        self._connection.create_scalar_function(name, function, arguments)

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        with _named_errors():
            self._connection.close()


class Cursor:
    """A cursor whose rows are there as soon as `execute` returns."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._rows: Iterator[Any] = iter(())
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "Cursor":
        return self._run(sql, [parameters])

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> "Cursor":
        return self._run(sql, rows)

    def _run(self, sql: str, rows: Iterable[Sequence[Any]]) -> "Cursor":
        cursor = self._connection.cursor()
        self.description = None
        cursor.exec_trace = self._describe
        before = self._connection.total_changes()
        found: list[Any] = []
        with _named_errors():
            for row in rows:
                found += cursor.execute(sql, tuple(row)).fetchall()
        self._rows = iter(found)
        self.rowcount = -1 if self.description else self._connection.total_changes() - before
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def _describe(self, cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
        columns = cursor.get_description()
        self.description = [(name, None, None, None, None, None, None) for name, *_ in columns] or None
        return True

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())
