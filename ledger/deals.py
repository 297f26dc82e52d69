"""Deals one by one: each function authorises, checks, appends the entry and moves the tables, in the caller's write.

All raise `DealNotFound` for a deal that the actor may not see and `NotPermitted` for what the actor may not do.
`revision`, where given, must equal the deal's, or `RevisionStale` is raised.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from ledger.access import Action, authorize, get_deal
from ledger.actors import Actor
from ledger.checks import check_optional_text
from ledger.deal_lists import (
    DealFilter,
    StageCount,
    list_contacts,
    list_deals,
    list_documents,
    pipeline_counts,
)
from ledger.deal_rules import (
    CHANGEABLE,
    DealState,
    NewDeal,
    PathPoint,
    draft_assignment,
    draft_attachment,
    draft_cancelling,
    draft_change,
    draft_erasure,
    draft_opening,
    draft_reopening,
    draft_stage,
)
from ledger.errors import ContactNotFound, DocumentNotFound, NotFound, RevisionStale, UserNotFound
from ledger.fold import record_entries
from ledger.identifiers import new_id
from ledger.log.chain import now_utc
from ledger.log.entry import Draft, decode_body
from ledger.log.sequencing import every_entry
from ledger.log.texts import erase_texts
from ledger.statements import RowByKey, Statement
from ledger.store import settings_of
from ledger.tables import AgentDeal, DealContact, DealDocument, IdempotencyKey, StageEvent, User
from ledger.timeline import TimelineItem, list_timeline, tell_timeline
from ledger.vocabulary import PipelineStage

__all__ = [
    "CHANGEABLE",
    "DealFilter",
    "NewDeal",
    "StageCount",
    "TimelineItem",
    "add_contact",
    "add_document",
    "advance_stage",
    "assign_deal",
    "cancel_deal",
    "change_deal",
    "erase_contact",
    "erase_document",
    "get_deal",
    "list_contacts",
    "list_deals",
    "list_documents",
    "list_timeline",
    "open_deal",
    "pipeline_counts",
    "reopen_deal",
    "tell_timeline",
]


def load_state(session: Session, deal: AgentDeal) -> DealState:
    """Return the deal, as `get_deal` gave it, in the form that the rules see."""
    values = vars(deal)
    columns = {column: values[attribute] for column, attribute in _DEAL_COLUMNS}
    points = [PathPoint(*row) for row in _PATH.all(session, deal_id=deal.id)]
    return DealState(deal.id, columns, sorted(points))


_PATH = Statement(
    select(StageEvent.effective_at, StageEvent.audit_log_seq, StageEvent.to_stage).where(
        StageEvent.deal_id == bindparam("deal_id")
    )
)
_DEALS = RowByKey(AgentDeal)
_DEAL_COLUMNS = [(attribute.columns[0].name, attribute.key) for attribute in AgentDeal.__mapper__.column_attrs]


def _begin(session: Session, actor: Actor, deal_id: str, action: Action, revision: int | None) -> DealState:
    deal = get_deal(session, actor, deal_id, action)
    if revision is not None and revision != deal.revision:
        raise RevisionStale(deal.revision)
    return load_state(session, deal)


def _finish(session: Session, actor: Actor, deal_id: str, draft: Draft) -> AgentDeal:
    record_entries(session, actor, [draft])
    return _DEALS.get_one(session, deal_id)


def _check_agent(session: Session, agent_id: str) -> None:
    user = session.get(User, agent_id)
    if user is None or not user.active:
        raise UserNotFound(agent_id)


def open_deal(session: Session, actor: Actor, new: NewDeal) -> AgentDeal:
    """Open a deal: writes `deal.opened`. Agents open their own; `opened_at` may lie in the past."""
    authorize(session, actor, Action.WRITE_DEAL, new.agent_id)
    _check_agent(session, new.agent_id)
    deal_id = new_id()
    draft = draft_opening(
        deal_id, new, now=now_utc(), zone=settings_of(session).time_zone, effective_at=new.opened_at, is_import=False
    )
    return _finish(session, actor, deal_id, draft)


def change_deal(
    session: Session, actor: Actor, deal_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> AgentDeal:
    """Change columns of a deal (`CHANGEABLE`): writes `deal.changed`. Raises `NothingToChange` when nothing differs."""
    state = _begin(session, actor, deal_id, Action.WRITE_DEAL, revision)
    return _finish(session, actor, deal_id, draft_change(state, changes))


def advance_stage(
    session: Session,
    actor: Actor,
    deal_id: str,
    to_stage: PipelineStage,
    *,
    note: str | None = None,
    effective_at: datetime | None = None,
    revision: int | None = None,
) -> AgentDeal:
    """Move a deal to another stage: writes `deal.stage_changed`.

    Closing sets the close date. Raises `StageNotReachable` naming the stages that are, `DealNotOpen` when cancelled.
    """
    state = _begin(session, actor, deal_id, Action.WRITE_DEAL, revision)
    draft = draft_stage(
        state,
        to_stage,
        now=now_utc(),
        zone=settings_of(session).time_zone,
        note=check_optional_text(note, "note"),
        effective_at=effective_at,
    )
    return _finish(session, actor, deal_id, draft)


def cancel_deal(session: Session, actor: Actor, deal_id: str, *, reason: str, revision: int | None = None) -> AgentDeal:
    """Cancel an open deal: writes `deal.cancelled`. Raises `NoteRequired` without a reason."""
    state = _begin(session, actor, deal_id, Action.WRITE_DEAL, revision)
    return _finish(session, actor, deal_id, draft_cancelling(state, reason, now=now_utc()))


def reopen_deal(
    session: Session,
    actor: Actor,
    deal_id: str,
    *,
    to_stage: PipelineStage,
    note: str,
    revision: int | None = None,
) -> AgentDeal:
    """Reopen a closed or cancelled deal (a manager's right): writes `deal.reopened` and clears the close date."""
    state = _begin(session, actor, deal_id, Action.REOPEN_DEAL, revision)
    draft = draft_reopening(state, to_stage, note, now=now_utc(), zone=settings_of(session).time_zone)
    return _finish(session, actor, deal_id, draft)


def assign_deal(
    session: Session,
    actor: Actor,
    deal_id: str,
    *,
    agent_id: str,
    note: str | None = None,
    revision: int | None = None,
) -> AgentDeal:
    """Hand a deal to another agent (a manager's right): writes `deal.assigned`. History keeps the former agent."""
    state = _begin(session, actor, deal_id, Action.ASSIGN_DEAL, revision)
    _check_agent(session, agent_id)
    return _finish(session, actor, deal_id, draft_assignment(state, agent_id, check_optional_text(note, "note")))


def add_contact(
    session: Session,
    actor: Actor,
    deal_id: str,
    *,
    contact_type: str = "counterparty",
    name: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    company: str | None = None,
    notes: str | None = None,
) -> DealContact:
    """Add a contact: writes `contact.recorded`, in which personal data are commitments."""
    get_deal(session, actor, deal_id, Action.WRITE_DEAL)
    values = {"name": name, "email": email, "phone": phone, "company": company, "notes": notes}
    contact_id = new_id()
    draft = draft_attachment("contact", deal_id, contact_id, {"contact_type": contact_type, **values})
    record_entries(session, actor, [draft])
    return session.get_one(DealContact, contact_id)


def add_document(
    session: Session,
    actor: Actor,
    deal_id: str,
    *,
    document_type: str,
    title: str,
    uri: str,
    mime_type: str | None = None,
    sha256: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> DealDocument:
    """Add a document: writes `document.recorded`."""
    get_deal(session, actor, deal_id, Action.WRITE_DEAL)
    values = {"title": title, "uri": uri, "mime_type": mime_type, "sha256": sha256, "metadata": metadata}
    document_id = new_id()
    draft = draft_attachment("document", deal_id, document_id, {"document_type": document_type, **values})
    record_entries(session, actor, [draft])
    return session.get_one(DealDocument, document_id)


def erase_contact(session: Session, actor: Actor, deal_id: str, contact_id: str) -> None:
    """Erase a contact's personal data from table and side table: writes `contact.erased`; the commitments stay."""
    _erase(session, actor, deal_id, "contact", DealContact, contact_id, ContactNotFound)


def erase_document(session: Session, actor: Actor, deal_id: str, document_id: str) -> None:
    """Erase what is personal in a document: writes `document.erased`."""
    _erase(session, actor, deal_id, "document", DealDocument, document_id, DocumentNotFound)


def _erase(
    session: Session,
    actor: Actor,
    deal_id: str,
    kind: str,
    model: type[DealContact | DealDocument],
    row_id: str,
    missing: type[NotFound],
) -> None:
    get_deal(session, actor, deal_id, Action.WRITE_DEAL)
    row: Any = session.get(model, row_id)
    if row is None or row.deal_id != deal_id:
        raise missing(row_id)
    if row.erased_at is not None:
        return
    draft = draft_erasure(kind, deal_id, row_id)
    commitments: list[str] = []
    entries = every_entry()
    query = select(entries.c.body).where(
        entries.c.subject_kind == kind, entries.c.subject_id == row_id, entries.c.type == f"{kind}.recorded"
    )
    body: bytes
    for body in session.scalars(query):
        entry_recorded = decode_body(body)
        recorded = entry_recorded["data"]["set"]
        commitments += [recorded[column] for column in draft.data["set"] if recorded.get(column)]
        _clear_kept_answer(session, entry_recorded, draft.data["set"])
    entry = record_entries(session, actor, [draft])[0]
    erase_texts(session, commitments, entry.at)


def _clear_kept_answer(session: Session, recorded: Mapping[str, Any], columns: Mapping[str, None]) -> None:
    """Erase the same columns from the answer that is kept for a repetition of the request that recorded them."""
    key_digest = recorded.get("req", {}).get("idem")
    kept = session.get(IdempotencyKey, (recorded["actor"]["id"], key_digest)) if key_digest else None
    if kept is not None and kept.body is not None:
        answer = json.loads(kept.body)
        if answer.get("id") == recorded["subject"]["id"]:
            kept.body = json.dumps(answer | {**columns}, separators=(",", ":"), ensure_ascii=False).encode()
