"""The rules of commissions, pure: from a commission's present state and a request to the entries that record it.

pending -> confirmed -> invoiced -> paid        written_off from pending, confirmed and invoiced
pending|confirmed|invoiced|paid -> disputed -> the status before it, or written_off
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger.checks import (
    check_currency,
    check_effective,
    check_money,
    check_note,
    check_rate,
    check_word,
    compute_commission,
)
from ledger.errors import (
    AmountInvalid,
    CommissionAlreadyConfirmed,
    CommissionStatusNotReachable,
    DisputeAlreadyResolved,
    Invalid,
    NothingToChange,
    WordUnknown,
)
from ledger.fold import Row, encode_value
from ledger.log.entry import Draft
from ledger.log.texts import commit_text
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, DisputeOutcome

CHANGEABLE = ("basis_amount", "commission_rate", "commission_amount")
"""Columns that may be changed while a commission is pending."""

_MILESTONES = (
    "introduced_at",
    "confirmed_at",
    "invoiced_at",
    "paid_at",
    "disputed_at",
    "resolved_at",
    "written_off_at",
)


@dataclass(frozen=True, slots=True)
class NewCommission:
    """A commission to be recorded; `commission_amount` None is computed when it is confirmed."""

    agent_id: str
    commission_type: CommissionType
    basis_amount: Decimal
    commission_rate: Decimal
    basis_currency: str = "SGD"
    commission_amount: Decimal | None = None
    introduced_at: datetime | None = None


def _status(columns: Row) -> CommissionStatus:
    return CommissionStatus(columns["status"])


def _last_moved_at(columns: Row) -> datetime:
    """When the commission's status last moved; nothing later in its life may precede it."""
    moments: list[datetime] = [columns[name] for name in _MILESTONES if columns[name] is not None]
    return max(moments)


def _draft(columns: Row, kind: str, data: Row, happened: datetime | None) -> Draft:
    chain = f"deal:{columns['deal_id']}"
    return Draft(chain, kind, "commission", columns["id"], data, happened, columns["revision"] + 1)


def check_commission_value(column: str, value: Any) -> Any:
    """Return the checked value of a changeable column."""
    match column:
        case "basis_amount":
            return check_money(value, column)
        case "commission_rate":
            return check_rate(value, column)
        case "commission_amount":
            return None if value is None else check_money(value, column)
        case _:
            raise WordUnknown(f"{column} is not a column that can be changed.", column)


def draft_recording(
    commission_id: str, deal_id: str, new: NewCommission, *, now: datetime, not_before: datetime
) -> Draft:
    """Return the entry that records a commission as pending; not before the deal's first event."""
    happened = check_effective(new.introduced_at, max(now, not_before), not_before=not_before, column="introduced_at")
    values = {
        "deal_id": deal_id,
        "agent_id": new.agent_id,
        "commission_type": check_word(new.commission_type, CommissionType, "commission_type"),
        "basis_amount": check_money(new.basis_amount, "basis_amount"),
        "basis_currency": check_currency(new.basis_currency, "basis_currency"),
        "commission_rate": check_rate(new.commission_rate, "commission_rate"),
        "commission_amount": check_commission_value("commission_amount", new.commission_amount),
        "status": CommissionStatus.PENDING,
    }
    data = {"set": {column: encode_value(column, value) for column, value in values.items()}}
    return Draft(f"deal:{deal_id}", "commission.recorded", "commission", commission_id, data, happened, 1)


def draft_commission_change(columns: Row, changes: Mapping[str, Any]) -> Draft:
    """Return the entry that changes basis, rate or amount of a pending commission."""
    values = {column: check_commission_value(column, value) for column, value in changes.items()}
    values = {column: value for column, value in values.items() if value != columns[column]}
    if not values:
        raise NothingToChange("Nothing in the request differs from the commission as it stands.")
    if _status(columns) is not CommissionStatus.PENDING:
        raise CommissionAlreadyConfirmed(
            f"The commission is {columns['status']}: its figures are fixed. Record an adjustment instead."
        )
    data = {
        "set": {column: encode_value(column, value) for column, value in values.items()},
        "was": {column: encode_value(column, columns[column]) for column in values},
    }
    return _draft(columns, "commission.changed", data, None)


