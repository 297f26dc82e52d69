"""Which column is which of our fields: by its name, and by whether its cells can be that."""

import difflib
import re
from collections.abc import Callable
from functools import cache

from ingestion.crm_files.fields import FIELDS, Kind, Section
from ingestion.crm_files.guessing import guess_word, is_date, share_of, sign_of
from ingestion.crm_files.mapping import load_mapping, shipped_mappings
from ingestion.crm_files.sampling import Sample

ENOUGH = 0.6  # a name less like than this is another's
# What people call our fields, beside the names in the shipped mappings.
_NAMES: dict[Section, dict[str, list[str]]] = {
    Section.PEOPLE: {
        "name": ["name", "full name", "agent", "agent name", "employee", "user", "sales agent", "display name"],
        "email": ["email", "e-mail", "mail", "email address", "e-mail address"],
        "role": ["role", "position", "job title"],
        "active": ["active", "is active", "standing", "employed", "enabled"],
    },
    Section.DEALS: {
        "id": ["id", "deal id", "deal no", "deal number", "deal ref", "reference", "ref", "case no", "key", "uid"],
        "agent": ["agent", "owner", "salesperson", "sales rep", "rep", "consultant", "broker", "negotiator",
                  "assigned to", "responsible", "handled by", "account manager", "agent name", "agent email"],
        "stage": ["stage", "pipeline stage", "phase", "step", "sales stage", "status", "deal status"],
        "result": ["result", "outcome", "won lost"],
        "title": ["title", "deal", "deal name", "name", "subject", "property", "address"],
        "description": ["description", "notes", "comment", "remarks"],
        "company": ["company", "client", "customer", "account", "organisation", "organization", "client name"],
        "contact_name": ["contact", "contact name", "client contact", "contact person"],
        "asset_type": ["asset type", "property type", "asset class", "property class", "type of property"],
        "deal_type": ["deal type", "service", "transaction type", "instruction", "type of deal"],
        "lead_source": ["lead source", "source", "channel", "origin"],
        "value": ["value", "amount", "deal value", "price", "estimated value", "deal size", "revenue", "worth"],
        "currency": ["currency", "currency code", "ccy"],
        "confidence": ["probability", "confidence", "likelihood", "win probability", "odds", "chance"],
        "opened_on": ["created", "created on", "created at", "create date", "opened", "opened on", "open date",
                      "start date", "date added", "enquiry date"],
        "stage_since": ["stage since", "in stage since", "last stage change", "stage changed", "stage date"],
        "closed_on": ["closed", "closed on", "close date", "closing date", "date closed", "completion date"],
        "expected_close": ["expected close", "expected close date", "forecast close", "target date", "expected on"],
    },
    Section.STAGE_EVENTS: {
        "deal_id": ["id", "deal id", "deal no", "deal number", "deal ref", "reference", "deal"],
        "stage": ["to stage", "stage", "new stage", "moved to", "to", "new value", "new status", "status"],
        "moved_on": ["moved on", "moved at", "changed at", "changed on", "date", "timestamp", "time", "when",
                     "change date", "edit date", "entered on", "at"],
        "confidence": ["probability", "confidence", "likelihood", "win probability", "odds", "chance"],
        "note": ["note", "notes", "comment", "remark"],
    },
    Section.COMMISSIONS: {
        "deal_id": ["deal id", "deal no", "deal number", "deal ref", "deal", "reference"],
        "agent": ["agent", "payee", "agent name", "recipient", "earner"],
        "commission_type": ["commission type", "kind", "type", "role"],
        "basis": ["basis", "basis amount", "sale price", "deal value", "base"],
        "currency": ["currency", "currency code", "ccy"],
        "rate": ["rate", "commission rate", "commission %", "percentage", "percent", "split"],
        "amount": ["commission", "commission amount", "amount", "fee", "payable"],
        "status": ["status", "state", "commission status"],
        "introduced_on": ["introduced", "introduced on", "claimed", "claimed on", "claim date", "created"],
        "confirmed_on": ["confirmed", "confirmed on", "approved on"],
        "invoiced_on": ["invoiced", "invoiced on", "invoice date"],
        "paid_on": ["paid", "paid on", "payment date", "paid date"],
    },
}  # fmt: skip
_COLUMN_KINDS: dict[Kind, Callable[[str], object]] = {
    Kind.MOMENT: is_date,
    Kind.MONEY: lambda text: sign_of(text) is not None and not is_date(text),
    Kind.CONFIDENCE: lambda text: sign_of(text) in ("", "%"),
    Kind.RATE: lambda text: sign_of(text) in ("", "%"),
    Kind.CURRENCY: lambda text: re.fullmatch(r"[A-Za-z]{3}|\W{1,3}|[A-Z]{1,2}\$", text),
    Kind.AGENT: lambda text: re.search(r"[^\W\d]", text),
}


