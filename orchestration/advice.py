"""What an error that stopped a run means in plain words, and what to do about it: one sentence or two, no traceback.

The errors of ledger and ingestion say that themselves. Here it is said for what comes from below them: the disk,
DuckDB, dbt, the databases of ledger and Dagster. Imports neither dbt nor Dagster. docs/operate.md lists what is said
("When a run fails").
"""

from collections.abc import Iterator

import duckdb
from sqlalchemy.exc import DBAPIError

from ledger.errors import DealbookError, DiskFull, LedgerNotAnswering
from ledger.store_failures import name_failure, name_full_disk

DISK_FULL = (
    "The disk is full. Make room where DEALBOOK_HOME lies, then start the run again; `dealbook doctor` shows what is "
    "free."
)
WAREHOUSE_BUSY = (
    "Another program has the warehouse open. Close it (analysts' tools should open the file in published/ instead), "
    "then run `dealbook refresh`."
)
WAREHOUSE_DAMAGED = (
    "The warehouse cannot be read. Move warehouse.duckdb out of DEALBOOK_HOME, then run `dealbook refresh --full`: it "
    "is made again from the log and from the copies of reference files."
)
DATABASE_REFUSES = (
    "The ledger or Dagster's records cannot be used just now: their disk refuses or is full, or they are held too long."
    " `dealbook doctor` looks at both; then start the run again."
)
MEMORY_SHORT = "DuckDB ran out of memory. Stop what else runs on this machine, then run `dealbook refresh` again."
PROJECT_BROKEN = "Mend the dbt project, then run `dealbook refresh`."
_FULL_WORDS = ("no space left", "disk quota exceeded", "file too large", "database or disk is full")
_DAMAGED = (duckdb.SerializationException, duckdb.FatalException, duckdb.InternalException, duckdb.CatalogException)


class DbtFailed(Exception):  # noqa: N818 - errors are named as facts, like the ledger's
    """dbt could not do what it was asked, for a reason other than a failing node: a broken project, a locked file."""


def advise(error: BaseException) -> str | None:
    """Return what happened and what to do, None for an error that nobody foresaw."""
    for found in _chain(error):
        if (told := advise_on_words(str(found))) is not None and not isinstance(found, DealbookError):
            return told
        if (told := _advise_on(found)) is not None:
            return told
    return None


def advise_on_words(message: str) -> str | None:
    """Return what to do about a message of DuckDB or dbt that tells of the machine, None for any other.

    dbt hands on what DuckDB says of a model as text alone.
    """
    words = message.lower()
    if any(full in words for full in _FULL_WORDS):
        return DISK_FULL
    if "could not set lock on file" in words:
        return WAREHOUSE_BUSY
    if "out of memory error" in words or "failed to allocate" in words:
        return MEMORY_SHORT
    return None


def in_one_line(error: BaseException) -> str:
    """Return kind and message of an error in one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _advise_on(error: BaseException) -> str | None:
    if isinstance(error, DiskFull) or (isinstance(error, OSError) and name_full_disk(error)):
        return DISK_FULL
    if isinstance(error, LedgerNotAnswering):
        return f"{error.detail} `dealbook doctor` looks at ledger and disk."
    if isinstance(error, DealbookError):
        return error.detail
    if isinstance(error, DBAPIError):
        named = name_failure(error)
        if isinstance(named, LedgerNotAnswering):
            return DATABASE_REFUSES
        return _advise_on(named) if named else None
    if isinstance(error, _DAMAGED) or (isinstance(error, duckdb.IOException) and "valid DuckDB" in str(error)):
        return WAREHOUSE_DAMAGED
    if isinstance(error, OSError) and error.filename:
        return (
            f"{error.filename} cannot be used: {error.strerror}. See that the folder exists and belongs to the account "
            "that runs dealbook, then start the run again; `dealbook doctor` looks at the whole installation."
        )
    if isinstance(error, DbtFailed):
        beneath = error.__cause__ and advise(error.__cause__)
        return beneath or f"{' '.join(str(error).split()).rstrip('.')}. {PROJECT_BROKEN}"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__
