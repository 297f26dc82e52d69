"""What a mapping may fill: the fields of each section, their kinds and their words. The one list behind mapping,
cleaning, contract and guide."""

from dataclasses import dataclass
from enum import StrEnum

from ledger.vocabulary import (
    AdjustmentType,
    AssetType,
    CommissionStatus,
    CommissionType,
    DealType,
    DisputeOutcome,
    PipelineStage,
    Role,
)

CANCELLED = "cancelled"  # a word for a stage that is not a stage of ours: the deal was given up


class Section(StrEnum):
    """The kinds of file a CRM export is made of, in the order in which they are imported."""

    PEOPLE = "people"
    DEALS = "deals"
    STAGE_EVENTS = "stage_events"
    COMMISSIONS = "commissions"


class Kind(StrEnum):
    """How the text of a cell is read."""

    TEXT = "text"
    AGENT = "agent"  # a name or an e-mail address
    WORD = "word"  # one of a fixed list
    MOMENT = "moment"  # a date, or a date with a time
    MONEY = "money"
    CURRENCY = "currency"
    CONFIDENCE = "confidence"  # 0 to 1, two decimals
    RATE = "rate"  # 0 to 1, four decimals


@dataclass(frozen=True)
class Field:
    """One field of a section."""

    kind: Kind
    about: str
    required: bool = False
    words: tuple[str, ...] = ()
    signed: bool = False  # a money field that may be negative
    future: bool = False  # a moment that may lie ahead of now
    length: int = 500  # longest text


def _words(*enums: type[StrEnum]) -> tuple[str, ...]:
    return tuple(member.value for enum in enums for member in enum)


STAGES = (*_words(PipelineStage), CANCELLED)

FIELDS: dict[Section, dict[str, Field]] = {
    Section.PEOPLE: {
        "name": Field(Kind.TEXT, "the agent's name", required=True, length=200),
        "email": Field(Kind.TEXT, "the agent's e-mail address", length=200),
        "role": Field(Kind.WORD, "what the person may do in dealbook", words=_words(Role)),
        "active": Field(Kind.WORD, "whether the person still works here", words=("yes", "no")),
    },
    Section.DEALS: {
        "id": Field(Kind.TEXT, "the deal's id in the CRM", required=True, length=120),
        "agent": Field(Kind.AGENT, "who owns the deal: name or e-mail", required=True, length=200),
        "stage": Field(Kind.WORD, "the stage the deal is in now", required=True, words=STAGES),
        "result": Field(
            Kind.WORD,
            "how the deal ended, where the CRM keeps its last open stage in `stage`",
            words=("open", "closed_won", "closed_lost", CANCELLED),
        ),
        "title": Field(Kind.TEXT, "what people call the deal"),
        "description": Field(Kind.TEXT, "free text", length=4000),
        "company": Field(Kind.TEXT, "the client's firm", length=200),
        "contact_name": Field(Kind.TEXT, "the client's contact person", length=200),
        "asset_type": Field(Kind.WORD, "what the deal is about", required=True, words=_words(AssetType)),
        "deal_type": Field(Kind.WORD, "what the agency does in it", required=True, words=_words(DealType)),
        "lead_source": Field(Kind.TEXT, "where the lead came from", length=100),
        "value": Field(Kind.MONEY, "estimated value; for a won deal its final value"),
        "currency": Field(Kind.CURRENCY, "ISO 4217 code of the value"),
        "confidence": Field(Kind.CONFIDENCE, "probability of winning"),
        "opened_on": Field(Kind.MOMENT, "when the deal was opened"),
        "stage_since": Field(Kind.MOMENT, "when it entered the stage it is in now"),
        "closed_on": Field(Kind.MOMENT, "when it closed; on an open deal, when it is expected to", future=True),
        "expected_close": Field(Kind.MOMENT, "when it is expected to close", future=True),
    },
    Section.STAGE_EVENTS: {
        "deal_id": Field(Kind.TEXT, "the deal's id in the CRM", required=True, length=120),
        "stage": Field(Kind.WORD, "the stage the deal moved to", required=True, words=STAGES),
        "moved_on": Field(Kind.MOMENT, "when it moved", required=True),
        "confidence": Field(Kind.CONFIDENCE, "probability of winning as it was stated at the move"),
        "note": Field(Kind.TEXT, "a note on the move", length=4000),
    },
    Section.COMMISSIONS: {
        "deal_id": Field(Kind.TEXT, "the deal's id in the CRM", required=True, length=120),
        "agent": Field(Kind.AGENT, "whose commission it is: name or e-mail", required=True, length=200),
        "commission_type": Field(Kind.WORD, "why the agent has a share", required=True, words=_words(CommissionType)),
        "basis": Field(Kind.MONEY, "the amount the rate applies to", required=True),
        "currency": Field(Kind.CURRENCY, "ISO 4217 code of all amounts in the row"),
        "rate": Field(Kind.RATE, "the agent's rate", required=True),
        "amount": Field(Kind.MONEY, "the commission, where it has been calculated"),
        "status": Field(Kind.WORD, "where the commission stands now", words=_words(CommissionStatus)),
        "introduced_on": Field(Kind.MOMENT, "when the claim was made", required=True),
        "confirmed_on": Field(Kind.MOMENT, "when it was confirmed"),
        "invoiced_on": Field(Kind.MOMENT, "when it was invoiced"),
        "paid_on": Field(Kind.MOMENT, "when it was paid"),
        "written_off_on": Field(Kind.MOMENT, "when it was given up"),
        "disputed_on": Field(Kind.MOMENT, "when a dispute was opened"),
        "disputed_amount": Field(Kind.MONEY, "how much is disputed"),
        "dispute_reason": Field(Kind.TEXT, "why it is disputed", length=4000),
        "resolved_on": Field(Kind.MOMENT, "when the dispute ended"),
        "outcome": Field(Kind.WORD, "how the dispute ended", words=_words(DisputeOutcome)),
        "adjustment_type": Field(Kind.WORD, "how the amount was corrected", words=_words(AdjustmentType)),
        "adjustment_amount": Field(Kind.MONEY, "by how much; only a correction may be negative", signed=True),
        "adjusted_on": Field(Kind.MOMENT, "when it was corrected"),
        "adjustment_note": Field(Kind.TEXT, "why it was corrected", length=4000),
    },
}

# Columns that hold words; a mapping translates them once, for all sections.
WORDS: dict[str, tuple[str, ...]] = {
    name: field.words for fields in FIELDS.values() for name, field in fields.items() if field.words
}
