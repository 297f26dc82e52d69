"""The commissions page: what waits to be confirmed, invoiced, paid or resolved, and the buttons that do so."""

import asyncio
from dataclasses import dataclass

from fastapi import Request, Response
from nicegui import ui
from nicegui.events import GenericEventArguments
from sqlalchemy.orm import Session

from api.workspace import wording
from api.workspace.bulk_confirm import BulkConfirm, Choice
from api.workspace.commission_dialogs import CommissionActions, draw_commission_buttons
from api.workspace.context import (
    COMMISSIONS_PATH,
    PAGE_SECONDS,
    PIPELINE_PATH,
    SIGN_IN_PATH,
    SignedOut,
    Visit,
    Visitor,
    open_visit,
    read_clock,
)
from api.workspace.deal_view import CommissionView, describe_commissions
from api.workspace.elements import box, cell, empty, panel, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.visitors import find_visitor, may_see_others
from api.workspace.writing import Messages
from ledger.access import SYSTEM, Action, Actor, is_permitted, list_users
from ledger.commissions import CommissionFilter, list_commissions
from ledger.deal_cards import read_log_size
from ledger.tables import AgentDeal
from ledger.vocabulary import CommissionStatus, Role

ROWS_PER_PAGE = 20
POLL_SECONDS = 1.0
UNKNOWN = -1
QUEUES = (
    (CommissionStatus.DISPUTED, "Disputed", "On hold until the dispute is resolved"),
    (CommissionStatus.PENDING, "To confirm", "Recorded; the amount is fixed by confirming"),
    (CommissionStatus.CONFIRMED, "To invoice", "Confirmed, not invoiced yet"),
    (CommissionStatus.INVOICED, "To pay", "Invoiced, not paid yet"),
)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A commission that waits. `title` is None where the visitor may see the line but not the deal."""

    commission: CommissionView
    title: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """One status of the queue; `has_more` says that there are rows beyond those shown."""

    status: CommissionStatus
    rows: list[QueueRow]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Queues:
    """The whole page as one snapshot of the ledger."""

    queues: list[Queue]
    agents: dict[str, str]
    log_size: int


def read_queues(session: Session, actor: Actor, agent_id: str, limits: dict[CommissionStatus, int]) -> Queues:
    """Return what waits, latest change first, of one agent or of all that `actor` may see."""
    people = list_users(session)
    names = {user.id: user.name for user in people} | {SYSTEM.id: "dealbook"}
    queues = []
    for status, _, _ in QUEUES:
        wanted = CommissionFilter(agent_id=agent_id or None, status=status)
        limit = limits.get(status, ROWS_PER_PAGE)
        rows, cursor = list_commissions(session, actor, wanted, limit=limit)
        while cursor is not None and len(rows) < limit:
            more, cursor = list_commissions(session, actor, wanted, cursor, limit - len(rows))
            rows = [*rows, *more]
        deals = {row.deal_id: session.get_one(AgentDeal, row.deal_id) for row in rows}
        seen = {key for key, deal in deals.items() if is_permitted(actor, Action.READ_DEAL, deal)}
        queue = [
            QueueRow(view, deals[view.row.deal_id].title if view.row.deal_id in seen else None)
            for view in describe_commissions(session, actor, rows, deals, names)
        ]
        queues.append(Queue(status, queue, cursor is not None))
    agents = {user.id: user.name for user in people if user.role in (Role.AGENT, Role.MANAGER)}
    return Queues(queues, agents, read_log_size(session))


@ui.page("/performance/commissions", response_timeout=PAGE_SECONDS)
async def show_commissions(request: Request, agent_id: str = "") -> Response | None:
    """Show the commissions page, or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    with frame(visit, visitor, "Commissions", COMMISSIONS_PATH):
        await _Page(visit, visitor, agent_id[:64]).build()
    return None


