"""The ledger's store: where it lives, how a transaction on it begins and ends.

Reads are snapshots that cannot write. What a write transaction checks is still true when it commits; how, depends on
the database (`ledger.databases`). Protected tables are written by `ledger.fold` alone: a session refuses any other
statement that would change them.
"""

import fcntl
import logging
import os
import secrets
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from ledger.actors import SYSTEM
from ledger.closing import name_closing, refuse_if_closed
from ledger.columns import Confidence, JsonText, Money, Rate, UtcDateTime, word
from ledger.databases import (
    Turns,
    count_writers,
    is_sqlite,
    make_engines,
    name_contention,
    show_address,
    sqlite_path,
    use_wal,
)
from ledger.errors import KeysExposed, LedgerNotInitialised, LedgerOutOfDate, LogForked, UnloggedChange
from ledger.identifiers import new_id
from ledger.log.chain import append_entries
from ledger.log.checkpoint import make_checkpoint
from ledger.log.entry import Draft
from ledger.log.keys import (
    PublicKey,
    is_key_introduced,
    list_private_keys,
    load_key,
    make_key,
    publish_key,
    read_introduced_keys,
)
from ledger.log.sequencing import number_entries
from ledger.migrations import HEAD
from ledger.settings import Settings, get_settings
from ledger.store_failures import name_failure
from ledger.tables import PROTECTED_TABLES

__all__ = ["Confidence", "JsonText", "Ledger", "Money", "Rate", "UtcDateTime", "initialise", "word"]

log = logging.getLogger(__name__)


class Ledger:
    """A handle on the ledger, to be kept for the life of the process and shared by its threads."""

    def __init__(self, address: str, settings: Settings) -> None:
        self._attach(*make_engines(address), settings)
        for engine in (self.engine, self.writer):
            weakref.finalize(self, engine.dispose)  # whoever forgets it leaves no connection behind

    def _attach(self, engine: Engine, writer: Engine, settings: Settings) -> None:
        self.engine, self.writer, self.settings = engine, writer, settings
        self.concurrent_writers = count_writers(engine)
        self._turns = Turns(engine.dialect)

    @classmethod
    def open(cls, url: str | None = None, settings: Settings | None = None) -> "Ledger":
        """Open an existing ledger, at the settings' address unless `url` names another.

        Raises `LedgerNotInitialised` or `LedgerOutOfDate`; both say what to do.
        """
        settings = settings or get_settings()
        address = url or settings.ledger_address
        path = sqlite_path(address)
        if path is not None and not path.exists():
            raise LedgerNotInitialised(f"There is no ledger at {path}. Make one with `dealbook init`.")
        ledger = cls(address, settings)
        found = schema_version(ledger)
        if found is None:
            raise LedgerNotInitialised(f"{show_address(address)} holds no ledger. Make one with `dealbook init`.")
        if found != HEAD:
            raise LedgerOutOfDate(f"The ledger's schema is {found}, this version needs {HEAD}. Run `dealbook init`.")
        return ledger

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A snapshot: everything read inside is of one moment, and writing raises."""
        with self.engine.connect() as connection, connection.begin():
            info = {"settings": self.settings, "connection": connection}
            with Session(connection, expire_on_commit=False, info=info) as session:
                yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A write transaction; it commits at the end and rolls back when an error leaves it.

        Raises `WriteContended` when it met another that it could not wait for, `LedgerMoved` when the ledger was moved.
        """
        with self.begin_writing() as connection, self.session_on(connection) as session:
            yield session
        if "last_placed" in session.info:
            self.settle(session.info["last_placed"])

    @contextmanager
    def begin_writing(self) -> Iterator[Connection]:
        """The connection of a write transaction, to be worked on through `session_on`.

        On SQLite it holds the lock from the first moment, before anything is read; threads of one process take turns
        for it here, because SQLite's own waiting sleeps longer and longer and lets latecomers pass.
        """
        with named_facts(), self._turns.take(), self.writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def session_on(self, connection: Connection) -> Iterator[Session]:
        """A session that works within the transaction of `begin_writing`; whoever began that commits it."""
        with named_facts(), self.new_writing(connection) as session:
            yield session
            finish_writing(session)

    def new_writing(self, connection: Connection) -> Session:
        """Return a session for the transaction of `begin_writing`; whoever asks finishes (`finish_writing`), closes."""
        info = {"settings": self.settings, "is_writing": True, "connection": connection}
        return _WritingSession(connection, expire_on_commit=False, info=info)

    def settle(self, last: tuple[str, int] | None = None) -> None:
        """Give a leaf index to what is committed and has none: all of it, or up to a writer's `last` entry.

        Committed is committed: what cannot be numbered now is numbered with the next write, and nothing is raised.
        """
        try:
            number_entries(self.writer, last)
        except DBAPIError as error:
            log.warning("New entries wait for their leaf index: %s", error.orig)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        self.writer.dispose()


