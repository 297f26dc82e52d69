"""What the deal drawer shows, read from the ledger in one snapshot, and how each entry of its timeline is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.workspace import wording
from api.workspace.board import StageRule
from api.workspace.moves import undoable_stage
from ledger.access import SYSTEM, Action, Actor, is_permitted, line_of, list_users
from ledger.commissions import CommissionFilter, list_adjustments, list_commissions, list_disputes
from ledger.deal_cards import describe_deals
from ledger.deal_lists import MAX_PAGE
from ledger.deals import get_deal, list_contacts, list_documents, list_timeline
from ledger.tables import AgentDeal, Commission, CommissionAdjustment, CommissionDispute, DealContact, DealDocument
from ledger.timeline import TimelineItem
from ledger.vocabulary import AdjustmentType, DealStatus, PipelineStage, Role

REDACTED = "(erased)"
_LABELS = {
    "title": "Title",
    "description": "Description",
    "asset_type": "Asset type",
    "deal_type": "Deal type",
    "lead_source": "Lead source",
    "estimated_value_amount": "Value",
    "estimated_value_currency": "Currency",
    "expected_close_date": "Expected close",
    "actual_close_date": "Closed on",
    "confidence": "Confidence",
    "project_id": "Project",
    "property_id": "Property",
    "metadata": "Further data",
    "basis_amount": "Basis",
    "commission_rate": "Rate",
    "commission_amount": "Amount",
}


@dataclass(frozen=True, slots=True)
class CommissionView:
    """A commission with what corrected it and what is disputed; `may_*` is what the visitor is offered."""

    row: Commission
    agent_name: str
    adjustments: Sequence[CommissionAdjustment]
    disputes: Sequence[CommissionDispute]
    may_settle: bool
    may_dispute: bool

    @property
    def net(self) -> Decimal | None:
        """Amount with bonuses and corrections, less clawbacks; None until the amount is known."""
        if self.row.commission_amount is None:
            return None
        signs = {AdjustmentType.CLAWBACK: -1}
        return self.row.commission_amount + sum(
            (signs.get(item.adjustment_type, 1) * item.amount for item in self.adjustments), Decimal(0)
        )

    @property
    def open_dispute(self) -> CommissionDispute | None:
        """The dispute that still waits for an outcome."""
        return next((dispute for dispute in self.disputes if dispute.outcome is None), None)


@dataclass(frozen=True, slots=True)
class DealView:
    """A deal with everything around it, and what the visitor may do to it."""

    deal: AgentDeal
    agent_name: str
    names: Mapping[str, str]
    agents: Mapping[str, str]
    company: str | None
    stage_entered_at: datetime
    limit_days: int | None
    timeline: Sequence[TimelineItem]
    contacts: Sequence[DealContact]
    documents: Sequence[DealDocument]
    commissions: Sequence[CommissionView]
    may_write: bool
    may_reopen: bool
    may_assign: bool
    may_export: bool
    may_record: bool
    may_record_for_others: bool
    undo_stage: PipelineStage | None

    @property
    def is_open(self) -> bool:
        """Whether the deal is still being worked."""
        return self.deal.status is DealStatus.OPEN


def read_deal(
    session: Session, actor: Actor, deal_id: str, rules: Mapping[PipelineStage, StageRule], now: datetime
) -> DealView:
    """Return the deal as `actor` may see it; raise `DealNotFound` when that is not at all."""
    deal = get_deal(session, actor, deal_id)
    people = list_users(session)
    names = {user.id: user.name for user in people} | {SYSTEM.id: "dealbook"}
    around = describe_deals(session, [deal])[deal.id]
    rows, _ = list_commissions(session, actor, CommissionFilter(deal_id=deal_id), limit=MAX_PAGE)
    may_write = is_permitted(actor, Action.WRITE_DEAL, deal)
    may_reopen = is_permitted(actor, Action.REOPEN_DEAL, deal)
    undo_stage = undoable_stage(session, deal_id, now) if may_write else None
    if deal.status is DealStatus.CANCELLED or not (deal.pipeline_stage.is_open or may_reopen):
        undo_stage = None
    return DealView(
        deal=deal,
        agent_name=names[deal.agent_id],
        names=names,
        agents={u.id: u.name for u in people if u.active and u.role in (Role.AGENT, Role.MANAGER)},
        company=around.company,
        stage_entered_at=around.stage_entered_at,
        limit_days=rules[deal.pipeline_stage].limit_days,
        timeline=list_timeline(session, deal_id),
        contacts=list_contacts(session, actor, deal_id),
        documents=list_documents(session, actor, deal_id),
        commissions=describe_commissions(session, actor, sorted(rows, key=lambda row: row.id), {deal.id: deal}, names),
        may_write=may_write,
        may_reopen=may_reopen,
        may_assign=is_permitted(actor, Action.ASSIGN_DEAL, deal),
        may_export=is_permitted(actor, Action.EXPORT_EVIDENCE, deal),
        may_record=is_permitted(actor, Action.RECORD_COMMISSION, line_of(deal, deal.agent_id)),
        may_record_for_others=is_permitted(actor, Action.RECORD_COMMISSION, line_of(deal, "")),
        undo_stage=undo_stage,
    )


def describe_commissions(
    session: Session,
    actor: Actor,
    rows: Sequence[Commission],
    deals: Mapping[str, AgentDeal],
    names: Mapping[str, str],
) -> list[CommissionView]:
    """Return commissions, which the caller was allowed to list, with what surrounds them."""
    ids = [row.id for row in rows]
    adjustments = list_adjustments(session, ids)
    disputes = list_disputes(session, ids)
    return [
        CommissionView(
            row=row,
            agent_name=names.get(row.agent_id, wording.NOTHING),
            adjustments=[item for item in adjustments if item.commission_id == row.id],
            disputes=[item for item in disputes if item.commission_id == row.id],
            may_settle=is_permitted(actor, Action.SETTLE_COMMISSION, line_of(deals[row.deal_id], row.agent_id)),
            may_dispute=is_permitted(actor, Action.OPEN_DISPUTE, line_of(deals[row.deal_id], row.agent_id)),
        )
        for row in rows
    ]


def say_item(item: TimelineItem, view: DealView) -> tuple[str, list[str]]:
    """Say an entry of the timeline: what happened, and the lines below it."""
    data = item.data
    match item.kind:
        case "deal.opened":
            return f"Opened in {wording.say(item.to_stage)}", _said_with_stage(data)
        case "deal.stage_changed":
            return f"{wording.say(item.from_stage)} → {wording.say(item.to_stage)}", _said_with_stage(data)
        case "deal.reopened":
            return f"Reopened into {wording.say(item.to_stage)}", _said_with_stage(data)
        case "deal.cancelled":
            return "Cancelled", _notes(data, "reason")
        case "deal.assigned":
            was, now = data["was"]["agent_id"], data["set"]["agent_id"]
            return f"Handed from {_name(view, was)} to {_name(view, now)}", _notes(data, "note")
        case "deal.changed":
            return "Edited", _changes(data)
        case "contact.recorded" | "document.recorded":
            kind = item.subject_kind
            words = [data["set"].get(key) for key in ("name", "title", "company") if data["set"].get(key)]
            return f"{wording.say(kind)} added", [", ".join(words)] if words else []
        case "contact.erased" | "document.erased":
            return f"{wording.say(item.subject_kind)} erased", []
        case _:
            return _say_money(item, view)


def _say_money(item: TimelineItem, view: DealView) -> tuple[str, list[str]]:
    data = item.data
    values = data.get("set", {})
    line = _line_name(view, data.get("commission_id") or item.subject_id)
    match item.kind:
        case "commission.recorded":
            rate = f"{Decimal(values['commission_rate']) * 100:.2f} %"
            basis = wording.exact_amount(Decimal(values["basis_amount"]), values["basis_currency"])
            return f"{line} recorded", [f"{rate} of {basis}"]
        case "commission.changed":
            return f"{line} changed", _changes(data)
        case "commission.status_changed":
            amount = values.get("commission_amount")
            return f"{line}: {wording.say(data['to']).lower()}", [f"{Decimal(amount):,.2f}"] if amount else []
        case "commission.adjusted":
            amount = wording.exact_amount(Decimal(values["amount"]), values["currency"])
            return f"{wording.say(values['adjustment_type'])} of {amount} on {line}", _notes(values, "note")
        case "dispute.opened":
            amount = wording.exact_amount(Decimal(values["amount"]), values["currency"])
            return f"Dispute over {amount} of {line}", _notes(values, "reason")
        case "dispute.resolved":
            outcome = f"{wording.say(data['outcome'])}; the commission is {wording.say(data['to']).lower()}"
            return f"Dispute resolved: {line}", [outcome, *_notes(data, "note")]
        case _:
            return wording.say(item.kind.replace(".", " ")), []


def duration(seconds: float) -> str:
    """Say how long a stage lasted, in the largest unit that fits."""
    if seconds < 60:
        return "under a minute"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h"
    return wording.count(int(seconds // 86400), "day")


def _name(view: DealView, user_id: str) -> str:
    return view.names.get(user_id, "someone")


def _line_name(view: DealView, commission_id: str) -> str:
    for commission in view.commissions:
        if commission.row.id == commission_id:
            return f"{wording.say(commission.row.commission_type)} commission of {commission.agent_name}"
    return "Commission"


def _notes(owner: Mapping[str, Any], key: str) -> list[str]:
    if key not in owner:
        return []
    return [owner[key] if owner[key] is not None else REDACTED]


def _said_with_stage(data: Mapping[str, Any]) -> list[str]:
    """What is said as a deal enters a stage: the day of a closing, a confidence, as of a CRM's history, and a note."""
    beside = ("actual_close_date", "confidence")
    said = {column: value for column, value in data["set"].items() if column in beside and value is not None}
    return [*_changes({"set": said}), *_notes(data["stage_event"], "note")]


def _changes(data: Mapping[str, Any]) -> list[str]:
    lines = []
    for column, value in data["set"].items():
        label = _LABELS.get(column, wording.say(column))
        was = data.get("was", {}).get(column)
        before = f"{_figure(column, was)} → " if column in data.get("was", {}) else ""
        lines.append(f"{label}: {before}{_figure(column, value)}")
    return lines


def _figure(column: str, value: Any) -> str:
    if value is None or value == "":
        return "none"
    if column in ("estimated_value_amount", "basis_amount", "commission_amount"):
        return f"{Decimal(value):,.2f}"
    if column in ("confidence", "commission_rate"):
        return f"{Decimal(value) * 100:.2f} %".replace(".00 %", " %")
    if column in ("asset_type", "deal_type"):
        return wording.say(value)
    return wording.day(date.fromisoformat(value)) if column.endswith("_date") else str(value)
