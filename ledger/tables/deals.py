"""Deals, the stages they went through, the people and papers around them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.columns import Confidence, JsonText, Money, UtcDateTime, word
from ledger.tables.declarative import Base, Identified
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage


class AgentDeal(Identified, Base):
    """A deal as it stands. `revision` is the `seq` of the last entry of its chain and serves as its ETag."""

    __tablename__ = "agent_deals"
    __table_args__ = (
        Index("ix_agent_deals_agent_id_pipeline_stage", "agent_id", "pipeline_stage"),
        Index("ix_agent_deals_project_id_status", "project_id", "status"),
        Index("ix_agent_deals_updated_at_id", "updated_at", "id"),
        Index("ix_agent_deals_created_at_id", "created_at", "id"),
    )

    project_id: Mapped[str | None] = mapped_column(String(36))
    property_id: Mapped[str | None] = mapped_column(String(36), index=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    asset_type: Mapped[AssetType] = mapped_column(word(AssetType))
    deal_type: Mapped[DealType] = mapped_column(word(DealType))
    pipeline_stage: Mapped[PipelineStage] = mapped_column(word(PipelineStage))
    status: Mapped[DealStatus] = mapped_column(word(DealStatus))
    lead_source: Mapped[str | None] = mapped_column(String(100))
    estimated_value_amount: Mapped[Decimal | None] = mapped_column(Money)
    estimated_value_currency: Mapped[str] = mapped_column(String(3))
    expected_close_date: Mapped[date | None]
    actual_close_date: Mapped[date | None]
    confidence: Mapped[Decimal | None] = mapped_column(Confidence)
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JsonText)
    external_ref: Mapped[str | None] = mapped_column(String(200), unique=True)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revision: Mapped[int]


class StageEvent(Identified, Base):
    """A deal entered a stage; the first has no `from_stage`."""

    __tablename__ = "agent_deal_stage_events"
    __table_args__ = (
        Index("ix_agent_deal_stage_events_deal_id_recorded_at", "deal_id", "recorded_at"),
        Index("ix_agent_deal_stage_events_to_stage_recorded_at", "to_stage", "recorded_at"),
    )

    deal_id: Mapped[str] = mapped_column(ForeignKey("agent_deals.id"))
    from_stage: Mapped[PipelineStage | None] = mapped_column(word(PipelineStage, "from_stage"))
    to_stage: Mapped[PipelineStage] = mapped_column(word(PipelineStage))
    changed_by: Mapped[str] = mapped_column(String(36))
    note: Mapped[str | None] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    effective_at: Mapped[datetime] = mapped_column(UtcDateTime)
    audit_log_seq: Mapped[int]


class DealContact(Identified, Base):
    """A person or company on the other side. Erasing empties the personal columns and keeps the row."""

    __tablename__ = "agent_deal_contacts"

    deal_id: Mapped[str] = mapped_column(ForeignKey("agent_deals.id"), index=True)
    contact_type: Mapped[str] = mapped_column(String(50))
    name: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(Text)
    company: Mapped[str | None] = mapped_column(Text)
    notes: Mapped[str | None] = mapped_column(Text)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DealDocument(Identified, Base):
    """A paper of the deal, kept elsewhere; `uri` says where."""

    __tablename__ = "agent_deal_documents"

    deal_id: Mapped[str] = mapped_column(ForeignKey("agent_deals.id"), index=True)
    document_type: Mapped[str] = mapped_column(String(50))
    title: Mapped[str | None] = mapped_column(Text)
    uri: Mapped[str | None] = mapped_column(Text)
    mime_type: Mapped[str | None] = mapped_column(String(100))
    sha256: Mapped[str | None] = mapped_column(String(64))
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JsonText)
    uploaded_by: Mapped[str] = mapped_column(String(36))
    uploaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
