"""Moving a ledger to another database, in either direction: the log entry by entry, the tables by its fold.

    held        nobody else writes to the source; it is verified, tables included, against all that was signed
    copied      entries as they are (leaf index, seq, hash, exact bytes), heads, texts with their salts, checkpoints
                and what is not in the log: tokens (their digests), imports, answers to repeated requests
    folded      the protected tables, from the log that arrived
    verified    the target, tables included; then both, root by root and row by row
    committed   the target, in one transaction; then the source, which is closed to writing by that (`ledger.closing`)

Keys, what the signer remembers and the folder of checkpoints lie outside the database and stay as they are.
An interruption leaves the target as empty as it was. One between the two commits leaves a whole target and an open
source: moving again finds both equal and closes the source.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Row, Table, func, inspect, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session

from ledger.closing import close_ledger, refuse_if_closed
from ledger.databases import is_sqlite, parse_address, show_address, sqlite_path, use_wal
from ledger.errors import LedgerNotAnswering, MoveRefused, WriteContended
from ledger.fold import TABLE_OF, table_of
from ledger.log.audit import AuditReport, audit_log
from ledger.log.audit_report import describe_finding
from ledger.log.checkpoint import make_checkpoint, read_origin, read_size
from ledger.log.sequencing import number_held_entries
from ledger.migrations import HEAD
from ledger.rebuild import rebuild_tables
from ledger.settings import Settings
from ledger.statements import insert_rows
from ledger.store import Ledger, schema_version
from ledger.tables import AuditLog, AuditPending, Base, LogIdentity, LoginLink, WorkspaceSession

FOLDED = frozenset(TABLE_OF.values())
"""Tables that are made from the log."""

LEFT = frozenset({LoginLink.__tablename__, WorkspaceSession.__tablename__, AuditPending.__tablename__})
"""Tables that stay behind: people sign in anew, and nothing waits for its leaf index when a ledger moves."""

_BATCH = 10_000
_LOCK = 0x6D6F_7665  # "move"
_MEND = (
    "`dealbook audit verify --state` says all that is wrong; where signed entries are lost for good, `dealbook audit "
    "recover` writes that into the log, and where only tables differ from it, `dealbook audit fold` puts them right."
)
_BUSY = "The ledger is being written, so it cannot be moved. Stop the service, then move again."

Progress = Callable[[str, int, int], None]


class MovedLedger(msgspec.Struct, frozen=True):
    """One side of a move: where it is, its log, and the number of rows of every table that both sides have."""

    address: str
    origin: str
    size: int
    root: str
    rows: dict[str, int]


def copied_tables() -> list[Table]:
    """Return the tables that are copied row by row, in the order in which rows may be inserted."""
    return [table for table in Base.metadata.sorted_tables if table.name not in FOLDED | LEFT]


def move_ledger(
    settings: Settings, to: str, on_progress: Progress = lambda *_: None
) -> tuple[MovedLedger, MovedLedger]:
    """Move the ledger of `settings` to the address `to`; return the source, closed to writing now, and the target.

    Raises `MoveRefused` when the target is not empty or of another version, cannot hold a value, or the source is being
    written or does not verify; `LogNotContinued` when the source lacks signed entries, `LedgerMoved` when it was moved
    before. The source is then as it was, and the target empty.
    """
    address = _check_address(settings, to)
    source = Ledger.open(settings.ledger_address, settings)
    with closing(source), closing(_open_target(address, settings)) as target:
        with source.read() as session:
            refuse_if_closed(session)
        make_checkpoint(source)
        with _held(source) as here:
            on_progress("verifying the source", 0, 0)
            found = _verify(here, settings, settings.ledger_address)
            with _written(target, address) as there:
                _refuse_same_database(there)
                version, is_filled = _look_at(there, address, found)
                if not is_filled:
                    _fill(here, there, version, found.size, on_progress)
                on_progress("verifying the target", 0, 0)
                made = _verify(there, settings, address)
                on_progress("comparing", 0, 0)
                _compare(here, there)
                _close(here, address)
    return found, made


def _check_address(settings: Settings, to: str) -> str:
    address = f"sqlite:///{settings.home / 'ledger.sqlite3'}" if to == "sqlite" else to
    try:
        kind = parse_address(address).get_backend_name()
    except ArgumentError:
        kind = ""
    if kind not in ("sqlite", "postgresql"):
        raise MoveRefused(f"{to!r} is no address of a ledger. Write postgresql://user@host/database, or sqlite.")
    path, own = sqlite_path(address), sqlite_path(settings.ledger_address)
    if kind == "sqlite" and path is None:
        raise MoveRefused(f"{to!r} names no file. Write sqlite, or sqlite:////folder/ledger.sqlite3.")
    if path is not None and own is not None and path.resolve() == own.resolve():
        raise MoveRefused(f"The ledger is at {path} already.")
    return address


def _open_target(address: str, settings: Settings) -> Ledger:
    path = sqlite_path(address)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    target = Ledger(address, settings)
    try:
        if path is not None:
            use_wal(target.writer)
            path.chmod(0o600)
        schema_version(target)
    except DBAPIError as error:
        raise MoveRefused(f"{show_address(address)} cannot be opened: {_first_line(error.orig)}") from error
    except LedgerNotAnswering as error:
        cause = error.__cause__
        said = _first_line(cause.orig if isinstance(cause, DBAPIError) else cause)
        raise MoveRefused(f"{show_address(address)} cannot be used: {said}") from error
    return target


@contextmanager
def _held(ledger: Ledger) -> Iterator[Session]:
    """A write transaction beside which nobody writes to the ledger, and in which every entry has its leaf index."""
    with ExitStack() as stack:
        try:
            session = stack.enter_context(ledger.write())
            _lock_tables(session)
        except (DBAPIError, WriteContended) as error:
            raise MoveRefused(_BUSY) from error
        number_held_entries(session)
        yield session


def _lock_tables(session: Session) -> None:
    connection = session.connection()
    if is_sqlite(connection.dialect):
        return  # the transaction itself keeps others from writing
    # Entries may be read by their role, and locked by nobody; none is added without a row in `audit_pending`.
    names = ", ".join(name for name in sorted(Base.metadata.tables) if name != AuditLog.__tablename__)
    connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


@contextmanager
def _written(target: Ledger, address: str) -> Iterator[Session]:
    """The one transaction in which the target is filled; what the database refuses is said in its own words."""
    try:
        with target.write() as session:
            yield session
    except (DBAPIError, WriteContended) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__
        said = _first_line(cause.orig if isinstance(cause, DBAPIError) else cause)
        raise MoveRefused(
            f"{show_address(address)} refused a value or a statement: {said}. It is as it was."
        ) from error


def _refuse_same_database(there: Session) -> None:
    """Two addresses may lead to one database; a lock of this move is then held already."""
    if is_sqlite(there.connection().dialect):
        return
    if not there.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
        raise MoveRefused("The target is the ledger itself under another address, or another move goes there.")


def _look_at(there: Session, address: str, found: MovedLedger) -> tuple[str | None, bool]:
    """Return the target's schema version, and whether this very log is there already; refuse all but that and an empty
    place for a ledger."""
    connection = there.connection()
    if not is_sqlite(connection.dialect):
        encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise MoveRefused(f"The database keeps texts in {encoding}. Make one in UTF8 and move there.")
    present = set(inspect(connection).get_table_names())
    ours = present & set(Base.metadata.tables)
    version = (
        connection.scalar(text("SELECT version_num FROM alembic_version")) if "alembic_version" in present else None
    )
    if version is None and ours:
        raise MoveRefused(f"{show_address(address)} holds tables of something else: {', '.join(sorted(ours)[:3])}.")
    if version not in (None, HEAD):
        raise MoveRefused(
            f"{show_address(address)} holds a schema of version {version}, this dealbook needs {HEAD}. "
            "Give an empty database."
        )
    is_filled = any(connection.execute(select(Base.metadata.tables[name]).limit(1)).first() for name in sorted(ours))
    if is_filled and (there.scalar(select(LogIdentity.origin)), read_size(there)) != (found.origin, found.size):
        raise MoveRefused(
            f"{show_address(address)} is not empty. Give a database, or the name of a file, without a ledger."
        )
    return version, is_filled


def _fill(here: Session, there: Session, version: str | None, size: int, on_progress: Progress) -> None:
    if version is None:
        from ledger.migrations.upgrade import upgrade_to_head

        upgrade_to_head(there.connection())
    tables = sorted(copied_tables(), key=_refers_to_folded)  # these last; otherwise the order stays
    for table in tables:
        if _refers_to_folded(table):
            break
        _copy(here, there, table, on_progress, size if table.name == AuditLog.__tablename__ else 0)
    on_progress("folding the log", 0, 0)
    for kind, rows in rebuild_tables(there).items():
        insert_rows(there, table_of(kind), list(rows.values()))
    for table in filter(_refers_to_folded, tables):
        _copy(here, there, table, on_progress, 0)


def _refers_to_folded(table: Table) -> bool:
    return any(key.column.table.name in FOLDED for key in table.foreign_keys)


def _copy(here: Session, there: Session, table: Table, on_progress: Progress, total: int) -> None:
    connection, done = there.connection(), 0
    for rows in _read(here, table):
        insert_rows(there, table, [dict(row._mapping) for row in rows])
        done += len(rows)
        on_progress(table.name, done, total)
    if table.autoincrement_column is not None and not is_sqlite(connection.dialect):  # SQLite goes on by itself
        column = table.autoincrement_column.name
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), "  # noqa: S608 - our own names
                f"(SELECT COALESCE(MAX({column}), 0) + 1 FROM {table.name}), false)"
            )
        )


def _read(session: Session, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """Return all rows in bounded memory, the log in its order."""
    query = select(table).order_by(*table.primary_key.columns)
    with session.connection().execute(query, execution_options={"yield_per": _BATCH}) as result:
        yield from result.partitions()


def _close(here: Session, address: str) -> None:
    try:
        close_ledger(here, address)
    except DBAPIError as error:
        raise MoveRefused(
            f"The ledger cannot be closed to writing where it is: {_first_line(error.orig)}. Nothing was moved. "
            "Give DEALBOOK_LEDGER_URL the role that owns its tables for the move."
        ) from error


def _verify(session: Session, settings: Settings, address: str) -> MovedLedger:
    report = audit_log(session, settings, with_state=True)
    if report.exit_code:
        raise MoveRefused(
            f"{show_address(address)} does not verify: {_first_problem(report)}. Nothing was moved. {_MEND}"
        )
    tables = [table for table in Base.metadata.sorted_tables if table.name not in LEFT]
    connection = session.connection()
    rows = {table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
    return MovedLedger(show_address(address), read_origin(session), report.size, report.root.hex(), rows)


def _first_problem(report: AuditReport) -> str:
    return next((describe_finding(finding) for finding in report.findings), "") or report.undecided[0]


def _compare(here: Session, there: Session) -> None:
    """Compare every row of every table that both have but the log, for which its root speaks."""
    for table in Base.metadata.sorted_tables:
        if table.name not in LEFT | {AuditLog.__tablename__} and _digest(here, table) != _digest(there, table):
            raise MoveRefused(f"The rows of {table.name} differ after the move, so nothing was moved.")


def _digest(session: Session, table: Table) -> str:
    """Return a digest of a table's rows as values, in whatever order and form a database keeps them."""
    digests = [
        sha256(msgspec.json.encode(tuple(row), order="deterministic")).digest()
        for rows in _read(session, table)
        for row in rows
    ]
    return sha256(b"".join(sorted(digests))).hexdigest()


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
