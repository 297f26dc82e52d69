"""Reading what a board shows: deals by their place in a column, and what surrounds them. Nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from ledger.actors import Actor
from ledger.deal_lists import DealFilter, StageCount, apply_filter, scope_to_actor
from ledger.tables import AgentDeal, AuditLog, DealContact, StageEvent
from ledger.vocabulary import DealStatus, PipelineStage


@dataclass(frozen=True, slots=True)
class DealSurroundings:
    """When a deal entered its present stage, the company on the other side where one is known, and what was done last.

    `latest_kind` is the type of the newest entry of its log, `latest_at` the moment for which that entry stands.
    """

    stage_entered_at: datetime
    company: str | None
    latest_kind: str
    latest_at: datetime


def list_deals_at(session: Session, actor: Actor, wanted: DealFilter, first: int, limit: int) -> Sequence[AgentDeal]:
    """Return `limit` deals that `actor` may see, the last changed first, leaving out the first `first` of them.

    For a list that is scrolled to anywhere; whoever reads all of it takes the cursors of `list_deals`.
    """
    query = apply_filter(scope_to_actor(select(AgentDeal), actor), wanted)
    order = (AgentDeal.updated_at.desc(), AgentDeal.id.desc())
    return session.scalars(query.order_by(*order).offset(first).limit(limit)).all()


def describe_deals(session: Session, deals: Sequence[AgentDeal]) -> dict[str, DealSurroundings]:
    """Return the surroundings of deals that the caller has already been allowed to see, by deal id."""
    ids = [deal.id for deal in deals]
    last_events = (
        select(StageEvent.deal_id, func.max(StageEvent.effective_at).label("entered_at"))
        .where(StageEvent.deal_id.in_(ids))
        .group_by(StageEvent.deal_id)
    )
    entered: dict[str, datetime] = {row.deal_id: row.entered_at for row in session.execute(last_events)}
    known_companies = (
        select(DealContact.deal_id, DealContact.company)
        .where(DealContact.deal_id.in_(ids), DealContact.company.is_not(None))
        .order_by(DealContact.id.desc())  # the oldest comes last, and stays
    )
    companies: dict[str, str] = {row.deal_id: row.company for row in session.execute(known_companies)}
    later = aliased(AuditLog)
    newest_entries = select(AuditLog.chain, AuditLog.type, AuditLog.effective_at).where(
        AuditLog.chain.in_([f"deal:{deal_id}" for deal_id in ids]),
        AuditLog.seq == select(func.max(later.seq)).where(later.chain == AuditLog.chain).scalar_subquery(),
    )
    latest = {row.chain: (row.type, row.effective_at) for row in session.execute(newest_entries)}
    return {
        deal.id: DealSurroundings(
            entered.get(deal.id, deal.created_at),
            companies.get(deal.id),
            # An entry that waits for its leaf index is not in the log yet: the deal itself says when it changed.
            *latest.get(f"deal:{deal.id}", ("deal.changed", deal.updated_at)),
        )
        for deal in deals
    }


def read_log_size(session: Session) -> int:
    """Return how many entries the log holds: what a page asks each second to know whether anything has changed."""
    return int(session.execute(select(func.coalesce(func.max(AuditLog.n), -1))).scalar_one()) + 1


def closed_counts(
    session: Session, actor: Actor, agent_id: str | None = None, *, wanted: DealFilter | None = None
) -> list[StageCount]:
    """Return one `StageCount` for deals won and one for deals lost, over those that `actor` may see, ever.

    `wanted` narrows them further.
    """
    query = select(
        AgentDeal.pipeline_stage,
        AgentDeal.estimated_value_currency,
        func.count(),
        func.sum(AgentDeal.estimated_value_amount),
    ).where(AgentDeal.status.in_((DealStatus.CLOSED_WON, DealStatus.CLOSED_LOST)))
    if agent_id is not None:
        query = query.where(AgentDeal.agent_id == agent_id)
    if wanted is not None:
        query = apply_filter(query, wanted)
    query = scope_to_actor(query, actor).group_by(AgentDeal.pipeline_stage, AgentDeal.estimated_value_currency)
    counts = {stage: StageCount(stage) for stage in PipelineStage if not stage.is_open}
    rows: Sequence[Any] = session.execute(query).all()
    for stage, currency, deals, total in rows:
        counts[stage].deals += deals
        if total is not None:
            counts[stage].totals[currency] = counts[stage].totals.get(currency, Decimal(0)) + total
    return list(counts.values())
