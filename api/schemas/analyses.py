"""What the lists of marts answer: rows and pages, each with the freshness of the publication it comes from."""

from datetime import date
from typing import Annotated

from pydantic import Field

from api.analyses import CalibrationScope
from api.schemas.fields import Answer, Currency, Identifier, MoneySum
from api.schemas.performance import AsOfDay, Freshness
from ledger.vocabulary import AssetType, DealType, PipelineStage

Share = Annotated[float | None, Field(description="From 0 to 1; null where the denominator is 0.", examples=[0.625])]
Days = Annotated[float | None, Field(description="Fractional days; null where nothing was counted.", examples=[41.5])]
AgentIdOrTeam = Annotated[Identifier | None, Field(description="Null: the whole team.")]
AgentNameOrTeam = Annotated[str | None, Field(examples=["Anna Lim"])]
NextCursor = Annotated[str | None, Field(description="Pass it as `cursor`; null on the last page.")]


class FunnelStepAnswer(Answer):
    """A stage: the deals that first entered it, and how many of them went on within the window."""

    agent_id: AgentIdOrTeam
    agent_name: AgentNameOrTeam
    cohort_month: date | None = Field(description="Month of entry; null where the months are added up.")
    stage: PipelineStage
    stage_order: int = Field(examples=[4])
    entered_n: int = Field(description="Distinct deals that entered the stage, the denominator.", examples=[80])
    reached_n: int = Field(description="Those that reached a later stage but closed_lost.", examples=[50])
    pending_n: int = Field(description="Those that did not, and are still open within their window.", examples=[6])
    conversion_rate: Share
    maturity: Share
    window_days: int | None = Field(examples=[180])
    rules: str | None


class FunnelPage(Answer):
    """Stages in their order."""

    items: list[FunnelStepAnswer]
    as_of: AsOfDay
    next_cursor: NextCursor
    freshness: Freshness


class CycleTimeAnswer(Answer):
    """Days from the first stage event to the win."""

    agent_id: AgentIdOrTeam
    agent_name: AgentNameOrTeam
    asset_type: AssetType | None = Field(description="Null: all deals.")
    deal_type: DealType | None = Field(description="Null: all deals.")
    won_n: int = Field(description="Won deals.", examples=[24])
    open_n: int = Field(description="Open deals, censored at their age.", examples=[11])
    avg_cycle_days: Days
    median_cycle_days: Days
    km_median_cycle_days: Days = Field(description="Kaplan-Meier median; null while half of the deals are not won.")


class CycleTimePage(Answer):
    """Cycle times: first of all deals, then by asset and deal type."""

    items: list[CycleTimeAnswer]
    as_of: AsOfDay
    next_cursor: NextCursor
    freshness: Freshness


class CalibrationScoreAnswer(Answer):
    """Confidence 30 days before the close beside what came of it; scores are hidden (null) under 20 deals."""

    scope: CalibrationScope
    agent_id: AgentIdOrTeam
    agent_name: AgentNameOrTeam
    stage: PipelineStage | None
    confidence_bin: float | None = Field(description="Lower bound of a bin of 0.2; null: all.", examples=[0.4])
    n: int = Field(examples=[37])
    won_n: int | None = Field(examples=[18])
    mean_confidence: Share
    won_share: Share
    brier_score: float | None = Field(description="0 is clairvoyant, 0.25 is saying one half.", examples=[0.19])


class CalibrationPage(Answer):
    """Calibration scores: each scope's total before its bins."""

    items: list[CalibrationScoreAnswer]
    as_of: AsOfDay
    next_cursor: NextCursor
    freshness: Freshness


class PayoutStepAnswer(Answer):
    """How long commissions take for a step of their payout."""

    agent_id: AgentIdOrTeam
    agent_name: AgentNameOrTeam
    step: str = Field(examples=["introduced_to_confirmed"])
    step_order: int = Field(examples=[1])
    n: int = Field(description="Commissions that took the step.", examples=[64])
    out_of_order_n: int = Field(description="Left out: the end is dated before the beginning.", examples=[0])
    avg_days: Days
    median_days: Days


class PayoutVelocityPage(Answer):
    """The steps of the payout, in their order."""

    items: list[PayoutStepAnswer]
    as_of: AsOfDay
    next_cursor: NextCursor
    freshness: Freshness


class LeadSourceAnswer(Answer):
    """What a lead source brings, and what it costs where a cost is known; money in the reporting currency."""

    scope: str = Field(description="agent_and_source, agent, source or team.", examples=["source"])
    agent_id: AgentIdOrTeam
    agent_name: AgentNameOrTeam
    lead_source: str | None = Field(description="Null: not stated, or in a total all of them.", examples=["Referral"])
    reporting_currency: Currency
    deals_open: int
    deals_closed_won: int
    deals_closed_lost: int
    deals_cancelled: int
    won_value: MoneySum
    won_unconverted_count: int
    open_days: int
    confirmed_commission_amount: MoneySum
    commission_unconverted_count: int
    commission_yield: Share
    revenue_per_won_deal: MoneySum | None
    revenue_per_open_day: MoneySum | None
    cost_n: int
    cost_from_feed_n: int = Field(description="Costs that an older system's ROI feed states.")
    cost_unconverted_count: int
    cost_amount: MoneySum | None = Field(description="Null where no cost is known or one could not be converted.")
    roi: float | None = Field(description="(Confirmed commission - cost) / cost.", examples=[1.4])


class LeadSourcePage(Answer):
    """Lead sources after the total of them all, the most won value first."""

    items: list[LeadSourceAnswer]
    as_of: AsOfDay
    next_cursor: NextCursor
    freshness: Freshness
