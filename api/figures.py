"""The shapes of published numbers: windows, snapshots, summaries, benchmarks. `api/summaries.py` fills them."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from api.published import Publication


class Period(StrEnum):
    """A window by name; each ends on the day asked about, which counts."""

    AS_OF = "as_of"
    LAST_30_DAYS = "30d"
    LAST_90_DAYS = "90d"
    LAST_365_DAYS = "365d"
    MONTH_TO_DATE = "mtd"
    QUARTER_TO_DATE = "qtd"
    YEAR_TO_DATE = "ytd"

    def first_day(self, last: date) -> date | None:
        """Return the window's first day when it ends on `last`; None for everything up to that day."""
        match self:
            case Period.AS_OF:
                return None
            case Period.MONTH_TO_DATE:
                return last.replace(day=1)
            case Period.QUARTER_TO_DATE:
                return last.replace(month=last.month - (last.month - 1) % 3, day=1)
            case Period.YEAR_TO_DATE:
                return last.replace(month=1, day=1)
            case _:
                return last - timedelta(days=int(self.value.removesuffix("d")) - 1)


@dataclass(frozen=True, slots=True)
class Window:
    """Whole business days, both ends included; `first` is None for everything up to `last`."""

    last: date
    first: date | None = None
    period: Period | None = None

    @property
    def previous(self) -> "Window | None":
        """The window of the same length just before this one, for comparison."""
        if self.first is None:
            return None
        last = self.first - timedelta(days=1)
        return Window(last=last, first=last - (self.last - self.first))


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent with published numbers."""

    agent_id: str
    agent_name: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An agent on a day; the columns of `agent_performance_snapshots`, whose definitions METRICS gives."""

    agent_id: str
    agent_name: str
    snapshot_date: date
    reporting_currency: str
    deals_open: int
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    gross_pipeline_value: Decimal
    weighted_pipeline_value: Decimal
    value_without_confidence: Decimal
    unconverted_count: int
    won_value: Decimal
    lost_value: Decimal
    won_value_n: int
    closed_unconverted_count: int
    conversion_numerator: int
    conversion_denominator: int
    conversion_rate: float | None
    conversion_value_numerator: Decimal
    conversion_value_denominator: Decimal
    conversion_rate_value: float | None
    cycle_days_sum: float
    cycle_n: int
    avg_cycle_days: float | None
    median_cycle_days: float | None
    avg_won_value: Decimal | None
    sales_velocity_per_day: Decimal | None
    confirmed_commission_amount: Decimal
    disputed_commission_amount: Decimal
    commission_unconverted_count: int
    commission_yield: float | None
    revenue_per_won_deal: Decimal | None
    open_days: int
    revenue_per_open_day: Decimal | None


@dataclass(frozen=True, slots=True)
class CurrencyFigures:
    """An agent's amounts in one currency as they were written, never converted, as they stood on a day."""

    currency: str
    deals_open: int
    deals_closed_won: int
    gross_pipeline_value: Decimal
    weighted_pipeline_value: Decimal
    won_value: Decimal
    lost_value: Decimal
    confirmed_commission_amount: Decimal
    disputed_commission_amount: Decimal


@dataclass(frozen=True, slots=True)
class WindowCurrencyFigures:
    """What an agent did within a window in one currency, never converted."""

    currency: str
    deals_closed_won: int
    won_value: Decimal
    lost_value: Decimal
    confirmed_commission_amount: Decimal


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """What an agent did within a window; money in the reporting currency, durations in days."""

    first: date | None
    last: date
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    won_value: Decimal
    lost_value: Decimal
    closed_unconverted_count: int
    conversion_numerator: int
    conversion_denominator: int
    conversion_rate: float | None
    conversion_value_numerator: Decimal
    conversion_value_denominator: Decimal
    conversion_rate_value: float | None
    cycle_n: int
    avg_cycle_days: float | None
    median_cycle_days: float | None
    avg_won_value: Decimal | None
    confirmed_commission_amount: Decimal
    commission_yield: float | None
    revenue_per_won_deal: Decimal | None
    revenue_per_open_day: Decimal | None
    by_currency: list[WindowCurrencyFigures]


