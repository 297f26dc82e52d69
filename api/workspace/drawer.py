"""The deal drawer: one deal at the side of the board, with everything that ever happened to it."""

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from api.workspace import wording
from api.workspace.attachment_dialogs import AttachmentActions
from api.workspace.board import read_stage_rules
from api.workspace.commission_dialogs import CommissionActions, draw_commission_buttons
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit, read_clock
from api.workspace.deal_dialogs import DealActions
from api.workspace.deal_view import CommissionView, DealView, duration, read_deal, say_item
from api.workspace.dialogs import explain
from api.workspace.elements import box, text
from api.workspace.evidence import Evidence
from api.workspace.writing import Messages, read
from ledger.timeline import TimelineItem
from ledger.vocabulary import DealStatus, PipelineStage


class Drawer:
    """Shows one deal in `place`, or nothing; `on_change` tells the page which, for its address."""

    def __init__(
        self,
        visit: Visit,
        place: ui.element,
        actions: DealActions,
        money: CommissionActions,
        attachments: AttachmentActions,
        messages: Messages,
        on_change: Callable[[str], None],
    ) -> None:
        self._visit = visit
        self._place = place
        self._actions = actions
        self._money = money
        self._attachments = attachments
        self._messages = messages
        self._on_change = on_change
        self._evidence = Evidence(visit, messages)
        self._view: DealView | None = None
        self._body: ui.element | None = None

    async def open(self, deal_id: str) -> None:
        """Show a deal; say so when there is none that the visitor may see."""
        view = await self._read(deal_id)
        if view is None:
            return
        self._view = view
        self._on_change(deal_id)
        self._place.clear()
        with (
            self._place,
            box("aside", "drawer", role="dialog", aria_label=f"Deal {view.deal.title}", tabindex="-1") as drawer,
        ):
            drawer.on("vnodeMounted", js_handler="(event) => event.el.focus({ preventScroll: true })")
            self._body = box("div", "drawer-body")
        self._draw(view)

    async def refresh(self) -> None:
        """Read the deal again and draw it if anything about it has changed."""
        if self._view is None or self._body is None:
            return
        view = await self._read(self._view.deal.id)
        if view is None:
            self.close()
        elif view.deal.revision != self._view.deal.revision:
            self._view = view
            self._draw(view)

    def close(self) -> None:
        """Put the drawer away and the focus back on the card."""
        if self._view is None:
            return
        self._view = self._body = None
        self._place.clear()
        self._on_change("")
        with self._place:
            ui.run_javascript("dealbook.leaveDrawer()")

    async def _read(self, deal_id: str) -> DealView | None:
        rules = read_stage_rules(self._visit.workspace.settings.dbt_project_dir)
        try:
            return await read(
                self._visit, lambda session, actor: read_deal(session, actor, deal_id, rules, read_clock())
            )
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
        except Exception as error:
            self._messages.say(explain(error), is_refusal=True)
        return None

    def _draw(self, view: DealView) -> None:
        if self._body is None:
            return
        signed_size = self._evidence.read_signed_size()
        self._body.clear()
        with self._body:
            self._draw_head(view)
            _draw_facts(view)
            _draw_section(
                "Commissions",
                len(view.commissions),
                ("Record", lambda: self._attachments.ask_for_commission(view)) if view.may_record else None,
            )
            for commission in view.commissions:
                _draw_commission(commission, self._money)
            if not view.commissions:
                text("p", "No commission has been recorded.", "muted")
            _draw_section("Timeline", len(view.timeline))
            with box("ol", "timeline"):
                for item in reversed(view.timeline):
                    self._draw_item(item, view, signed_size)
            add_contact = ("Add", lambda: self._attachments.ask_for_contact(view)) if view.may_write else None
            _draw_section("Contacts", len(view.contacts), add_contact)
            _draw_contacts(view, self._attachments)
            add_document = ("Add", lambda: self._attachments.ask_for_document(view)) if view.may_write else None
            _draw_section("Documents", len(view.documents), add_document)
            _draw_documents(view, self._attachments)
            if view.may_export:
                _draw_section("Evidence", len(view.timeline))
                self._evidence.draw_download(view.deal.id)

    def _draw_item(self, item: TimelineItem, view: DealView, signed_size: int) -> None:
        title, lines = say_item(item, view)
        happened = item.effective_at.astimezone(self._visit.workspace.settings.time_zone)
        with box("li", "timeline-item", data_kind=item.kind, data_stage_event="1" if item.stage_event_id else "0"):
            with box("div", "timeline-top"):
                text("strong", title)
                self._evidence.draw_badge(item, view.deal.id, signed_size)
            for line in lines:
                text("p", line, "timeline-line")
            who = view.names.get(item.actor_id, "someone")
            with box("p", "timeline-meta"):
                when = text("span", wording.day(happened.date()), "num")
                when.props["title"] = f"{happened:%Y-%m-%d %H:%M %Z}"
                text("span", f"by {who}")
                if item.duration_seconds is not None:
                    since = "so far" if item.is_current and view.is_open else "in this stage"
                    text("span", f"{duration(item.duration_seconds)} {since}", "num")

    def _draw_head(self, view: DealView) -> None:
        deal = view.deal
        attributes = {"data_deal": deal.id, "data_stage": deal.pipeline_stage.value}
        with box("header", "drawer-head", **attributes, data_revision=str(deal.revision)):
            with box("div", "drawer-title"):
                text("h2", deal.title)
                close = text("button", "×", "icon-button", type="button", aria_label="Close the deal")
                close.on("click", self.close)
            with box("p", "drawer-line"):
                state = deal.pipeline_stage if deal.status is not DealStatus.CANCELLED else deal.status
                chip = text("span", wording.say(state), "stage-chip")
                chip.style(f"--stage: var(--{_colour(view)})")
                if deal.estimated_value_amount is None:
                    text("span", "No value yet", "muted")
                else:
                    value = wording.exact_amount(deal.estimated_value_amount, deal.estimated_value_currency)
                    text("strong", value, "num")
            with box("div", "drawer-actions"):
                self._draw_actions(view)

    def _draw_actions(self, view: DealView) -> None:
        actions, deal = self._actions, view.deal
        if view.may_write and view.is_open:
            text("button", "Move", "button button-primary", type="button", aria_haspopup="menu", data_move_menu="1")
        if view.undo_stage is not None:
            _button(f"Undo the move to {wording.say(deal.pipeline_stage)}", lambda: actions.undo(deal.id))
        if view.may_write:
            _button("Edit", lambda: actions.ask_to_edit(view))
        if view.may_assign:
            _button("Hand over", lambda: actions.ask_to_assign(view))
        if view.may_reopen and not view.is_open:
            _button("Reopen", lambda: actions.ask_to_reopen(deal.id, deal.revision))
        if view.may_write and view.is_open:
            _button("Cancel the deal", lambda: actions.ask_to_cancel(view))


