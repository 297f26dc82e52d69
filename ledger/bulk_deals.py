"""Deals and stage events of one batch: what is known of them, and the entries that each item asks for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.checks import check_effective, check_optional_text, check_text
from ledger.deal_rules import (
    CHANGEABLE,
    DealState,
    NewDeal,
    PathPoint,
    check_deal_value,
    draft_assignment,
    draft_attachment,
    draft_cancelling,
    draft_change,
    draft_opening,
    draft_stage,
)
from ledger.errors import DealNotFound, Invalid, UserNotFound
from ledger.fold import decode_set
from ledger.identifiers import new_id
from ledger.imported import ImportedDeal, ImportedStage, ImportedStageEvent
from ledger.log.entry import Draft, decode_body
from ledger.log.sequencing import every_entry
from ledger.store import settings_of
from ledger.tables import AgentDeal, DealContact, StageEvent, User
from ledger.vocabulary import DealStatus, PipelineStage

Drafted = tuple[str, bool, list[Draft]]
"""The row's id, whether it is new, and the entries to write."""

_PROVISIONAL_SEQ = 2**60
"""Place in the chain of events that this batch has not written yet: after all that are in the ledger."""

_COMPARED = tuple(column for column in CHANGEABLE if column not in ("project_id", "property_id", "actual_close_date"))
_CHUNK = 5_000


@dataclass(slots=True)
class BatchDeal(DealState):
    """A deal as a batch sees it: what came late must not pass for what the deal has now."""

    confidence_at: datetime | None = None  # when the confidence that it has was stated, as far as that was looked up
    kept: dict[str, Any] = field(default_factory=dict)  # what it has now, though a late move was written after it


def load_deal_states(session: Session, references: set[str]) -> dict[str, BatchDeal]:
    """Return the deals with these external references as the rules see them, by reference, and hold them."""
    connection = session.connection()
    table = AgentDeal.__table__
    wanted = sorted(references)
    states: dict[str, BatchDeal] = {}
    by_id: dict[str, BatchDeal] = {}
    for start in range(0, len(wanted), _CHUNK):
        query = select(table).where(table.c.external_ref.in_(wanted[start : start + _CHUNK]))
        query = query.order_by(table.c.id).with_for_update()
        for row in connection.execute(query).mappings():
            state = BatchDeal(row["id"], dict(row))
            states[row["external_ref"]] = by_id[state.id] = state
    ids = sorted(by_id)
    for start in range(0, len(ids), _CHUNK):
        events = select(
            StageEvent.deal_id, StageEvent.effective_at, StageEvent.audit_log_seq, StageEvent.to_stage
        ).where(StageEvent.deal_id.in_(ids[start : start + _CHUNK]))
        for deal_id, effective_at, seq, to_stage in connection.execute(events):
            by_id[deal_id].path.append(PathPoint(effective_at, seq, to_stage))
    for state in by_id.values():
        state.path.sort()
    return states