def draft_status(
    columns: Row,
    to_status: CommissionStatus,
    *,
    now: datetime,
    commission_amount: Decimal | None = None,
    effective_at: datetime | None = None,
    document_id: str | None = None,
) -> Draft:
    """Return the entry of a status move. Confirming fixes the amount: as given, as recorded, or basis x rate."""
    to_status = check_word(to_status, CommissionStatus, "to_status")
    status = _status(columns)
    if to_status not in status.reachable:
        words = ", ".join(status.reachable) or "no other status"
        hint = " Resolve the dispute first." if status is CommissionStatus.DISPUTED else ""
        raise CommissionStatusNotReachable(
            f"The commission is {status}; from there it can move to {words}, not to {to_status}.{hint}",
            status.reachable,
        )
    last = _last_moved_at(columns)
    happened = check_effective(effective_at, max(now, last), not_before=last)
    values: Row = {}
    if to_status is CommissionStatus.CONFIRMED:
        amount = columns["commission_amount"]
        if commission_amount is not None:
            amount = check_money(commission_amount, "commission_amount")
        if amount is None:
            amount = compute_commission(columns["basis_amount"], columns["commission_rate"])
        values["commission_amount"] = encode_value("commission_amount", amount)
    elif commission_amount is not None:
        raise Invalid("The amount is fixed by confirming; record an adjustment instead.", "commission_amount")
    data: Row = {"from": status.value, "to": to_status.value, "set": values}
    if document_id is not None:
        data["document_id"] = document_id
    return _draft(columns, "commission.status_changed", data, happened)


def draft_adjustment(
    adjustment_id: str,
    columns: Row,
    adjustment_type: AdjustmentType,
    amount: Decimal,
    *,
    now: datetime,
    note: str | None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the entry of an adjustment, in the commission's currency; only corrections may be negative."""
    kind = check_word(adjustment_type, AdjustmentType, "adjustment_type")
    value = check_money(amount, "amount", is_signed=kind is AdjustmentType.CORRECTION)
    if value == 0:
        raise AmountInvalid("An adjustment of 0 adjusts nothing.", "amount")
    if _status(columns) is CommissionStatus.WRITTEN_OFF:
        raise CommissionStatusNotReachable("The commission is written off; nothing can be adjusted.", [])
    first = columns["introduced_at"]
    happened = check_effective(effective_at, max(now, first), not_before=first)
    texts: list[tuple[str, bytes, str]] = []
    values = {
        "adjustment_type": kind.value,
        "amount": encode_value("amount", value),
        "currency": columns["basis_currency"],
        "note": commit_text(check_note(note, "note", "An adjustment"), texts, "note"),
    }
    data = {"commission_id": columns["id"], "set": values}
    chain = f"deal:{columns['deal_id']}"
    return Draft(chain, "commission.adjusted", "adjustment", adjustment_id, data, happened, 1, texts)


def draft_dispute(
    dispute_id: str,
    columns: Row,
    amount: Decimal,
    reason: str,
    *,
    now: datetime,
    is_hold: bool = True,
    evidence: Sequence[str] = (),
    effective_at: datetime | None = None,
) -> Draft:
    """Return the entry that opens a dispute; the commission becomes disputed and remembers where it stood."""
    status = _status(columns)
    if not status.can_be_disputed:
        raise CommissionStatusNotReachable(f"The commission is {status}; it cannot be disputed.", status.reachable)
    value = check_money(amount, "amount")
    if value == 0:
        raise AmountInvalid("A dispute over 0 disputes nothing.", "amount")
    last = _last_moved_at(columns)
    happened = check_effective(effective_at, max(now, last), not_before=last)
    texts: list[tuple[str, bytes, str]] = []
    values: Row = {
        "amount": encode_value("amount", value),
        "currency": columns["basis_currency"],
        "hold": is_hold,
        "reason": commit_text(check_note(reason, "reason", "A dispute"), texts, "reason"),
    }
    if evidence:
        values["evidence"] = list(evidence)
    data = {"commission_id": columns["id"], "from": status.value, "set": values}
    chain = f"deal:{columns['deal_id']}"
    return Draft(chain, "dispute.opened", "dispute", dispute_id, data, happened, 1, texts)


def draft_resolution(
    dispute: Row,
    columns: Row,
    outcome: DisputeOutcome,
    *,
    now: datetime,
    is_written_off: bool = False,
    note: str | None = None,
    effective_at: datetime | None = None,
) -> Draft:
    """Return the entry that resolves a dispute; the commission returns to the status before it, or is written off."""
    if dispute["outcome"] is not None:
        raise DisputeAlreadyResolved(f"The dispute was resolved as {dispute['outcome']}.")
    outcome = check_word(outcome, DisputeOutcome, "outcome")
    last = _last_moved_at(columns)
    happened = check_effective(effective_at, max(now, last), not_before=last)
    before = CommissionStatus(dispute["status_before"])
    to_status = CommissionStatus.WRITTEN_OFF if is_written_off else before
    texts: list[tuple[str, bytes, str]] = []
    data: Row = {"commission_id": columns["id"], "outcome": outcome.value, "to": to_status.value}
    if note is not None:
        data["note"] = commit_text(note, texts, "note")
    chain = f"deal:{columns['deal_id']}"
    return Draft(chain, "dispute.resolved", "dispute", dispute["id"], data, happened, 2, texts)
