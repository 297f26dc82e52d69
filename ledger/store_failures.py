"""What store and disk may fail with, named as facts: SQLite's result codes, PostgreSQL's classes of SQLSTATE, errno."""

import errno
import sqlite3

from sqlalchemy.exc import DBAPIError

from ledger.errors import DiskFull, LedgerNotAnswering, LedgerUnavailable

# https://www.sqlite.org/rescode.html; the last eight bits are the primary code.
_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL})
_SQLITE_NOT_ANSWERING = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_FULL = frozenset({"53100"})
_POSTGRES_NOT_ANSWERING = ("08", "53", "55P03", "57P", "58")
_FILE_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def name_failure(error: DBAPIError) -> LedgerUnavailable | None:
    """Return the fact behind a driver's error, None when it is not the store's doing but ours."""
    driver_error = error.orig
    code = getattr(driver_error, "sqlite_errorcode", None)
    state = getattr(driver_error, "sqlstate", None)
    if (code is not None and code & 0xFF in _SQLITE_FULL) or state in _POSTGRES_FULL:
        return DiskFull("The disk is full: nothing was changed. Make room where the ledger lies, and send it again.")
    if code is not None:
        is_not_answering = code & 0xFF in _SQLITE_NOT_ANSWERING
    else:
        # Without a state the server was not reached or broke the connection off.
        is_not_answering = error.connection_invalidated or (state or "08").startswith(_POSTGRES_NOT_ANSWERING)
    if not is_not_answering:
        return None
    return LedgerNotAnswering(
        "The ledger cannot be used just now: its disk refuses, or it is held too long. Nothing was changed; try again."
    )


def name_full_disk(error: OSError) -> DiskFull | None:
    """Return the fact behind an error of a file beside the ledger, None when it is not for want of room."""
    if error.errno not in _FILE_FULL:
        return None
    return DiskFull("The disk is full: a file could not be written. Make room where it lies, and try again.")
