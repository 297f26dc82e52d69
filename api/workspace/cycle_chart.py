"""Cycle times: days from a deal's first stage to its win, by kind of deal, counted in three ways.

The mean and the median know won deals only, so they are short while slow deals are still open; the Kaplan-Meier median
counts those too, at the age they have reached.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from api.figures import CycleTime
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

KINDS_DRAWN = 8
MARKS = (
    ("Mean", "avg_cycle_days", "circle", 10, -8, "var(--line-strong)"),
    ("Median", "median_cycle_days", "rect", 9, 0, "var(--accent)"),
    ("Kaplan-Meier median", "km_median_cycle_days", "diamond", 12, 8, "var(--warn-line)"),
)


def chart_cycles(times: Sequence[CycleTime], day: date) -> Chart:
    """Return a line of marks for all deals, and one for each of the kinds with most deals won."""
    overall = [row for row in times if row.asset_type is None and row.deal_type is None]
    kinds = [row for row in times if row.asset_type is not None and row.won_n]
    kinds.sort(key=lambda row: (-row.won_n, str(row.asset_type), str(row.deal_type)))
    drawn = [*overall, *kinds[:KINDS_DRAWN]]
    words = "; ".join(
        f"{name_kind(row)}: " + ", ".join(f"{name} {wording.days(getattr(row, key))}" for name, key, *_ in MARKS)
        for row in drawn
    )
    has_wins = any(row.won_n for row in overall)
    picture_notes: list[str] = []
    notes = ["Kaplan-Meier counts open deals too, at their age; it has no median until half of the deals are won."]
    if len(kinds) > KINDS_DRAWN:
        picture_notes.append(f"The picture shows the {KINDS_DRAWN} kinds with most deals won of {len(kinds):,}.")
    return Chart(
        key="cycles",
        title="Days to win",
        explanation=f"From the first stage to the win, over all deals up to {wording.day(day)}.",
        words=f"{words}.",
        options=_draw(drawn),
        columns=(
            Column("kind", "Deals", is_text=True),
            Column("won_n", "Won", "{:,}".format),
            Column("open_n", "Open", "{:,}".format),
            Column("avg_cycle_days", "Mean", wording.days),
            Column("median_cycle_days", "Median", wording.days),
            Column("km_median_cycle_days", "Kaplan-Meier median", wording.days),
        ),
        rows=[
            (
                name_kind(row),
                row.won_n,
                row.open_n,
                row.avg_cycle_days,
                row.median_cycle_days,
                row.km_median_cycle_days,
            )
            for row in [*overall, *kinds]
        ],
        empty="" if has_wins else f"No deal was won up to {wording.day(day)}: there is no cycle to measure.",
        height=80 + 36 * len(drawn),
        notes=notes,
        picture_notes=picture_notes,
    )


def name_kind(row: CycleTime) -> str:
    """Return which deals the row covers."""
    if row.asset_type is None:
        return "All deals"
    return f"{wording.say(row.asset_type)}, {wording.say(row.deal_type).lower()}"


def _draw(rows: Sequence[CycleTime]) -> dict[str, Any]:
    series: list[dict[str, Any]] = [
        {
            "name": name,
            "type": "scatter",
            "symbol": symbol,
            "symbolSize": size,
            # One above the other, for often they nearly agree.
            "symbolOffset": [0, offset],
            "itemStyle": {"color": color, "opacity": 1, "borderColor": "var(--surface)", "borderWidth": 1},
            "emphasis": {"disabled": True},
            "data": [[charts.plot(getattr(row, key)), place] for place, row in enumerate(rows)],
        }
        for name, key, symbol, size, offset, color in MARKS
    ]
    for one in series:
        one["data"] = [point for point in one["data"] if point[0] is not None]
    return charts.begin(tooltip="item") | {
        "legend": {**charts.legend(), "icon": None, "itemWidth": 11, "itemHeight": 11},
        "grid": {"left": 190, "right": 24, "top": 34, "bottom": 40},
        "xAxis": charts.value_axis(charts.WRITE_WHOLE, name="days", nameLocation="middle", nameGap=26, scale=True),
        "yAxis": charts.name_axis(
            [f"{name_kind(row)} (n {row.won_n:,})" for row in rows],
            axisLabel=charts.short_names(180),
            splitLine={"show": True, "lineStyle": {"color": charts.LINE}},
        ),
        "series": series,
    }
