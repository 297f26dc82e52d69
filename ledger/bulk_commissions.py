"""Commissions of one batch: what is known of them, and the entries that each item asks for."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.bulk_deals import Drafted, load_deal_states, load_user_ids
from ledger.checks import check_effective, check_money, check_word
from ledger.commission_rules import (
    NewCommission,
    check_commission_value,
    draft_adjustment,
    draft_commission_change,
    draft_dispute,
    draft_recording,
    draft_resolution,
    draft_status,
)
from ledger.errors import DealNotFound, Invalid, UserNotFound
from ledger.fold import Row, fold_entry
from ledger.identifiers import new_id
from ledger.imported import ImportedAdjustment, ImportedCommission, ImportedDispute
from ledger.log.entry import Draft, Entry
from ledger.tables import Commission, CommissionAdjustment, CommissionDispute
from ledger.vocabulary import CommissionStatus, CommissionType

Key = tuple[str, str, str]
"""Deal, agent, commission type."""

_CHUNK = 5_000


class _History:
    """One commission as the rules see it, with its adjustments and disputes."""

    def __init__(self, columns: Row) -> None:
        self.columns = columns
        self.adjustments: list[tuple[str, Any, datetime]] = []
        self.disputes: dict[str, Row] = {}

    def copy(self) -> "_History":
        twin = _History(dict(self.columns))
        twin.adjustments = list(self.adjustments)
        twin.disputes = {dispute_id: dict(row) for dispute_id, row in self.disputes.items()}
        return twin

    def apply(self, draft: Draft, now: datetime) -> None:
        """Move as the fold will move the tables; the place in the chain is not known yet and not looked at."""
        happened = draft.effective_at or now
        entry = Entry(
            draft.chain, 0, "", draft.type, max(now, happened), happened, "",
            draft.subject_kind, draft.subject_id, draft.revision or 0, draft.data, b"",
        )  # fmt: skip
        for change in fold_entry(entry, {}):
            if change.kind == "commission":
                self.columns.update(change.values)
            elif change.kind == "dispute":
                self.disputes.setdefault(change.id, {}).update(change.values)
            elif change.kind == "adjustment":
                values = change.values
                self.adjustments.append((values["adjustment_type"], values["amount"], values["effective_at"]))


class CommissionBatch:
    """The state of a batch's commissions, kept up to date as its items are turned into entries."""

    def __init__(self, session: Session, references: set[str], agent_ids: set[str]) -> None:
        self._deals = load_deal_states(session, references)
        self._agents = load_user_ids(session, agent_ids)
        self._known: dict[Key, _History] = {}
        connection = session.connection()
        by_id: dict[str, _History] = {}
        for row in _read(connection, Commission, "deal_id", [state.id for state in self._deals.values()]):
            history = _History(row)
            self._known[(row["deal_id"], row["agent_id"], row["commission_type"])] = history
            by_id[row["id"]] = history
        for row in _read(connection, CommissionAdjustment, "commission_id", list(by_id)):
            made = (row["adjustment_type"], row["amount"], row["effective_at"])
            by_id[row["commission_id"]].adjustments.append(made)
        for row in _read(connection, CommissionDispute, "commission_id", list(by_id)):
            by_id[row["commission_id"]].disputes[row["id"]] = row

    def draft_commission(self, item: ImportedCommission, now: datetime) -> Drafted:
        """Return the entries that bring the ledger to what `item` says; raise what refuses it."""
        deal = self._deals.get(item.deal_external_ref)
        if deal is None:
            raise DealNotFound(item.deal_external_ref)
        if item.agent_id not in self._agents:
            raise UserNotFound(item.agent_id)
        commission_type = check_word(item.commission_type, CommissionType, "commission_type")
        key: Key = (deal.id, item.agent_id, commission_type)
        known = self._known.get(key)
        drafts: list[Draft] = []
        if known is None:
            new = NewCommission(
                agent_id=item.agent_id,
                commission_type=commission_type,
                basis_amount=item.basis_amount,
                commission_rate=item.commission_rate,
                basis_currency=item.basis_currency,
                commission_amount=item.commission_amount,
                introduced_at=item.introduced_at,
            )
            drafts.append(draft_recording(new_id(), deal.id, new, now=now, not_before=deal.first_effective_at))
            history = _History({})
            history.apply(drafts[0], now)
        else:
            history = known.copy()
            self._change(history, item, drafts, now)
        for _, step in sorted(_list_steps(item, now), key=lambda pair: pair[0]):
            draft = step(history)
            if draft is not None:
                drafts.append(draft)
                history.apply(draft, now)
        self._known[key] = history
        return str(history.columns["id"]), known is None, drafts

    def _change(self, history: _History, item: ImportedCommission, drafts: list[Draft], now: datetime) -> None:
        if item.basis_currency != history.columns["basis_currency"]:
            raise Invalid("The currency of a recorded commission cannot change.", "basis_currency")
        changes: Row = {}
        for column in ("basis_amount", "commission_rate", "commission_amount"):
            value = getattr(item, column)
            if value is not None and check_commission_value(column, value) != history.columns[column]:
                changes[column] = value
        if changes:
            drafts.append(draft_commission_change(history.columns, changes))
            history.apply(drafts[-1], now)


