"""Every enumeration of the ledger, with its behaviour: order, openness, and what may follow what.

A leaf module: it imports nothing of ours, so that tables, rules, contracts and pages can all read the same words.
The values are the words stored in the tables, written in the log and shown over REST.
"""

from enum import StrEnum


class DealStatus(StrEnum):
    """Where a deal stands. A stage decides it, but for `CANCELLED`, which any open deal may take."""

    OPEN = "open"
    CLOSED_WON = "closed_won"
    CLOSED_LOST = "closed_lost"
    CANCELLED = "cancelled"


class PipelineStage(StrEnum):
    """The stages of the pipeline, in their order."""

    LEAD_CAPTURED = "lead_captured"
    QUALIFICATION = "qualification"
    NEEDS_ANALYSIS = "needs_analysis"
    PROPOSAL = "proposal"
    NEGOTIATION = "negotiation"
    AGREEMENT = "agreement"
    DUE_DILIGENCE = "due_diligence"
    AWAITING_CLOSURE = "awaiting_closure"
    CLOSED_WON = "closed_won"
    CLOSED_LOST = "closed_lost"

    @property
    def order(self) -> int:
        """Position in the pipeline, from 1."""
        return list(PipelineStage).index(self) + 1

    @property
    def is_open(self) -> bool:
        """Whether a deal in this stage is still being worked."""
        return self not in (PipelineStage.CLOSED_WON, PipelineStage.CLOSED_LOST)

    @property
    def status(self) -> DealStatus:
        """The status a deal takes by entering this stage."""
        return DealStatus.OPEN if self.is_open else DealStatus(self.value)

    @property
    def reachable(self) -> tuple["PipelineStage", ...]:
        """Stages that an ordinary move may reach from here: from an open stage any other, from a closed one none."""
        return tuple(stage for stage in PipelineStage if stage is not self) if self.is_open else ()


class DealType(StrEnum):
    """What the agency does for its client."""

    BUY_SIDE = "buy_side"
    SELL_SIDE = "sell_side"
    LEASE = "lease"
    MANAGEMENT = "management"
    CAPITAL_RAISE = "capital_raise"
    OTHER = "other"


class AssetType(StrEnum):
    """What the deal is about."""

    RESIDENTIAL = "residential"
    OFFICE = "office"
    RETAIL = "retail"
    INDUSTRIAL = "industrial"
    WAREHOUSE = "warehouse"
    HOSPITALITY = "hospitality"
    MIXED_USE = "mixed_use"
    LAND = "land"
    SPECIAL_PURPOSE = "special_purpose"
    PORTFOLIO = "portfolio"


class CommissionStatus(StrEnum):
    """Where a commission stands. A dispute enters `DISPUTED` and on leaving restores the status before it."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    INVOICED = "invoiced"
    PAID = "paid"
    DISPUTED = "disputed"
    WRITTEN_OFF = "written_off"

    @property
    def reachable(self) -> tuple["CommissionStatus", ...]:
        """Statuses that an ordinary move may reach from here."""
        return _COMMISSION_MOVES[self]

    @property
    def can_be_disputed(self) -> bool:
        """Whether a dispute may be opened on a commission that stands here."""
        return self not in (CommissionStatus.DISPUTED, CommissionStatus.WRITTEN_OFF)

    @property
    def is_confirmed(self) -> bool:
        """Whether the amount counts as confirmed: confirmed, invoiced or paid."""
        return self in (CommissionStatus.CONFIRMED, CommissionStatus.INVOICED, CommissionStatus.PAID)


_COMMISSION_MOVES: dict[CommissionStatus, tuple[CommissionStatus, ...]] = {
    CommissionStatus.PENDING: (CommissionStatus.CONFIRMED, CommissionStatus.WRITTEN_OFF),
    CommissionStatus.CONFIRMED: (CommissionStatus.INVOICED, CommissionStatus.WRITTEN_OFF),
    CommissionStatus.INVOICED: (CommissionStatus.PAID, CommissionStatus.WRITTEN_OFF),
    CommissionStatus.PAID: (),
    CommissionStatus.DISPUTED: (),
    CommissionStatus.WRITTEN_OFF: (),
}


class CommissionType(StrEnum):
    """Why an agent has a share in a deal's commission."""

    INTRODUCER = "introducer"
    EXCLUSIVE = "exclusive"
    CO_BROKE = "co_broke"
    REFERRAL = "referral"
    BONUS = "bonus"


class AdjustmentType(StrEnum):
    """How a commission was corrected afterwards. The type gives the sign; only corrections may be negative."""

    CLAWBACK = "clawback"
    BONUS = "bonus"
    CORRECTION = "correction"


class DisputeOutcome(StrEnum):
    """How a dispute ended."""

    APPROVED = "approved"
    PARTIAL = "partial"
    DENIED = "denied"


class Cohort(StrEnum):
    """Whom a benchmark figure describes."""

    INDUSTRY_AVG = "industry_avg"
    TOP_QUARTILE = "top_quartile"
    INTERNAL_AVG = "internal_avg"


class Role(StrEnum):
    """What a user may do; the table of rights stands in `ledger/access.py`."""

    VIEWER = "viewer"
    AGENT = "agent"
    MANAGER = "manager"
    ADMIN = "admin"
