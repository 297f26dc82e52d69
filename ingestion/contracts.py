"""What a raw table holds: columns, types, nulls, words and ranges, stated once.

Each model guards the frames that come in (pandera) and gives the table's DDL (`create_table`), so the two cannot drift
apart. Rules that need more than one frame (totals, histories, keys across batches) belong to dbt, not here.
Add a model here when a new kind of fact or reference file is landed.
"""

from enum import StrEnum
from typing import Annotated

import pandera.polars as pa
import polars as pl

from ledger.vocabulary import (
    AdjustmentType,
    AssetType,
    Cohort,
    CommissionStatus,
    CommissionType,
    DealStatus,
    DealType,
    DisputeOutcome,
    PipelineStage,
    Role,
)

# Pandera reads these annotations; one name each keeps the models legible.
Money = Annotated[pl.Decimal, 16, 2]
Rate = Annotated[pl.Decimal, 5, 4]
Confidence = Annotated[pl.Decimal, 4, 2]
Figure = Annotated[pl.Decimal, 18, 6]
ExchangeRate = Annotated[pl.Decimal, 18, 8]
Instant = Annotated[pl.Datetime, "us", "UTC"]

CURRENCY = r"^[A-Z]{3}$"
EMAIL = r"^[^@\s]+@[^@\s]+$"
QUARTER = r"^[12][0-9]{3}-Q[1-4]$"
MONTH = r"^[12][0-9]{3}-(0[1-9]|1[0-2])$"


def _words(enum: type[StrEnum]) -> list[str]:
    return [member.value for member in enum]


class RawTable(pa.DataFrameModel):
    """What all raw tables share: exactly the stated columns, in the stated order."""

    class Config:
        """No column more, none less, none elsewhere."""

        strict = True
        ordered = True


class LogFacts(RawTable):
    """A fact taken from the log: a row per entry, keyed by the entry's leaf index `n`."""

    n: int = pa.Field(ge=0, unique=True)


class DealEvents(LogFacts):
    """One row per `deal.*` entry; columns that the entry did not set are null, `cleared` names those set to null."""

    deal_id: str
    event_type: str = pa.Field(
        isin=[
            "deal.opened",
            "deal.changed",
            "deal.stage_changed",
            "deal.reopened",
            "deal.cancelled",
            "deal.assigned",
        ]
    )
    agent_id: str = pa.Field(nullable=True)
    asset_type: str = pa.Field(nullable=True, isin=_words(AssetType))
    deal_type: str = pa.Field(nullable=True, isin=_words(DealType))
    status: str = pa.Field(nullable=True, isin=_words(DealStatus))
    lead_source: str = pa.Field(nullable=True)
    estimated_value_amount: Money = pa.Field(nullable=True, ge=0)
    estimated_value_currency: str = pa.Field(nullable=True, str_matches=CURRENCY)
    expected_close_date: pl.Date = pa.Field(nullable=True)
    actual_close_date: pl.Date = pa.Field(nullable=True)
    confidence: Confidence = pa.Field(nullable=True, ge=0, le=1)
    external_ref: str = pa.Field(nullable=True)
    project_id: str = pa.Field(nullable=True)
    property_id: str = pa.Field(nullable=True)
    cleared: str = pa.Field(nullable=True)
    actor_id: str
    recorded_at: Instant
    effective_at: Instant


class StageEvents(LogFacts):
    """One row per entry that moved a deal to a stage; `from_stage` is null where the deal was opened."""

    deal_id: str
    stage_event_id: str = pa.Field(unique=True)
    event_type: str = pa.Field(isin=["deal.opened", "deal.stage_changed", "deal.reopened"])
    from_stage: str = pa.Field(nullable=True, isin=_words(PipelineStage))
    to_stage: str = pa.Field(isin=_words(PipelineStage))
    actor_id: str
    recorded_at: Instant
    effective_at: Instant