class _Page:
    """The queue of one visit."""

    def __init__(self, visit: Visit, visitor: Visitor, agent_id: str) -> None:
        self._visit = visit
        self._agent_id = agent_id
        self._limits: dict[CommissionStatus, int] = {}
        self._log_size = UNKNOWN
        self._reading = asyncio.Lock()
        self._agents: ui.element | None = None
        with box("div", "page-head"):
            with box("div"):
                text("h1", "Commissions")
                self._subtitle = text("p", "", "muted")
            if may_see_others(visitor.actor):
                self._agents = box("div", "controls")
        self._place = box("div", "queues")
        layer = box("div", "layer")
        messages = Messages()
        self._actions = CommissionActions(visit, layer, messages, self.refresh)
        self._bulk = BulkConfirm(visit, layer, messages, self.refresh)

    async def build(self) -> None:
        """Read the ledger and draw the queue; then look each second whether the log has grown."""
        await fill(self._place, self._read, self._show, placeholders=4)
        ui.timer(POLL_SECONDS, self._poll, immediate=False)

    async def refresh(self) -> None:
        """Read and draw again."""
        async with self._reading:
            try:
                found = await asyncio.to_thread(self._read)
            except SignedOut:
                ui.navigate.to(SIGN_IN_PATH)
                return
            self._place.clear()
            with self._place:
                self._show(found)

    async def _poll(self) -> None:
        size = await asyncio.to_thread(self._read_log_size)
        if self._log_size not in (UNKNOWN, size):  # a page that could not be read says so, and asks to be reloaded
            await self.refresh()

    def _read_log_size(self) -> int:
        with self._visit.workspace.ledger.read() as session:
            return read_log_size(session)

    def _read(self) -> Queues:
        actor = self._visit.require_actor()
        with self._visit.workspace.ledger.read() as session:
            return read_queues(session, actor, self._agent_id, self._limits)

    async def _choose_agent(self, event: GenericEventArguments) -> None:
        self._agent_id = str(event.args)[:64]
        self._limits = {}
        words = f"?agent_id={self._agent_id}" if self._agent_id else ""
        ui.navigate.history.replace(f"{COMMISSIONS_PATH}{words}")
        await self.refresh()

    async def _show_more(self, queue: Queue) -> None:
        self._limits[queue.status] = len(queue.rows) + ROWS_PER_PAGE
        await self.refresh()

    def _show(self, found: Queues) -> None:
        self._log_size = found.log_size
        self._draw_agents(found.agents)
        waiting = sum(len(queue.rows) for queue in found.queues)
        more = "At least " if any(queue.has_more for queue in found.queues) else ""
        self._subtitle.set_text(f"{more}{wording.count(waiting, 'commission')} waiting, as the ledger has them now")
        if not waiting:
            empty(
                "Nothing is waiting", "Commissions appear here once they are recorded on a deal, until they are paid."
            )
            return
        for queue, (_, title, explanation) in zip(found.queues, QUEUES, strict=True):
            if queue.rows:
                self._draw_queue(queue, title, explanation)

    def _draw_agents(self, agents: dict[str, str]) -> None:
        if self._agents is None or self._agents.default_slot.children:
            return
        # Made whole when the names are known: a page that has gone out already does not like listeners added later.
        with self._agents, box("select", "input choice", aria_label="Agent", data_initial=self._agent_id) as choice:
            choice.on("change", self._choose_agent, js_handler="(event) => emit(event.target.value)")
            choice.on("vnodeMounted", js_handler="(event) => dealbook.fillFields(event.el.parentElement)")
            text("option", "Everyone", value="")
            for agent_id, name in agents.items():
                text("option", name, value=agent_id)

    def _draw_queue(self, queue: Queue, title: str, explanation: str) -> None:
        with panel(title, explanation, "queue") as head:
            head.props["data-queue"] = queue.status.value
            is_bulk = queue.status is CommissionStatus.PENDING
            if is_bulk:
                self._bulk.begin(
                    [
                        Choice(row.commission, row.title or "A colleague's deal")
                        for row in queue.rows
                        if row.commission.may_settle
                    ]
                )
            with head:
                if is_bulk:
                    self._bulk.draw_button()
                number = f"{len(queue.rows):,}{' or more' if queue.has_more else ''}"
                text("span", number, "stage-count num", aria_label=f"{number} commissions")
            with box("div", "table-scroll"), box("table", "table"):
                with box("thead"), box("tr"):
                    for words in ("Deal", "Agent", "Type"):
                        text("th", words, "text", scope="col")
                    for words in ("Basis", "Rate", "Net amount", "In this state"):
                        text("th", words, scope="col")
                    with box("th", scope="col"):
                        text("span", "What may be done", "visually-hidden")
                with box("tbody"):
                    for row in queue.rows:
                        self._draw_row(row)
            if queue.has_more:
                text("button", "Show more", "more", type="button").on("click", lambda: self._show_more(queue))

    def _draw_row(self, row: QueueRow) -> None:
        commission = row.commission.row
        with box("tr", data_commission=commission.id):
            with box("th", "text queue-deal", scope="row"):
                if commission.status is CommissionStatus.PENDING:
                    self._bulk.draw_box(commission.id, row.title or "a colleague's deal")
                if row.title is None:
                    text("span", "A colleague's deal", "muted")
                else:
                    text("a", row.title, href=f"{PIPELINE_PATH}?deal={commission.deal_id}")
                dispute = row.commission.open_dispute
                if dispute is not None:
                    claim = wording.exact_amount(dispute.amount, dispute.currency)
                    text("p", f"{claim}: {dispute.reason or '(erased)'}", "headline-note")
            cell(row.commission.agent_name, is_text=True)
            cell(wording.say(commission.commission_type), is_text=True)
            cell(wording.exact_amount(commission.basis_amount, commission.basis_currency))
            cell(f"{commission.commission_rate * 100:.2f} %")
            net = row.commission.net
            cell("when confirmed" if net is None else wording.exact_amount(net, commission.basis_currency))
            since = {
                CommissionStatus.PENDING: commission.introduced_at,
                CommissionStatus.CONFIRMED: commission.confirmed_at,
                CommissionStatus.INVOICED: commission.invoiced_at,
                CommissionStatus.DISPUTED: commission.disputed_at,
            }[commission.status]
            cell(wording.age(since, read_clock()).removesuffix(" ago") if since else wording.NOTHING)
            with box("td", "queue-buttons"):
                draw_commission_buttons(row.commission, self._actions)
