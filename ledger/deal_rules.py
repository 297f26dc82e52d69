"""The rules of deals, pure: from a deal's present state and a request to the entries that record it.

The one-by-one path (`deals.py`) and the import path (`bulk.py`) both ask here, so each rule stands in one place.
`is_import` marks what only an import may do: open a deal in any stage, record a move before the deal's first event,
lead a closed deal on, or close a closed deal otherwise.
"""

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ledger.checks import (
    check_confidence,
    check_currency,
    check_effective,
    check_money,
    check_note,
    check_optional_text,
    check_text,
    check_word,
)
from ledger.errors import (
    DealNotClosed,
    DealNotOpen,
    EffectiveTooEarly,
    Invalid,
    NothingToChange,
    StageNotReachable,
    WordUnknown,
)
from ledger.fold import Row, encode_metadata, encode_value
from ledger.identifiers import new_id
from ledger.log.entry import Draft
from ledger.log.texts import commit_text
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage

CHANGEABLE = (
    "title",
    "description",
    "asset_type",
    "deal_type",
    "lead_source",
    "estimated_value_amount",
    "estimated_value_currency",
    "expected_close_date",
    "actual_close_date",
    "confidence",
    "project_id",
    "property_id",
    "metadata",
)
"""Columns that `change_deal` may change; stage, status and agent have verbs of their own."""

_COMMITTED = frozenset({"title", "description", "metadata"})
_REQUIRED = frozenset({"title", "asset_type", "deal_type", "estimated_value_currency"})


@dataclass(frozen=True, slots=True)
class NewDeal:
    """A deal to be opened. Amounts are Decimal, times aware; `opened_at` None means now."""

    agent_id: str
    title: str
    asset_type: AssetType
    deal_type: DealType
    pipeline_stage: PipelineStage = PipelineStage.LEAD_CAPTURED
    description: str | None = None
    lead_source: str | None = None
    estimated_value_amount: Decimal | None = None
    estimated_value_currency: str = "SGD"
    expected_close_date: date | None = None
    actual_close_date: date | None = None
    confidence: Decimal | None = None
    project_id: str | None = None
    property_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    external_ref: str | None = None
    note: str | None = None
    opened_at: datetime | None = None


class PathPoint(NamedTuple):
    """A stage event as the rules see it; `seq` is its entry's place in the deal's chain and breaks ties."""

    effective_at: datetime
    seq: int
    to_stage: PipelineStage


@dataclass(slots=True)
class DealState:
    """A deal as the rules see it: its columns, and its stage events by effective time and order of arrival."""

    id: str
    columns: Row
    path: list[PathPoint] = field(default_factory=list)

    @property
    def stage(self) -> PipelineStage:
        """The current stage."""
        return PipelineStage(self.columns["pipeline_stage"])

    @property
    def status(self) -> DealStatus:
        """The current status."""
        return DealStatus(self.columns["status"])

    @property
    def first_effective_at(self) -> datetime:
        """When the deal's first event happened."""
        return self.path[0].effective_at

    def stage_at(self, moment: datetime) -> PipelineStage | None:
        """Return the stage in which the deal was at `moment`, None before its first event."""
        stage = None
        for point in self.path:
            if point.effective_at > moment:
                break
            stage = point.to_stage
        return stage

    def add_point(self, point: PathPoint) -> None:
        """Take in a new stage event."""
        insort(self.path, point)


def check_deal_value(column: str, value: Any) -> Any:
    """Return the checked value of a changeable column; blank text and None clear it where that is allowed."""
    if value is None or (isinstance(value, str) and not value.strip()):
        if column in _REQUIRED:
            raise Invalid(f"{column} cannot be empty.", column)
        return None
    match column:
        case "title":
            return check_text(value, column, limit=500)
        case "description":
            return check_text(value, column)
        case "lead_source":
            return check_text(value, column, limit=100)
        case "project_id" | "property_id":
            return check_text(value, column, limit=36)
        case "asset_type":
            return check_word(value, AssetType, column)
        case "deal_type":
            return check_word(value, DealType, column)
        case "estimated_value_amount":
            return check_money(value, column)
        case "estimated_value_currency":
            return check_currency(value, column)
        case "confidence":
            return check_confidence(value)
        case "expected_close_date" | "actual_close_date":
            if not isinstance(value, date) or isinstance(value, datetime):
                raise Invalid(f"{column} must be a date.", column)
            return value
        case "metadata":
            if not isinstance(value, Mapping):
                raise Invalid("metadata must be a JSON object.", column)
            return dict(value)
        case _:
            raise WordUnknown(f"{column} is not a column that can be changed.", column)


def _write_columns(values: Mapping[str, Any], texts: list[tuple[str, bytes, str]]) -> Row:
    written: Row = {}
    for column, value in values.items():
        if column == "metadata":
            written[column] = commit_text(encode_metadata(value), texts, column)
        elif column in _COMMITTED:
            written[column] = commit_text(value, texts, column)
        else:
            written[column] = encode_value(column, value)
    return written


