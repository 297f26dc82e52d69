"""The questions that REST and the workspace put to the published marts.

Every function takes an open `Marts` view and returns the dataclasses of `api/figures.py`; nothing here writes, reads
the clock or knows who asks. A window's counts and sums are the difference of two cumulative snapshots, its rates are
recomputed from those differences, and its median comes from the deals won in it: neither a rate nor a median
can be subtracted.
"""

from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal

from api.figures import (
    Agent,
    Benchmark,
    Comparison,
    CurrencyFigures,
    LeaderboardRow,
    Snapshot,
    StageFigures,
    Summary,
    Window,
    WindowCurrencyFigures,
    WindowFigures,
)
from api.published import EVERYTHING, Marts, Span, columns_of
from api.team_figures import EVERYONE, find_median_cycle, list_team_currencies, read_team_snapshot

ZERO = Decimal("0.00")
CENT = Decimal("0.01")


_SNAPSHOT_COLUMNS = columns_of(Snapshot)
_CURRENCY_COLUMNS = columns_of(CurrencyFigures)
# Published figures keep the scale in which they were stated.
_BENCHMARK_COLUMNS = ", ".join(field.name for field in fields(Benchmark))
_COMPARISON_COLUMNS = columns_of(Comparison)


def list_agents(marts: Marts) -> list[Agent]:
    """Return every agent with published numbers, by name."""
    return marts.rows_as(
        Agent,
        "SELECT agent_id, agent_name FROM agent_performance_snapshots WHERE snapshot_date = ?"
        " ORDER BY agent_name, agent_id",
        [marts.publication.as_of_date],
    )


def find_agent(marts: Marts, agent_id: str) -> Agent | None:
    """Return the agent, or None when no numbers are published for it."""
    found = marts.rows_as(
        Agent,
        "SELECT agent_id, agent_name FROM agent_performance_snapshots WHERE agent_id = ?"
        " ORDER BY snapshot_date DESC LIMIT 1",
        [agent_id],
    )
    return found[0] if found else None


def read_snapshot(marts: Marts, agent: Agent, day: date) -> Snapshot:
    """Return the agent's snapshot of that day, or everyone's together; a day before its first has nothing but zeros."""
    if agent == EVERYONE:
        return read_team_snapshot(marts, day) or _empty_snapshot(agent, day, marts.publication.reporting_currency)
    rows = marts.rows_as(
        Snapshot,
        f"SELECT {_SNAPSHOT_COLUMNS} FROM agent_performance_snapshots"  # noqa: S608 - our own names
        " WHERE agent_id = ? AND snapshot_date = ?",
        [agent.agent_id, day],
    )
    return rows[0] if rows else _empty_snapshot(agent, day, marts.publication.reporting_currency)


def list_day(marts: Marts, day: date) -> list[Snapshot]:
    """Return the snapshots of all agents on that day, by name; agents whose first deal is later are not there."""
    return marts.rows_as(
        Snapshot,
        f"SELECT {_SNAPSHOT_COLUMNS} FROM agent_performance_snapshots"  # noqa: S608 - our own names
        " WHERE snapshot_date = ? ORDER BY agent_name, agent_id",
        [day],
    )


def list_snapshots(marts: Marts, agent_id: str, first: date | None, last: date | None, limit: int) -> list[Snapshot]:
    """Return at most `limit` days of the agent's series, oldest first, both ends included."""
    return marts.rows_as(
        Snapshot,
        f"SELECT {_SNAPSHOT_COLUMNS} FROM agent_performance_snapshots"  # noqa: S608 - our own names
        " WHERE agent_id = ? AND (? IS NULL OR snapshot_date >= ?) AND (? IS NULL OR snapshot_date <= ?)"
        " ORDER BY snapshot_date LIMIT ?",
        [agent_id, first, first, last, last, limit],
    )


def summarise(marts: Marts, agent: Agent, window: Window) -> Summary:
    """Return the agent's snapshot of the window's last day and what it did within the window."""
    as_of = read_snapshot(marts, agent, window.last)
    previous = window.previous
    return Summary(
        agent=agent,
        window=window,
        as_of=as_of,
        in_window=measure_window(marts, agent, window, as_of),
        previous_window=measure_window(marts, agent, previous) if previous else None,
        by_currency=list_currency_figures(marts, agent.agent_id, window.last),
        publication=marts.publication,
    )


