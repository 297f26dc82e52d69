"""What can be done to a commission from queue and drawer: settle it, dispute it, resolve the dispute."""

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit
from api.workspace.deal_view import CommissionView
from api.workspace.dialogs import Field, Form, ask, explain
from api.workspace.elements import box, text
from api.workspace.moves import read_amount
from api.workspace.writing import Messages, write
from ledger import commissions
from ledger.tables import CommissionDispute
from ledger.vocabulary import CommissionStatus, DisputeOutcome

NEXT_STEP = {
    CommissionStatus.PENDING: (CommissionStatus.CONFIRMED, "Confirm"),
    CommissionStatus.CONFIRMED: (CommissionStatus.INVOICED, "Invoice"),
    CommissionStatus.INVOICED: (CommissionStatus.PAID, "Pay"),
}
_OUTCOMES = {
    DisputeOutcome.APPROVED: "Approved: the claim is right",
    DisputeOutcome.PARTIAL: "Partial: right in part",
    DisputeOutcome.DENIED: "Denied: the claim is wrong",
}


class CommissionActions:
    """The changes of commissions that a page offers; `refresh` draws anew what a change has touched."""

    def __init__(
        self, visit: Visit, layer: ui.element, messages: Messages, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._visit = visit
        self._layer = layer
        self._messages = messages
        self._refresh = refresh

    async def settle(self, commission: CommissionView, to_status: CommissionStatus) -> None:
        """Confirm, invoice or pay; the message says what is recorded, or why it is not."""
        row = commission.row
        try:
            moved = await write(
                self._visit,
                lambda session, actor: commissions.move_commission(session, actor, row.id, to_status),
            )
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        except Exception as error:
            self._messages.say(explain(error), is_refusal=True)
            await self._refresh()
            return
        await self._refresh()
        amount = wording.exact_amount(moved.commission_amount, moved.basis_currency)
        self._messages.say(f"{wording.say(to_status)}: {amount} for {commission.agent_name}.")

    def ask_to_dispute(self, commission: CommissionView) -> None:
        """Ask how much is disputed, and why."""
        row = commission.row

        async def submit(form: Form) -> None:
            amount, reason = read_amount(form, "amount", "The disputed amount"), str(form.get("reason", ""))
            evidence = [link] if (link := str(form.get("evidence") or "").strip()) else []
            is_hold = form.get("hold") != "no"
            await write(
                self._visit,
                lambda session, actor: commissions.open_dispute(
                    session, actor, row.id, amount=amount, reason=reason, is_hold=is_hold, evidence=evidence
                ),
            )
            await self._refresh()
            hold = "on hold" if is_hold else "not on hold"
            self._messages.say(f"Disputed: {commission.agent_name}'s commission waits for a manager, {hold}.")

        net = commission.net
        fields = [
            Field(
                "amount",
                f"Disputed amount in {row.basis_currency}",
                initial="" if net is None else f"{net:,.2f}",
                is_required=True,
                attributes={"inputmode": "decimal"},
            ),
            Field("reason", "Reason", "textarea", is_required=True),
            Field(
                "evidence",
                "Document",
                hint="Where the paper that shows it lies, for example https://files.example.com/letter.pdf",
                attributes={"maxlength": "2000"},
            ),
            Field("hold", "Meanwhile", "select", "yes", {"yes": "Pay nothing of it", "no": "Pay what is not disputed"}),
        ]
        explanation = "The commission stays disputed until a manager resolves it."
        ask(self._layer, "Dispute the commission", fields, "Open the dispute", submit, explanation=explanation)

    def ask_to_resolve(self, commission: CommissionView) -> None:
        """Ask how the dispute ended."""
        dispute = commission.open_dispute
        if dispute is None:
            return
        dispute_id = dispute.id

        async def submit(form: Form) -> None:
            outcome = DisputeOutcome(form.get("outcome") or DisputeOutcome.APPROVED)
            is_written_off = form.get("then") == "write_off"
            note = str(form.get("note", ""))
            await write(
                self._visit,
                lambda session, actor: commissions.resolve_dispute(
                    session, actor, dispute_id, outcome=outcome, is_written_off=is_written_off, note=note
                ),
            )
            await self._refresh()
            self._messages.say(f"Resolved as {wording.say(outcome).lower()}.")

        fields = [
            Field(
                "outcome",
                "Outcome",
                "select",
                DisputeOutcome.APPROVED.value,
                {key.value: words for key, words in _OUTCOMES.items()},
            ),
            Field(
                "then",
                "The commission",
                "select",
                "restore",
                {
                    "restore": f"returns to {wording.say(dispute.status_before).lower()}",
                    "write_off": "is written off",
                },
            ),
            Field("note", "Note", "textarea"),
        ]
        draw = partial(_draw_claim, dispute)
        ask(self._layer, "Resolve the dispute", fields, "Resolve", submit, draw=draw)


def _draw_claim(dispute: CommissionDispute) -> None:
    with box("dl", "facts"):
        text("dt", "Disputed")
        text("dd", wording.exact_amount(dispute.amount, dispute.currency), "num")
        text("dt", "Reason")
        text("dd", dispute.reason or "(erased)")
        for paper in dispute.evidence or []:
            text("dt", "Document")
            text("dd", paper)


def draw_commission_buttons(commission: CommissionView, actions: CommissionActions) -> None:
    """Draw what the visitor may do next to a commission, and nothing that would be refused."""
    status = commission.row.status
    offered: list[tuple[str, str, Callable[[], Awaitable[None] | None]]] = []
    if commission.may_settle and status in NEXT_STEP:
        to_status, words = NEXT_STEP[status]
        offered.append((words, "button button-primary", lambda: actions.settle(commission, to_status)))
    if commission.may_settle and commission.open_dispute is not None:
        offered.append(("Resolve", "button button-primary", lambda: actions.ask_to_resolve(commission)))
    if commission.may_dispute and status.can_be_disputed:
        offered.append(("Dispute", "button", lambda: actions.ask_to_dispute(commission)))
    if not offered:
        return
    with box("div", "row-buttons"):
        for words, classes, do in offered:
            text("button", words, classes, type="button").on("click", do)
