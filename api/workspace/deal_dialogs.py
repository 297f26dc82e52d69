"""What can be done to a deal from board and drawer: ask what the rule needs, write, and tell what came of it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from nicegui import ui
from sqlalchemy.orm import Session

from api.workspace import moves, wording
from api.workspace.context import PIPELINE_PATH, SIGN_IN_PATH, SignedOut, Visit, Visitor, read_clock
from api.workspace.deal_view import DealView
from api.workspace.dialogs import Field, Form, ask, explain
from api.workspace.writing import Messages, write
from ledger import deals
from ledger.access import Action, is_permitted
from ledger.actors import Actor
from ledger.vocabulary import AssetType, DealType, PipelineStage

OPEN_STAGES = {stage.value: wording.say(stage) for stage in PipelineStage if stage.is_open}


class DealActions:
    """The changes that a page offers; `layer` holds its dialogs, `refresh` draws anew what a change has touched."""

    def __init__(
        self,
        visit: Visit,
        visitor: Visitor,
        layer: ui.element,
        messages: Messages,
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        self._visit = visit
        self._actor = visitor.actor
        self._layer = layer
        self._messages = messages
        self._refresh = refresh
        self.may_write_own = is_permitted(self._actor, Action.WRITE_DEAL, self._actor.id)
        self.may_reopen = is_permitted(self._actor, Action.REOPEN_DEAL)

    async def take_move(self, sent: object) -> None:
        """Make the move that the page sent: a card was dropped on a stage, or a stage chosen in the menu."""
        if not isinstance(sent, Mapping) or not isinstance(sent.get("deal"), str):
            return
        deal_id: str = sent["deal"]
        revision = sent.get("revision") if isinstance(sent.get("revision"), int) else None
        if sent.get("note") and self.may_write_own:
            self._ask_for_note(deal_id, revision)
            return
        try:
            to_stage = PipelineStage(str(sent.get("stage")))
        except ValueError:
            return
        is_closed = sent.get("from") in (PipelineStage.CLOSED_WON.value, PipelineStage.CLOSED_LOST.value)
        if is_closed and self.may_reopen and to_stage.is_open:
            self.ask_to_reopen(deal_id, revision, to_stage)
        elif not is_closed and not to_stage.is_open and self.may_write_own:
            self._ask_to_close(deal_id, to_stage, revision)
        else:
            await self._move(deal_id, to_stage, revision)

    async def undo(self, deal_id: str) -> None:
        """Take back a deal's last move."""
        try:
            move = await write(
                self._visit, lambda session, actor: moves.undo_move(session, actor, deal_id, now=read_clock())
            )
        except Exception as error:
            self._refuse(deal_id, error)
            return
        await self._tell(move, f"Undone: {move.title} is back in {wording.say(move.to_stage)}.", can_undo=False)

    def ask_for_new(self, agents: Mapping[str, str], currency: str) -> None:
        """Ask what the ledger wants to know of a new deal."""

        async def submit(form: Form) -> None:
            deal_id = await write(self._visit, lambda session, actor: moves.open_from_form(session, actor, form))
            await self._refresh()
            self._messages.say(f"Opened: {form.get('title', '')}")
            ui.run_javascript(f"emitEvent('dealbook-open-deal', {deal_id!r})")

        fields = _deal_fields({"asset_type": "office", "deal_type": "lease", "currency": currency})
        fields.insert(1, Field("company", "Other company", is_half=True))
        fields.insert(2, Field("contact", "Person there", is_half=True))
        fields.append(Field("stage", "Stage", "select", PipelineStage.LEAD_CAPTURED.value, OPEN_STAGES, is_half=True))
        if is_permitted(self._actor, Action.ASSIGN_DEAL):
            own = self._actor.id if self._actor.id in agents else next(iter(agents), "")
            fields.append(Field("agent_id", "Agent", "select", own, agents, is_half=True))
        ask(self._layer, "New deal", fields, "Open the deal", submit)

    def ask_to_edit(self, view: DealView) -> None:
        """Ask for changes of what may change; an edit over somebody else's is refused."""
        deal = view.deal

        async def submit(form: Form) -> None:
            await write(
                self._visit,
                lambda session, actor: moves.change_from_form(session, actor, deal.id, form, revision=deal.revision),
            )
            await self._after(deal.id, "Saved.")

        share = None if deal.confidence is None else deal.confidence * 100
        values = {
            "title": deal.title,
            "description": deal.description or "",
            "asset_type": deal.asset_type.value,
            "deal_type": deal.deal_type.value,
            "lead_source": deal.lead_source or "",
            "value": "" if deal.estimated_value_amount is None else f"{deal.estimated_value_amount:,.2f}",
            "currency": deal.estimated_value_currency,
            "expected_close_date": deal.expected_close_date.isoformat() if deal.expected_close_date else "",
            "confidence": "" if share is None else f"{share:f}".rstrip("0").rstrip("."),
        }
        ask(self._layer, "Edit the deal", _deal_fields(values), "Save", submit)

    def ask_to_cancel(self, view: DealView) -> None:
        """Ask why the deal is given up."""

        async def submit(form: Form) -> None:
            reason = str(form.get("reason", ""))
            await write(
                self._visit,
                lambda session, actor: deals.cancel_deal(
                    session, actor, view.deal.id, reason=reason, revision=view.deal.revision
                ),
            )
            await self._after(view.deal.id, f"Cancelled: {view.deal.title}")

        explanation = "A cancelled deal counts as neither won nor lost, and leaves the board. A manager can reopen it."
        fields = [Field("reason", "Reason", "textarea", is_required=True)]
        ask(
            self._layer,
            "Cancel the deal",
            fields,
            "Cancel the deal",
            submit,
            explanation=explanation,
            dismiss="Keep it",
        )

    def ask_to_reopen(
        self, deal_id: str, revision: int | None, to_stage: PipelineStage = PipelineStage.NEGOTIATION
    ) -> None:
        """Ask into which stage, and why."""

        async def submit(form: Form) -> None:
            stage, note = PipelineStage(form.get("stage") or to_stage), str(form.get("note", ""))
            move = await write(
                self._visit,
                lambda session, actor: moves.reopen_deal(session, actor, deal_id, stage, note, revision=revision),
            )
            await self._tell(move, f"Reopened: {move.title} is in {wording.say(stage)}.", can_undo=False)

        fields = [
            Field("stage", "Into stage", "select", to_stage.value, OPEN_STAGES),
            Field("note", "Why", "textarea", is_required=True),
        ]
        cancel = self._give_back(deal_id)
        ask(self._layer, "Reopen the deal", fields, "Reopen", submit, on_cancel=cancel)

    def ask_to_assign(self, view: DealView) -> None:
        """Ask who takes the deal over."""

        async def submit(form: Form) -> None:
            agent_id, note = str(form.get("agent_id", "")), str(form.get("note", ""))
            await write(
                self._visit,
                lambda session, actor: deals.assign_deal(
                    session, actor, view.deal.id, agent_id=agent_id, note=note, revision=view.deal.revision
                ),
            )
            await self._after(view.deal.id, f"Handed to {view.agents.get(agent_id, 'its new agent')}.")

        others = {key: name for key, name in view.agents.items() if key != view.deal.agent_id}
        fields = [
            Field("agent_id", "To", "select", next(iter(others), ""), others),
            Field("note", "Note", "textarea"),
        ]
        explanation = f"What was done so far stays to the credit of {view.agent_name}."
        ask(self._layer, "Hand the deal over", fields, "Hand over", submit, explanation=explanation)

    def _ask_to_close(self, deal_id: str, to_stage: PipelineStage, revision: int | None) -> None:
        is_won = to_stage is PipelineStage.CLOSED_WON

        async def submit(form: Form) -> None:
            closed_on, note = moves.read_day(form, "closed_on"), str(form.get("note", ""))
            await self._write_move(
                lambda session, actor: moves.move_deal(
                    session,
                    actor,
                    deal_id,
                    to_stage,
                    revision=revision,
                    note=note,
                    closed_on=closed_on,
                    now=read_clock(),
                )
            )

        today = self._today(read_clock())
        fields = [
            Field(
                "closed_on",
                "Won on" if is_won else "Lost on",
                "date",
                today,
                is_required=True,
                attributes={"max": today},
            ),
            Field("note", "Note" if is_won else "Why was it lost?", "textarea"),
        ]
        title = "Close as won" if is_won else "Close as lost"
        explanation = "The deal leaves the pipeline on this day. Only a manager can reopen it."
        ask(self._layer, title, fields, title, submit, explanation=explanation, on_cancel=self._give_back(deal_id))

    def _ask_for_note(self, deal_id: str, revision: int | None) -> None:
        async def submit(form: Form) -> None:
            stage, note = PipelineStage(form["stage"]), str(form.get("note", ""))
            await self._write_move(
                lambda session, actor: moves.move_deal(
                    session, actor, deal_id, stage, revision=revision, note=note, now=read_clock()
                )
            )

        stages = {stage.value: wording.say(stage) for stage in PipelineStage}
        fields = [
            Field("stage", "To stage", "select", PipelineStage.QUALIFICATION.value, stages),
            Field("note", "Note", "textarea", is_required=True, hint="Kept with the move in the deal's timeline."),
        ]
        ask(self._layer, "Move with a note", fields, "Move", submit)

    async def _move(self, deal_id: str, to_stage: PipelineStage, revision: int | None) -> None:
        try:
            await self._write_move(
                lambda session, actor: moves.move_deal(
                    session, actor, deal_id, to_stage, revision=revision, now=read_clock()
                )
            )
        except Exception as error:
            self._refuse(deal_id, error)

    async def _write_move(self, do: Callable[[Session, Actor], moves.Move]) -> None:
        move = await write(self._visit, do)
        await self._tell(
            move,
            f"{move.title} moved to {wording.say(move.to_stage)}.",
            can_undo=move.to_stage.is_open or self.may_reopen,
        )

    async def _tell(self, move: moves.Move, words: str, *, can_undo: bool) -> None:
        async def undo() -> None:
            await self.undo(move.deal_id)

        await self._after(move.deal_id, words, undo=undo if can_undo else None)

    async def _after(self, deal_id: str, words: str, *, undo: Callable[[], Awaitable[None]] | None = None) -> None:
        await self._refresh()
        self._messages.say(words, undo=undo)
        with self._layer:
            ui.run_javascript(f"dealbook.settle({deal_id!r})")

    def _refuse(self, deal_id: str, error: Exception) -> None:
        with self._layer:
            if isinstance(error, SignedOut):
                ui.navigate.to(SIGN_IN_PATH)
                return
            self._give_back(deal_id)()
        self._messages.say(f"Not moved. {explain(error)}", is_refusal=True)

    def _give_back(self, deal_id: str) -> Callable[[], Any]:
        def give_back() -> None:
            with self._layer:
                ui.run_javascript(f"dealbook.refuse({_quote(deal_id)})")

        return give_back

    def _today(self, now: datetime) -> str:
        return now.astimezone(self._visit.workspace.settings.time_zone).date().isoformat()