def _read(connection: Any, model: type[Any], column: str, values: list[str]) -> list[Row]:
    table = model.__table__
    rows: list[Row] = []
    for start in range(0, len(values), _CHUNK):
        query = select(table).where(table.c[column].in_(values[start : start + _CHUNK]))
        rows += [dict(row) for row in connection.execute(query).mappings()]
    return rows


Step = Callable[[_History], Draft | None]


def _list_steps(item: ImportedCommission, now: datetime) -> list[tuple[datetime, Step]]:
    """Everything that the file knows of a commission after its recording, with when it happened; None when known."""
    steps: list[tuple[datetime, Step]] = []
    for status, moment in item.statuses:
        word = check_word(status, CommissionStatus, "status")
        if word is CommissionStatus.DISPUTED:
            raise Invalid("A dispute needs its amount and reason; give it as a dispute.", "status")
        if word is not CommissionStatus.PENDING:
            steps.append((check_effective(moment, now), _status_step(word, check_effective(moment, now), now)))
    for dispute in (ImportedDispute(*values) for values in item.disputes):
        opened_at = check_effective(dispute.opened_at, now, column="opened_at")
        steps.append((opened_at, _dispute_step(dispute, opened_at, now)))
        if (dispute.resolved_at is None) != (dispute.outcome is None):
            raise Invalid("A resolved dispute has both a time and an outcome.", "outcome")
        if dispute.resolved_at is not None:
            resolved_at = check_effective(dispute.resolved_at, now, not_before=opened_at, column="resolved_at")
            steps.append((resolved_at, _resolution_step(dispute, opened_at, resolved_at, now)))
    seen: list[tuple[str, Any, datetime]] = []
    for adjustment in (ImportedAdjustment(*values) for values in item.adjustments):
        happened = check_effective(adjustment.effective_at, now)
        seen.append((adjustment.adjustment_type, check_money(adjustment.amount, "amount", is_signed=True), happened))
        steps.append((happened, _adjustment_step(adjustment, seen[-1], seen.count(seen[-1]), now)))
    return steps


def _status_step(status: CommissionStatus, happened: datetime, now: datetime) -> Step:
    def step(history: _History) -> Draft | None:
        if history.columns[f"{status}_at"] is not None:
            return None
        return draft_status(history.columns, status, now=now, effective_at=happened)

    return step


def _find_dispute(history: _History, dispute: ImportedDispute, opened_at: datetime) -> Row | None:
    amount = check_money(dispute.amount, "amount")
    matches = (row for row in history.disputes.values() if row["amount"] == amount and row["opened_at"] == opened_at)
    return next(matches, None)


def _dispute_step(dispute: ImportedDispute, opened_at: datetime, now: datetime) -> Step:
    def step(history: _History) -> Draft | None:
        if _find_dispute(history, dispute, opened_at) is not None:
            return None
        return draft_dispute(
            new_id(),
            history.columns,
            dispute.amount,
            dispute.reason,
            now=now,
            is_hold=dispute.hold,
            effective_at=opened_at,
        )

    return step


def _resolution_step(dispute: ImportedDispute, opened_at: datetime, resolved_at: datetime, now: datetime) -> Step:
    def step(history: _History) -> Draft | None:
        row = _find_dispute(history, dispute, opened_at)
        if row is None or dispute.outcome is None or row["outcome"] is not None:
            return None
        return draft_resolution(row, history.columns, dispute.outcome, now=now, effective_at=resolved_at)

    return step


def _adjustment_step(
    adjustment: ImportedAdjustment, made: tuple[str, Any, datetime], occurrence: int, now: datetime
) -> Step:
    """`occurrence` tells equal adjustments of one file apart: the second is new unless the ledger has two."""

    def step(history: _History) -> Draft | None:
        if history.adjustments.count(made) >= occurrence:
            return None
        return draft_adjustment(
            new_id(),
            history.columns,
            adjustment.adjustment_type,
            adjustment.amount,
            now=now,
            note=adjustment.note or "Imported",
            effective_at=made[2],
        )

    return step
