"""Confirming several commissions at once: choose, look at the sum, confirm; each that is refused says why."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from nicegui import ui
from sqlalchemy.orm import Session

from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit
from api.workspace.deal_view import CommissionView
from api.workspace.dialogs import Form, ask, explain
from api.workspace.elements import box, text
from api.workspace.writing import Messages, write
from ledger import commissions
from ledger.actors import Actor
from ledger.vocabulary import CommissionStatus

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Choice:
    """A commission that was chosen, as it is told in the summary."""

    commission: CommissionView
    title: str

    @property
    def amount(self) -> Decimal:
        """What confirming it fixes: its amount, or basis times rate where none is stated."""
        row = self.commission.row
        if row.commission_amount is not None:
            return row.commission_amount
        return (row.basis_amount * row.commission_rate).quantize(CENT, ROUND_HALF_EVEN)


class BulkConfirm:
    """What is chosen on one page, the button that counts it, and the dialog that asks before it is confirmed."""

    def __init__(
        self, visit: Visit, layer: ui.element, messages: Messages, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._visit = visit
        self._layer = layer
        self._messages = messages
        self._refresh = refresh
        self._offered: dict[str, Choice] = {}
        self._chosen: set[str] = set()
        self._boxes: dict[str, ui.element] = {}
        self._button: ui.element | None = None

    def begin(self, offered: Sequence[Choice]) -> None:
        """Offer these; what was chosen and is not among them any more is forgotten."""
        self._offered = {each.commission.row.id: each for each in offered}
        self._chosen &= set(self._offered)
        self._boxes = {}

    def draw_button(self) -> None:
        """Draw the button that opens the summary, and the box that chooses all."""
        if len(self._offered) < 2:
            self._button = None
            return
        with box("div", "bulk"):
            every = text("button", "Choose all", "link-button", type="button")
            every.on("click", self._choose_all)
            self._button = text("button", "", "button button-primary", type="button")
            self._button.on("click", self.ask_to_confirm)
        self._count()

    def draw_box(self, commission_id: str, title: str) -> None:
        """Draw the box that chooses a row."""
        if commission_id not in self._offered:
            return
        mark = box("input", "check", type="checkbox", aria_label=f"Choose {title}")
        mark.props["checked"] = commission_id in self._chosen
        mark.on(
            "change",
            lambda event, key=commission_id: self._choose(key, is_chosen=bool(event.args)),
            js_handler="(event) => emit(event.target.checked)",
        )
        self._boxes[commission_id] = mark

    def ask_to_confirm(self) -> None:
        """Show what would be confirmed, with its sum, and ask."""
        chosen = [self._offered[key] for key in self._offered if key in self._chosen]
        if not chosen:
            return

        async def submit(_: Form) -> None:
            await self._confirm(chosen)

        ask(
            self._layer,
            f"Confirm {wording.count(len(chosen), 'commission')}",
            [],
            "Confirm",
            submit,
            explanation=f"{_sum(chosen)}. Their amounts are fixed by this; whoever earns one cannot confirm it.",
            draw=lambda: _draw_list(chosen),
        )

    async def _confirm(self, chosen: Sequence[Choice]) -> None:
        refused: list[tuple[Choice, str]] = []
        for choice in chosen:
            # One transaction each: what is refused keeps nothing else out.
            try:
                await write(self._visit, _confirming(choice.commission.row.id))
            except SignedOut:
                ui.navigate.to(SIGN_IN_PATH)
                return
            except Exception as error:
                refused.append((choice, explain(error)))
            self._chosen.discard(choice.commission.row.id)
        await self._refresh()
        done = [choice for choice in chosen if choice not in [each for each, _ in refused]]
        if not refused:
            self._messages.say(f"Confirmed: {wording.count(len(done), 'commission')}, {_sum(done)}.")
            return
        words = [f"Confirmed {len(done)} of {len(chosen)}."]
        words += [f"Refused: {choice.title}, {choice.commission.agent_name}. {why}" for choice, why in refused]
        self._messages.say("\n".join(words), is_refusal=True)

    def _choose(self, commission_id: str, *, is_chosen: bool) -> None:
        if commission_id not in self._offered:
            return
        (self._chosen.add if is_chosen else self._chosen.discard)(commission_id)
        self._count()

    def _choose_all(self) -> None:
        self._chosen = set() if len(self._chosen) == len(self._offered) else set(self._offered)
        for key, mark in self._boxes.items():
            mark.props["checked"] = key in self._chosen
            mark.update()
        self._count()

    def _count(self) -> None:
        if self._button is None:
            return
        number = len(self._chosen)
        self._button.set_text(f"Confirm {number:,} chosen" if number else "Confirm chosen")  # type: ignore[attr-defined]
        self._button.props["disabled"] = number == 0
        self._button.update()


def _confirming(commission_id: str) -> Callable[[Session, Actor], object]:
    return lambda session, actor: commissions.move_commission(session, actor, commission_id, CommissionStatus.CONFIRMED)


def _sum(chosen: Sequence[Choice]) -> str:
    """Say the sum of amounts, per currency: amounts of different currencies are never added."""
    sums: dict[str, Decimal] = {}
    for choice in chosen:
        currency = choice.commission.row.basis_currency
        sums[currency] = sums.get(currency, Decimal(0)) + choice.amount
    return " and ".join(wording.exact_amount(amount, currency) for currency, amount in sorted(sums.items()))


def _draw_list(chosen: Sequence[Choice]) -> None:
    with box("ul", "summary-list"):
        for choice in chosen:
            row = choice.commission.row
            with box("li"):
                with box("span"):
                    text("strong", choice.title)
                    text("span", f"{choice.commission.agent_name}, {wording.say(row.commission_type).lower()}", "muted")
                text("span", wording.exact_amount(choice.amount, row.basis_currency), "num")
