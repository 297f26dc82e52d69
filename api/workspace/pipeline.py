"""The pipeline page: a column per stage with its totals and its deals, as the ledger has them now.

Read-only so far; columns and cards are laid out so that a card can later be dragged from one column to another.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request, Response
from nicegui import ui
from nicegui.element import Element

from api.workspace import board, wording
from api.workspace.context import PIPELINE_PATH, SIGN_IN_PATH, SignedOut, Visit, Visitor, open_visit, read_clock
from api.workspace.elements import box, empty, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.visitors import find_visitor, may_see_others
from ledger.access import Actor
from ledger.vocabulary import PipelineStage

CARDS_PER_PAGE = 20
EVERYONE = ""


class DealCard(Element, component="assets/deal_card.js"):
    """A card of the board. Its deal is plain text and data; see `_describe_card`."""

    def __init__(self, deal: dict[str, str]) -> None:
        super().__init__()
        self.props["deal"] = deal


@ui.page("/performance/pipeline")
async def show_pipeline(request: Request, agent_id: str = EVERYONE) -> Response | None:
    """Show the pipeline page, or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    with frame(visit, visitor, "Pipeline", PIPELINE_PATH, is_wide=True):
        await _Page(visit, visitor, agent_id).build()
    return None


class _Page:
    """The board of one visit: whose deals it shows, and its columns."""

    def __init__(self, visit: Visit, visitor: Visitor, agent_id: str) -> None:
        self._visit = visit
        self._agent_id = agent_id if may_see_others(visitor.actor) else visitor.actor.id
        self._picker: ui.select | None = None
        with box("div", "page-head"):
            with box("div"):
                text("h1", "Pipeline")
                self._subtitle = text("p", "", "muted")
            if may_see_others(visitor.actor):
                with box("div", "controls"):
                    self._picker = (
                        ui.select({EVERYONE: "Everyone"}, value=EVERYONE, with_input=True, on_change=self._choose_agent)
                        .props('outlined dense options-dense hide-bottom-space aria-label="Agent"')
                        .classes("picker")
                    )
        self._place = box("div", "board-place")

    async def build(self) -> None:
        """Read the ledger and draw the board."""
        await fill(self._place, self._read, self._show, placeholders=8)

    async def _choose_agent(self, event: object) -> None:
        agent_id = getattr(event, "value", None)
        if agent_id is None or agent_id == self._agent_id:
            return
        self._agent_id = agent_id
        ui.navigate.history.replace(f"{PIPELINE_PATH}?agent_id={agent_id}" if agent_id else PIPELINE_PATH)
        await self.build()

    def _read(self) -> board.Board:
        actor = self._visit.require_actor()
        with _open_board(self._visit, actor, self._agent_id) as reader:
            return reader.read_board(CARDS_PER_PAGE)

    def _show(self, found: board.Board) -> None:
        if self._picker is not None:
            self._picker.set_options({EVERYONE: "Everyone"} | found.agents, value=self._agent_id)
        deals = sum(column.count for column in found.columns)
        open_deals = sum(column.count for column in found.columns if column.stage.is_open)
        if not deals:
            self._subtitle.set_text("")
            empty(
                "No deals here yet",
                "Open a deal over REST, or bring them from your CRM. On the server:",
                "dealbook import FILE --mapping NAME",
            )
            return
        self._subtitle.set_text(f"{wording.count(open_deals, 'open deal')}, as the ledger has them now")
        with box("div", "board", role="list", aria_label="Stages"):
            for column in found.columns:
                _Column(self._visit, self._agent_id, column, show_agent=not self._agent_id)


