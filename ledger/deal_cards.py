"""Reading what a board shows of deals beside their own columns. Nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ledger.actors import Actor
from ledger.deal_lists import DealFilter, StageCount, apply_filter, scope_to_actor
from ledger.tables import AgentDeal, AuditLog, DealContact, StageEvent
from ledger.vocabulary import DealStatus, PipelineStage


@dataclass(frozen=True, slots=True)
class DealSurroundings:
    """When a deal entered its present stage, and the company on the other side where one is known."""

    stage_entered_at: datetime
    company: str | None


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
    return {deal.id: DealSurroundings(entered.get(deal.id, deal.created_at), companies.get(deal.id)) for deal in deals}


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
