"""Commissions, what corrected them afterwards, and disputes over them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ledger.columns import JsonText, Money, Rate, UtcDateTime, word
from ledger.tables.declarative import Base, Identified
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, DisputeOutcome


class Commission(Identified, Base):
    """An agent's share in a deal. `audit_log_seq` is the `seq`, in the deal's chain, of the last entry about it."""

    __tablename__ = "agent_commission_records"
    __table_args__ = (
        UniqueConstraint("deal_id", "agent_id", "commission_type"),
        Index("ix_agent_commission_records_agent_id_status", "agent_id", "status"),
        Index("ix_agent_commission_records_updated_at_id", "updated_at", "id"),
    )

    deal_id: Mapped[str] = mapped_column(ForeignKey("agent_deals.id"), index=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    commission_type: Mapped[CommissionType] = mapped_column(word(CommissionType))
    basis_amount: Mapped[Decimal] = mapped_column(Money)
    basis_currency: Mapped[str] = mapped_column(String(3))
    commission_rate: Mapped[Decimal] = mapped_column(Rate)
    commission_amount: Mapped[Decimal | None] = mapped_column(Money)
    status: Mapped[CommissionStatus] = mapped_column(word(CommissionStatus))
    introduced_at: Mapped[datetime] = mapped_column(UtcDateTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    invoiced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    disputed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    written_off_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int]
    audit_log_seq: Mapped[int]


class CommissionAdjustment(Identified, Base):
    """A clawback, bonus or correction of a commission, in the commission's currency."""

    __tablename__ = "agent_commission_adjustments"

    commission_id: Mapped[str] = mapped_column(ForeignKey("agent_commission_records.id"), index=True)
    adjustment_type: Mapped[AdjustmentType] = mapped_column(word(AdjustmentType))
    amount: Mapped[Decimal] = mapped_column(Money)
    currency: Mapped[str] = mapped_column(String(3))
    note: Mapped[str | None] = mapped_column(Text)
    recorded_by: Mapped[str] = mapped_column(String(36))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    effective_at: Mapped[datetime] = mapped_column(UtcDateTime)
    audit_log_seq: Mapped[int]


class CommissionDispute(Identified, Base):
    """A dispute over a commission; `status_before` is what the commission returns to. Open while `outcome` is null."""

    __tablename__ = "commission_disputes"

    commission_id: Mapped[str] = mapped_column(ForeignKey("agent_commission_records.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Money)
    currency: Mapped[str] = mapped_column(String(3))
    hold: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(Text)
    evidence: Mapped[list[Any] | None] = mapped_column(JsonText)
    status_before: Mapped[CommissionStatus] = mapped_column(word(CommissionStatus))
    opened_by: Mapped[str] = mapped_column(String(36))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[DisputeOutcome | None] = mapped_column(word(DisputeOutcome))
    resolved_by: Mapped[str | None] = mapped_column(String(36))
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    note: Mapped[str | None] = mapped_column(Text)
    audit_log_seq: Mapped[int]