def _button(words: str, do: Callable[[], Awaitable[None] | None]) -> None:
    text("button", words, "button", type="button").on("click", do)


def _colour(view: DealView) -> str:
    stage = view.deal.pipeline_stage
    if view.deal.status is DealStatus.CANCELLED:
        return "line-strong"
    return f"stage-{stage.order}" if stage.is_open else "won" if stage is PipelineStage.CLOSED_WON else "lost"


def _draw_section(title: str, number: int, offer: tuple[str, Callable[[], None]] | None = None) -> None:
    """Draw a section's head, with what may be added to it at its end."""
    with box("div", "drawer-section"):
        text("h3", title)
        text("span", f"{number:,}", "muted num")
        if offer is not None:
            words, do = offer
            label = f"{words} {'a commission' if title == 'Commissions' else 'a ' + title[:-1].lower()}"
            text("button", words, "button", type="button", aria_label=label).on("click", do)


def _draw_facts(view: DealView) -> None:
    deal = view.deal
    days = max((read_clock() - view.stage_entered_at).days, 0)
    limit = f" (limit {view.limit_days})" if view.limit_days is not None and view.is_open else ""
    facts = {
        "Owner": view.agent_name,
        "Company": view.company,
        "In this stage": f"{wording.count(days, 'day')}{limit}" if view.is_open else None,
        "Kind": f"{wording.say(deal.asset_type)}, {wording.say(deal.deal_type).lower()}",
        "Confidence": None if deal.confidence is None else f"{deal.confidence * 100:.0f} %",
        "Expected close": wording.day(deal.expected_close_date) if deal.expected_close_date else None,
        "Closed on": wording.day(deal.actual_close_date) if deal.actual_close_date else None,
        "Lead source": deal.lead_source,
    }
    with box("dl", "facts"):
        for label, value in facts.items():
            if value:
                text("dt", label)
                text("dd", value, "num-wrap")
    if deal.description:
        text("p", deal.description, "description")


