"""The team's figures: the sums of its agents', and rates made again from those sums, for no rate can be added up."""

from dataclasses import fields, replace
from datetime import date

from api.figures import Agent, CurrencyFigures, Snapshot
from api.published import Marts

EVERYONE = Agent(agent_id="", agent_name="Everyone")
"""Stands for all agents together wherever an agent's figures are asked for."""

_SUMS = (
    "deals_open",
    "deals_closed_won",
    "deals_closed_lost",
    "deals_cancelled",
    "unconverted_count",
    "won_value_n",
    "closed_unconverted_count",
    "conversion_numerator",
    "conversion_denominator",
    "cycle_n",
    "commission_unconverted_count",
    "open_days",
)
_MONEY_SUMS = (
    "gross_pipeline_value",
    "weighted_pipeline_value",
    "value_without_confidence",
    "won_value",
    "lost_value",
    "conversion_value_numerator",
    "conversion_value_denominator",
    "confirmed_commission_amount",
    "disputed_commission_amount",
)
_SUMMED = ", ".join(
    [f"sum({name})::BIGINT AS {name}" for name in _SUMS]
    + [f"sum({name})::DECIMAL(38,2) AS {name}" for name in _MONEY_SUMS]
    # In agents' order: a sum of floating figures must not depend on how the rows happen to lie.
    + ["sum(cycle_days_sum ORDER BY agent_id) AS cycle_days_sum"]
)
_RATES = {
    "conversion_rate": "conversion_numerator::DOUBLE / nullif(conversion_denominator, 0)",
    "conversion_rate_value": "conversion_value_numerator::DOUBLE / nullif(conversion_value_denominator, 0)::DOUBLE",
    "avg_cycle_days": "cycle_days_sum / nullif(cycle_n, 0)",
    "median_cycle_days": "NULL::DOUBLE",
    "avg_won_value": "(won_value / nullif(won_value_n, 0))::DECIMAL(38,2)",
    "sales_velocity_per_day": (
        "CASE WHEN cycle_n >= 5 THEN (deals_open * (won_value::DOUBLE / nullif(won_value_n, 0))"
        " * (conversion_numerator::DOUBLE / nullif(conversion_denominator, 0))"
        " / nullif(cycle_days_sum / cycle_n, 0))::DECIMAL(38,2) END"
    ),
    "commission_yield": "confirmed_commission_amount::DOUBLE / nullif(won_value, 0)::DOUBLE",
    "revenue_per_won_deal": "(confirmed_commission_amount / nullif(deals_closed_won, 0))::DECIMAL(38,2)",
    "revenue_per_open_day": "(confirmed_commission_amount / nullif(open_days, 0))::DECIMAL(38,2)",
}
_COLUMNS = ", ".join(
    f"{_RATES[field.name]} AS {field.name}" if field.name in _RATES else field.name for field in fields(Snapshot)
)
_CURRENCY_SUMS = ", ".join(
    f"sum({field.name}){'::BIGINT' if field.type is int else '::DECIMAL(38,2)'} AS {field.name}"
    for field in fields(CurrencyFigures)
    if field.name != "currency"
)


def list_team_days(marts: Marts, first: date, last: date) -> list[Snapshot]:
    """Return the team's snapshots of these days, oldest first, without medians: a median cannot be summed."""
    return marts.rows_as(
        Snapshot,
        f"WITH days AS (SELECT ? AS agent_id, ? AS agent_name, snapshot_date, reporting_currency, {_SUMMED}"  # noqa: S608 - our own names
        " FROM agent_performance_snapshots WHERE snapshot_date BETWEEN ? AND ?"
        " GROUP BY snapshot_date, reporting_currency)"
        f" SELECT {_COLUMNS} FROM days ORDER BY snapshot_date",
        [EVERYONE.agent_id, EVERYONE.agent_name, first, last],
    )


def read_team_snapshot(marts: Marts, day: date) -> Snapshot | None:
    """Return the team's snapshot of that day, the median of its won deals included; None before the first deal."""
    days = list_team_days(marts, day, day)
    if not days:
        return None
    return replace(days[0], median_cycle_days=find_median_cycle(marts, EVERYONE.agent_id, None, day))


def find_median_cycle(marts: Marts, agent_id: str, first: date | None, last: date) -> float | None:
    """Return the median days to win of what closed from `first` to `last` and was won at the end of that day.

    Of one agent or of everyone. A deal that was reopened later was won then, one that was won later was not.
    """
    median = marts.rows(
        "SELECT median(epoch_us(closed_at) - epoch_us(opened_at))::DOUBLE / 86400000000 AS days FROM deal_revisions"
        " WHERE status = 'closed_won' AND valid_from_date <= ? AND (valid_to_date IS NULL OR valid_to_date > ?)"
        " AND (credited_agent_id = ? OR ? = ?) AND (? IS NULL OR closed_date >= ?)",
        [last, last, agent_id, agent_id, EVERYONE.agent_id, first, first],
    )[0]["days"]
    return None if median is None else float(median)


def list_team_currencies(marts: Marts, day: date) -> list[CurrencyFigures]:
    """Return the team's amounts on that day, one row a currency."""
    return marts.rows_as(
        CurrencyFigures,
        f"SELECT currency, {_CURRENCY_SUMS} FROM agent_currency_snapshots"  # noqa: S608 - our own names
        " WHERE snapshot_date = ? GROUP BY currency ORDER BY currency",
        [day],
    )
