"""The databases that can hold the ledger, and all in which they differ but the leaf index (`ledger.log.sequencing`).

SQLite has one write transaction at a time: it takes the lock with its first statement (`BEGIN IMMEDIATE`), so what it
checks is still true when it commits. PostgreSQL lets many write at once (READ COMMITTED): a writer holds the rows and
names that its rules rest on, and waits for whoever holds them. The order is always the same, so that nobody waits in
a circle: a name (`hold`), then deals by id (`hold_row`), then the heads of chains.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ledger.errors import LedgerNotAnswering, WriteContended

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another."""

_WRITERS = 4
_CONTENDED = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "23505",  # unique_violation: every rule looks first, so another has just written the same
}
AnyModel = TypeVar("AnyModel")


def is_sqlite(dialect: Dialect) -> bool:
    """Whether there is one writer at a time."""
    return dialect.name == "sqlite"


def parse_address(address: str) -> URL:
    """Return a ledger's address, with psycopg 3 as the driver of every PostgreSQL address."""
    url = make_url(address)
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgres", "postgresql") else url


def show_address(address: str) -> str:
    """Return an address as people write it and may see it: without the driver, and without its password."""
    url = parse_address(address)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def sqlite_path(address: str) -> Path | None:
    """Return the file that an address names; None for a server's."""
    url = parse_address(address)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def make_engines(address: str) -> tuple[Engine, Engine]:
    """Return engines for reading and for writing; on a server they share their connections.

    On SQLite a connection is for one or the other for good: saying so anew makes it forget its prepared statements.
    """
    url = parse_address(address)
    if url.get_backend_name() == "sqlite":
        readers = create_engine(url, pool_size=20, max_overflow=20, pool_use_lifo=True)  # its cache is still warm
        event.listen(readers, "connect", _set_pragmas)
        event.listen(readers, "connect", _refuse_writing)
        event.listen(readers, "begin", _begin)
        writer = create_engine(url, pool_size=1, max_overflow=20, pool_use_lifo=True)
        event.listen(writer, "connect", _set_pragmas)
        event.listen(writer, "begin", _begin)
        return readers, writer.execution_options(dealbook_write=True)
    engine = create_engine(
        url,
        pool_size=20,
        max_overflow=20,
        pool_pre_ping=True,  # the server may have been restarted
        connect_args={"options": f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_MS}"},
    )
    reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return reader, engine.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False)


def count_writers(engine: Engine) -> int:
    """Return how many write transactions make sense at once in a process."""
    return 1 if is_sqlite(engine.dialect) else _WRITERS


class Turns:
    """Lets one thread of this process write at a time where the database does; on the others all go on at once."""

    def __init__(self, dialect: Dialect) -> None:
        self._lock = threading.Lock() if is_sqlite(dialect) else None

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn and have it until the end; raises `LedgerNotAnswering` after `BUSY_TIMEOUT_MS`."""
        if self._lock is None:
            yield
            return
        if not self._lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise LedgerNotAnswering("Another write has held the ledger for too long; nothing was changed. Try again.")
        try:
            yield
        finally:
            self._lock.release()


def hold(session: Session, name: str) -> None:
    """Wait until no other write transaction holds `name`, and hold it until this one ends."""
    connection = session.connection()
    if not is_sqlite(connection.dialect):
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def hold_row(session: Session, model: type[AnyModel], key: str) -> AnyModel | None:
    """Return the row as it is now; a write transaction keeps others from writing it until it ends."""
    if not session.info.get("is_writing") or is_sqlite(session.connection().dialect):
        return session.get(model, key)
    return session.get(model, key, with_for_update=True, populate_existing=True)


def is_undone(driver: Any) -> bool:
    """Whether the driver's connection has lost its transaction, as SQLite does when the disk is full or fails."""
    in_transaction = getattr(driver, "in_transaction", None)
    return not in_transaction if in_transaction is not None else driver.info.transaction_status.name == "IDLE"


def defer_foreign_keys(connection: Connection) -> None:
    """Let rows of this transaction point at what is not there until it commits."""
    is_lite = is_sqlite(connection.dialect)
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON" if is_lite else "SET CONSTRAINTS ALL DEFERRED")


def name_contention(error: DBAPIError) -> WriteContended | None:
    """Return the fact that another writer stood in the way, None when the error is anything else."""
    if getattr(error.orig, "sqlstate", None) in _CONTENDED:
        return WriteContended("Someone else wrote here at the same moment; nothing was changed. Send it again.")
    return None


def use_wal(engine: Engine) -> None:
    """Make readers and the writer of a SQLite file independent of each other, for good."""
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -32768")  # KiB; bulk imports touch many pages of the indexes


def _refuse_writing(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("dealbook_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")