def _draw_commission(commission: CommissionView, money: CommissionActions) -> None:
    row = commission.row
    with box("section", "commission", data_commission=row.id):
        with box("div", "commission-top"):
            text("strong", f"{wording.say(row.commission_type)}, {commission.agent_name}")
            text("span", wording.say(row.status), "status", data_status=row.status.value)
        with box("dl", "facts"):
            text("dt", "Basis")
            text("dd", wording.exact_amount(row.basis_amount, row.basis_currency), "num")
            text("dt", "Rate")
            text("dd", f"{row.commission_rate * 100:.2f} %", "num")
            text("dt", "Amount")
            text("dd", money_words(row.commission_amount, row.basis_currency), "num")
            for adjustment in commission.adjustments:
                text("dt", wording.say(adjustment.adjustment_type))
                words = wording.exact_amount(adjustment.amount, adjustment.currency)
                with box("dd"):
                    text("span", words, "num")
                    if adjustment.note:
                        text("span", adjustment.note, "muted")
            if commission.adjustments:
                text("dt", "Net")
                text("dd", money_words(commission.net, row.basis_currency), "num")
            if commission.open_dispute is not None:
                text("dt", "In dispute")
                with box("dd"):
                    dispute = commission.open_dispute
                    text("span", wording.exact_amount(dispute.amount, dispute.currency), "num")
                    text("span", dispute.reason or "(erased)", "muted")
                    for paper in dispute.evidence or []:
                        text("span", str(paper), "muted")
        draw_commission_buttons(commission, money)


def money_words(amount: object, currency: str) -> str:
    """Write an amount that may not be known yet."""
    return "when confirmed" if amount is None else f"{currency} {amount:,.2f}"


def _draw_contacts(view: DealView, attachments: AttachmentActions) -> None:
    if not view.contacts:
        text("p", "No contacts yet.", "muted")
    for contact in view.contacts:
        with box("div", "attachment", data_contact=contact.id):
            name = contact.name or contact.company or "(erased)"
            with box("div", "attachment-top"):
                text("strong", name)
                if view.may_write and contact.erased_at is None:
                    _draw_erase(name, partial(attachments.ask_to_erase_contact, contact))
            others = [contact.company if contact.name else None, contact.email, contact.phone, contact.notes]
            for words in filter(None, others):
                text("span", words, "muted")


def _draw_documents(view: DealView, attachments: AttachmentActions) -> None:
    if not view.documents:
        text("p", "No documents yet.", "muted")
    for document in view.documents:
        with box("div", "attachment", data_document=document.id):
            name = document.title or document.uri or "(erased)"
            with box("div", "attachment-top"):
                text("strong", name)
                if view.may_write and document.erased_at is None:
                    _draw_erase(name, partial(attachments.ask_to_erase_document, document))
            text("span", wording.say(document.document_type), "muted")
            if document.uri and document.title:
                # Shown as text: an address that somebody typed is not one to be followed with a click.
                text("span", document.uri, "muted")
            if document.sha256:
                text("code", document.sha256, "hash")


def _draw_erase(name: str, do: Callable[[], None]) -> None:
    text("button", "Erase", "link-button", type="button", aria_label=f"Erase {name}").on("click", do)
