"""What an entry says, in plain words: for people who read a dossier and have never seen the system.

Pure functions from an entry to text. Nothing is guessed: a type that is not known here is told by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from ledger.log.entry import Entry

NOTHING = "nothing"
Names = Mapping[str, str]
"""Names of people and labels of commissions, by id."""
Texts = Mapping[str, str | None]
"""Texts by commitment; None where erased, missing where they stay closed."""

_COLUMNS = {
    "agent_id": "Agent",
    "title": "Title",
    "description": "Description",
    "asset_type": "Kind of property",
    "deal_type": "Kind of deal",
    "pipeline_stage": "Stage",
    "status": "Status",
    "lead_source": "Came from",
    "estimated_value_amount": "Estimated value",
    "expected_close_date": "Expected to close",
    "actual_close_date": "Closed on",
    "confidence": "Confidence",
    "external_ref": "Reference in the CRM",
    "project_id": "Project",
    "property_id": "Property",
    "metadata": "Further data",
    "contact_type": "Role of the contact",
    "name": "Name",
    "email": "E-mail",
    "phone": "Phone",
    "company": "Company",
    "notes": "Notes",
    "document_type": "Kind of document",
    "uri": "Where it lies",
    "mime_type": "Format",
    "sha256": "SHA-256 of the document",
    "commission_type": "Kind of commission",
    "basis_amount": "Basis",
    "commission_rate": "Rate",
    "commission_amount": "Commission",
    "amount": "Amount",
    "note": "Note",
    "reason": "Reason",
    "hold": "Payment held back",
    "evidence": "Documents named as evidence",
}
_SILENT = frozenset({"estimated_value_currency", "basis_currency", "currency", "deal_id", "adjustment_type"})
_CURRENCY_OF = {
    "estimated_value_amount": "estimated_value_currency",
    "basis_amount": "basis_currency",
    "commission_amount": "basis_currency",
    "amount": "currency",
}
_COMMITTED = frozenset({"title", "description", "metadata", "name", "email", "phone", "company", "notes", "uri"})


@dataclass(slots=True)
class Told:
    """An entry in words: what happened, and the particulars as (label, value, is it a person's own text)."""

    headline: str
    details: list[tuple[str, str, bool]] = field(default_factory=list)


def say(word: object) -> str:
    """Write a stored word as people do: `needs_analysis` becomes `needs analysis`."""
    return str(word).replace("_", " ")


def say_money(amount: object, currency: object) -> str:
    """Write an amount to the cent with its currency."""
    return f"{currency or ''} {Decimal(str(amount)):,.2f}".strip()


def say_rate(rate: object) -> str:
    """Write a share of one as a percentage, exactly."""
    return f"{(Decimal(str(rate)) * 100).normalize():f} %"


def tell(entry: Entry, names: Names, texts: Texts, currencies: Mapping[str, str]) -> Told:
    """Return what `entry` says; `currencies` holds the currency of each commission and of the deal, by id."""
    teller = _TELLERS.get(entry.type)
    return teller(_Context(entry, names, texts, currencies)) if teller else Told(f"Recorded: {say(entry.type)}")


@dataclass(frozen=True, slots=True)
class _Context:
    entry: Entry
    names: Names
    texts: Texts
    currencies: Mapping[str, str]

    @property
    def data(self) -> dict[str, Any]:
        return self.entry.data

    def person(self, person_id: object) -> str:
        return self.names.get(str(person_id), f"person {person_id}")

    def commission(self, commission_id: object) -> str:
        return self.names.get(str(commission_id), f"commission {commission_id}")

    def text(self, commitment: str) -> tuple[str, bool]:
        """Return the text behind a commitment, or what to say instead."""
        if commitment not in self.texts:
            return f"kept back as personal data; commitment {commitment}", False
        text = self.texts[commitment]
        return (f"erased; commitment {commitment}", False) if text is None else (text, True)

    def value(self, column: str, value: Any, columns: Mapping[str, Any]) -> tuple[str, bool]:
        """Return a column's value in words, and whether these are a person's own."""
        if value is None:
            return NOTHING, False
        if column == "metadata":
            return f"not shown; commitment {value}", False
        if column in _COMMITTED or (column in ("note", "reason") and isinstance(value, str)):
            return self.text(str(value))
        if column in _CURRENCY_OF:
            about = str(self.data.get("commission_id", self.entry.subject_id))
            return say_money(value, columns.get(_CURRENCY_OF[column]) or self.currencies.get(about)), False
        if column in ("commission_rate", "confidence"):
            return say_rate(value), False
        if column.endswith("_date"):
            return say_day(date.fromisoformat(str(value))), False
        if column == "agent_id":
            return self.person(value), False
        if isinstance(value, bool):
            return ("yes" if value else "no"), False
        if isinstance(value, list):
            return ", ".join(str(each) for each in value), False
        is_word = column.endswith(("_type", "_stage", "status")) and column != "mime_type"
        return (say(value) if is_word else str(value)), column in ("lead_source", "external_ref")

    def columns(self, *, skip: tuple[str, ...] = (), with_former: bool = False) -> list[tuple[str, str, bool]]:
        """Return the columns that the entry sets, in words; with their former values where it tells them."""
        values, former = self.data.get("set", {}), self.data.get("was", {})
        rows = []
        for column, value in values.items():
            if column in _SILENT or column in skip or (value is None and not with_former):
                continue
            words, is_own = self.value(column, value, values)
            if with_former and column in former:
                words = f"{words} (before: {self.value(column, former[column], former)[0]})"
            rows.append((_COLUMNS.get(column, say(column).capitalize()), words, is_own))
        return rows

    def note(self, column: str = "note", holder: Mapping[str, Any] | None = None) -> list[tuple[str, str, bool]]:
        """Return the note or reason beside the columns, where there is one."""
        commitment = (self.data if holder is None else holder).get(column)
        return [(_COLUMNS[column], *self.text(commitment))] if isinstance(commitment, str) else []


def say_day(day: date) -> str:
    """Write a date so that nobody mistakes month for day."""
    return f"{day.day} {day:%B %Y}"


def _opened(about: _Context) -> Told:
    event = about.data["stage_event"]
    skip = ("pipeline_stage", "status")
    return Told(
        f"The deal was opened in stage “{say(event['to'])}”",
        about.columns(skip=skip) + about.note(holder=event),
    )


def _moved(about: _Context) -> Told:
    event = about.data["stage_event"]
    to, before = say(event["to"]), event["from"]
    verb = "reopened into" if about.entry.type == "deal.reopened" else "moved to"
    words = f"The deal was {verb} stage “{to}”"
    if before:
        words += f", from “{say(before)}”"
    if "pipeline_stage" not in about.data["set"]:
        words += " (recorded afterwards: a later move stands)"
    details = about.columns(skip=("pipeline_stage", "status"))
    return Told(words, details + about.note(holder=event))


def _changed(about: _Context) -> Told:
    return Told("Particulars of the deal were changed", about.columns(with_former=True))


def _cancelled(about: _Context) -> Told:
    return Told("The deal was cancelled", about.note("reason"))


def _assigned(about: _Context) -> Told:
    new, old = about.data["set"]["agent_id"], about.data["was"]["agent_id"]
    return Told(f"The deal was handed over from {about.person(old)} to {about.person(new)}", about.note())


def _attached(about: _Context) -> Told:
    kind = about.entry.subject_kind
    verb = "erased from" if about.entry.type.endswith(".erased") else "added to"
    if verb == "erased from":
        return Told(f"Personal data of a {kind} was erased; the commitments above remain", [])
    return Told(f"A {kind} was {verb} the deal", about.columns())


def _commission_recorded(about: _Context) -> Told:
    values = about.data["set"]
    words = f"A commission ({say(values['commission_type'])}) was recorded for {about.person(values['agent_id'])}"
    return Told(words, about.columns(skip=("agent_id", "commission_type", "status")))


def _commission_changed(about: _Context) -> Told:
    words = f"Figures were changed: {about.commission(about.entry.subject_id)}"
    return Told(words, about.columns(with_former=True))


def _commission_moved(about: _Context) -> Told:
    to, before = say(about.data["to"]), say(about.data["from"])
    words = f"Now {to}, before {before}: {about.commission(about.entry.subject_id)}"
    return Told(words, about.columns())


def _adjusted(about: _Context) -> Told:
    kind = say(about.data["set"]["adjustment_type"])
    return Told(f"Adjusted by a {kind}: {about.commission(about.data['commission_id'])}", about.columns())


def _disputed(about: _Context) -> Told:
    words = f"Disputed (it was {say(about.data['from'])}): {about.commission(about.data['commission_id'])}"
    return Told(words, about.columns())


def _resolved(about: _Context) -> Told:
    data = about.data
    words = (
        f"Dispute resolved as {say(data['outcome'])}, now {say(data['to'])}: {about.commission(data['commission_id'])}"
    )
    return Told(words, about.note())


_TELLERS: dict[str, Callable[[_Context], Told]] = {
    "deal.opened": _opened,
    "deal.changed": _changed,
    "deal.stage_changed": _moved,
    "deal.reopened": _moved,
    "deal.cancelled": _cancelled,
    "deal.assigned": _assigned,
    "contact.recorded": _attached,
    "contact.erased": _attached,
    "document.recorded": _attached,
    "document.erased": _attached,
    "commission.recorded": _commission_recorded,
    "commission.changed": _commission_changed,
    "commission.status_changed": _commission_moved,
    "commission.adjusted": _adjusted,
    "dispute.opened": _disputed,
    "dispute.resolved": _resolved,
}