def measure_window(marts: Marts, agent: Agent, window: Window, end: Snapshot | None = None) -> WindowFigures:
    """Return the window's figures: the snapshot of its last day less that of the day before its first."""
    end = end or read_snapshot(marts, agent, window.last)
    if window.first is None:
        start = _empty_snapshot(agent, window.last, end.reporting_currency)
        median = end.median_cycle_days
    else:
        start = read_snapshot(marts, agent, window.first - timedelta(days=1))
        median = find_median_cycle(marts, agent.agent_id, window.first, window.last)
    won = end.deals_closed_won - start.deals_closed_won
    won_value = end.won_value - start.won_value
    numerator = end.conversion_numerator - start.conversion_numerator
    denominator = end.conversion_denominator - start.conversion_denominator
    value_numerator = end.conversion_value_numerator - start.conversion_value_numerator
    value_denominator = end.conversion_value_denominator - start.conversion_value_denominator
    cycle_n = end.cycle_n - start.cycle_n
    confirmed = end.confirmed_commission_amount - start.confirmed_commission_amount
    return WindowFigures(
        first=window.first,
        last=window.last,
        deals_closed_won=won,
        deals_closed_lost=end.deals_closed_lost - start.deals_closed_lost,
        deals_cancelled=end.deals_cancelled - start.deals_cancelled,
        won_value=won_value,
        lost_value=end.lost_value - start.lost_value,
        closed_unconverted_count=end.closed_unconverted_count - start.closed_unconverted_count,
        conversion_numerator=numerator,
        conversion_denominator=denominator,
        conversion_rate=_ratio(numerator, denominator),
        conversion_value_numerator=value_numerator,
        conversion_value_denominator=value_denominator,
        conversion_rate_value=_ratio(value_numerator, value_denominator),
        cycle_n=cycle_n,
        avg_cycle_days=(end.cycle_days_sum - start.cycle_days_sum) / cycle_n if cycle_n else None,
        median_cycle_days=median,
        avg_won_value=_share(won_value, end.won_value_n - start.won_value_n),
        confirmed_commission_amount=confirmed,
        commission_yield=_ratio(confirmed, won_value),
        revenue_per_won_deal=_share(confirmed, won),
        revenue_per_open_day=_share(confirmed, end.open_days - start.open_days),
        by_currency=_measure_currencies(marts, agent.agent_id, window),
    )


def list_currency_figures(marts: Marts, agent_id: str, day: date) -> list[CurrencyFigures]:
    """Return the agent's amounts on that day, or everyone's together, one row a currency."""
    if agent_id == EVERYONE.agent_id:
        return list_team_currencies(marts, day)
    return marts.rows_as(
        CurrencyFigures,
        f"SELECT {_CURRENCY_COLUMNS} FROM agent_currency_snapshots"  # noqa: S608 - our own names
        " WHERE agent_id = ? AND snapshot_date = ? ORDER BY currency",
        [agent_id, day],
    )


def list_pipeline(marts: Marts, day: date, agent_id: str | None = None) -> list[StageFigures]:
    """Return the open deals of that day by stage, of one agent or of all; stages without deals are left out."""
    return marts.rows_as(
        StageFigures,
        "SELECT stage, sum(deals_open)::BIGINT AS deals_open, sum(gross_pipeline_value) AS gross_pipeline_value,"
        " sum(weighted_pipeline_value) AS weighted_pipeline_value, sum(unconverted_count)::BIGINT AS unconverted_count"
        " FROM pipeline_stage_daily WHERE snapshot_date = ? AND (agent_id = ? OR ? IS NULL) GROUP BY stage",
        [day, agent_id, agent_id],
    )