class _Column:
    """A stage: its totals, and its deals, more of them each time its end comes into view."""

    def __init__(self, visit: Visit, agent_id: str, column: board.Column, *, show_agent: bool) -> None:
        self._visit = visit
        self._agent_id = agent_id
        self._stage = column.stage
        self._show_agent = show_agent
        self._cursor = column.cursor
        self._is_loading = False
        stage = column.stage
        colour = f"stage-{stage.order}" if stage.is_open else "won" if stage is PipelineStage.CLOSED_WON else "lost"
        with box("section", "stage", role="listitem", aria_label=wording.say(stage), data_stage=stage.value) as section:
            section.style(f"--stage: var(--{colour})")
            with box("header", "stage-head"):
                with box("div", "stage-title"):
                    text("h2", wording.say(stage))
                    text("span", f"{column.count:,}", "stage-count num", aria_label=wording.count(column.count, "deal"))
                _draw_totals(column)
            with box("div", "stage-cards", tabindex="0", aria_label=f"Deals in {wording.say(stage)}") as self._cards:
                if not column.count:
                    text("p", "No deals in this stage", "stage-empty")
                self._draw_cards(column.cards)
                self._more = text("button", "Show more", "more", type="button")
                self._more.on("click", self._load_more)
                self._more.on("vnodeMounted", js_handler=_CALL_WHEN_SEEN)
                self._more.set_visibility(self._cursor is not None)

    async def _load_more(self) -> None:
        if self._cursor is None or self._is_loading:
            return
        self._is_loading = True
        try:
            cards, self._cursor = await asyncio.to_thread(self._read, self._cursor)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        finally:
            self._is_loading = False
        with self._cards:
            self._draw_cards(cards)
        self._more.move(target_index=-1)
        self._more.set_visibility(self._cursor is not None)

    def _read(self, cursor: str) -> tuple[list[board.Card], str | None]:
        actor = self._visit.require_actor()
        with _open_board(self._visit, actor, self._agent_id) as reader:
            return reader.read_cards(self._stage, cursor, CARDS_PER_PAGE)

    def _draw_cards(self, cards: list[board.Card]) -> None:
        for card in cards:
            DealCard(_describe_card(card, show_agent=self._show_agent))


@contextmanager
def _open_board(visit: Visit, actor: Actor, agent_id: str) -> Iterator[board.BoardReader]:
    workspace = visit.workspace
    rules = board.read_stage_rules(workspace.settings.dbt_project_dir)
    with workspace.ledger.read() as session:
        yield board.BoardReader(session, actor, agent_id or None, rules, workspace.settings.reporting_currency)


# The button presses itself when it scrolls into view; the keyboard reaches it as any button.
_CALL_WHEN_SEEN = """(event) => {
    const button = event.el;
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && button.click(), {
        root: button.parentElement,
        rootMargin: "200px",
    }).observe(button);
}"""


def _draw_totals(column: board.Column) -> None:
    if not column.totals:
        return
    with box("div", "totals num"):
        text("span", "")
        text("span", "Total", "totals-label")
        text("span", "Weighted" if column.stage.is_open else "", "totals-label")
        for total in column.totals:
            text("span", total.currency, "muted")
            value = text("dd", wording.amount(total.total), data_total=str(total.total), data_currency=total.currency)
            value.props["title"] = wording.exact_amount(total.total, total.currency)
            if not column.stage.is_open:
                text("dd", "")
                continue
            weighted = text("dd", wording.amount(total.weighted), data_weighted=str(total.weighted))
            weighted.props["title"] = wording.exact_amount(total.weighted, total.currency)


def _describe_card(card: board.Card, *, show_agent: bool) -> dict[str, str]:
    """Say a deal in the words of its card."""
    days = max((read_clock() - card.stage_entered_at).days, 0)
    value = f"{card.currency} {wording.amount(card.value)}" if card.value is not None else "No value yet"
    return {
        "id": card.deal_id,
        "title": card.title,
        "company": card.company or "",
        "value": value,
        "exact": wording.exact_amount(card.value, card.currency) if card.value is not None else "",
        "age": wording.count(days, "day"),
        "level": card.level(days),
        "since": f"In this stage since {wording.day(card.stage_entered_at.date())}",
        "kind": f"{wording.say(card.asset_type)}, {wording.say(card.deal_type).lower()}",
        "agent": card.agent_name if show_agent else "",
    }
