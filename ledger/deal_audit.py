"""The entries of one deal's chain as they stand in the log."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.access import get_deal
from ledger.actors import Actor
from ledger.deal_lists import MAX_PAGE
from ledger.errors import CursorInvalid
from ledger.log.entry import decode_body
from ledger.tables import AuditLog


def list_entries(
    session: Session, actor: Actor, deal_id: str, *, cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[AuditLog], str | None]:
    """Return a page of the deal's entries by `seq`, and the cursor of the next: the last `seq` shown.

    Whoever may read the deal may read its entries; what was erased is in none of them, only commitments are.
    """
    get_deal(session, actor, deal_id)
    limit = max(1, min(limit, MAX_PAGE))
    query = select(AuditLog).where(AuditLog.chain == f"deal:{deal_id}").order_by(AuditLog.seq)
    if cursor is not None:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 15:
            raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor")
        query = query.where(AuditLog.seq > int(cursor))
    rows = session.scalars(query.limit(limit + 1)).all()
    return rows[:limit], str(rows[limit - 1].seq) if len(rows) > limit else None


_MONEY = ("commission", "adjustment", "dispute")


def find_recorded_request(session: Session, chain: str, actor_id: str, key_digest: str) -> AuditLog | None:
    """Return the entry about a commission in `chain` that names this `Idempotency-Key` of this caller, or None."""
    query = select(AuditLog).where(
        AuditLog.chain == chain, AuditLog.actor_id == actor_id, AuditLog.subject_kind.in_(_MONEY)
    )
    for entry in session.scalars(query):
        if decode_body(entry.body).get("req", {}).get("idem") == key_digest:
            return entry
    return None