class CommissionEvents(LogFacts):
    """One row per entry that recorded, changed or moved a commission; disputes move it too."""

    commission_id: str
    deal_id: str
    event_type: str = pa.Field(
        isin=[
            "commission.recorded",
            "commission.changed",
            "commission.status_changed",
            "dispute.opened",
            "dispute.resolved",
        ]
    )
    agent_id: str = pa.Field(nullable=True)
    commission_type: str = pa.Field(nullable=True, isin=_words(CommissionType))
    basis_amount: Money = pa.Field(nullable=True, ge=0)
    basis_currency: str = pa.Field(nullable=True, str_matches=CURRENCY)
    commission_rate: Rate = pa.Field(nullable=True, ge=0, le=1)
    commission_amount: Money = pa.Field(nullable=True, ge=0)
    from_status: str = pa.Field(nullable=True, isin=_words(CommissionStatus))
    to_status: str = pa.Field(nullable=True, isin=_words(CommissionStatus))
    cleared: str = pa.Field(nullable=True)
    actor_id: str
    recorded_at: Instant
    effective_at: Instant


class Adjustments(LogFacts):
    """One row per `commission.adjusted` entry; only corrections may be negative."""

    adjustment_id: str = pa.Field(unique=True)
    commission_id: str
    deal_id: str
    adjustment_type: str = pa.Field(isin=_words(AdjustmentType))
    amount: Money
    currency: str = pa.Field(str_matches=CURRENCY)
    actor_id: str
    recorded_at: Instant
    effective_at: Instant

    @pa.dataframe_check(error="only a correction may be negative")
    def sign_belongs_to_type(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805 (pandera makes it a class method)
        """The type says whether the amount adds or takes away, so the amount itself is not negative."""
        is_correction = pl.col("adjustment_type") == AdjustmentType.CORRECTION.value
        return data.lazyframe.select(is_correction | (pl.col("amount") >= 0))


class Disputes(LogFacts):
    """One row per `dispute.*` entry; the outcome stands on the resolving one, the amount on the opening one."""

    dispute_id: str
    commission_id: str
    deal_id: str
    event_type: str = pa.Field(isin=["dispute.opened", "dispute.resolved"])
    amount: Money = pa.Field(nullable=True, ge=0)
    currency: str = pa.Field(nullable=True, str_matches=CURRENCY)
    hold: bool = pa.Field(nullable=True)
    outcome: str = pa.Field(nullable=True, isin=_words(DisputeOutcome))
    to_status: str = pa.Field(isin=_words(CommissionStatus))
    actor_id: str
    recorded_at: Instant
    effective_at: Instant


class People(LogFacts):
    """One row per `user.*` entry: the agency's staff; columns that the entry did not set are null."""

    user_id: str
    event_type: str = pa.Field(isin=["user.recorded", "user.changed"])
    name: str = pa.Field(nullable=True)
    email: str = pa.Field(nullable=True)
    role: str = pa.Field(nullable=True, isin=_words(Role))
    active: bool = pa.Field(nullable=True)
    cleared: str = pa.Field(nullable=True)
    actor_id: str
    recorded_at: Instant
    effective_at: Instant


class PerformanceBenchmarks(RawTable):
    """One row per accepted figure; unique by metric, asset type, deal type, cohort, region and effective date.

    A null asset or deal type means all of them; a null region means no particular one.
    """

    reference_id: str = pa.Field(unique=True)
    metric_key: str = pa.Field(str_matches=r"^[a-z][a-z0-9_]*$")
    asset_type: str = pa.Field(nullable=True, isin=_words(AssetType))
    deal_type: str = pa.Field(nullable=True, isin=_words(DealType))
    cohort: str = pa.Field(isin=_words(Cohort))
    metric_value: Figure
    value_text: str = pa.Field(nullable=True)
    unit: str = pa.Field(nullable=True)
    region: str = pa.Field(nullable=True)
    effective_date: pl.Date
    source: str
    source_url: str = pa.Field(nullable=True)
    note: str = pa.Field(nullable=True)
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant
    valid: bool


class FxRates(RawTable):
    """One row per accepted rate; unique by currencies and effective date. 1 `from_currency` = `rate` `to_currency`."""

    reference_id: str = pa.Field(unique=True)
    from_currency: str = pa.Field(str_matches=CURRENCY)
    to_currency: str = pa.Field(str_matches=CURRENCY)
    rate: ExchangeRate = pa.Field(gt=0)
    effective_date: pl.Date
    source: str
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant

    @pa.dataframe_check(error="a rate is between two different currencies")
    def currencies_differ(cls, data: pa.PolarsData) -> pl.LazyFrame:  # noqa: N805 (pandera makes it a class method)
        """A currency against itself is no rate."""
        return data.lazyframe.select(pl.col("from_currency") != pl.col("to_currency"))


class Targets(RawTable):
    """One row per accepted target of value won; unique by agent, quarter, currency and effective date.

    A null agent means the whole agency. Targets in several currencies for one quarter add up.
    """

    reference_id: str = pa.Field(unique=True)
    agent_email: str = pa.Field(nullable=True, str_matches=EMAIL)
    quarter: str = pa.Field(str_matches=QUARTER)
    amount: Money = pa.Field(ge=0)
    currency: str = pa.Field(str_matches=CURRENCY)
    effective_date: pl.Date
    source: str
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant


class AgentCosts(RawTable):
    """One row per accepted cost; unique by agent, month, lead source, currency and effective date.

    A null lead source means a cost of the agent that belongs to no source in particular.
    """

    reference_id: str = pa.Field(unique=True)
    agent_email: str = pa.Field(str_matches=EMAIL)
    month: str = pa.Field(str_matches=MONTH)
    lead_source: str = pa.Field(nullable=True)
    amount: Money = pa.Field(ge=0)
    currency: str = pa.Field(str_matches=CURRENCY)
    effective_date: pl.Date
    source: str
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant


class RoiMetrics(RawTable):
    """One row per accepted cost of an older system's ROI feed; unique by agent, month, lead source, currency and
    effective date.

    A null agent means the whole agency. What it earned is not taken from the feed: the log knows that better.
    """

    reference_id: str = pa.Field(unique=True)
    agent_email: str = pa.Field(nullable=True, str_matches=EMAIL)
    month: str = pa.Field(str_matches=MONTH)
    lead_source: str
    cost_amount: Money = pa.Field(ge=0)
    currency: str = pa.Field(str_matches=CURRENCY)
    effective_date: pl.Date
    source: str
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant


class DealCommissions(RawTable):
    """One row per accepted amount of a deal's commission; unique by deal, item and effective date.

    `deal` is the deal's external reference (source:id) or its id. `commission` is what the agency earns with the deal,
    `external_co_broke` what it passes on of that to other agencies; both before fees.
    """

    reference_id: str = pa.Field(unique=True)
    deal: str
    item: str = pa.Field(isin=["commission", "external_co_broke"])
    amount: Money = pa.Field(ge=0)
    currency: str = pa.Field(str_matches=CURRENCY)
    effective_date: pl.Date
    source: str
    file_name: str
    file_sha256: str
    line: int = pa.Field(ge=1)
    loaded_at: Instant


LOG_TABLES: dict[str, type[LogFacts]] = {
    "deal_events": DealEvents,
    "stage_events": StageEvents,
    "commission_events": CommissionEvents,
    "adjustments": Adjustments,
    "disputes": Disputes,
    "people": People,
}
REFERENCE_TABLES: dict[str, type[RawTable]] = {
    "performance_benchmarks": PerformanceBenchmarks,
    "fx_rates": FxRates,
    "targets": Targets,
    "agent_costs": AgentCosts,
    "roi_metrics": RoiMetrics,
    "deal_commissions": DealCommissions,
}


def polars_schema(model: type[RawTable]) -> dict[str, pl.DataType]:
    """Return the columns of a model in order, with their polars types."""
    return {name: column.dtype.type for name, column in model.to_schema().columns.items()}


def create_table(name: str, model: type[RawTable]) -> str:
    """Return the DDL that makes `raw.<name>` in DuckDB where it is missing, derived from the model."""
    columns = [
        f"{column_name} {duckdb_type(column.dtype.type)}{'' if column.nullable else ' NOT NULL'}"
        for column_name, column in model.to_schema().columns.items()
    ]
    return f"CREATE TABLE IF NOT EXISTS raw.{name} ({', '.join(columns)})"


def duckdb_type(dtype: pl.DataType) -> str:
    """Return the name that a column's type has in DuckDB."""
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMPTZ"
    return {pl.Int64: "BIGINT", pl.String: "VARCHAR", pl.Date: "DATE", pl.Boolean: "BOOLEAN"}[dtype.base_type()]
