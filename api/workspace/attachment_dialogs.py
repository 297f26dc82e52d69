"""What is hung on a deal from its drawer: contacts, documents, commissions; and what is erased again."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TypeVar

from nicegui import ui
from pydantic import BaseModel, ValidationError

from api.schemas.attachments import NewContact, NewDocument
from api.workspace import wording
from api.workspace.context import Visit
from api.workspace.deal_view import DealView
from api.workspace.dialogs import Field, Form, ask
from api.workspace.moves import HUNDRED, read_amount
from api.workspace.writing import Messages, write
from ledger import commissions, deals
from ledger.errors import Invalid
from ledger.tables import DealContact, DealDocument
from ledger.vocabulary import CommissionType

Shape = TypeVar("Shape", bound=BaseModel)
CONTACT_TYPES = {
    "counterparty": "Counterparty",
    "introducer": "Introducer",
    "lawyer": "Lawyer",
    "banker": "Banker",
    "other": "Other",
}
DOCUMENT_TYPES = {
    "offer": "Offer",
    "lease": "Lease",
    "sale_agreement": "Sale agreement",
    "invoice": "Invoice",
    "valuation": "Valuation",
    "identification": "Identification",
    "other": "Other",
}
_SAID = {
    "uri": "The address must begin with https://, s3://, sftp://, smb://, file:// or the like, and have no spaces.",
    "sha256": "The SHA-256 is 64 characters of 0-9 and a-f.",
}


class AttachmentActions:
    """The additions and erasures that a deal's drawer offers; `refresh` draws anew what one has touched."""

    def __init__(
        self, visit: Visit, layer: ui.element, messages: Messages, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self._visit = visit
        self._layer = layer
        self._messages = messages
        self._refresh = refresh

    def ask_for_contact(self, view: DealView) -> None:
        """Ask who is on the other side."""

        async def submit(form: Form) -> None:
            contact = _read(NewContact, form)
            await write(
                self._visit,
                lambda session, actor: deals.add_contact(session, actor, view.deal.id, **contact.model_dump()),
            )
            await self._after(f"Added: {contact.name or contact.company or contact.email or 'a contact'}.")

        fields = [
            Field("name", "Name", is_half=True, attributes={"maxlength": "200"}),
            Field("contact_type", "Who they are", "select", "counterparty", CONTACT_TYPES, is_half=True),
            Field("company", "Company", attributes={"maxlength": "200"}),
            Field("email", "E-mail", "email", is_half=True, attributes={"maxlength": "254"}),
            Field("phone", "Phone", "tel", is_half=True, attributes={"maxlength": "50"}),
            Field("notes", "Notes", "textarea"),
        ]
        explanation = "Personal data can be erased later; the log keeps only a commitment to it."
        ask(self._layer, "Add a contact", fields, "Add", submit, explanation=explanation)

    def ask_for_document(self, view: DealView) -> None:
        """Ask where a paper lies."""

        async def submit(form: Form) -> None:
            document = _read(NewDocument, form)
            await write(
                self._visit,
                lambda session, actor: deals.add_document(session, actor, view.deal.id, **document.model_dump()),
            )
            await self._after(f"Added: {document.title}.")

        fields = [
            Field("title", "Title", is_required=True, attributes={"maxlength": "500"}),
            Field("document_type", "Kind", "select", "offer", DOCUMENT_TYPES),
            Field(
                "uri",
                "Address",
                is_required=True,
                hint="Where the paper lies, for example https://files.example.com/offer.pdf",
            ),
            Field(
                "sha256",
                "SHA-256",
                hint="Of the file's bytes: proves later that it is the same paper.",
                attributes={"maxlength": "64", "spellcheck": "false"},
            ),
        ]
        ask(self._layer, "Add a document", fields, "Add", submit)

    def ask_for_commission(self, view: DealView) -> None:
        """Ask for an agent's share in the deal."""
        currency = view.deal.estimated_value_currency

        async def submit(form: Form) -> None:
            percent = read_amount(form, "rate", "The rate")
            if not 0 <= percent <= HUNDRED:
                raise Invalid("The rate is a percentage from 0 to 100.", "rate")
            new = commissions.NewCommission(
                agent_id=str(form.get("agent_id") or view.deal.agent_id),
                commission_type=CommissionType(form.get("commission_type") or CommissionType.EXCLUSIVE),
                basis_amount=read_amount(form, "basis", "The basis"),
                basis_currency=str(form.get("currency") or currency).strip().upper(),
                commission_rate=percent / Decimal(HUNDRED),
            )
            await write(
                self._visit, lambda session, actor: commissions.record_commission(session, actor, view.deal.id, new)
            )
            await self._after(f"Recorded: {percent:f} % for {view.agents.get(new.agent_id, view.agent_name)}.")

        value = view.deal.estimated_value_amount
        agents = dict(view.agents) if view.may_record_for_others else {}
        agents = {view.deal.agent_id: view.agent_name} | agents
        fields = [
            Field("agent_id", "Agent", "select", view.deal.agent_id, agents, is_half=True),
            Field(
                "commission_type",
                "Kind",
                "select",
                CommissionType.EXCLUSIVE.value,
                {word.value: wording.say(word) for word in CommissionType},
                is_half=True,
            ),
            Field(
                "basis",
                "Basis",
                initial="" if value is None else f"{value:,.2f}",
                is_required=True,
                is_half=True,
                attributes={"inputmode": "decimal"},
            ),
            Field(
                "currency", "Currency", initial=currency, is_required=True, is_half=True, attributes={"maxlength": "3"}
            ),
            Field("rate", "Rate in percent", is_required=True, attributes={"inputmode": "decimal"}),
        ]
        explanation = "Recorded as pending. Somebody else confirms it, and its amount is fixed then."
        ask(self._layer, "Record a commission", fields, "Record", submit, explanation=explanation)

    def ask_to_erase_contact(self, contact: DealContact) -> None:
        """Ask before personal data go for good."""

        async def submit(_: Form) -> None:
            await write(
                self._visit, lambda session, actor: deals.erase_contact(session, actor, contact.deal_id, contact.id)
            )
            await self._after("Erased. The log still verifies: it never held more than a commitment.")

        name = contact.name or contact.company or "this contact"
        explanation = f"Name, company, e-mail, phone and notes of {name} go for good, and cannot be brought back."
        ask(self._layer, "Erase the contact", [], "Erase", submit, explanation=explanation)

    def ask_to_erase_document(self, document: DealDocument) -> None:
        """Ask before title and address go for good."""

        async def submit(_: Form) -> None:
            await write(
                self._visit, lambda session, actor: deals.erase_document(session, actor, document.deal_id, document.id)
            )
            await self._after("Erased. Kind and digest stay, so that the paper can still be recognised.")

        explanation = f"Title and address of “{document.title}” go for good. The paper itself is not touched."
        ask(self._layer, "Erase the document", [], "Erase", submit, explanation=explanation)

    async def _after(self, words: str) -> None:
        await self._refresh()
        self._messages.say(words)


def _read(shape: type[Shape], form: Form) -> Shape:
    """Read a form by the rules of REST; what they refuse is said in words."""
    try:
        return shape.model_validate({name: value for name, value in form.items() if str(value).strip()})
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][-1]) if problem["loc"] else ""
        said = f"{wording.say(name)} is missing." if problem["type"] == "missing" else None
        raise Invalid(said or _SAID.get(name) or f"{wording.say(name)}: {problem['msg']}.", name) from error
