"""Several writes that wait at the same moment, committed together: one commit costs the disk as much as ten do.

Each runs in a savepoint of its own, one after the other, and sees what those before it wrote. One that raises leaves
nothing behind and does not touch the others. Nobody hears anything before the commit, not even a refusal: it may rest
on what another of them wrote. When the commit fails, all of them fail with it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from ledger.databases import is_undone
from ledger.errors import WriteContended
from ledger.store import Ledger, finish_writing, named_facts

Work = Callable[[Session], Any]
MOST_TOGETHER = 16


class Outcome(NamedTuple):
    """What a write returned, or what it or its commit raised."""

    value: Any
    error: BaseException | None


def write_together(ledger: Ledger, works: Sequence[Work]) -> list[Outcome]:
    """Run `works` in one write transaction, commit it, and return what came of each.

    What met another transaction that it could not wait for is run once more, alone: several writes hold deals in the
    order in which they came, so two transactions of several may wait for each other where two of one never do.
    """
    outcomes = _write(ledger, works)
    if len(works) > 1:
        for place, (_, error) in enumerate(outcomes):
            if isinstance(error, WriteContended):
                outcomes[place] = _write(ledger, [works[place]])[0]
    return outcomes


def _write(ledger: Ledger, works: Sequence[Work]) -> list[Outcome]:
    try:
        with ledger.begin_writing() as connection:
            outcomes, last = _run_all(ledger, connection, works)
    except BaseException as error:
        return [Outcome(None, error)] * len(works)
    if last is not None:
        ledger.settle(last)
    return outcomes


def _run_all(
    ledger: Ledger, connection: Connection, works: Sequence[Work]
) -> tuple[list[Outcome], tuple[str, int] | None]:
    """Return what came of each, and the last entry that waits for its leaf index.

    They share a session, and with it what this transaction has found out: the name of the log, the heads of chains, who
    calls. It knows no row of a table any more when the next begins. One that fails takes it away.
    """
    driver: Any = connection.connection.dbapi_connection
    is_alone = len(works) == 1  # its failure is the transaction's
    outcomes: list[Outcome] = []
    last: tuple[str, int] | None = None
    session = ledger.new_writing(connection)
    try:
        for work in works:
            if not is_alone:
                driver.execute("SAVEPOINT write")
            try:
                with named_facts():
                    value = work(session)
                    finish_writing(session)
            except Exception as error:
                if is_alone or is_undone(driver):  # a full or failing disk has already undone all of it
                    raise
                session.close()
                session = ledger.new_writing(connection)
                driver.execute("ROLLBACK TO SAVEPOINT write")
                outcomes.append(Outcome(None, error))
            else:
                if session.identity_map:
                    session.expunge_all()
                last = session.info.get("last_placed", last)
                outcomes.append(Outcome(value, None))
            if not is_alone:
                driver.execute("RELEASE SAVEPOINT write")
    finally:
        session.close()
    return outcomes, last
