"""A stage of the board: its totals, and its deals, more of them each time its end comes into view."""

import asyncio
from collections.abc import Callable

from nicegui import ui
from nicegui.element import Element

from api.workspace import board, wording
from api.workspace.context import PIPELINE_PATH, SIGN_IN_PATH, SignedOut, read_clock
from api.workspace.elements import box, text
from ledger.vocabulary import PipelineStage

ReadMore = Callable[[PipelineStage, str], tuple[list[board.Card], str | None]]

# The button presses itself when it scrolls into view; the keyboard reaches it as any button.
# Looked at afresh after each page, for a button that stays in sight while it moves down is not seen to come into it.
_CALL_WHEN_SEEN = """(event) => {
    const button = event.el;
    const seen = new IntersectionObserver(
        (entries) => entries.some((entry) => entry.isIntersecting) && button.click(),
        { root: button.parentElement, rootMargin: "200px" },
    );
    const look = () => { seen.unobserve(button); seen.observe(button); };
    look();
    new MutationObserver(look).observe(button.parentElement, { childList: true });
}"""


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

    def __init__(self, column: board.Column, read_more: ReadMore, *, show_agent: bool) -> None:
        self._column = column
        self._read_more = read_more
        self._show_agent = show_agent
        self._cursor = column.cursor
        self._is_loading = False
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
                self._more = text("button", "Show more", "more", type="button")
                self._more.on("click", self._load_more)
                self._more.on("vnodeMounted", js_handler=_CALL_WHEN_SEEN)
        self._draw_head(column)
        self._draw_cards(column.cards)

    @property
    def shown(self) -> int:
        """How many cards stand in the column."""
        return len(self._cards)

    def show(self, column: board.Column) -> None:
        """Show the column as it is now, in as few changes as that takes."""
        if column == self._column:
            return
        if (column.count, column.totals) != (self._column.count, self._column.totals):
            self._draw_head(column)
        self._column = column
        self._cursor = column.cursor
        wanted = {card.deal_id for card in column.cards}
        for deal_id in [deal_id for deal_id in self._cards if deal_id not in wanted]:
            self._cards.pop(deal_id).delete()
        order = [card.deal_id for card in column.cards]
        kept = [deal_id for deal_id in self._cards if deal_id in wanted]
        self._draw_cards(column.cards)
        # New cards were added at the end: put every card that is out of place into its place, the first ones first.
        if [*kept, *(deal_id for deal_id in order if deal_id not in kept)] != order:
            for place, deal_id in enumerate(order):
                card = self._cards[deal_id]
                if self._place.default_slot.children[place + 1] is not card:
                    card.move(target_index=place + 1)  # after the words for an empty column
            self._cards = {deal_id: self._cards[deal_id] for deal_id in order}

    def _draw_head(self, column: board.Column) -> None:
        self._count.set_text(f"{column.count:,}")
        self._count.props["aria-label"] = wording.count(column.count, "deal")
        self._totals.clear()
        with self._totals:
            _draw_totals(column)

    def _draw_cards(self, cards: list[board.Card]) -> None:
        with self._place:
            for card in cards:
                words = describe_card(card, show_agent=self._show_agent)
                if card.deal_id in self._cards:
                    self._cards[card.deal_id].show(words)
                else:
                    self._cards[card.deal_id] = DealCard(words)
        self._empty.set_visibility(not self._cards)
        self._more.move(target_index=-1)
        self._more.set_visibility(self._cursor is not None)

    async def _load_more(self) -> None:
        if self._cursor is None or self._is_loading:
            return
        self._is_loading = True
        cursor = self._cursor
        try:
            cards, following = await asyncio.to_thread(self._read_more, self._column.stage, cursor)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        finally:
            self._is_loading = False
        if cursor != self._cursor:
            return  # the column was drawn anew meanwhile
        self._cursor = following
        self._column.cards.extend(cards)
        self._column = board.Column(
            self._column.stage, self._column.count, self._column.totals, self._column.cards, following
        )
        self._draw_cards(cards)


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
        "company": card.company or "",
        "value": value,
        "exact": wording.exact_amount(card.value, card.currency) if card.value is not None else "",
        "age": wording.count(days, "day"),
        "level": card.level(days),
        "since": f"In this stage since {wording.day(card.stage_entered_at.date())}",
        "kind": f"{wording.say(card.asset_type)}, {wording.say(card.deal_type).lower()}",
        "agent": card.agent_name if show_agent else "",
    }
