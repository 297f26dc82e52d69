"""Where a new entry goes, and when it gets its leaf index.

SQLite has one writer at a time: an entry gets its index at once, inside that writer's transaction. On PostgreSQL many
write at once, and whoever takes the next number may commit last; a reader that has gone past that number would never
see it. So an entry is committed to `audit_pending`, which no reader of the log looks into, and just after the commit
the writer moves what is there to `audit_logs`, numbered by arrival: one at a time, under an advisory lock. An entry
that was committed before another was begun has the lower index, and each chain keeps its order. Who finds that another
has moved its entries goes on at once; a writer that dies in between leaves them to the next one.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Engine, Integer, Subquery, cast, null, select, text, union_all
from sqlalchemy.orm import Session

from ledger.statements import connection_of, insert_rows, table_of
from ledger.tables.log import STORED, AuditLog, AuditPending

_KEY = 0x6465_616C_626F_6F6B  # "dealbook"
_AT_ONCE = 20_000
_COLUMNS = ", ".join(STORED)
_NUMBER = text(
    f"""
    WITH moved AS (
        DELETE FROM audit_pending
        WHERE arrival IN (SELECT arrival FROM audit_pending ORDER BY arrival LIMIT {_AT_ONCE})
        RETURNING *
    ),
    log AS (SELECT COALESCE(MAX(n) + 1, 0) AS size FROM audit_logs)
    INSERT INTO audit_logs (n, {_COLUMNS})
    SELECT log.size + ROW_NUMBER() OVER (ORDER BY moved.arrival) - 1, {", ".join(f"moved.{name}" for name in STORED)}
    FROM moved, log
    """  # noqa: S608 - our own names
)


def _is_numbered_at_once(dialect: Dialect) -> bool:
    return dialect.name == "sqlite"


def place_entries(session: Session, rows: list[dict[str, Any]], size: int) -> None:
    """Insert entries behind the `size` that the log holds, or into the waiting room; `rows` lack only their `n`."""
    if _is_numbered_at_once(connection_of(session).dialect):
        for n, row in enumerate(rows, start=size):
            row["n"] = n
        insert_rows(session, table_of(AuditLog), rows)
    else:
        insert_rows(session, table_of(AuditPending), rows)
        session.info["last_placed"] = (rows[-1]["chain"], rows[-1]["seq"])


def number_entries(engine: Engine, last: tuple[str, int] | None = None) -> int:
    """Give every committed entry its leaf index and return how many had none.

    `last` names the last entry of a writer, by chain and seq: it waits no longer than until that one has its index.
    """
    if _is_numbered_at_once(engine.dialect):
        return 0
    numbered = 0
    waiting = select(AuditPending.arrival).limit(1)
    if last is not None:
        waiting = waiting.where(AuditPending.chain == last[0], AuditPending.seq == last[1])
    with engine.connect() as connection:
        while connection.scalar(waiting) is not None:
            # A statement sees what was committed before it began, so the lock has to come in one of its own.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _KEY})
            if connection.scalar(waiting) is not None:
                numbered += connection.execute(_NUMBER).rowcount
            connection.commit()
    return numbered


def number_held_entries(session: Session) -> None:
    """Give every committed entry its leaf index within this transaction, which keeps others from writing entries."""
    connection = session.connection()
    while not _is_numbered_at_once(connection.dialect) and connection.execute(_NUMBER).rowcount:
        continue


def every_entry() -> Subquery:
    """Return all entries to be queried, those without a leaf index too (`n` null): what a chain holds right now."""
    return union_all(
        select(AuditLog.n, *_stored(AuditLog)),
        select(cast(null(), Integer).label("n"), *_stored(AuditPending)),
    ).subquery("entries")


def _stored(model: type[AuditLog] | type[AuditPending]) -> Sequence[Any]:
    return [model.__table__.c[name] for name in STORED]
