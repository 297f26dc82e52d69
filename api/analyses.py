"""What the marts say besides snapshots: funnel, cycle times, calibration, payout velocity, lead sources.

REST and the workspace put the same questions through these functions. Each takes an open `Marts` view, says whose rows
it wants (`Whose`: the team's, one agent's, each agent's), and returns dataclasses of `api/figures.py`. The marts stand
for the published day, or with `as_of` for an earlier one: what the file's functions say of it, by the same formulas,
over the whole log as it was read. Nothing here writes, reads the clock or knows who asks.
"""

from datetime import date
from enum import StrEnum

from api.figures import TEAM, Agent, CalibrationScore, CycleTime, FunnelStep, LeadSource, PayoutStep, Whose
from api.published import EVERYTHING, Marts, Span, columns_of
from ledger.vocabulary import PipelineStage

_OPEN_STAGES = [stage for stage in PipelineStage if stage.is_open]
_FUNNEL_FIGURES = """
    stage, any_value(stage_order) AS stage_order, sum(entered_n)::BIGINT AS entered_n,
    sum(reached_n)::BIGINT AS reached_n, sum(pending_n)::BIGINT AS pending_n,
    sum(reached_n) / nullif(sum(entered_n), 0) AS conversion_rate,
    (sum(entered_n) - sum(pending_n)) / nullif(sum(entered_n), 0) AS maturity,
    any_value(window_days) AS window_days, any_value(rules) AS rules"""


class CalibrationScope(StrEnum):
    """What a row of calibration scores covers."""

    TEAM = "team"
    STAGE = "stage"
    AGENT = "agent"
    STAGE_DEFAULT = "stage_default"


