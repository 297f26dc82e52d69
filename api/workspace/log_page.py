"""The log page: how long the log is and what was signed, whether it verifies, its entries, and what was published."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request, Response
from nicegui import ui
from nicegui.events import GenericEventArguments

from api.workspace import wording
from api.workspace.context import (
    LOG_PATH,
    PAGE_SECONDS,
    SIGN_IN_PATH,
    SignedOut,
    Visit,
    Visitor,
    open_visit,
    read_clock,
)
from api.workspace.elements import box, cell, empty, panel, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.log_verification import Verification
from api.workspace.publications import Publications
from api.workspace.visitors import find_visitor, may_see_others
from api.workspace.writing import Messages
from ledger.access import SYSTEM, list_users
from ledger.log_lists import LogState, read_log_state, search_entries
from ledger.tables import AuditLog

ROWS_PER_PAGE = 25
LOOK_SECONDS = 5.0
HASH_SHOWN = 16


@dataclass(frozen=True)
class _Found:
    rows: Sequence[AuditLog]
    names: dict[str, str]
    has_more: bool


@ui.page("/performance/log", response_timeout=PAGE_SECONDS)
async def show_log(request: Request) -> Response | None:
    """Show the log page, or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    with frame(visit, visitor, "Log", LOG_PATH):
        if may_see_others(visitor.actor):
            await _Page(visit, visitor).build()
        else:
            text("h1", "Log")
            empty("The log as a whole is for those who see all deals", "Each of your deals shows its own entries.")
    return None


class _Page:
    """The page of one visit."""

    def __init__(self, visit: Visit, visitor: Visitor) -> None:
        self._visit = visit
        self._words = ""
        self._limit = ROWS_PER_PAGE
        with box("div", "page-head"), box("div"):
            text("h1", "Log")
            text("p", "Everything that happened, in order, signed so that a change would show.", "muted")
        self._state = box("div", "headlines log-facts")
        Verification(visit)
        with panel("Entries", "By leaf index, hash, identifier or type") as head:
            with head:
                search = box(
                    "input",
                    "input log-search",
                    type="search",
                    placeholder="Search, for example dispute",
                    maxlength="100",
                )
                search.props["aria-label"] = "Search the log"
                search.on(
                    "input",
                    self._search,
                    js_handler="(event) => emit(event.target.value)",
                    throttle=0.3,
                    leading_events=False,
                )
            self._entries = box("div")
        layer = box("div", "layer")
        self._publications = Publications(visit, visitor, layer, Messages())

    async def build(self) -> None:
        """Read and draw all parts; the head is looked at again every few seconds."""
        await fill(self._state, self._read_state, self._show_state, placeholders=4)
        await fill(self._entries, self._read_entries, self._show_entries, placeholders=3)
        await self._publications.build()
        ui.timer(LOOK_SECONDS, self._look, immediate=False)

    async def _look(self) -> None:
        try:
            state = await asyncio.to_thread(self._read_state)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        self._state.clear()
        with self._state:
            self._show_state(state)

    def _read_state(self) -> LogState:
        self._visit.require_actor()
        with self._visit.workspace.ledger.read() as session:
            return read_log_state(session, self._visit.workspace.settings)

    def _show_state(self, state: LogState) -> None:
        signed = "never" if state.signed_at is None else wording.age(state.signed_at, read_clock())
        _draw_fact("Entries", f"{state.size:,}", f"{state.unsigned:,} newer than the last checkpoint", "size")
        _draw_fact(
            "Last checkpoint", signed, f"over {wording.count(state.signed_size, 'entry', 'entries')}", "checkpoint"
        )
        _draw_fact("Signed with", state.key_id or "no known key", "the key's id; compare it with your own note", "key")
        root = state.root.hex() if state.root else ""
        _draw_fact("Root", root[:HASH_SHOWN] + "…" if root else wording.NOTHING, "of the last checkpoint", "root", root)

    async def _search(self, event: GenericEventArguments) -> None:
        self._words, self._limit = str(event.args)[:100], ROWS_PER_PAGE
        await self._refresh_entries()

    async def _show_more(self) -> None:
        self._limit += ROWS_PER_PAGE
        await self._refresh_entries()

    async def _refresh_entries(self) -> None:
        words = self._words
        try:
            found = await asyncio.to_thread(self._read_entries)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        if words != self._words:
            return  # somebody typed on; the answer to that is on its way
        self._entries.clear()
        with self._entries:
            self._show_entries(found)

    def _read_entries(self) -> _Found:
        actor = self._visit.require_actor()
        with self._visit.workspace.ledger.read() as session:
            rows, cursor = search_entries(session, actor, self._words, limit=min(self._limit, 200))
            names = {user.id: user.name for user in list_users(session)} | {SYSTEM.id: "dealbook"}
        return _Found(rows, names, cursor is not None and self._limit < 200)

    def _show_entries(self, found: _Found) -> None:
        if not found.rows:
            text("p", "No entry fits these words.", "muted")
            return
        with box("div", "table-scroll"), box("table", "table log-table"):
            with box("thead"), box("tr"):
                text("th", "Leaf", scope="col")
                for words in ("What", "About", "By", "Hash"):
                    text("th", words, "text", scope="col")
                text("th", "Recorded", scope="col")
            with box("tbody"):
                for row in found.rows:
                    self._draw_entry(row, found.names)
        if found.has_more:
            text("button", "Show more", "more", type="button").on("click", self._show_more)

    def _draw_entry(self, row: AuditLog, names: dict[str, str]) -> None:
        with box("tr", data_entry=str(row.n)):
            text("td", f"{row.n:,}", "num")
            cell(wording.say(row.type.replace(".", " ")), is_text=True, title=row.type)
            with box("td", "text"):
                if row.chain.startswith("deal:"):
                    from api.workspace.deal_dialogs import address_of

                    text("a", wording.say(row.subject_kind), href=address_of(row.chain.removeprefix("deal:")))
                else:
                    text("span", wording.say(row.subject_kind))
            cell(names.get(row.actor_id, "someone"), is_text=True)
            with box("td", "text"), box("details", "record"):
                text("summary", row.hash.hex()[:HASH_SHOWN], aria_label=f"Entry {row.n:,} as it was hashed")
                with box("div", "record-box"):
                    with box("dl", "facts"):
                        for label, value in (
                            ("Chain", f"{row.chain}, {row.seq}"),
                            ("Hash", row.hash.hex()),
                            ("Before it", row.prev.hex()),
                        ):
                            text("dt", label)
                            with box("dd"):
                                text("code", value, "hash")
                    text("pre", row.body.decode(), "entry-body")
            local = row.at.astimezone(self._visit.workspace.settings.time_zone)
            cell(f"{local:%Y-%m-%d %H:%M:%S}", title=f"{row.at:%Y-%m-%d %H:%M:%S.%f} UTC")


def _draw_fact(label: str, value: str, note: str, name: str, title: str = "") -> None:
    with box("section", "headline", data_fact=name):
        text("p", label, "headline-label")
        shown = text("p", value, "headline-value log-fact num")
        if title:
            shown.props["title"] = title
        text("p", note, "headline-note")