def list_benchmarks(
    marts: Marts,
    *,
    asset_type: str | None = None,
    deal_type: str | None = None,
    cohort: str | None = None,
    metric_key: str | None = None,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[Benchmark]:
    """Return the benchmark rows that fit; a row for all asset or deal types fits any of them.

    With `as_of` rows of later days are left out.
    """
    return marts.rows_as(
        Benchmark,
        f"SELECT {_BENCHMARK_COLUMNS} FROM performance_benchmarks"  # noqa: S608 - our own names
        " WHERE (? IS NULL OR asset_type IS NULL OR asset_type = ?)"
        " AND (? IS NULL OR deal_type IS NULL OR deal_type = ?)"
        " AND (? IS NULL OR cohort = ?) AND (? IS NULL OR metric_key = ?) AND (? IS NULL OR effective_date <= ?)"
        " ORDER BY metric_key, asset_type NULLS FIRST, deal_type NULLS FIRST, cohort, effective_date DESC, source,"
        f" region NULLS FIRST{span.sql}",
        [asset_type, asset_type, deal_type, deal_type, cohort, cohort, metric_key, metric_key, as_of, as_of],
    )


def list_comparison(
    marts: Marts,
    agent_id: str,
    *,
    asset_type: str | None = None,
    deal_type: str | None = None,
    cohort: str | None = None,
    metric_key: str | None = None,
    as_of: date | None = None,
    span: Span = EVERYTHING,
) -> list[Comparison]:
    """Return the agent's figures beside the benchmarks in force, as of a day; filters are exact."""
    return marts.rows_as(
        Comparison,
        f"SELECT {_COMPARISON_COLUMNS} FROM {marts.of_day('benchmark_comparison', as_of)}"  # noqa: S608 - our own names
        " WHERE agent_id = ? AND (? IS NULL OR asset_type = ?) AND (? IS NULL OR deal_type = ?)"
        " AND (? IS NULL OR cohort = ?) AND (? IS NULL OR metric_key = ?)"
        f" ORDER BY metric_key, asset_type NULLS FIRST, deal_type NULLS FIRST, cohort, is_internal{span.sql}",
        [agent_id, asset_type, asset_type, deal_type, deal_type, cohort, cohort, metric_key, metric_key],
    )


def list_leaders(
    marts: Marts, day: date, *, by_value: bool, agent_id: str | None = None, span: Span = EVERYTHING
) -> list[LeaderboardRow]:
    """Return the agents by won deals, or by won value, up to that day, best first; or one agent with its true rank."""
    # Where the one is equal, as before any exchange rate is known, the other decides.
    measures = "won_value DESC, deals_closed_won DESC" if by_value else "deals_closed_won DESC, won_value DESC"
    return marts.rows_as(
        LeaderboardRow,
        f"SELECT rank() OVER (ORDER BY {measures}) AS rank, agent_id, agent_name, deals_closed_won, won_value,"  # noqa: S608 - one of two names
        " conversion_rate::DOUBLE AS conversion_rate FROM agent_performance_snapshots WHERE snapshot_date = ?"
        f" QUALIFY ? IS NULL OR agent_id = ? ORDER BY rank, agent_name, agent_id{span.sql}",
        [day, agent_id, agent_id],
    )


def _measure_currencies(marts: Marts, agent_id: str, window: Window) -> list[WindowCurrencyFigures]:
    """Subtract day from day here: the days are asked for again, and joining the table with itself is dearer."""
    starts = list_currency_figures(marts, agent_id, window.first - timedelta(days=1)) if window.first else []
    before = {figures.currency: figures for figures in starts}
    return [
        _subtract_currency(end, before.get(end.currency)) for end in list_currency_figures(marts, agent_id, window.last)
    ]


def _subtract_currency(end: CurrencyFigures, start: CurrencyFigures | None) -> WindowCurrencyFigures:
    return WindowCurrencyFigures(
        currency=end.currency,
        deals_closed_won=end.deals_closed_won - (start.deals_closed_won if start else 0),
        won_value=end.won_value - (start.won_value if start else ZERO),
        lost_value=end.lost_value - (start.lost_value if start else ZERO),
        confirmed_commission_amount=end.confirmed_commission_amount
        - (start.confirmed_commission_amount if start else ZERO),
    )


def _ratio(numerator: Decimal | int, denominator: Decimal | int) -> float | None:
    return float(numerator) / float(denominator) if denominator else None


def _share(amount: Decimal, count: int) -> Decimal | None:
    return (amount / count).quantize(CENT) if count else None


def _empty_snapshot(agent: Agent, day: date, currency: str) -> Snapshot:
    return Snapshot(
        agent_id=agent.agent_id,
        agent_name=agent.agent_name,
        snapshot_date=day,
        reporting_currency=currency,
        deals_open=0,
        deals_closed_won=0,
        deals_closed_lost=0,
        deals_cancelled=0,
        gross_pipeline_value=ZERO,
        weighted_pipeline_value=ZERO,
        value_without_confidence=ZERO,
        unconverted_count=0,
        won_value=ZERO,
        lost_value=ZERO,
        won_value_n=0,
        closed_unconverted_count=0,
        conversion_numerator=0,
        conversion_denominator=0,
        conversion_rate=None,
        conversion_value_numerator=ZERO,
        conversion_value_denominator=ZERO,
        conversion_rate_value=None,
        cycle_days_sum=0.0,
        cycle_n=0,
        avg_cycle_days=None,
        median_cycle_days=None,
        avg_won_value=None,
        sales_velocity_per_day=None,
        confirmed_commission_amount=ZERO,
        disputed_commission_amount=ZERO,
        commission_unconverted_count=0,
        commission_yield=None,
        revenue_per_won_deal=None,
        open_days=0,
        revenue_per_open_day=None,
    )