def list_funnel(
    marts: Marts,
    whose: Whose = TEAM,
    *,
    asset_type: str | None = None,
    deal_type: str | None = None,
    first: date | None = None,
    last: date | None = None,
    by_month: bool = False,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[FunnelStep]:
    """Return the open stages in their order: the deals that first entered each, and those that went on.

    `first` and `last` choose the months of entry in which they lie. A funnel of one agent or of the team has every
    stage, also those that no deal entered; rows by month or by agent are there where deals are.
    """
    groups = ["agent_name", "agent_id"] * (whose != TEAM) + ["cohort_month"] * by_month
    agent_id = whose.agent.agent_id if whose.agent else None
    names = [name if name in groups else f"NULL AS {name}" for name in ("agent_id", "agent_name", "cohort_month")]
    rows = marts.rows_as(
        FunnelStep,
        f"SELECT {', '.join(names)}, {_FUNNEL_FIGURES} FROM {marts.of_day('stage_conversion', as_of)}"  # noqa: S608 - our own names
        " LEFT JOIN (SELECT agent_id, agent_name FROM agent_performance_snapshots WHERE snapshot_date = as_of_date)"
        " USING (agent_id) WHERE (? IS NULL OR agent_id = ?) AND (? IS NULL OR asset_type = ?)"
        " AND (? IS NULL OR deal_type = ?) AND (? IS NULL OR cohort_month >= date_trunc('month', ?::DATE))"
        " AND (? IS NULL OR cohort_month <= ?)"
        f" GROUP BY {', '.join([*groups, 'stage'])}"
        f" ORDER BY {', '.join([*groups, 'stage_order'])}{span.sql}",
        [agent_id] * 2 + [asset_type] * 2 + [deal_type] * 2 + [first] * 2 + [last] * 2,
    )
    return rows if whose.is_each or by_month else _with_every_stage(rows, whose.agent)


def list_cycle_times(
    marts: Marts,
    whose: Whose = TEAM,
    *,
    asset_type: str | None = None,
    deal_type: str | None = None,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[CycleTime]:
    """Return mean, median and Kaplan-Meier median days to win: first over all deals, then by asset and deal type.

    A filter leaves the rows of those types alone.
    """
    condition, parameters = _choose(whose)
    return marts.rows_as(
        CycleTime,
        f"SELECT {columns_of(CycleTime)} FROM {marts.of_day('cycle_times', as_of)} WHERE {condition}"  # noqa: S608 - our own names
        " AND (? IS NULL OR asset_type = ?) AND (? IS NULL OR deal_type = ?)"
        f" ORDER BY agent_name, agent_id, asset_type NULLS FIRST, deal_type NULLS FIRST{span.sql}",
        [*parameters, asset_type, asset_type, deal_type, deal_type],
    )


def list_calibration(
    marts: Marts,
    whose: Whose = TEAM,
    *,
    scope: CalibrationScope | None = None,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[CalibrationScore]:
    """Return calibration scores: each scope's total (null bin) before its bins.

    The team's are those of the scopes team, stage and stage_default; an agent has rows of the scope agent alone.
    """
    condition, parameters = _choose(whose)
    return marts.rows_as(
        CalibrationScore,
        f"SELECT {columns_of(CalibrationScore)} FROM {marts.of_day('calibration_scores', as_of)} WHERE {condition}"  # noqa: S608 - our own names
        " AND (? IS NULL OR scope = ?)"
        " ORDER BY array_position(['team', 'agent', 'stage', 'stage_default'], scope), agent_name, agent_id,"
        f" {_in_pipeline_order('stage')}, confidence_bin NULLS FIRST{span.sql}",
        [*parameters, scope, scope],
    )


def list_payout_velocity(
    marts: Marts, whose: Whose = TEAM, *, as_of: date | None = None, span: Span = EVERYTHING
) -> list[PayoutStep]:
    """Return how long commissions take for each step from introduced to paid; a step that nobody took is missing."""
    condition, parameters = _choose(whose)
    return marts.rows_as(
        PayoutStep,
        f"SELECT {columns_of(PayoutStep)} FROM {marts.of_day('payout_velocity', as_of)} WHERE {condition}"  # noqa: S608 - our own names
        f" ORDER BY agent_name, agent_id, step_order{span.sql}",
        parameters,
    )


def list_lead_sources(
    marts: Marts,
    whose: Whose = TEAM,
    *,
    lead_source: str | None = None,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[LeadSource]:
    """Return what each lead source brings and costs, after the total of them all; a filter leaves that source alone."""
    condition, parameters = _choose(whose)
    return marts.rows_as(
        LeadSource,
        f"SELECT {columns_of(LeadSource)} FROM {marts.of_day('lead_source_roi', as_of)} WHERE {condition}"  # noqa: S608 - our own names
        " AND (? IS NULL OR lead_source = ?)"
        " ORDER BY agent_name, agent_id, scope IN ('agent', 'team') DESC, won_value DESC,"
        f" lead_source NULLS LAST{span.sql}",
        [*parameters, lead_source, lead_source],
    )


def _choose(whose: Whose) -> tuple[str, list[str]]:
    """Return the condition on `agent_id`, which is null in a mart's rows of the whole team."""
    if whose.is_each:
        return "agent_id IS NOT NULL", []
    return ("agent_id = ?", [whose.agent.agent_id]) if whose.agent else ("agent_id IS NULL", [])


def _in_pipeline_order(column: str) -> str:
    return f"array_position({[stage.value for stage in PipelineStage]}, {column}) NULLS FIRST"


def _with_every_stage(rows: list[FunnelStep], agent: Agent | None) -> list[FunnelStep]:
    found = {row.stage: row for row in rows}
    like = rows[0] if rows else None
    return [
        found.get(stage)
        or FunnelStep(
            agent_id=agent.agent_id if agent else None,
            agent_name=agent.agent_name if agent else None,
            cohort_month=None,
            stage=stage,
            stage_order=stage.order,
            entered_n=0,
            reached_n=0,
            pending_n=0,
            conversion_rate=None,
            maturity=None,
            window_days=like.window_days if like else None,
            rules=like.rules if like else None,
        )
        for stage in _OPEN_STAGES
    ]