@dataclass(frozen=True, slots=True)
class Summary:
    """One agent, as of a day and within a window that ends on it."""

    agent: Agent
    window: Window
    as_of: Snapshot
    in_window: WindowFigures
    previous_window: WindowFigures | None
    by_currency: list[CurrencyFigures]
    publication: Publication


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Open deals of one stage on a day, in the reporting currency."""

    stage: str
    deals_open: int
    gross_pipeline_value: Decimal
    weighted_pipeline_value: Decimal
    unconverted_count: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A reference figure to hold an agent's own against."""

    metric_key: str
    asset_type: str | None
    deal_type: str | None
    cohort: str
    metric_value: Decimal | None
    unit: str | None
    region: str | None
    effective_date: date
    source: str
    source_url: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An agent's figure beside the benchmark in force; `n` counts the deals behind the agent's."""

    agent_id: str
    metric_key: str
    asset_type: str | None
    deal_type: str | None
    cohort: str
    agent_value: float | None
    benchmark_value: float | None
    delta: float | None
    ratio: float | None
    n: int
    is_internal: bool
    peers_n: int | None
    region: str | None
    source: str | None
    effective_date: date | None


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """An agent's place on a day; equal figures share a rank."""

    rank: int
    agent_id: str
    agent_name: str
    deals_closed_won: int
    won_value: Decimal
    conversion_rate: float | None


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose rows of a mart: the whole team's, one agent's, or those of each agent."""

    agent: Agent | None = None
    is_each: bool = False


TEAM = Whose()


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Of the deals that first entered a stage, how many went on within the window; null agent: the whole team.

    `cohort_month` is null where the months are added up. Pending deals are still open within their window.
    """

    agent_id: str | None
    agent_name: str | None
    cohort_month: date | None
    stage: str
    stage_order: int
    entered_n: int
    reached_n: int
    pending_n: int
    conversion_rate: float | None
    maturity: float | None
    window_days: int | None
    rules: str | None


@dataclass(frozen=True, slots=True)
class CycleTime:
    """Days from the first stage event to the win; null asset and deal type: all deals, null agent: the whole team."""

    agent_id: str | None
    agent_name: str | None
    asset_type: str | None
    deal_type: str | None
    won_n: int
    open_n: int
    avg_cycle_days: float | None
    median_cycle_days: float | None
    km_median_cycle_days: float | None


@dataclass(frozen=True, slots=True)
class CalibrationScore:
    """Confidence 30 days before the close beside what came of it; scores are null under 20 deals, bin null: all."""

    scope: str
    agent_id: str | None
    agent_name: str | None
    stage: str | None
    confidence_bin: float | None
    n: int
    won_n: int | None
    mean_confidence: float | None
    won_share: float | None
    brier_score: float | None


@dataclass(frozen=True, slots=True)
class PayoutStep:
    """Days that commissions take for a step of their payout; null agent: the whole team."""

    agent_id: str | None
    agent_name: str | None
    step: str
    step_order: int
    n: int
    out_of_order_n: int
    avg_days: float | None
    median_days: float | None


@dataclass(frozen=True, slots=True)
class LeadSource:
    """What a lead source (null: not stated) brings and costs; the scopes agent and team are totals of all sources."""

    scope: str
    agent_id: str | None
    agent_name: str | None
    lead_source: str | None
    reporting_currency: str
    deals_open: int
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    won_value: Decimal
    won_unconverted_count: int
    open_days: int
    confirmed_commission_amount: Decimal
    commission_unconverted_count: int
    commission_yield: float | None
    revenue_per_won_deal: Decimal | None
    revenue_per_open_day: Decimal | None
    cost_n: int
    cost_from_feed_n: int
    cost_unconverted_count: int
    cost_amount: Decimal | None
    roi: float | None
