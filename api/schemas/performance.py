"""What the performance routes answer: numbers, never without the log size, day and definitions they come from."""

from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import Field

from api.figures import Period, WindowFigures
from api.published import Publication
from api.schemas.fields import Answer, Currency, Figure, Identifier, MoneySum, Time
from ledger.vocabulary import AssetType, Cohort, DealType, PipelineStage

FirstDay = Annotated[date | None, Field(serialization_alias="from", description="Null: from the beginning.")]
AsOfDay = Annotated[date, Field(description="The day asked about; the newest published one unless given.")]
LastDay = Annotated[date, Field(serialization_alias="to")]


class Freshness(Answer):
    """Of what, and of when, the numbers are."""

    log_size: int
    as_of_date: date
    definition_version: str
    published_at: Time
    stale: bool

    @classmethod
    def of(cls, publication: Publication, now: datetime, stale_after: timedelta) -> "Freshness":
        """Describe a publication as seen at `now`."""
        return cls(
            log_size=publication.log_size,
            as_of_date=publication.as_of_date,
            definition_version=publication.definition_version,
            published_at=publication.published_at,
            stale=publication.is_stale(now, stale_after),
        )


class AgentName(Answer):
    """Who the numbers are about."""

    agent_id: Identifier
    agent_name: str


class WindowAnswer(Answer):
    """Whole business days, both ends included; `from` is null for everything up to `to`."""

    period: Period | None
    first: FirstDay
    last: LastDay


class SnapshotAnswer(Answer):
    """An agent on a day. Closed counts and values are cumulative up to it, pipeline figures stand on it."""

    snapshot_date: date
    reporting_currency: Currency
    deals_open: int
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    gross_pipeline_value: MoneySum
    weighted_pipeline_value: MoneySum
    value_without_confidence: MoneySum
    unconverted_count: int
    won_value: MoneySum
    lost_value: MoneySum
    won_value_n: int
    closed_unconverted_count: int
    conversion_numerator: int
    conversion_denominator: int
    conversion_rate: float | None
    conversion_value_numerator: MoneySum
    conversion_value_denominator: MoneySum
    conversion_rate_value: float | None
    cycle_days_sum: float
    cycle_n: int
    avg_cycle_days: float | None
    median_cycle_days: float | None
    avg_won_value: MoneySum | None
    sales_velocity_per_day: MoneySum | None
    confirmed_commission_amount: MoneySum
    disputed_commission_amount: MoneySum
    commission_unconverted_count: int
    open_days: int
    commission_yield: float | None
    revenue_per_won_deal: MoneySum | None
    revenue_per_open_day: MoneySum | None


class RoiAnswer(Answer):
    """What the work earned: confirmed commission against won value, won deals, and days of open deals."""

    commission_yield: float | None
    revenue_per_won_deal: MoneySum | None
    revenue_per_open_day: MoneySum | None


class WindowCurrencyAnswer(Answer):
    """What happened within a window in one currency, as it was written; nothing is converted."""

    currency: Currency
    deals_closed_won: int
    won_value: MoneySum
    lost_value: MoneySum
    confirmed_commission_amount: MoneySum


class WindowFiguresAnswer(Answer):
    """What happened within a window; money in the reporting currency, durations in days."""

    first: FirstDay
    last: LastDay
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    won_value: MoneySum
    lost_value: MoneySum
    closed_unconverted_count: int
    conversion_numerator: int
    conversion_denominator: int
    conversion_rate: float | None
    conversion_value_numerator: MoneySum
    conversion_value_denominator: MoneySum
    conversion_rate_value: float | None
    cycle_n: int
    avg_cycle_days: float | None
    median_cycle_days: float | None
    avg_won_value: MoneySum | None
    confirmed_commission_amount: MoneySum
    roi: RoiAnswer
    by_currency: list[WindowCurrencyAnswer]

    @classmethod
    def of(cls, figures: WindowFigures) -> "WindowFiguresAnswer":
        """Describe a window's figures, with what they earned apart."""
        plain = {name: getattr(figures, name) for name in cls.model_fields if name != "roi"}
        return cls(**plain, roi=RoiAnswer.model_validate(figures))


class CurrencyFiguresAnswer(Answer):
    """The agent's amounts in one currency as they were written; nothing is converted."""

    currency: Currency
    deals_open: int
    deals_closed_won: int
    gross_pipeline_value: MoneySum
    weighted_pipeline_value: MoneySum
    won_value: MoneySum
    lost_value: MoneySum
    confirmed_commission_amount: MoneySum
    disputed_commission_amount: MoneySum


class SummaryFigures(Answer):
    """One agent: the snapshot of a day, what happened in the window that ends on it, and in the window before."""

    agent: AgentName
    window: WindowAnswer
    reporting_currency: Currency
    as_of: SnapshotAnswer
    roi: RoiAnswer
    in_window: WindowFiguresAnswer
    previous_window: WindowFiguresAnswer | None
    by_currency: list[CurrencyFiguresAnswer]


class SummaryAnswer(SummaryFigures):
    """One agent: the snapshot of a day, what happened in the window that ends on it, and in the window before."""

    freshness: Freshness


class SnapshotPage(Answer):
    """Days of an agent's series, oldest first."""

    agent: AgentName
    items: list[SnapshotAnswer]
    next_cursor: str | None
    freshness: Freshness


class BenchmarkAnswer(Answer):
    """A reference figure; null types mean all of them."""

    metric_key: str
    asset_type: AssetType | None
    deal_type: DealType | None
    cohort: Cohort
    metric_value: Figure | None
    unit: str | None
    region: str | None
    effective_date: date
    source: str
    source_url: str | None
    note: str | None


class BenchmarkPage(Answer):
    """Benchmark rows that fit the filters."""

    items: list[BenchmarkAnswer]
    as_of: AsOfDay
    next_cursor: str | None
    freshness: Freshness


class ComparisonAnswer(Answer):
    """An agent's figure beside the benchmark in force; `n` counts the deals behind the agent's."""

    metric_key: str
    asset_type: AssetType | None
    deal_type: DealType | None
    cohort: Cohort
    agent_value: float | None
    benchmark_value: float | None
    delta: float | None
    ratio: float | None
    n: int
    is_internal: bool = Field(description="Computed from the agency's other agents instead of published.")
    peers_n: int | None = Field(description="Other agents behind an internal benchmark.")
    region: str | None
    source: str | None
    effective_date: date | None


class ComparisonPage(Answer):
    """An agent against the benchmarks."""

    agent: AgentName
    items: list[ComparisonAnswer]
    as_of: AsOfDay
    next_cursor: str | None
    freshness: Freshness


class LeaderboardRowAnswer(Answer):
    """An agent's place; equal figures share a rank."""

    rank: int
    agent_id: Identifier
    agent_name: str
    deals_closed_won: int
    won_value: MoneySum
    conversion_rate: float | None


class LeaderboardPage(Answer):
    """Agents by what they won up to a day."""

    day: date
    reporting_currency: Currency
    items: list[LeaderboardRowAnswer]
    next_cursor: str | None
    freshness: Freshness


class StageAnswer(Answer):
    """Open deals of a stage, in the reporting currency."""

    stage: PipelineStage
    deals_open: int
    gross_pipeline_value: MoneySum
    weighted_pipeline_value: MoneySum
    unconverted_count: int
