"""The pipeline page: a column per stage with its totals and its deals, as the ledger has them now.

The page asks each second how long the log is; when it has grown, it reads the board again and draws only the columns
that differ from what is shown. A change of one's own takes the same way, so a page shows nothing that is not recorded.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import Request, Response
from nicegui import ui
from nicegui.events import GenericEventArguments

from api.workspace import board, wording
from api.workspace.attachment_dialogs import AttachmentActions
from api.workspace.columns import CARDS_AT_FIRST, StageColumn
from api.workspace.commission_dialogs import CommissionActions
from api.workspace.context import PAGE_SECONDS, PIPELINE_PATH, SIGN_IN_PATH, SignedOut, Visit, Visitor, open_visit
from api.workspace.deal_dialogs import DealActions
from api.workspace.drawer import Drawer
from api.workspace.elements import box, empty, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.visitors import find_visitor, may_see_others
from api.workspace.writing import Messages
from ledger.access import Actor
from ledger.deal_cards import read_log_size
from ledger.deal_lists import DealFilter
from ledger.vocabulary import AssetType, DealType, PipelineStage

POLL_SECONDS = 1.0
UNKNOWN = -1
EVERYONE = ""
MAX_SEARCH = 200
Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class View:
    """What a visitor asked to see; empty words do not narrow."""

    agent_id: str = ""
    asset_type: str = ""
    deal_type: str = ""
    q: str = ""

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the agent narrows the board."""
        return bool(self.asset_type or self.deal_type or self.q)

    def narrowing(self) -> DealFilter:
        """Return the ledger's filter, without the agent."""
        return DealFilter(
            asset_type=_word(self.asset_type, AssetType),
            deal_type=_word(self.deal_type, DealType),
            q=self.q or None,
        )


