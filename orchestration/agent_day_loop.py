"""The plain way to make snapshots, as a yardstick: for each agent and day, read deals and commissions and loop.

This is how a job over the ledger's tables is usually written, and how this one was first designed: through the ORM, an
agent and a day at a time, two questions for the deals and three for the commissions each time. It knows less than the
models: who owned a deal then, what it was worth and how confident its agent was are not in the tables, so it is right
only where deals did not change hands or value, and its weighted value is right of today alone. Nothing of the product
uses it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.tables.commissions import Commission, CommissionAdjustment, CommissionDispute
from ledger.tables.deals import AgentDeal, StageEvent
from ledger.vocabulary import AdjustmentType

ZERO = Decimal(0)


@dataclass
class LoopedSnapshot:
    """An agent's numbers at the end of a day; amounts by currency."""

    deals_open: int = 0
    deals_closed_won: int = 0
    deals_closed_lost: int = 0
    deals_cancelled: int = 0
    cycle_time: timedelta = timedelta()
    gross_pipeline_value: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    weighted_pipeline_value: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    won_value: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    confirmed_commission_amount: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))


def snapshot_by_loop(
    session: Session, agent_id: str, day_end: datetime, default_confidence: Mapping[str, Decimal]
) -> LoopedSnapshot:
    """Return an agent's snapshot of everything before `day_end`; `default_confidence` is by stage."""
    snapshot = LoopedSnapshot()
    _add_deals(session, agent_id, day_end, default_confidence, snapshot)
    _add_commissions(session, agent_id, day_end, snapshot)
    return snapshot


def _add_deals(
    session: Session,
    agent_id: str,
    day_end: datetime,
    default_confidence: Mapping[str, Decimal],
    snapshot: LoopedSnapshot,
) -> None:
    is_agents = AgentDeal.agent_id == agent_id
    deals = session.scalars(select(AgentDeal).where(is_agents)).all()
    events_of: defaultdict[str, list[StageEvent]] = defaultdict(list)
    for event in session.scalars(
        select(StageEvent).join(AgentDeal, AgentDeal.id == StageEvent.deal_id).where(is_agents)
    ):
        if event.effective_at < day_end:
            events_of[event.deal_id].append(event)
    for deal in deals:
        events = sorted(events_of[deal.id], key=lambda event: (event.effective_at, event.audit_log_seq))
        if not events:
            continue
        last, amount, currency = events[-1], deal.estimated_value_amount, deal.estimated_value_currency
        if deal.cancelled_at and last.effective_at <= deal.cancelled_at < day_end:
            snapshot.deals_cancelled += 1
        elif last.to_stage.is_open:
            snapshot.deals_open += 1
            confidence = default_confidence[last.to_stage.value] if deal.confidence is None else deal.confidence
            snapshot.gross_pipeline_value[currency] += amount or ZERO
            snapshot.weighted_pipeline_value[currency] += (amount or ZERO) * confidence
        elif last.to_stage.value == "closed_won":
            snapshot.deals_closed_won += 1
            snapshot.won_value[currency] += amount or ZERO
            snapshot.cycle_time += last.effective_at - events[0].effective_at
        else:
            snapshot.deals_closed_lost += 1


def _add_commissions(session: Session, agent_id: str, day_end: datetime, snapshot: LoopedSnapshot) -> None:
    is_agents = Commission.agent_id == agent_id
    commissions = session.scalars(select(Commission).where(is_agents)).all()
    joined = select(CommissionAdjustment).join(Commission, Commission.id == CommissionAdjustment.commission_id)
    corrections: defaultdict[str, Decimal] = defaultdict(Decimal)
    for adjustment in session.scalars(joined.where(is_agents)):
        if adjustment.effective_at < day_end:
            is_taken = adjustment.adjustment_type == AdjustmentType.CLAWBACK
            corrections[adjustment.commission_id] += -adjustment.amount if is_taken else adjustment.amount
    disputed = set()
    disputes = select(CommissionDispute).join(Commission, Commission.id == CommissionDispute.commission_id)
    for dispute in session.scalars(disputes.where(is_agents)):
        if dispute.opened_at < day_end and not (dispute.resolved_at and dispute.resolved_at < day_end):
            disputed.add(dispute.commission_id)
    for commission in commissions:
        is_confirmed = commission.confirmed_at is not None and commission.confirmed_at < day_end
        is_written_off = commission.written_off_at is not None and commission.written_off_at < day_end
        if is_confirmed and not is_written_off and commission.id not in disputed:
            net = (commission.commission_amount or ZERO) + corrections[commission.id]
            snapshot.confirmed_commission_amount[commission.basis_currency] += net
