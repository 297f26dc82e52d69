"""A ledger that was moved elsewhere is closed: it can be read, but takes no more entries.

A trigger on the table that new entries go into refuses them, so that a service which still has the former database open
is refused too, and nothing that it would acknowledge is lost.
"""

import re
import sqlite3

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ledger.databases import is_sqlite, show_address
from ledger.errors import LedgerMoved

_NAME = "ledger_moved"
_STATE = "LM001"
_BEGINNING = "This ledger was moved to"
_FIND = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name",
    "postgresql": "SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgname = :name "
    "AND tgrelid = to_regclass('audit_pending')",
}


def close_ledger(session: Session, address: str) -> None:
    """Refuse every further entry, from the commit of this transaction on; `address` is where the ledger is now."""
    words = (
        f"{_BEGINNING} {show_address(address)}. Set DEALBOOK_LEDGER_URL to that address and start the service again."
    )
    quoted = "'" + words.replace("'", "''") + "'"
    if is_sqlite(session.connection().dialect):
        statements = [
            f"CREATE TRIGGER {_NAME} BEFORE INSERT ON audit_logs BEGIN SELECT RAISE(ABORT, {quoted}); END",
        ]
    else:
        statements = [
            f"CREATE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS $moved$ "
            f"BEGIN RAISE EXCEPTION USING MESSAGE = {quoted}, ERRCODE = '{_STATE}'; END $moved$",
            f"CREATE TRIGGER {_NAME} BEFORE INSERT ON audit_pending FOR EACH STATEMENT EXECUTE FUNCTION {_NAME}()",
            f"COMMENT ON TRIGGER {_NAME} ON audit_pending IS {quoted}",
        ]
    for statement in statements:
        session.connection().execute(text(statement.replace(":", "\\:")))


def refuse_if_closed(session: Session) -> None:
    """Raise `LedgerMoved`, which says where the ledger is, when this one was closed."""
    found = session.scalar(text(_FIND[session.connection().dialect.name]), {"name": _NAME})
    if found is not None:
        said = re.search(f"{_BEGINNING}.*again\\.", found)
        raise LedgerMoved(said.group().replace("''", "'") if said else found)


def name_closing(error: BaseException | None) -> LedgerMoved | None:
    """Return the fact that a closed ledger refused an entry; None when the error is anything else."""
    if not isinstance(error, DBAPIError):
        return None
    found = error.orig
    if getattr(found, "sqlstate", None) == _STATE:
        return LedgerMoved(str(found.diag.message_primary))  # type: ignore[union-attr]
    is_trigger = getattr(found, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER
    return LedgerMoved(str(found)) if is_trigger and str(found).startswith(_BEGINNING) else None
