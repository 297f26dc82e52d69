"""A stage of the board: its totals, and those of its deals that are in sight or near it.

A column may hold thousands of deals. The page has the cards of one stretch of them; room above and below stands for the
rest, so that the column scrolls as if all were there. What scrolls into the room is asked for and takes its place.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from api.workspace import board, wording
from api.workspace.context import PIPELINE_PATH, SIGN_IN_PATH, SignedOut, read_clock
from api.workspace.elements import box, text
from ledger.vocabulary import PipelineStage

CARDS_AT_FIRST = 15
# In both directions more than a tall screen shows, so that one answer serves a good deal of scrolling.
CARDS_SCROLLED = 48
# How far before the first card in sight a stretch begins.
CARDS_BEFORE = 16

ReadCards = Callable[[PipelineStage, board.Stretch], list[board.Card]]


class DealCard(Element, component="assets/deal_card.js"):
    """A card of the board. Its deal is plain text and data; see `describe_card`."""

    def __init__(self, deal: dict[str, str | int | bool]) -> None:
        super().__init__()
        self.props["deal"] = deal

    def show(self, deal: dict[str, str | int | bool]) -> None:
        """Show the deal as it is now."""
        if self.props["deal"] != deal:
            self.props["deal"] = deal


class StageColumn:
    """Draws a column, and draws it again where it differs: a card that stays keeps its place, focus and scrolling."""

    def __init__(self, column: board.Column, read_cards: ReadCards, *, show_agent: bool) -> None:
        self._column = column
        self._read_cards = read_cards
        self._show_agent = show_agent
        self._stretch = board.Stretch(0, CARDS_AT_FIRST)
        self._is_reading = False
        self._cards: dict[str, DealCard] = {}
        stage = column.stage
        colour = f"stage-{stage.order}" if stage.is_open else "won" if stage is PipelineStage.CLOSED_WON else "lost"
        with box("section", "stage", role="listitem", aria_label=wording.say(stage), data_stage=stage.value) as section:
            section.style(f"--stage: var(--{colour})")
            with box("header", "stage-head"):
                with box("div", "stage-title"):
                    text("h2", wording.say(stage))
                    self._count = text("span", "", "stage-count num")
                self._totals = box("div", "stage-totals")
            with box("div", "stage-cards", tabindex="0", aria_label=f"Deals in {wording.say(stage)}") as self._place:
                self._empty = text("p", "No deals in this stage", "stage-empty")
                self._above, self._below = _Room("above"), _Room("below")
            self._place.on("vnodeMounted", self._scroll, js_handler="(event) => dealbook.watchColumn(event.el, emit)")
        self._draw_head(column)
        self._draw_cards()

    @property
    def shown(self) -> board.Stretch:
        """Which deals the column shows, or would if it had as many."""
        return replace(self._stretch, first=self._column.first)

    def show(self, column: board.Column) -> None:
        """Show the column as it is now, in as few changes as that takes."""
        if column == self._column:
            return
        if (column.count, column.totals) != (self._column.count, self._column.totals):
            self._draw_head(column)
        self._column = column
        self._draw_cards()

    def _draw_head(self, column: board.Column) -> None:
        self._count.set_text(f"{column.count:,}")
        self._count.props["aria-label"] = wording.count(column.count, "deal")
        self._totals.clear()
        with self._totals:
            _draw_totals(column)

    def _draw_cards(self) -> None:
        column = self._column
        wanted = {card.deal_id: describe_card(card, show_agent=self._show_agent) for card in column.cards}
        for deal_id in [deal_id for deal_id in self._cards if deal_id not in wanted]:
            self._cards.pop(deal_id).delete()
        with self._place:
            for deal_id, words in wanted.items():
                if deal_id in self._cards:
                    self._cards[deal_id].show(words)
                else:
                    self._cards[deal_id] = DealCard(words)
        self._cards = {deal_id: self._cards[deal_id] for deal_id in wanted}
        self._empty.set_visibility(not wanted)
        self._above.hold(column.first)
        self._below.hold(column.count - column.first - len(wanted))
        order = [self._empty, self._above, *self._cards.values(), self._below]
        if self._place.default_slot.children != order:
            self._place.default_slot.children[:] = order
            self._place.update()

    async def _scroll(self, event: GenericEventArguments) -> None:
        """Show the stretch around the card with this number, the first one in sight."""
        if not isinstance(event.args, int):
            return
        self._stretch = board.Stretch(max(0, event.args - CARDS_BEFORE), CARDS_SCROLLED)
        if self._is_reading:
            return  # what is read already will be read again, for where the scrolling ended
        self._is_reading = True
        try:
            while True:
                before, stretch = self._column, self._stretch
                cards = await asyncio.to_thread(self._read_cards, before.stage, stretch)
                if stretch == self._stretch and before is self._column:
                    break
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        finally:
            self._is_reading = False
        self._column = replace(before, first=stretch.first, cards=cards)
        self._draw_cards()


class _Room(Element):
    """Takes the height of cards that are not there."""

    def __init__(self, where: str) -> None:
        super().__init__("div")
        self.classes("stage-room")
        self.props["aria-hidden"] = "true"
        self.props["data-room"] = where

    def hold(self, cards: int) -> None:
        """Stand for so many cards, which may be none."""
        cards = max(0, cards)
        if self.props.get("data-cards") != str(cards):
            self.props["data-cards"] = str(cards)
            self.style(f"--cards: {cards}")
            self.set_visibility(cards > 0)


def _draw_totals(column: board.Column) -> None:
    if not column.totals:
        return
    with box("div", "totals num"):
        text("span", "")
        text("span", "Total", "totals-label")
        text("span", "Weighted" if column.stage.is_open else "", "totals-label")
        for total in column.totals:
            text("span", total.currency, "muted")
            value = text("span", wording.amount(total.total), data_total=str(total.total), data_currency=total.currency)
            value.props["title"] = wording.exact_amount(total.total, total.currency)
            if not column.stage.is_open:
                text("span", "")
                continue
            weighted = text("span", wording.amount(total.weighted), data_weighted=str(total.weighted))
            weighted.props["title"] = wording.exact_amount(total.weighted, total.currency)


def describe_card(card: board.Card, *, show_agent: bool) -> dict[str, str | int | bool]:
    """Say a deal in the words of its card."""
    days = max((read_clock() - card.stage_entered_at).days, 0)
    value = f"{card.currency} {wording.amount(card.value)}" if card.value is not None else "No value yet"
    return {
        "id": card.deal_id,
        "href": f"{PIPELINE_PATH}?deal={card.deal_id}",
        "stage": card.stage.value,
        "revision": card.revision,
        "movable": card.is_movable,
        "title": card.title,
        "company": card.company or "No company yet",
        "value": value,
        "exact": wording.exact_amount(card.value, card.currency) if card.value is not None else "",
        "age": wording.count(days, "day"),
        "level": card.level(days),
        "since": f"In this stage since {wording.day(card.stage_entered_at.date())}",
        "kind": f"{wording.say(card.asset_type)}, {wording.say(card.deal_type).lower()}",
        "agent": card.agent_name if show_agent else "",
        "initials": wording.initials(card.agent_name) if show_agent else "",
        "latest": f"{wording.age(card.latest_at, read_clock())}: {wording.entry(card.latest_kind)}",
    }
