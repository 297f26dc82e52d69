"""Commissions one by one: each function authorises, checks, appends the entry and moves the tables.

`CommissionNotFound` also stands for what the actor may not see; `NotPermitted` for what the actor may not do, such as
a manager settling their own line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, not_, or_, select, tuple_
from sqlalchemy.orm import Session

from ledger.access import Action, authorize, get_commission, get_deal, is_permitted, line_of
from ledger.actors import Actor
from ledger.checks import check_optional_text
from ledger.commission_rules import (
    CHANGEABLE,
    NewCommission,
    draft_adjustment,
    draft_commission_change,
    draft_dispute,
    draft_recording,
    draft_resolution,
    draft_status,
)
from ledger.deal_lists import MAX_PAGE, encode_cursor, place_after
from ledger.errors import CommissionAlreadyRecorded, CommissionNotFound, DealNotFound, DisputeNotFound, UserNotFound
from ledger.fold import Row, record_entries
from ledger.identifiers import new_id
from ledger.log.chain import now_utc
from ledger.statements import RowByKey, Statement
from ledger.tables import AgentDeal, Commission, CommissionAdjustment, CommissionDispute, StageEvent, User
from ledger.vocabulary import AdjustmentType, CommissionStatus, DisputeOutcome, Role

__all__ = [
    "CHANGEABLE",
    "CommissionFilter",
    "NewCommission",
    "adjust_commission",
    "change_commission",
    "get_commission",
    "list_adjustments",
    "list_commissions",
    "list_disputes",
    "move_commission",
    "open_dispute",
    "record_commission",
    "resolve_dispute",
]


_DEALS, _COMMISSIONS, _DISPUTES = RowByKey(AgentDeal), RowByKey(Commission), RowByKey(CommissionDispute)
_ADJUSTMENTS = RowByKey(CommissionAdjustment)
_COMMISSION_OF = Statement(select(CommissionDispute.commission_id).where(CommissionDispute.id == bindparam("id")))


def columns_of(row: Commission | CommissionDispute) -> Row:
    """Return a row as column -> value."""
    return {column.name: getattr(row, column.name) for column in row.__table__.columns}


def record_commission(session: Session, actor: Actor, deal_id: str, new: NewCommission) -> Commission:
    """Record a pending commission on a deal: writes `commission.recorded`.

    Raises `CommissionAlreadyRecorded` when the deal has one of this type for this agent.
    """
    deal = _DEALS.get(session, deal_id)
    if deal is None:
        raise DealNotFound(deal_id)
    if not is_permitted(actor, Action.RECORD_COMMISSION, line_of(deal, new.agent_id)):
        get_deal(session, actor, deal_id)  # a deal that the actor may not see stays unseen
    authorize(session, actor, Action.RECORD_COMMISSION, line_of(deal, new.agent_id))
    if session.get(User, new.agent_id) is None:
        raise UserNotFound(new.agent_id)
    taken = select(Commission.id).where(
        Commission.deal_id == deal_id,
        Commission.agent_id == new.agent_id,
        Commission.commission_type == new.commission_type,
    )
    if session.scalar(taken):
        raise CommissionAlreadyRecorded(
            f"The deal has a commission of type {new.commission_type} for this agent. Change or adjust that one."
        )
    first = session.scalar(select(func.min(StageEvent.effective_at)).where(StageEvent.deal_id == deal_id))
    commission_id = new_id()
    now = now_utc()
    draft = draft_recording(commission_id, deal_id, new, now=now, not_before=first or deal.created_at)
    record_entries(session, actor, [draft])
    return _COMMISSIONS.get_one(session, commission_id)


def change_commission(session: Session, actor: Actor, commission_id: str, changes: Mapping[str, Any]) -> Commission:
    """Change basis, rate or amount of a pending commission: writes `commission.changed`."""
    commission = get_commission(session, actor, commission_id, Action.RECORD_COMMISSION)
    record_entries(session, actor, [draft_commission_change(columns_of(commission), changes)])
    return _COMMISSIONS.get_one(session, commission_id)


def move_commission(
    session: Session,
    actor: Actor,
    commission_id: str,
    to_status: CommissionStatus,
    *,
    commission_amount: Decimal | None = None,
    effective_at: datetime | None = None,
    document_id: str | None = None,
) -> Commission:
    """Confirm, invoice, pay or write off (a manager's right, not on own lines): writes `commission.status_changed`.

    Confirming computes basis x rate, rounded half up, unless an amount is given or was recorded. The entry names the
    document of the deal that the move rests on, where there is one.
    """
    commission = get_commission(session, actor, commission_id, Action.SETTLE_COMMISSION)
    draft = draft_status(
        columns_of(commission),
        to_status,
        now=now_utc(),
        commission_amount=commission_amount,
        effective_at=effective_at,
        document_id=document_id,
    )
    record_entries(session, actor, [draft])
    return _COMMISSIONS.get_one(session, commission_id)


def adjust_commission(
    session: Session,
    actor: Actor,
    commission_id: str,
    *,
    adjustment_type: AdjustmentType,
    amount: Decimal,
    note: str,
    effective_at: datetime | None = None,
) -> CommissionAdjustment:
    """Record a clawback, bonus or correction (a manager's right, not on own lines): writes `commission.adjusted`."""
    commission = get_commission(session, actor, commission_id, Action.SETTLE_COMMISSION)
    adjustment_id = new_id()
    draft = draft_adjustment(
        adjustment_id,
        columns_of(commission),
        adjustment_type,
        amount,
        now=now_utc(),
        note=note,
        effective_at=effective_at,
    )
    record_entries(session, actor, [draft])
    return _ADJUSTMENTS.get_one(session, adjustment_id)


def open_dispute(
    session: Session,
    actor: Actor,
    commission_id: str,
    *,
    amount: Decimal,
    reason: str,
    is_hold: bool = True,
    evidence: Sequence[str] = (),
    effective_at: datetime | None = None,
) -> CommissionDispute:
    """Dispute a commission: writes `dispute.opened`; the commission is disputed until the dispute is resolved."""
    commission = get_commission(session, actor, commission_id, Action.OPEN_DISPUTE)
    dispute_id = new_id()
    draft = draft_dispute(
        dispute_id,
        columns_of(commission),
        amount,
        reason,
        now=now_utc(),
        is_hold=is_hold,
        evidence=evidence,
        effective_at=effective_at,
    )
    record_entries(session, actor, [draft])
    return _DISPUTES.get_one(session, dispute_id)


def resolve_dispute(
    session: Session,
    actor: Actor,
    dispute_id: str,
    *,
    outcome: DisputeOutcome,
    is_written_off: bool = False,
    note: str | None = None,
    effective_at: datetime | None = None,
) -> CommissionDispute:
    """Resolve a dispute (a manager's right, not on own lines): writes `dispute.resolved`.

    The commission returns to the status before the dispute, or is written off.
    """
    found = _COMMISSION_OF.first(session, id=dispute_id)
    if found is None:
        raise DisputeNotFound(dispute_id)
    try:
        commission = get_commission(session, actor, found[0], Action.SETTLE_COMMISSION)
    except CommissionNotFound:
        raise DisputeNotFound(dispute_id) from None  # a hidden dispute looks like one that does not exist
    dispute = _DISPUTES.get_one(session, dispute_id)  # as it is now that the deal is held
    draft = draft_resolution(
        columns_of(dispute),
        columns_of(commission),
        outcome,
        now=now_utc(),
        is_written_off=is_written_off,
        note=check_optional_text(note, "note"),
        effective_at=effective_at,
    )
    record_entries(session, actor, [draft])
    return _DISPUTES.get_one(session, dispute_id)


@dataclass(frozen=True, slots=True)
class CommissionFilter:
    """Which commissions; None does not narrow."""

    deal_id: str | None = None
    agent_id: str | None = None
    status: CommissionStatus | None = None
    is_overdue: bool | None = None


OVERDUE_AFTER = timedelta(days=30)
"""How long a commission may stay confirmed before it is invoiced, or invoiced before it is paid."""


def _overdue(now: datetime) -> ColumnElement[bool]:
    """Say of a commission whether its next step should have come; one in dispute waits for the dispute."""
    limit = now - OVERDUE_AFTER
    return or_(
        and_(Commission.status == CommissionStatus.CONFIRMED, Commission.confirmed_at < limit),
        and_(Commission.status == CommissionStatus.INVOICED, Commission.invoiced_at < limit),
    )


def list_commissions(
    session: Session,
    actor: Actor,
    wanted: CommissionFilter | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[Commission], str | None]:
    """Return a page of commissions, latest change first, and the cursor of the next page (None on the last).

    Agents see their own lines and all lines of their own deals.
    """
    wanted = wanted or CommissionFilter()
    limit = max(1, min(limit, MAX_PAGE))
    query = select(Commission).join(AgentDeal, AgentDeal.id == Commission.deal_id)
    if actor.kind == "user" and actor.role is Role.AGENT:
        query = query.where(or_(Commission.agent_id == actor.id, AgentDeal.agent_id == actor.id))
    if wanted.deal_id is not None:
        query = query.where(Commission.deal_id == wanted.deal_id)
    if wanted.agent_id is not None:
        query = query.where(Commission.agent_id == wanted.agent_id)
    if wanted.status is not None:
        query = query.where(Commission.status == wanted.status)
    if wanted.is_overdue is not None:
        is_overdue = _overdue(now_utc())
        query = query.where(is_overdue if wanted.is_overdue else not_(is_overdue))
    if cursor:
        query = query.where(tuple_(Commission.updated_at, Commission.id) < place_after(cursor))
    rows = session.scalars(query.order_by(Commission.updated_at.desc(), Commission.id.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(page[-1].updated_at, page[-1].id)


def list_adjustments(session: Session, commission_ids: Sequence[str]) -> Sequence[CommissionAdjustment]:
    """Return the adjustments of these commissions (whose right to be seen the caller has checked), oldest first."""
    query = select(CommissionAdjustment).where(CommissionAdjustment.commission_id.in_(commission_ids))
    return session.scalars(query.order_by(CommissionAdjustment.effective_at, CommissionAdjustment.audit_log_seq)).all()


def list_disputes(session: Session, commission_ids: Sequence[str]) -> Sequence[CommissionDispute]:
    """Return the disputes over these commissions (whose right to be seen the caller has checked), oldest first."""
    query = select(CommissionDispute).where(CommissionDispute.commission_id.in_(commission_ids))
    return session.scalars(query.order_by(CommissionDispute.opened_at, CommissionDispute.id)).all()
