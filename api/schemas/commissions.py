"""Commissions, their adjustments and disputes as clients send and see them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.schemas.attachments import NewDocument
from api.schemas.fields import ANY_TEXT, Answer, Currency, Identifier, Money, Note, Rate, Request, Time, TimeGiven
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, DisputeOutcome


class NewCommissionBody(Request):
    """A commission to record. Its amount is basis x rate when it is confirmed, rounded to cents, unless given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent_id": "0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e",
                    "commission_type": "exclusive",
                    "basis_amount": "480000.00",
                    "basis_currency": "SGD",
                    "commission_rate": "0.0250",
                }
            ]
        }
    )

    agent_id: Identifier | None = Field(default=None, description="The deal's agent unless given.")
    commission_type: CommissionType
    basis_amount: Money
    basis_currency: Currency
    commission_rate: Rate
    commission_amount: Money | None = None
    effective_at: TimeGiven | None = None


class StatusMove(Request):
    """The status to take next: confirmed, invoiced, paid or written_off."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to_status": "confirmed"}]})

    to_status: CommissionStatus
    commission_amount: Money | None = Field(default=None, description="On confirming: instead of basis x rate.")
    effective_at: TimeGiven | None = None
    document: NewDocument | None = Field(
        default=None, description="The paper that the move rests on; it is added to the deal with it, or not at all."
    )


class NewAdjustment(Request):
    """A correction in the commission's currency. The type gives the sign; only `correction` may be negative."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"adjustment_type": "clawback", "amount": "1500.00", "note": "Tenant left within a year"}]
        }
    )

    adjustment_type: AdjustmentType
    amount: Money
    note: Note
    effective_at: TimeGiven | None = None


class NewDispute(Request):
    """What is disputed, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": "3000.00", "reason": "The introduction was ours", "hold": True}]}
    )

    amount: Money
    reason: Note
    hold: bool = Field(default=True, strict=True, description="Whether the disputed amount is withheld meanwhile.")
    evidence: list[Annotated[str, Field(max_length=2000, pattern=ANY_TEXT)]] = Field(
        default=[], max_length=20, description="Addresses of documents."
    )
    effective_at: TimeGiven | None = None


class Resolution(Request):
    """How the dispute ended."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "partial", "note": "Half of it was introduced by Ben"}]}
    )

    outcome: DisputeOutcome
    note: Note
    write_off: bool = Field(
        default=False,
        strict=True,
        description="Write the commission off instead of restoring the status before the dispute.",
    )
    effective_at: TimeGiven | None = None


class CommissionAnswer(Answer):
    """A commission as it stands. `revision` is its ETag: the place, in the deal's chain, of the last entry that changed
    it, be it about the commission itself or about a dispute over it."""

    id: Identifier
    revision: int = Field(validation_alias="audit_log_seq")
    deal_id: Identifier
    agent_id: Identifier
    commission_type: CommissionType
    basis_amount: Money
    basis_currency: Currency
    commission_rate: Rate
    commission_amount: Money | None
    status: CommissionStatus
    introduced_at: Time
    confirmed_at: Time | None
    invoiced_at: Time | None
    paid_at: Time | None
    disputed_at: Time | None
    resolved_at: Time | None
    written_off_at: Time | None
    created_at: Time
    updated_at: Time


class CommissionPage(Answer):
    """Commissions, in the order of the queue."""

    items: list[CommissionAnswer]
    next_cursor: str | None


class AdjustmentAnswer(Answer):
    """An adjustment as recorded."""

    id: Identifier
    commission_id: Identifier
    adjustment_type: AdjustmentType
    amount: Money
    currency: Currency
    note: str | None
    recorded_by: Identifier
    recorded_at: Time
    effective_at: Time


class DisputeAnswer(Answer):
    """A dispute; `outcome` is null while it is open."""

    id: Identifier
    commission_id: Identifier
    amount: Money
    currency: Currency
    hold: bool
    reason: str | None
    evidence: list[Any] | None
    status_before: CommissionStatus
    opened_by: Identifier
    opened_at: Time
    outcome: DisputeOutcome | None
    resolved_by: str | None
    resolved_at: Time | None
    note: str | None


class AdjustmentList(Answer):
    """A commission's adjustments; always all of them."""

    items: list[AdjustmentAnswer]
    next_cursor: None = None


class DisputeList(Answer):
    """A commission's disputes; always all of them."""

    items: list[DisputeAnswer]
    next_cursor: None = None