def finish_writing(session: Session) -> None:
    """Send what is unsent, and ask once more what has to hold until the commit: whether the callers are still good."""
    session.flush()
    confirm = session.info.get("confirm")
    if confirm is not None:
        confirm(session)


def settings_of(session: Session) -> Settings:
    """Return the settings under which the session's ledger was opened."""
    found = session.info.get("settings")
    return found if isinstance(found, Settings) else get_settings()


def initialise(settings: Settings) -> Ledger:
    """Make what is missing of the ledger (folders, secrets, tables, first entry). Safe to repeat, quick when done."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    address = settings.ledger_address
    path = sqlite_path(address)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(address, settings)
    is_known = (settings.keys_dir / "pepper").exists() and is_key_introduced(settings.keys_dir)
    if is_known and schema_version(ledger) == HEAD:
        read_pepper(settings.keys_dir)
        with ledger.read() as session:
            refuse_if_closed(session)
        return ledger
    with (settings.keys_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes may start at once; the second finds all done
        _make_pepper(settings.keys_dir)
        if path is not None:
            use_wal(ledger.writer)
        if schema_version(ledger) != HEAD:
            from ledger.migrations.upgrade import upgrade_to_head

            with ledger.writer.begin() as connection:
                upgrade_to_head(connection)
        with ledger.write() as session:
            origin = session.execute(text("SELECT origin FROM log_identity")).scalar()
            is_new = origin is None
            if origin is None:
                origin = f"dealbook/{new_id()}"
                session.execute(text("INSERT INTO log_identity (origin) VALUES (:origin)"), {"origin": origin})
            key = _introduce_key(session, settings.keys_dir, origin, is_new=is_new)
        publish_key(settings.keys_dir, key)
        make_checkpoint(ledger)  # from here on a log without a checkpoint has lost it
    return ledger


def _introduce_key(session: Session, keys_dir: Path, origin: str, *, is_new: bool) -> PublicKey:
    """Make the signing key unless there is one, and see to it that the log names it; return its public half."""
    known = read_introduced_keys(session)
    if known and not list_private_keys(keys_dir):
        raise LedgerNotInitialised(
            f"The log is signed with {known[-1]}, whose private key is not in {keys_dir}. Restore it from its backup."
        )
    key = (load_key(keys_dir, origin) if list_private_keys(keys_dir) else make_key(keys_dir, origin)).public_key
    if is_new:
        append_entries(
            session, SYSTEM, [Draft("sys", "log.opened", "log", origin, {"origin": origin, "key": key.vkey})]
        )
    elif key.vkey not in known:
        append_entries(session, SYSTEM, [Draft("sys", "key.introduced", "log", origin, {"key": key.vkey})])
    return key


def read_pepper(keys_dir: Path) -> bytes:
    """Return the key under which secrets are digested; raise `KeysExposed` when others may read its file."""
    path = keys_dir / "pepper"
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise LedgerNotInitialised(f"{path} is missing. Restore it, or make a ledger with `dealbook init`.") from None
    mode = facts.st_mode & 0o777
    if mode & 0o077:
        raise KeysExposed(f"{path} can be read by others (mode {mode:04o}). Run `chmod 600 {path}`.")
    return _read_unless_changed(path, facts.st_mtime_ns, facts.st_ino)


@lru_cache(maxsize=64)
def _read_unless_changed(path: Path, _changed_ns: int, _inode: int) -> bytes:
    return path.read_bytes()


def _make_pepper(keys_dir: Path) -> None:
    path = keys_dir / "pepper"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))


def schema_version(ledger: Ledger) -> str | None:
    """Return the step of the schema that a database is at; None where there is no ledger."""
    with ledger.read() as session:
        try:
            found = session.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DatabaseError as error:
            failure = None if is_sqlite(ledger.engine.dialect) else name_failure(error)
            if failure is not None:
                raise failure from error
            return None
        return None if found is None else str(found)


@contextmanager
def named_facts() -> Iterator[None]:
    """Raise what stopped a writer as the fact that it is: another writer, or a ledger that was moved away."""
    try:
        yield
    except LogForked as error:
        raise name_closing(error.__cause__) or error from error.__cause__
    except DBAPIError as error:
        fact = name_contention(error) or name_closing(error)
        if fact is None:
            raise
        raise fact from error


class _WritingSession(Session):
    """A session that changes protected tables through the log alone."""


def _refuse_unlogged_rows(session: Session, _context: UOWTransaction, _instances: Any) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        name = getattr(row, "__tablename__", "")
        if name in PROTECTED_TABLES and (row not in session.dirty or session.is_modified(row)):
            raise UnloggedChange(f"{name} is a fold of the log: change it through the functions of `ledger`.")


def _refuse_unlogged_statement(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        name = getattr(getattr(state.statement, "table", None), "name", "")
        if name in PROTECTED_TABLES:
            raise UnloggedChange(f"{name} is a fold of the log: change it through the functions of `ledger`.")


event.listen(_WritingSession, "before_flush", _refuse_unlogged_rows)
event.listen(_WritingSession, "do_orm_execute", _refuse_unlogged_statement)