def _quote(sent: str) -> str:
    # What a page sent goes into a script: only the characters of an identifier may.
    return repr("".join(letter for letter in sent if letter.isalnum() or letter == "-")[:64])


def address_of(deal_id: str) -> str:
    """Return where a deal can be looked at: the board with its drawer open."""
    return f"{PIPELINE_PATH}?deal={deal_id}"


def _deal_fields(values: Mapping[str, str]) -> list[Field]:
    asset_types = {word.value: wording.say(word) for word in AssetType}
    deal_types = {word.value: wording.say(word) for word in DealType}
    money = {"inputmode": "decimal"}
    return [
        Field("title", "Title", initial=values.get("title", ""), is_required=True),
        Field("asset_type", "Asset type", "select", values["asset_type"], asset_types, is_half=True),
        Field("deal_type", "Deal type", "select", values["deal_type"], deal_types, is_half=True),
        Field("value", "Estimated value", initial=values.get("value", ""), is_half=True, attributes=money),
        Field(
            "currency",
            "Currency",
            initial=values["currency"],
            is_required=True,
            is_half=True,
            attributes={"maxlength": "3"},
        ),
        Field(
            "expected_close_date",
            "Expected close",
            "date",
            values.get("expected_close_date", ""),
            is_half=True,
        ),
        Field(
            "confidence",
            "Confidence in percent",
            initial=values.get("confidence", ""),
            is_half=True,
            attributes={"inputmode": "decimal"},
        ),
        Field("lead_source", "Lead source", initial=values.get("lead_source", "")),
        Field("description", "Description", "textarea", values.get("description", "")),
    ]
