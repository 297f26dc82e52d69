"""Several writes that wait at the same moment, committed together: one commit costs the disk as much as ten do.

Each runs in a savepoint of its own, one after the other, and sees what those before it wrote. One that raises leaves
nothing behind and does not touch the others. Nobody hears anything before the commit, not even a refusal: it may rest
on what another of them wrote. When the commit fails, all of them fail with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from ledger.databases import is_sqlite
from ledger.store import Ledger

Work = Callable[[Session], Any]
MOST_TOGETHER = 16


class Outcome(NamedTuple):
    """What a write returned, or what it or its commit raised."""

    value: Any
    error: BaseException | None


def count_together(ledger: Ledger) -> int:
    """Return how many writes may share a transaction: one where many transactions write at once."""
    return MOST_TOGETHER if is_sqlite(ledger.engine.dialect) else 1


def write_together(ledger: Ledger, works: Sequence[Work]) -> list[Outcome]:
    """Run `works` in one write transaction, commit it, and return what came of each."""
    try:
        if len(works) == 1:
            with ledger.write() as session:
                value = works[0](session)
            return [Outcome(value, None)]
        with ledger.begin_writing() as connection:
            outcomes = [_run(ledger, connection, work) for work in works]
    except BaseException as error:
        return [Outcome(None, error)] * len(works)
    return outcomes


def _run(ledger: Ledger, connection: Connection, work: Work) -> Outcome:
    driver: Any = connection.connection.dbapi_connection
    driver.execute("SAVEPOINT write")
    try:
        with ledger.session_on(connection) as session:
            value = work(session)
    except Exception as error:
        if not driver.in_transaction:  # a full or failing disk has already undone all of it
            raise
        driver.execute("ROLLBACK TO write")
        driver.execute("RELEASE write")
        return Outcome(None, error)
    driver.execute("RELEASE write")
    return Outcome(value, None)
