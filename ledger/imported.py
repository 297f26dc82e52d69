"""What an importer hands to `ledger.bulk`: plain facts from a file, already in our words, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

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


@dataclass(frozen=True, slots=True)
class ImportedPerson:
    """A member of staff. Found again by e-mail, or by name where there is none."""

    name: str
    email: str | None = None
    role: Role = Role.AGENT
    active: bool = True


@dataclass(frozen=True, slots=True)
class ImportedStage:
    """The deal entered `to_stage` at `effective_at` (aware); `confidence` is what was stated then."""

    to_stage: PipelineStage
    effective_at: datetime
    note: str | None = None
    confidence: Decimal | None = None

    @property
    def stated_confidence(self) -> Decimal | None:
        """The confidence that holds from the move on. A closing states none: the 100 % or 0 % there is the outcome."""
        return self.confidence if self.to_stage.is_open else None


@dataclass(frozen=True, slots=True)
class ImportedDeal:
    """A deal and the whole path that the file knows of it, in effective order; the first stage is the opening one.

    A value of None says nothing about the column: on re-import it leaves the ledger's value alone.
    `confidence` is what the deal has now; it has it from its opening on, unless its stages say what was stated when.
    `opened_at` is used when `stages` is empty (the deal then opens in `lead_captured`).
    """

    external_ref: str
    agent_id: str
    title: str
    asset_type: AssetType
    deal_type: DealType
    opened_at: datetime
    stages: Sequence[ImportedStage] = ()
    lead_source: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    estimated_value_amount: Decimal | None = None
    estimated_value_currency: str = "SGD"
    confidence: Decimal | None = None
    expected_close_date: date | None = None
    actual_close_date: date | None = None
    is_cancelled: bool = False
    cancelled_at: datetime | None = None
    cancel_reason: str | None = None
    company: str | None = None
    contact_name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedStageEvent:
    """A stage event of a deal that is already in the ledger."""

    deal_external_ref: str
    to_stage: PipelineStage
    effective_at: datetime
    note: str | None = None
    confidence: Decimal | None = None


class ImportedAdjustment(NamedTuple):
    """A clawback, bonus or correction; only corrections may be negative."""

    adjustment_type: AdjustmentType
    amount: Decimal
    effective_at: datetime
    note: str | None = None


class ImportedDispute(NamedTuple):
    """A dispute, and how it ended where it did: `resolved_at` and `outcome` come together or not at all."""

    amount: Decimal
    opened_at: datetime
    resolved_at: datetime | None = None
    outcome: DisputeOutcome | None = None
    reason: str = "Imported"
    hold: bool = True


@dataclass(frozen=True, slots=True)
class ImportedCommission:
    """A commission with its history. `statuses` holds what followed `pending`, in order, without `disputed`.

    Plain tuples in the field order of `ImportedAdjustment` and `ImportedDispute` serve as well.
    """

    deal_external_ref: str
    agent_id: str
    commission_type: CommissionType
    basis_amount: Decimal
    basis_currency: str
    commission_rate: Decimal
    introduced_at: datetime
    commission_amount: Decimal | None = None
    statuses: Sequence[tuple[CommissionStatus, datetime]] = ()
    adjustments: Sequence[ImportedAdjustment] = ()
    disputes: Sequence[ImportedDispute] = ()


@dataclass(slots=True)
class Outcome:
    """What became of one item: its row's id, the entries written, or the column and reason for refusing it."""

    kind: Literal["created", "changed", "unchanged", "refused"]
    id: str | None = None
    column: str | None = None
    reason: str | None = None
    entries: int = 0
