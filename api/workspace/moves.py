"""What people do to deals in the workspace, each in one write: the ledger's functions decide and record.

Pages call these with what a form sent. They turn a form's text into the ledger's values, and nothing else: whatever the
ledger refuses is raised as the ledger states it, and shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy.orm import Session

from ledger import deals
from ledger.access import Action, get_deal
from ledger.actors import Actor
from ledger.errors import AmountInvalid, EffectiveTooEarly, Invalid, StageNotReachable
from ledger.store import settings_of
from ledger.timeline import list_timeline
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage

UNDO_WITHIN = timedelta(minutes=10)
HUNDRED = Decimal(100)
Form = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Move:
    """A move that was made: for the message that tells of it, and offers to undo it."""

    deal_id: str
    title: str
    to_stage: PipelineStage


def move_deal(
    session: Session,
    actor: Actor,
    deal_id: str,
    to_stage: PipelineStage,
    *,
    revision: int | None = None,
    note: str | None = None,
    closed_on: date | None = None,
    now: datetime,
) -> Move:
    """Move an open deal; `closed_on` says on which day it was won or lost, today unless given."""
    effective_at = None
    if closed_on is not None and not to_stage.is_open:
        get_deal(session, actor, deal_id, Action.WRITE_DEAL)
        effective_at = _end_of_day(session, deal_id, closed_on, now)
    deal = deals.advance_stage(
        session, actor, deal_id, to_stage, note=note, effective_at=effective_at, revision=revision
    )
    return Move(deal.id, deal.title, to_stage)


def _end_of_day(session: Session, deal_id: str, day: date, now: datetime) -> datetime | None:
    zone = settings_of(session).time_zone
    if day == now.astimezone(zone).date():
        return None
    moment = datetime.combine(day, time(23, 59, 59), zone)
    entered = max(item.effective_at for item in list_timeline(session, deal_id) if item.stage_event_id)
    if moment < entered:
        since = entered.astimezone(zone).date()
        raise EffectiveTooEarly(f"The deal entered its stage on {since}; it cannot have closed before.", "closed_on")
    return moment


def undo_move(session: Session, actor: Actor, deal_id: str, *, now: datetime) -> Move:
    """Move a deal back to where it was before its last move, made within ten minutes. The log keeps both moves.

    Leading a closed deal back is a reopening, which takes the right to reopen. Raises `StageNotReachable` when there
    is nothing to undo any more.
    """
    deal = get_deal(session, actor, deal_id, Action.WRITE_DEAL)
    stage = undoable_stage(session, deal_id, now)
    if stage is None or deal.status is DealStatus.CANCELLED:
        raise StageNotReachable("There is no move of the last ten minutes to undo.", deal.pipeline_stage.reachable)
    if deal.pipeline_stage.is_open:
        deals.advance_stage(session, actor, deal_id, stage)
    else:
        deals.reopen_deal(session, actor, deal_id, to_stage=stage, note="Undone")
    return Move(deal_id, deal.title, stage)


def undoable_stage(session: Session, deal_id: str, now: datetime) -> PipelineStage | None:
    """Return the stage to which undoing would lead, None where the last move is the first or too long ago."""
    for item in list_timeline(session, deal_id):
        if item.is_current and item.from_stage is not None and now - item.at <= UNDO_WITHIN:
            return item.from_stage
    return None


def open_from_form(session: Session, actor: Actor, form: Form) -> str:
    """Open a deal from the form of the new-deal dialog and return its id; a company becomes its first contact."""
    values = read_deal_form(form)
    stage = PipelineStage(form["stage"]) if form.get("stage") else PipelineStage.LEAD_CAPTURED
    new = deals.NewDeal(agent_id=form.get("agent_id") or actor.id, pipeline_stage=stage, **values)
    deal = deals.open_deal(session, actor, new)
    if (company := str(form.get("company") or "").strip()) or str(form.get("contact") or "").strip():
        deals.add_contact(session, actor, deal.id, company=company or None, name=str(form.get("contact") or ""))
    return deal.id


def change_from_form(session: Session, actor: Actor, deal_id: str, form: Form, *, revision: int) -> None:
    """Change what the form of the edit dialog names; what is left as it was makes no entry."""
    deals.change_deal(session, actor, deal_id, read_deal_form(form), revision=revision)


def read_deal_form(form: Form) -> dict[str, Any]:
    """Return the ledger's values of a deal's form. Confidence is asked in percent and kept as a share."""
    confidence = _number(form, "confidence", "Confidence")
    if confidence is not None and not 0 <= confidence <= HUNDRED:
        raise AmountInvalid("Confidence is a percentage from 0 to 100.", "confidence")
    return {
        "title": str(form.get("title") or ""),
        "description": str(form.get("description") or ""),
        "asset_type": AssetType(form.get("asset_type") or AssetType.OFFICE),
        "deal_type": DealType(form.get("deal_type") or DealType.OTHER),
        "lead_source": str(form.get("lead_source") or ""),
        "estimated_value_amount": _number(form, "value", "Value"),
        "estimated_value_currency": str(form.get("currency") or "").strip().upper(),
        "expected_close_date": read_day(form, "expected_close_date"),
        "confidence": None if confidence is None else confidence / HUNDRED,
    }


def read_amount(form: Form, name: str, words: str) -> Decimal:
    """Return an amount that a form must have."""
    amount = _number(form, name, words)
    if amount is None:
        raise AmountInvalid(f"{words} is missing.", name)
    return amount


def _number(form: Form, name: str, words: str) -> Decimal | None:
    written = str(form.get(name) or "").replace(",", "").replace(" ", "")
    if not written:
        return None
    try:
        return Decimal(written)
    except InvalidOperation:
        raise AmountInvalid(f"{words} must be a number such as 1,250,000.00.", name) from None


def read_day(form: Form, name: str) -> date | None:
    """Return the day that a date field holds, None when it is empty."""
    written = str(form.get(name) or "")
    if not written:
        return None
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise Invalid(f"{written[:20]} is not a date.", name) from None


def reopen_deal(
    session: Session, actor: Actor, deal_id: str, to_stage: PipelineStage, note: str, *, revision: int | None
) -> Move:
    """Lead a closed or cancelled deal on."""
    deal = deals.reopen_deal(session, actor, deal_id, to_stage=to_stage, note=note, revision=revision)
    return Move(deal.id, deal.title, to_stage)