@ui.page("/performance/pipeline", response_timeout=PAGE_SECONDS)
async def show_pipeline(
    request: Request,
    agent_id: str = EVERYONE,
    asset_type: str = "",
    deal_type: str = "",
    q: str = "",
    deal: str = "",
) -> Response | None:
    """Show the pipeline page, with a deal's drawer open if one is named; or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    view = View(
        agent_id,
        asset_type if _word(asset_type, AssetType) else "",
        deal_type if _word(deal_type, DealType) else "",
        q[:MAX_SEARCH],
    )
    with frame(visit, visitor, "Pipeline", PIPELINE_PATH, is_wide=True):
        await _Page(visit, visitor, view).build(deal[:64])
    return None


class _Page:
    """The board of one visit: whose deals it shows, its columns, its drawer, and what may be done."""

    def __init__(self, visit: Visit, visitor: Visitor, view: View) -> None:
        self._visit = visit
        sees_others = may_see_others(visitor.actor)
        self._view = view if sees_others else replace(view, agent_id=visitor.actor.id)
        self._sees_others = sees_others
        self._columns: dict[PipelineStage, StageColumn] = {}
        self._agents: dict[str, str] = {}
        self._log_size = UNKNOWN
        self._deal_id = ""
        self._reading = asyncio.Lock()
        self._picker: ui.select | None = None
        with box("div", "page-head"):
            with box("div"):
                text("h1", "Pipeline")
                self._subtitle = text("p", "", "muted")
            with box("div", "controls"):
                self._draw_controls()
        self._place = box("div", "board-place")
        layer = box("div", "layer")
        drawer = box("div", "layer")
        self._messages = Messages()
        self._actions = DealActions(visit, visitor, layer, self._messages, self.refresh)
        money = CommissionActions(visit, layer, self._messages, self.refresh)
        attachments = AttachmentActions(visit, layer, self._messages, self.refresh)
        self._drawer = Drawer(visit, drawer, self._actions, money, attachments, self._messages, self._note_deal)
        if self._actions.may_write_own:
            _draw_move_menu()
            self._new.set_visibility(True)
        ui.on("dealbook-move", self._take_move)
        ui.on("dealbook-open-deal", self._open_deal)
        ui.on("dealbook-close-deal", self._drawer.close)

    def _draw_controls(self) -> None:
        search = box(
            "input", "input search", type="search", placeholder="Search title or company", maxlength=str(MAX_SEARCH)
        )
        search.props.update({"data-initial": self._view.q, "aria-label": "Search title or company"})
        search.on("vnodeMounted", js_handler="(event) => dealbook.fillFields(event.el.parentElement)")
        search.on(
            "input", self._search, throttle=0.4, leading_events=False, js_handler="(event) => emit(event.target.value)"
        )
        _draw_choice("Asset type", "Any asset type", AssetType, self._view.asset_type, self._choose_asset_type)
        _draw_choice("Deal type", "Any deal type", DealType, self._view.deal_type, self._choose_deal_type)
        if self._sees_others:
            self._picker = (
                ui.select({EVERYONE: "Everyone"}, value=EVERYONE, with_input=True, on_change=self._choose_agent)
                .props('outlined dense options-dense hide-bottom-space aria-label="Agent"')
                .classes("picker")
            )
        self._new = text("button", "New deal", "button button-primary", type="button").on("click", self._ask_for_new)
        self._new.set_visibility(False)

    async def build(self, deal_id: str) -> None:
        """Read the ledger, draw the board, and open the drawer that the address names."""
        await fill(self._place, self._read_all, self._show, placeholders=8)
        if deal_id:
            await self._drawer.open(deal_id)
        ui.timer(POLL_SECONDS, self._poll, immediate=False)

    async def refresh(self) -> None:
        """Read the board again and draw what has changed, drawer included."""
        async with self._reading:
            shown = {stage: column.shown for stage, column in self._columns.items()}
            try:
                found, size = await asyncio.to_thread(self._read, shown)
            except SignedOut:
                ui.navigate.to(SIGN_IN_PATH)
                return
            self._log_size = size
            if not self._columns or not sum(column.count for column in found.columns):
                self._place.clear()
                with self._place:
                    self._show((found, size))
            else:
                self._describe(found)
                for column in found.columns:
                    self._columns[column.stage].show(column)
        await self._drawer.refresh()

    async def _poll(self) -> None:
        size = await asyncio.to_thread(self._read_log_size)
        if self._log_size not in (UNKNOWN, size):  # a page that could not be read says so, and asks to be reloaded
            await self.refresh()

    def _read_log_size(self) -> int:
        with self._visit.workspace.ledger.read() as session:
            return read_log_size(session)

    def _read_all(self) -> tuple[board.Board, int]:
        return self._read({})

    def _read(self, shown: dict[PipelineStage, board.Stretch]) -> tuple[board.Board, int]:
        actor = self._visit.require_actor()
        with _open_board(self._visit, actor, self._view) as (reader, size):
            return reader.read_board(CARDS_AT_FIRST, shown), size

    def _read_cards(self, stage: PipelineStage, stretch: board.Stretch) -> list[board.Card]:
        actor = self._visit.require_actor()
        with _open_board(self._visit, actor, self._view) as (reader, _):
            return reader.read_cards(stage, stretch)

    def _describe(self, found: board.Board) -> None:
        open_deals = sum(column.count for column in found.columns if column.stage.is_open)
        self._subtitle.set_text(f"{wording.count(open_deals, 'open deal')}, as the ledger has them now")
        if found.agents != self._agents:
            self._agents = found.agents
            if self._picker is not None:
                self._picker.set_options({EVERYONE: "Everyone"} | found.agents, value=self._view.agent_id)

    def _show(self, read: tuple[board.Board, int]) -> None:
        found, self._log_size = read
        self._columns = {}
        self._describe(found)
        if not sum(column.count for column in found.columns):
            if self._view.is_narrowed:
                empty("No deal matches", "Nothing here has these words and types. Widen the search or choose any type.")
                return
            self._subtitle.set_text("")
            empty(
                "No deals here yet",
                "Open the first deal here, or bring them from your CRM. On the server:"
                if self._actions.may_write_own
                else "Deals appear as they are opened or brought from a CRM. On the server:",
                "dealbook import FILE --mapping NAME",
            )
            return
        with box("div", "board", role="list", aria_label="Stages"):
            for column in found.columns:
                self._columns[column.stage] = StageColumn(column, self._read_cards, show_agent=not self._view.agent_id)

    async def _take_move(self, event: GenericEventArguments) -> None:
        await self._actions.take_move(event.args)

    async def _open_deal(self, event: GenericEventArguments) -> None:
        if isinstance(event.args, str):
            await self._drawer.open(event.args[:64])

    def _ask_for_new(self) -> None:
        currency = self._visit.workspace.settings.reporting_currency
        agents = {key: name for key, name in self._agents.items() if not name.endswith("(left)")}
        self._actions.ask_for_new(agents, currency)

    async def _choose_agent(self, event: object) -> None:
        agent_id = getattr(event, "value", None)
        if agent_id is not None and agent_id != self._view.agent_id:
            await self._look_at(replace(self._view, agent_id=agent_id))

    async def _choose_asset_type(self, event: GenericEventArguments) -> None:
        await self._look_at(replace(self._view, asset_type=str(event.args)))

    async def _choose_deal_type(self, event: GenericEventArguments) -> None:
        await self._look_at(replace(self._view, deal_type=str(event.args)))

    async def _search(self, event: GenericEventArguments) -> None:
        await self._look_at(replace(self._view, q=str(event.args).strip()[:MAX_SEARCH]))

    async def _look_at(self, view: View) -> None:
        if view == self._view:
            return
        self._view = view
        self._write_address()
        async with self._reading:
            await fill(self._place, self._read_all, self._show, placeholders=8)

    def _note_deal(self, deal_id: str) -> None:
        self._deal_id = deal_id
        self._write_address()

    def _write_address(self) -> None:
        asked = {
            "agent_id": self._view.agent_id if self._sees_others else "",
            "asset_type": self._view.asset_type,
            "deal_type": self._view.deal_type,
            "q": self._view.q,
            "deal": self._deal_id,
        }
        words = urlencode({name: value for name, value in asked.items() if value})
        with self._place:
            ui.navigate.history.replace(f"{PIPELINE_PATH}?{words}" if words else PIPELINE_PATH)


@contextmanager
def _open_board(visit: Visit, actor: Actor, view: View) -> Iterator[tuple[board.BoardReader, int]]:
    workspace = visit.workspace
    rules = board.read_stage_rules(workspace.settings.dbt_project_dir)
    with workspace.ledger.read() as session:
        currency = workspace.settings.reporting_currency
        reader = board.BoardReader(session, actor, view.agent_id or None, rules, currency, narrowing=view.narrowing())
        yield reader, read_log_size(session)


def _word(written: str, vocabulary: type[Word]) -> Word | None:
    return vocabulary(written) if written in list(vocabulary) else None


def _draw_choice(label: str, anything: str, vocabulary: type[StrEnum], chosen: str, choose: object) -> None:
    with box("select", "input choice", aria_label=label) as element:
        text("option", anything, value="")
        for word in vocabulary:
            text("option", wording.say(word), value=word.value)
    element.props["data-initial"] = chosen
    element.on("change", choose, js_handler="(event) => emit(event.target.value)")  # type: ignore[arg-type]


def _draw_move_menu() -> None:
    with box("div", "move-menu", id="move-menu", role="menu", popover="auto", aria_label="Move to"):
        text("p", "Move to", "menu-title", role="presentation")
        for stage in PipelineStage:
            colour = f"stage-{stage.order}" if stage.is_open else "won" if stage is PipelineStage.CLOSED_WON else "lost"
            item = box("button", "menu-item", type="button", role="menuitem", tabindex="-1", data_stage=stage.value)
            item.style(f"--stage: var(--{colour})")
            with item:
                text("span", wording.say(stage))
        with box("button", "menu-item menu-last", type="button", role="menuitem", tabindex="-1", data_note="1"):
            text("span", "With a note…")