def plain(name: str) -> str:
    """Return a column's name as it is compared: 'dealOwner_' and 'Deal owner' are one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[^\w%]+|_", " ", spaced).strip().casefold().removeprefix("deal deal ").strip()


@cache
def _names_of(section: Section, field: str) -> frozenset[str]:
    names = {plain(each) for each in _NAMES[section].get(field, [])} | {plain(field)}
    for mapping in map(load_mapping, shipped_mappings()):
        if part := mapping.sections.get(section):
            names |= {plain(column) for column in part.columns.get(field, ())}
    return frozenset(names)


def recognise(sample: Sample, section: Section) -> dict[str, str]:
    """Return field -> column for one kind of file: the best pairs first, each column and field once."""
    pairs = []
    for order, (field, about) in enumerate(FIELDS[section].items()):
        names = _names_of(section, field)
        fits = _COLUMN_KINDS.get(about.kind)
        for column, cells in sample.columns.items():
            if fits and cells and share_of(cells, fits) < 0.8:
                continue
            likeness = _likeness(plain(column), names)
            if section is Section.DEALS and field == "id" and len(set(cells)) < 0.9 * len(cells):
                continue  # an id is an id of one deal
            fitness = _fitness(field, cells)
            if likeness >= ENOUGH or fitness == 1:
                pairs.append((max(likeness, ENOUGH) + 0.3 * fitness, -order, field, column))
    found: dict[str, str] = {}
    for _, _, field, column in sorted(pairs, reverse=True):
        if field not in found and column not in found.values():
            found[field] = column
    return found


def _fitness(field: str, cells: list[str]) -> float:
    """Which share of a column's words we know for a field: of 'Stage' and 'Status', the telling one is the stage."""
    if field not in ("stage", "result", "asset_type", "deal_type") or not cells:
        return 0.0
    return share_of(sorted(set(cells)), lambda word: guess_word(field, word)[0])


@cache
def _likeness(name: str, names: frozenset[str]) -> float:
    if name in names:
        return 1.0
    near = max(difflib.SequenceMatcher(None, name, each).ratio() for each in names)
    words = set(name.split())
    inside = max((len(set(each.split())) / len(words) for each in names if set(each.split()) <= words), default=0.0)
    return max(near * 0.9 if near > 0.8 else 0.0, 0.55 + 0.3 * inside if inside else 0.0)


def recognise_section(sample: Sample) -> tuple[Section, dict[str, str]]:
    """Return which kind of file it is, and its columns by field; an id that repeats makes a history, not deals."""
    found = {section: recognise(sample, section) for section in Section}
    best = max(Section, key=lambda section: _score(sample, section, found[section]))
    return best, found[best]


def _score(sample: Sample, section: Section, found: dict[str, str]) -> float:
    # Asset and deal type may come from the mapping, and so say nothing.
    required = [
        name for name, field in FIELDS[section].items() if field.required and name not in ("asset_type", "deal_type")
    ]
    score = sum(name in found for name in required) / len(required) + 0.04 * len(found)
    names = {plain(name) for name in sample.header}
    if section is Section.PEOPLE and ("email" not in found or names & {"stage", "deal id", "deal stage"}):
        score -= 0.5
    return score
