"""The import path: many facts in one transaction, by the same rules as one by one, written with executemany.

Importing the same facts again adds nothing: a deal is known by its `external_ref`, a stage event by (deal, stage,
effective time), a commission by (deal, agent, type), its adjustments and disputes by their own values. An item that a
rule refuses is reported with its column and reason and leaves no trace; the others go in.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.access import Action, authorize, draft_user, draft_user_change
from ledger.actors import Actor
from ledger.bulk_commissions import CommissionBatch
from ledger.bulk_deals import DealBatch
from ledger.checks import check_optional_text, check_text
from ledger.collection import without_collection
from ledger.databases import hold
from ledger.errors import Conflict, Invalid, NotFound
from ledger.fold import record_entries
from ledger.identifiers import new_id
from ledger.imported import (
    ImportedAdjustment,
    ImportedCommission,
    ImportedDeal,
    ImportedDispute,
    ImportedPerson,
    ImportedStage,
    ImportedStageEvent,
    Outcome,
)
from ledger.imports import draft_start, finish_import, get_import, record_rejects, start_import
from ledger.log.chain import now_utc
from ledger.log.entry import Draft
from ledger.tables import User
from ledger.vocabulary import Role

__all__ = [
    "BulkImport",
    "ImportedAdjustment",
    "ImportedCommission",
    "ImportedDeal",
    "ImportedDispute",
    "ImportedPerson",
    "ImportedStage",
    "ImportedStageEvent",
    "Outcome",
    "finish_import",
    "record_rejects",
    "start_import",
]

REFUSALS = (Invalid, Conflict, NotFound)


class BulkImport:
    """One import's work within the caller's write transaction. Make a new one for each transaction."""

    def __init__(self, session: Session, actor: Actor, import_id: str) -> None:
        authorize(session, actor, Action.IMPORT)
        for name in ("imports", "sys"):  # two imports may bring the same deals, and any brings people
            hold(session, name)
        self.session = session
        self.actor = actor
        self.import_id = import_id

    def people(self, items: Sequence[ImportedPerson]) -> list[Outcome]:
        """Record people that are not known by e-mail, or by name where they have none; return an outcome for each.

        An import gives no one rights: it changes no role, and records administrators only for the system itself.
        """
        batch = _PeopleBatch(self.session, self.actor, items)
        return self._run(batch.draft, items)

    def deals(self, items: Sequence[ImportedDeal]) -> list[Outcome]:
        """Open new deals with their whole path, and bring known ones up to date; return an outcome for each."""
        batch = DealBatch(
            self.session,
            {item.external_ref for item in items},
            {item.agent_id for item in items},
            is_confidence_told=any(stage.confidence is not None for item in items for stage in item.stages),
        )
        return self._run(batch.draft_deal, items)

    def stage_events(self, items: Sequence[ImportedStageEvent]) -> list[Outcome]:
        """Record stage events of deals that are in the ledger; return an outcome for each, its id the deal's."""
        batch = DealBatch(
            self.session,
            {item.deal_external_ref for item in items},
            set(),
            stage_events=items,
            is_confidence_told=any(item.confidence is not None for item in items),
        )
        return self._run(batch.draft_stage_event, items, batch.draft_kept)

    def commissions(self, items: Sequence[ImportedCommission]) -> list[Outcome]:
        """Record commissions with their history, and bring known ones up to date; return an outcome for each."""
        batch = CommissionBatch(
            self.session, {item.deal_external_ref for item in items}, {item.agent_id for item in items}
        )
        return self._run(batch.draft_commission, items)

    def _run(
        self, draft_item: Any, items: Iterable[Any], draft_rest: Callable[[datetime], list[Draft]] = lambda _now: []
    ) -> list[Outcome]:
        with without_collection():
            return self._draft_and_record(draft_item, items, draft_rest)

    def _draft_and_record(
        self, draft_item: Any, items: Iterable[Any], draft_rest: Callable[[datetime], list[Draft]]
    ) -> list[Outcome]:
        now = now_utc()
        outcomes: list[Outcome] = []
        drafts: list[Draft] = []
        for item in items:
            try:
                row_id, is_new, made = draft_item(item, now)
            except REFUSALS as refusal:
                column = getattr(refusal, "column", None)
                outcomes.append(Outcome("refused", column=column, reason=refusal.detail))
                continue
            outcomes.append(
                Outcome("created" if is_new else "changed" if made else "unchanged", row_id, entries=len(made))
            )
            drafts += made
        last_of = {outcome.id: outcome for outcome in outcomes}
        for draft in draft_rest(now):
            last_of[draft.subject_id].entries += 1
            drafts.append(draft)
        self._record(drafts)
        return outcomes

    def _record(self, drafts: list[Draft]) -> None:
        if not drafts:
            return
        row = get_import(self.session, self.import_id)
        if not row.is_logged:
            row.is_logged = True
            self.session.flush()
            drafts = [draft_start(row), *drafts]
        record_entries(self.session, self.actor, drafts)


class _PeopleBatch:
    def __init__(self, session: Session, actor: Actor, items: Sequence[ImportedPerson]) -> None:
        self._is_system = actor.kind == "system"
        self._by_email: dict[str, tuple[str, str, int]] = {}
        self._by_name: dict[str, list[str]] = {}
        emails = {item.email.strip().lower() for item in items if item.email}
        names = {item.name.strip().casefold() for item in items}
        for user_id, name, email, revision in session.execute(select(User.id, User.name, User.email, User.revision)):
            if email in emails:
                self._by_email[email] = (user_id, name, revision)
            if name.casefold() in names:
                self._by_name.setdefault(name.casefold(), []).append(user_id)

    def draft(self, item: ImportedPerson, _now: datetime) -> tuple[str, bool, list[Draft]]:
        name = check_text(item.name, "name", limit=200)
        email = check_optional_text(item.email and item.email.lower(), "email", limit=254)
        if email is not None and email in self._by_email:
            user_id, known_name, revision = self._by_email[email]
            if known_name == name:
                return user_id, False, []
            self._by_email[email] = (user_id, name, revision + 1)
            return user_id, False, [draft_user_change(user_id, revision, {"name": name})]
        same_name = self._by_name.get(name.casefold(), [])
        if email is None and len(same_name) > 1:
            raise Invalid(f"Several users are called {name}; give the e-mail address.", "email")
        if email is None and same_name:
            return same_name[0], False, []
        role = Role(item.role)
        if role in (Role.ADMIN, Role.MANAGER) and not self._is_system:
            raise Invalid(f"An import cannot make a {role}; an administrator can.", "role")
        user_id = new_id()
        if email is not None:
            self._by_email[email] = (user_id, name, 1)
        self._by_name.setdefault(name.casefold(), []).append(user_id)
        values = {"name": name, "email": email, "role": role, "active": item.active}
        return user_id, True, [draft_user(user_id, values)]
