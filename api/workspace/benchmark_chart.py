"""An agent's figures as bars beside their benchmarks, with source and the number of deals behind them."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from api.figures import Comparison
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

HEAD_HEIGHT, ROW_HEIGHT = 40, 22
# Benchmarks name one figure in several ways; the marts have already brought rates to shares of one.
METRICS = {
    **dict.fromkeys(("conversion_rate", "conversion_rate_pct", "win_rate", "win_rate_pct"), "Win rate"),
    "conversion_rate_value": "Win rate by value",
    **dict.fromkeys(("avg_cycle_days", "sales_cycle_days"), "Days to win"),
    "median_cycle_days": "Median days to win",
}


def chart_comparison(rows: Sequence[Comparison], who: str, day: date) -> Chart:
    """Return the bars over all the agent's deals; figures by asset and deal type are in its table and CSV."""
    overall = [row for row in rows if row.asset_type is None and row.deal_type is None]
    overall = [row for row in overall if row.benchmark_value is not None]
    words = "; ".join(
        f"{name_metric(row)}: {_write(row, row.agent_value)} against {_write(row, row.benchmark_value)}"
        f" ({wording.say(row.cohort)}, n {row.n:,})"
        for row in overall
    )
    empty = ""
    if not rows:
        empty = (
            "No benchmark applies yet. Load reference figures on the server:"
            " dealbook reference FILE && dealbook refresh."
        )
    elif not overall:
        empty = "Benchmarks exist for single asset and deal types only; none covers all deals."
    return Chart(
        key="benchmarks",
        title="Against benchmarks",
        explanation=f"Over all deals closed up to {wording.day(day)}, beside the reference figure in force.",
        words=f"{who} beside benchmarks. {words}.",
        options=_draw(overall, who),
        columns=(
            Column("metric", "Figure", is_text=True),
            Column("agent_value", who),
            Column("benchmark_value", "Benchmark"),
            Column("delta", "Difference"),
            Column("n", "Deals"),
            Column("source", "Source", is_text=True),
        ),
        rows=[
            (describe_scope(row), row.agent_value, row.benchmark_value, row.delta, row.n, describe_source(row))
            for row in rows
        ],
        empty=empty,
        height=_measure_height(overall),
    )


def name_metric(row: Comparison) -> str:
    """Return the figure's name in words."""
    return METRICS.get(row.metric_key) or wording.say(row.metric_key)


def describe_scope(row: Comparison) -> str:
    """Return the figure with the deals and the peers that it covers."""
    kinds = [wording.say(word).lower() for word in (row.asset_type, row.deal_type) if word]
    return ", ".join([name_metric(row), wording.say(row.cohort).lower(), *kinds])


def describe_source(row: Comparison) -> str:
    """Return where the benchmark comes from and since when it holds."""
    since = f", {wording.day(row.effective_date)}" if row.effective_date else ""
    return f"{row.source or wording.NOTHING}{since}"


def is_days(row: Comparison) -> bool:
    """Whether the figure is a number of days; else it is a share of one."""
    return row.metric_key.endswith("_days")


def _write(row: Comparison, value: float | None) -> str:
    return f"{wording.days(value)} days" if is_days(row) else wording.rate(value)


def _draw(rows: Sequence[Comparison], who: str) -> dict[str, Any]:
    options = charts.begin(tooltip="item") | {"title": [], "grid": [], "xAxis": [], "yAxis": [], "series": []}
    top = 2
    for place, group in enumerate(_group(rows)):
        own, unit = group[0], "days" if is_days(group[0]) else "%"
        take = charts.plot if unit == "days" else charts.percent
        names = [f"{who} (n {own.n:,})"] + [f"{wording.say(row.cohort)}, {row.source or 'no source'}" for row in group]
        values = [own.agent_value] + [row.benchmark_value for row in group]
        marks = [
            {
                "value": take(value),
                "itemStyle": {"color": "var(--line-strong)" if index else "var(--accent)"},
                "label": charts.label(
                    position="right", formatter=wording.NOTHING if value is None else f"{take(value):,.1f} {unit}"
                ),
            }
            for index, value in enumerate(values)
        ]
        options["title"].append(
            {"text": name_metric(own), "top": top, "left": 0, "padding": [2, 0], "textStyle": charts.heading()}
        )
        options["grid"].append({"left": 186, "right": 70, "top": top + 20, "height": ROW_HEIGHT * len(values)})
        options["yAxis"].append(charts.name_axis(names, gridIndex=place, axisLabel=charts.short_names(176)))
        options["xAxis"].append(
            charts.value_axis(gridIndex=place, splitLine={"show": False}, axisLabel={"show": False}, min=0)
        )
        options["series"].append(
            charts.bars(name_metric(own), "", marks, barMaxWidth=12, xAxisIndex=place, yAxisIndex=place)
        )
        top += HEAD_HEIGHT + ROW_HEIGHT * len(values)
    return options


def _group(rows: Sequence[Comparison]) -> list[list[Comparison]]:
    """Return the rows of each figure together."""
    groups: dict[str, list[Comparison]] = {}
    for row in rows:
        groups.setdefault(row.metric_key, []).append(row)
    return list(groups.values())


def _measure_height(rows: Sequence[Comparison]) -> int:
    groups = _group(rows)
    return HEAD_HEIGHT * len(groups) + ROW_HEIGHT * (len(groups) + len(rows))