def _write_note(into: Row, note: str | None, texts: list[tuple[str, bytes, str]], key: str = "note") -> None:
    if note is not None:
        into[key] = commit_text(note, texts, key)


def _closing(stage: PipelineStage, effective_at: datetime, zone: ZoneInfo, given: date | None = None) -> Row:
    """The columns that entering `stage` sets: reopening clears the close date, closing sets it."""
    close_date = None if stage.is_open else given or effective_at.astimezone(zone).date()
    return {"pipeline_stage": stage, "status": stage.status, "actual_close_date": close_date}


def draft_opening(
    deal_id: str, new: NewDeal, *, now: datetime, zone: ZoneInfo, effective_at: datetime | None, is_import: bool
) -> Draft:
    """Return the entry that opens a deal in its first stage."""
    stage = check_word(new.pipeline_stage, PipelineStage, "pipeline_stage")
    if not stage.is_open and not is_import:
        raise StageNotReachable(
            f"A deal opens in an open stage, not in {stage}.", [word for word in PipelineStage if word.is_open]
        )
    happened = check_effective(effective_at, now)
    if stage.is_open and new.actual_close_date is not None:
        raise Invalid("An open deal has no actual_close_date.", "actual_close_date")
    values: Row = {"agent_id": check_text(new.agent_id, "agent_id", limit=36)}
    values |= {c: check_deal_value(c, getattr(new, c)) for c in CHANGEABLE if c != "actual_close_date"}
    values["external_ref"] = check_optional_text(new.external_ref, "external_ref", limit=200)
    values |= _closing(stage, happened, zone, new.actual_close_date)
    texts: list[tuple[str, bytes, str]] = []
    event: Row = {"id": new_id(), "from": None, "to": stage.value}
    _write_note(event, check_optional_text(new.note, "note"), texts)
    data = {"set": _write_columns(values, texts), "stage_event": event}
    return Draft(f"deal:{deal_id}", "deal.opened", "deal", deal_id, data, happened, None, texts)


def draft_change(state: DealState, changes: Mapping[str, Any]) -> Draft:
    """Return the entry that changes columns of a deal; raise `NothingToChange` when all stand so already."""
    values: Row = {}
    for column, value in changes.items():
        checked = check_deal_value(column, value)
        if checked != state.columns[column]:
            values[column] = checked
    if not values:
        raise NothingToChange("Nothing in the request differs from the deal as it stands.")
    if values.get("actual_close_date") is not None and state.stage.is_open:
        raise Invalid("An open deal has no actual_close_date; close it first.", "actual_close_date")
    if "actual_close_date" in values and values["actual_close_date"] is None and not state.stage.is_open:
        raise Invalid("A closed deal keeps a close date; reopen the deal to clear it.", "actual_close_date")
    texts: list[tuple[str, bytes, str]] = []
    # The commitments to former texts stand in earlier entries; repeating the text itself would undo erasing.
    was = {c: encode_value(c, state.columns[c]) for c in values if c not in _COMMITTED}
    data = {"set": _write_columns(values, texts), "was": was}
    return Draft(f"deal:{state.id}", "deal.changed", "deal", state.id, data, None, None, texts)


def draft_stage(
    state: DealState,
    to_stage: PipelineStage,
    *,
    now: datetime,
    zone: ZoneInfo,
    note: str | None = None,
    effective_at: datetime | None = None,
    close_date: date | None = None,
    confidence: Decimal | None = None,
    is_import: bool = False,
    is_reopening: bool = False,
) -> Draft:
    """Return the entry of a stage move.

    A move that happened before the latest one is recorded as history and leaves the current stage alone; ties go by
    order of arrival. A move that leads a closed or cancelled deal back to an open stage is a reopening. `confidence`
    is what was stated at the move.
    """
    to_stage = check_word(to_stage, PipelineStage, "to_stage")
    # The clock may have been set back since the last move; a move made now still comes after it.
    happened = check_effective(effective_at, max(now, state.path[-1].effective_at))
    if happened < state.first_effective_at and not is_import:
        first = state.first_effective_at.isoformat()
        raise EffectiveTooEarly(f"effective_at lies before the deal's first event, {first}.", "effective_at")
    is_latest = happened >= state.path[-1].effective_at
    from_stage = state.stage_at(happened)
    is_cancelled = state.status is DealStatus.CANCELLED
    after_cancelling = is_cancelled and happened >= state.columns["cancelled_at"]
    if is_reopening:
        if not is_latest or (is_cancelled and not after_cancelling):
            raise EffectiveTooEarly("A deal is reopened after it was closed or cancelled.", "effective_at")
    elif not is_import:
        _check_reachable(from_stage, to_stage)
        if is_latest and is_cancelled:
            raise DealNotOpen("The deal is cancelled. A manager can reopen it.")
    elif from_stage is to_stage and not after_cancelling:
        raise StageNotReachable(f"The deal was in {to_stage} already.", to_stage.reachable)
    was_closed = from_stage is not None and not from_stage.is_open
    kind = "deal.reopened" if to_stage.is_open and (was_closed or after_cancelling) else "deal.stage_changed"
    texts: list[tuple[str, bytes, str]] = []
    event: Row = {"id": new_id(), "from": None if from_stage is None else from_stage.value, "to": to_stage.value}
    _write_note(event, note, texts)
    values: Row = {}
    if is_latest:
        values = _closing(to_stage, happened, zone, close_date)
        if is_cancelled and not after_cancelling:  # the file knows of a move before the cancelling
            values = {"pipeline_stage": to_stage}
    if confidence is not None:
        values["confidence"] = check_confidence(confidence)
    data = {"stage_event": event, "set": _write_columns(values, texts)}
    return Draft(f"deal:{state.id}", kind, "deal", state.id, data, happened, None, texts)


