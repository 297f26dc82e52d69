"""Deals as clients send and see them."""

from datetime import date
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.schemas.fields import (
    ANY_TEXT,
    TEXT,
    Answer,
    Confidence,
    Currency,
    Day,
    Identifier,
    Money,
    Note,
    Request,
    Time,
    TimeGiven,
)
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage

Title = Annotated[str, Field(min_length=1, max_length=500, pattern=TEXT, examples=["Level 12, Harbour Tower"])]
Description = Annotated[str, Field(max_length=20_000, pattern=ANY_TEXT)]
LeadSource = Annotated[str, Field(min_length=1, max_length=100, pattern=TEXT, examples=["referral"])]
Metadata = Annotated[dict[str, Any], Field(max_length=100, examples=[{"account": "Harbour Holdings"}])]


class NewDealBody(Request):
    """A deal to open. `agent_id` is the caller unless given; `effective_at` is now unless given, never later."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Level 12, Harbour Tower",
                    "asset_type": "office",
                    "deal_type": "lease",
                    "lead_source": "referral",
                    "estimated_value_amount": "1250000.00",
                    "estimated_value_currency": "SGD",
                    "confidence": "0.40",
                    "expected_close_date": "2026-12-15",
                }
            ]
        }
    )

    title: Title
    asset_type: AssetType
    deal_type: DealType
    agent_id: Identifier | None = None
    pipeline_stage: PipelineStage = PipelineStage.LEAD_CAPTURED
    description: Description | None = None
    lead_source: LeadSource | None = None
    estimated_value_amount: Money | None = None
    estimated_value_currency: Currency | None = Field(default=None, description="The reporting currency unless given.")
    confidence: Confidence | None = None
    expected_close_date: Day | None = None
    project_id: Identifier | None = None
    property_id: Identifier | None = None
    metadata: Metadata | None = None
    note: Note | None = None
    effective_at: TimeGiven | None = None


class DealChanges(Request):
    """Fields to change; those left out stay, null clears. Stage, status and agent have routes of their own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"confidence": "0.70", "expected_close_date": "2027-01-31"}]}
    )

    title: Title | None = None
    asset_type: AssetType | None = None
    deal_type: DealType | None = None
    description: Description | None = None
    lead_source: LeadSource | None = None
    estimated_value_amount: Money | None = None
    estimated_value_currency: Currency | None = None
    confidence: Confidence | None = None
    expected_close_date: Day | None = None
    actual_close_date: Day | None = None
    project_id: Identifier | None = None
    property_id: Identifier | None = None
    metadata: Metadata | None = None


class StageMove(Request):
    """Where to move the deal; into a closed stage it closes on the day of `effective_at`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to_stage": "negotiation", "note": "Offer received"}]})

    to_stage: PipelineStage
    note: Note | None = None
    effective_at: TimeGiven | None = None


class Cancellation(Request):
    """Why the deal is cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The owner withdrew the property"}]})

    reason: Note


class Reopening(Request):
    """Where a closed or cancelled deal goes on, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to_stage": "negotiation", "note": "The buyer came back"}]}
    )

    to_stage: PipelineStage
    note: Note


class Assignment(Request):
    """Who takes the deal over, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"agent_id": "0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e", "note": "Anna is on leave"}]
        }
    )

    agent_id: Identifier
    note: Note


class DealAnswer(Answer):
    """A deal as it stands. `revision` is its ETag."""

    id: Identifier
    revision: int
    agent_id: Identifier
    title: str
    description: str | None
    asset_type: AssetType
    deal_type: DealType
    pipeline_stage: PipelineStage
    status: DealStatus
    lead_source: str | None
    estimated_value_amount: Money | None
    estimated_value_currency: Currency
    confidence: Confidence | None
    expected_close_date: date | None
    actual_close_date: date | None
    project_id: str | None
    property_id: str | None
    metadata: dict[str, Any] | None = Field(validation_alias="metadata_")
    external_ref: str | None
    created_at: Time
    updated_at: Time


class TimelineEntry(Answer):
    """One entry of the log about a deal. `n` is its leaf index, `hash` proves it.

    For stages, `duration_seconds` is the time until the next stage; for the current one of an open deal, until now.
    """

    kind: str = Field(examples=["deal.stage_changed"])
    at: Time
    effective_at: Time
    n: int | None
    seq: int
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    actor_id: Identifier
    subject_kind: str
    subject_id: Identifier
    from_stage: PipelineStage | None
    to_stage: PipelineStage | None
    duration_seconds: float | None
    is_current: bool
    data: dict[str, Any] = Field(description="What the entry says; a text that was erased is null.")


class Timeline(Answer):
    """Everything that happened to a deal, by the time it happened."""

    items: list[TimelineEntry]
    next_cursor: None = None


class DealWithTimeline(Answer):
    """A deal after a move, and how it got there."""

    deal: DealAnswer
    timeline: list[TimelineEntry]


class DealPage(Answer):
    """Deals, in the order asked for."""

    items: list[DealAnswer]
    next_cursor: str | None
