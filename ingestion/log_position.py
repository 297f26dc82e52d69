"""How far the log reaches. Apart from its reader, so that "nothing new" is answered without importing polars."""

from datetime import datetime

from sqlalchemy import func, select, text

from ingestion.entry_columns import WAREHOUSED
from ledger.store import Ledger
from ledger.tables.log import AuditLog


def log_size(ledger: Ledger) -> int:
    """Return how many entries the log has: the leaf index that the next one will get."""
    ledger.settle()
    with ledger.read() as session:
        return int(session.execute(text("SELECT COALESCE(MAX(n) + 1, 0) FROM audit_logs")).scalar_one())


def has_facts_since(ledger: Ledger, n: int) -> bool:
    """Say whether the log holds anything from entry `n` on that numbers rest on."""
    return last_fact(ledger, n) > n


def entry_hash(ledger: Ledger, n: int) -> str | None:
    """Return the stored hash of entry `n` in hex, or None where the log does not reach that far."""
    with ledger.read() as session:
        stored = session.execute(text("SELECT hash FROM audit_logs WHERE n = :n"), {"n": n}).scalar_one_or_none()
    return None if stored is None else bytes(stored).hex()


def entry_time(ledger: Ledger, n: int) -> datetime | None:
    """Return the moment at which entry `n` was written, or None where the log does not reach that far."""
    with ledger.read() as session:
        found: datetime | None = session.scalars(select(AuditLog.at).where(AuditLog.n == n)).one_or_none()
    return found


def last_fact(ledger: Ledger, from_n: int) -> int:
    """Return the log size at which the last entry that numbers rest on was written, looking from entry `from_n` on.

    Numbers rest on the types of entries that are warehoused. `from_n` itself where nothing but others follows: log-ins,
    tokens, the roots over all heads. Anybody could keep us publishing with those, and we ourselves would.
    """
    query = select(func.max(AuditLog.n) + 1).where(AuditLog.n >= from_n, AuditLog.type.in_(sorted(WAREHOUSED)))
    with ledger.read() as session:
        return session.scalar(query) or from_n
