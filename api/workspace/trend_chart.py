"""The trend: what stands in the pipeline on each day, and how many deals were won in the 30 days up to it."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from api.figures import Snapshot
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

RANGES = {"30": "30 days", "365": "365 days", "1096": "3 years", "3660": "All"}
DEFAULT_RANGE = 365
ROLLING_DAYS = 30


def chart_trend(series: Sequence[Snapshot], days: int, last: date, currency: str) -> Chart:
    """Return the trend over the `days` up to `last`; `series` begins `ROLLING_DAYS` earlier if it can."""
    first = last - timedelta(days=days - 1)
    shown = [snapshot for snapshot in series if snapshot.snapshot_date >= first]
    won_to_date = {snapshot.snapshot_date: snapshot.deals_closed_won for snapshot in series}
    rows = [
        (
            snapshot.snapshot_date,
            snapshot.deals_open,
            snapshot.gross_pipeline_value,
            snapshot.weighted_pipeline_value,
            snapshot.deals_closed_won - won_to_date.get(snapshot.snapshot_date - timedelta(days=ROLLING_DAYS), 0),
            snapshot.deals_closed_won,
        )
        for snapshot in shown
    ]
    return Chart(
        key="trend",
        title="Trend",
        explanation=f"Pipeline on each day in {currency}, and deals won in the {ROLLING_DAYS} days up to it.",
        words=_describe(rows, currency),
        options=_draw(rows),
        columns=(
            Column("day", "Day", wording.day),
            Column("deals_open", "Open", "{:,}".format),
            Column("gross_pipeline_value", f"Gross, {currency}", wording.amount),
            Column("weighted_pipeline_value", f"Weighted, {currency}", wording.amount),
            Column("won_in_30_days", "Won in 30 days", "{:,}".format),
            Column("deals_closed_won", "Won to date", "{:,}".format),
        ),
        rows=rows,
        empty="" if len(rows) > 1 else "A trend needs two days at least; the first deal is younger than that.",
        height=360,
        is_series=True,
    )


def _describe(rows: Sequence[tuple[Any, ...]], currency: str) -> str:
    if not rows:
        return ""
    begin, end = rows[0], rows[-1]
    return (
        f"From {wording.day(begin[0])} to {wording.day(end[0])}: weighted pipeline from {currency}"
        f" {wording.amount(begin[3])} to {currency} {wording.amount(end[3])}; deals won in {ROLLING_DAYS} days"
        f" from {begin[4]} to {end[4]}."
    )


def _draw(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    def line(name: str, place: int, color: str, panel: int, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "type": "line",
            "xAxisIndex": panel,
            "yAxisIndex": panel,
            "showSymbol": False,
            "step": "end",
            "lineStyle": {"width": 1.6, "color": color},
            "itemStyle": {"color": color},
            "emphasis": {"disabled": True},
            "data": [[row[0].isoformat(), charts.plot(row[place])] for row in rows],
            "tooltip": {":valueFormatter": "value => Math.round(value).toLocaleString('en-US')"},
            **more,
        }

    weighted = {"areaStyle": {"color": "var(--accent)", "opacity": 0.14}, "z": 3}
    won = {"areaStyle": {"color": "var(--won)", "opacity": 0.14}}
    return charts.begin() | {
        "legend": charts.legend(),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "grid": [
            {"left": 56, "right": 16, "top": 40, "height": "52%"},
            {"left": 56, "right": 16, "bottom": 26, "height": "19%"},
        ],
        "xAxis": [
            charts.time_axis(gridIndex=0, axisLabel={"show": False}),
            charts.time_axis(gridIndex=1),
        ],
        "yAxis": [
            charts.value_axis(gridIndex=0),
            charts.value_axis(charts.WRITE_WHOLE, gridIndex=1, splitNumber=2, minInterval=1),
        ],
        "series": [
            line("Gross", 2, "var(--line-strong)", 0),
            line("Weighted", 3, "var(--accent)", 0, **weighted),
            line(f"Won in {ROLLING_DAYS} days", 4, "var(--won)", 1, **won),
        ],
    }