def _check_reachable(from_stage: PipelineStage | None, to_stage: PipelineStage) -> None:
    if from_stage is None or to_stage in from_stage.reachable:
        return
    if not from_stage.is_open:
        raise StageNotReachable(f"The deal is {from_stage}. A manager can reopen it.", from_stage.reachable)
    words = ", ".join(from_stage.reachable)
    raise StageNotReachable(f"The deal is in {from_stage} already. It can move to {words}.", from_stage.reachable)


def draft_reopening(state: DealState, to_stage: PipelineStage, note: str, *, now: datetime, zone: ZoneInfo) -> Draft:
    """Return the entry that reopens a closed or cancelled deal; a note is required."""
    if state.status is DealStatus.OPEN:
        raise DealNotClosed("The deal is open; move it to the stage you want.")
    to_stage = check_word(to_stage, PipelineStage, "to_stage")
    if not to_stage.is_open:
        open_stages = [stage for stage in PipelineStage if stage.is_open]
        raise StageNotReachable(f"A deal is reopened into an open stage, not into {to_stage}.", open_stages)
    note = check_note(note, "note", "Reopening a deal")
    return draft_stage(state, to_stage, now=now, zone=zone, note=note, is_reopening=True)


def draft_cancelling(state: DealState, reason: str, *, now: datetime, effective_at: datetime | None = None) -> Draft:
    """Return the entry that cancels an open deal; a reason is required."""
    if state.status is not DealStatus.OPEN:
        raise DealNotOpen(f"The deal is {state.status}; only an open deal can be cancelled.")
    last = state.path[-1].effective_at
    happened = check_effective(effective_at, max(now, last), not_before=last)
    texts: list[tuple[str, bytes, str]] = []
    data: Row = {"set": {"status": DealStatus.CANCELLED.value}}
    _write_note(data, check_note(reason, "reason", "Cancelling a deal"), texts, "reason")
    return Draft(f"deal:{state.id}", "deal.cancelled", "deal", state.id, data, happened, None, texts)


def draft_assignment(state: DealState, agent_id: str, note: str | None) -> Draft:
    """Return the entry that hands a deal to another agent."""
    was = state.columns["agent_id"]
    if agent_id == was:
        raise NothingToChange("The deal belongs to this agent already.")
    texts: list[tuple[str, bytes, str]] = []
    data: Row = {"set": {"agent_id": agent_id}, "was": {"agent_id": was}}
    _write_note(data, note, texts)
    return Draft(f"deal:{state.id}", "deal.assigned", "deal", state.id, data, None, None, texts)


_ATTACHED = {
    "contact": ("contact_type", "name", "email", "phone", "company", "notes"),
    "document": ("document_type", "title", "uri", "mime_type", "sha256", "metadata"),
}
_PERSONAL = {
    "contact": ("name", "email", "phone", "company", "notes"),
    "document": ("title", "uri", "metadata"),
}


def draft_attachment(kind: str, deal_id: str, row_id: str, values: Mapping[str, Any]) -> Draft:
    """Return the entry that adds a contact or document; `values` holds its columns, all but the type optional."""
    texts: list[tuple[str, bytes, str]] = []
    written: Row = {}
    for column in _ATTACHED[kind]:
        value = values.get(column)
        if column.endswith("_type") and column != "mime_type":
            written[column] = check_text(value, column, limit=50)
        elif column == "metadata":
            written[column] = commit_text(encode_metadata(value), texts, column)
        elif column in _PERSONAL[kind]:
            written[column] = commit_text(check_optional_text(value, column), texts, column)
        else:
            written[column] = check_optional_text(value, column, limit=100)
    if not any(written[column] for column in _PERSONAL[kind]):
        raise Invalid(f"A {kind} needs at least one of {', '.join(_PERSONAL[kind])}.", _PERSONAL[kind][0])
    return Draft(f"deal:{deal_id}", f"{kind}.recorded", kind, row_id, {"set": written}, None, 1, texts)


def draft_erasure(kind: str, deal_id: str, row_id: str) -> Draft:
    """Return the entry that erases what is personal in a contact or document."""
    data = {"set": dict.fromkeys(_PERSONAL[kind])}
    return Draft(f"deal:{deal_id}", f"{kind}.erased", kind, row_id, data, None, 2)