def load_confidence_times(session: Session, deal_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when the confidence that each of these deals has was stated, without those that never had one stated.

    A move states it as of the move. A deal's own row and people state it as of the moment in which that was recorded,
    even in the opening entry: they say what they think today.
    """
    entry = every_entry().c
    types = ("deal.opened", "deal.changed", "deal.stage_changed", "deal.reopened")
    found: dict[str, datetime] = {}
    for start in range(0, len(deal_ids), _CHUNK):
        chains = [f"deal:{deal_id}" for deal_id in deal_ids[start : start + _CHUNK]]
        query = select(entry.subject_id, entry.type, entry.at, entry.effective_at, entry.body)
        rows: Any = session.execute(query.where(entry.chain.in_(chains), entry.type.in_(types)))
        for deal_id, type_, at, effective_at, body in rows:
            values = decode_body(body)["data"]["set"]
            if "confidence" in values and (values["confidence"] is not None or type_ != "deal.opened"):
                stated_at = at if type_ in ("deal.opened", "deal.changed") else effective_at
                found[deal_id] = max(found.get(deal_id, stated_at), stated_at)
    return found


def load_user_ids(session: Session, user_ids: set[str]) -> set[str]:
    """Return which of these users exist."""
    wanted = sorted(user_ids)
    found: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        found.update(session.scalars(select(User.id).where(User.id.in_(wanted[start : start + _CHUNK]))))
    return found


class DealBatch:
    """The state of a batch's deals, kept up to date as its items are turned into entries."""

    def __init__(
        self,
        session: Session,
        references: set[str],
        agent_ids: set[str],
        stage_events: Sequence[ImportedStageEvent] = (),
        *,
        is_confidence_told: bool = False,
    ) -> None:
        """`is_confidence_told`: whether a stage of the batch states a confidence."""
        self._zone = settings_of(session).time_zone
        self._states = load_deal_states(session, references)
        if is_confidence_told:
            times = load_confidence_times(session, sorted(state.id for state in self._states.values()))
            for state in self._states.values():
                state.confidence_at = times.get(state.id)
        self._agents = load_user_ids(session, agent_ids)
        self._contacts: dict[str, list[tuple[str | None, str | None]]] = {}
        self._erased: set[str] = set()
        self._seq = _PROVISIONAL_SEQ
        self._stages_at: defaultdict[tuple[str, datetime], list[PipelineStage]] = defaultdict(list)
        for event in stage_events:
            self._stages_at[event.deal_external_ref, event.effective_at].append(event.to_stage)
        ids = sorted(state.id for state in self._states.values())
        for start in range(0, len(ids), _CHUNK):
            query = select(DealContact.deal_id, DealContact.name, DealContact.company, DealContact.erased_at).where(
                DealContact.deal_id.in_(ids[start : start + _CHUNK])
            )
            for deal_id, name, company, erased_at in session.execute(query):
                if erased_at is None:
                    self._contacts.setdefault(deal_id, []).append((name, company))
                else:
                    self._erased.add(deal_id)

    def draft_deal(self, item: ImportedDeal, now: datetime) -> Drafted:
        """Return the entries that bring the ledger to what `item` says; raise what refuses it."""
        reference = check_text(item.external_ref, "external_ref", limit=200)
        if item.agent_id not in self._agents:
            raise UserNotFound(item.agent_id)
        stages = _order_stages(item, now)
        known = self._states.get(reference)
        drafts: list[Draft] = []
        if known is None:
            state = self._open(item, reference, stages, drafts, now)
        else:
            state = replace(known, columns=dict(known.columns), path=list(known.path), kept=dict(known.kept))
        for place, stage in enumerate(stages):
            close_date = item.actual_close_date if stage is stages[-1] else None  # earlier closings have their own
            following = [other.to_stage for other in stages[place + 1 :] if other.effective_at == stage.effective_at]
            self._move(state, stage, drafts, now, close_date, following)
        if known is not None:
            self._change(state, item, stages, drafts, now)
        elif item.confidence is not None:
            self._write_changes(state, {"confidence": item.confidence}, drafts, now)
        self._cancel(state, item, stages, drafts, now)
        contact = self._draft_contact(state.id, item)
        if contact is not None:
            drafts.append(contact)
            values = decode_set("contact", contact.data["set"], {key: text for key, _, text in contact.texts})
            self._contacts.setdefault(state.id, []).append((values["name"], values["company"]))
        self._states[reference] = state
        return state.id, known is None, drafts

    def draft_stage_event(self, item: ImportedStageEvent, now: datetime) -> Drafted:
        """Return the entry of a stage event, or none when it is known; raise `DealNotFound` for an unknown deal."""
        following = self._stages_at[item.deal_external_ref, item.effective_at]
        following.remove(item.to_stage)  # itself: what is left comes after it in the file
        state = self._states.get(item.deal_external_ref)
        if state is None:
            raise DealNotFound(item.deal_external_ref)
        drafts: list[Draft] = []
        effective_at = check_effective(item.effective_at, now)
        stage = ImportedStage(PipelineStage(item.to_stage), effective_at, item.note, item.confidence)
        self._move(state, stage, drafts, now, following=following)
        return state.id, False, drafts

    def draft_kept(self, now: datetime) -> list[Draft]:
        """Return the entries by which deals have again what they had before their late stage events."""
        drafts: list[Draft] = []
        for state in self._states.values():
            self._write_changes(state, state.kept, drafts, now)
        return drafts

    def _open(
        self, item: ImportedDeal, reference: str, stages: list[ImportedStage], drafts: list[Draft], now: datetime
    ) -> BatchDeal:
        first = stages[0]
        is_confidence_told = any(stage.stated_confidence is not None for stage in stages)
        is_whole_path = len(stages) == 1
        new = NewDeal(
            agent_id=item.agent_id,
            title=item.title,
            asset_type=item.asset_type,
            deal_type=item.deal_type,
            pipeline_stage=first.to_stage,
            description=item.description,
            lead_source=item.lead_source,
            estimated_value_amount=item.estimated_value_amount,
            estimated_value_currency=item.estimated_value_currency,
            expected_close_date=item.expected_close_date,
            actual_close_date=item.actual_close_date if is_whole_path else None,
            confidence=first.stated_confidence if is_confidence_told else item.confidence,
            metadata=item.metadata or None,
            external_ref=reference,
            note=first.note,
        )
        if not is_whole_path and item.actual_close_date is not None and stages[-1].to_stage.is_open:
            raise Invalid("An open deal has no actual_close_date.", "actual_close_date")
        deal_id = new_id()
        draft = draft_opening(deal_id, new, now=now, zone=self._zone, effective_at=first.effective_at, is_import=True)
        drafts.append(draft)
        state = BatchDeal(deal_id, {"cancelled_at": None})
        self._apply(state, draft)
        if state.columns["confidence"] is not None:
            state.confidence_at = first.effective_at if is_confidence_told else now
        return state

    def _apply(self, state: BatchDeal, draft: Draft) -> None:
        """Move the state as `fold.fold_entry` will move the tables."""
        texts = {commitment: text for commitment, _, text in draft.texts}
        values = decode_set("deal", draft.data["set"], texts)
        if "status" in values:
            values["cancelled_at"] = draft.effective_at if draft.type == "deal.cancelled" else None
        state.columns.update(values)
        event = draft.data.get("stage_event")
        if event is not None and draft.effective_at is not None:
            self._seq += 1
            state.add_point(PathPoint(draft.effective_at, self._seq, PipelineStage(event["to"])))

    def _move(
        self,
        state: BatchDeal,
        stage: ImportedStage,
        drafts: list[Draft],
        now: datetime,
        close_date: date | None = None,
        following: Sequence[PipelineStage] = (),
    ) -> None:
        """Draft a move, unless it is known. `following` are the stages that the file has after it at the same instant:

        when one of them is known, this one was seen before and changed nothing, and could only be put after it now.
        """
        happened = stage.effective_at
        known = {point.to_stage for point in state.path if point.effective_at == happened}
        if known and (stage.to_stage in known or not known.isdisjoint(following)):
            return
        is_after_cancelling = state.status is DealStatus.CANCELLED and happened >= state.columns["cancelled_at"]
        if state.stage_at(happened) is stage.to_stage and not is_after_cancelling:
            return
        draft = draft_stage(
            state,
            stage.to_stage,
            now=now,
            zone=self._zone,
            note=check_optional_text(stage.note, "note"),
            effective_at=happened,
            close_date=close_date,
            confidence=stage.stated_confidence,
            is_import=True,
        )
        drafts.append(draft)
        if stage.stated_confidence is not None:
            self._date_confidence(state, happened)
        self._apply(state, draft)

    def _date_confidence(self, state: BatchDeal, happened: datetime) -> None:
        """Note when the deal's confidence was stated. One of before that is history: the deal keeps what it has."""
        if state.confidence_at is not None and happened < state.confidence_at:
            state.kept.setdefault("confidence", state.columns["confidence"])
        else:
            state.kept.pop("confidence", None)
            state.confidence_at = happened

    def _change(
        self, state: BatchDeal, item: ImportedDeal, stages: Sequence[ImportedStage], drafts: list[Draft], now: datetime
    ) -> None:
        changes = dict(state.kept)
        for column in _COMPARED:
            value = getattr(item, column)
            if value is None or value == {}:
                continue
            checked = check_deal_value(column, value)
            if checked is not None:
                changes[column] = checked
        last = stages[-1]
        is_last_word = state.path[-1].effective_at == last.effective_at and state.stage is last.to_stage
        if item.actual_close_date is not None and is_last_word:
            if state.stage.is_open:
                raise Invalid("An open deal has no actual_close_date.", "actual_close_date")
            changes["actual_close_date"] = item.actual_close_date
        self._write_changes(state, changes, drafts, now)
        if item.agent_id != state.columns["agent_id"]:
            drafts.append(draft_assignment(state, item.agent_id, None))
            self._apply(state, drafts[-1])

    def _write_changes(self, state: BatchDeal, values: Mapping[str, Any], drafts: list[Draft], now: datetime) -> None:
        """Draft the change of those columns that have other values, or have theirs from a late move only."""
        for column, had in state.kept.items():
            if values[column] == state.columns[column]:
                state.columns[column] = had
        changes = {column: value for column, value in values.items() if value != state.columns[column]}
        state.kept = {}
        if not changes:
            return
        drafts.append(draft_change(state, changes))
        self._apply(state, drafts[-1])
        if "confidence" in changes:
            state.confidence_at = now

    def _cancel(
        self,
        state: BatchDeal,
        item: ImportedDeal,
        stages: Sequence[ImportedStage],
        drafts: list[Draft],
        now: datetime,
    ) -> None:
        if not item.is_cancelled or state.status is DealStatus.CANCELLED:
            return
        cancelled_at = check_effective(item.cancelled_at, now) if item.cancelled_at else stages[-1].effective_at
        if state.path[-1].effective_at > cancelled_at and not drafts:
            return  # someone reopened the deal after the file was written
        reason = check_optional_text(item.cancel_reason, "reason") or "Cancelled in the imported file"
        drafts.append(draft_cancelling(state, reason, now=now, effective_at=cancelled_at))
        self._apply(state, drafts[-1])

    def _draft_contact(self, deal_id: str, item: ImportedDeal) -> Draft | None:
        name, company = check_optional_text(item.contact_name, "name"), check_optional_text(item.company, "company")
        if name is None and company is None:
            return None
        if deal_id in self._erased or (name, company) in self._contacts.get(deal_id, []):
            return None  # an erased contact must not come back with the next file
        values = {"contact_type": "counterparty", "name": name, "company": company}
        return draft_attachment("contact", deal_id, new_id(), values)


def _order_stages(item: ImportedDeal, now: datetime) -> list[ImportedStage]:
    if not item.stages:
        opened_at = check_effective(item.opened_at, now, column="opened_at")
        return [ImportedStage(PipelineStage.LEAD_CAPTURED, opened_at)]
    stages = [
        stage
        if stage.effective_at.tzinfo is UTC and stage.effective_at <= now
        else replace(stage, effective_at=check_effective(stage.effective_at, now))
        for stage in item.stages
    ]
    stages.sort(key=lambda stage: stage.effective_at)
    return stages
