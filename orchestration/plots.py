"""The small plot that the Dagster UI shows with each mart: a query and a drawing in SVG, no plotting library imported.

A refresh draws them all: a query here reads one mart and returns few rows. A new mart needs a line; a test asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import quote

import duckdb

MAX_BARS, MAX_GROUPS, MAX_POINTS, MAX_POINTS_DRAWN = 8, 1_000, 400, 80
_WIDTH, _ROW, _WORDS, _VALUE = 420, 17, 190, 60
_TEXT, _INK, _GRID = "gray", "dodgerblue", "silver"  # legible on light and dark pages
SHOWN_AT_ONCE = 1_000  # characters: the Dagster UI folds longer markdown away behind a link
_UNQUOTED = " !'*,-./:;=?@_"


@dataclass(frozen=True)
class Plot:
    """A query of two columns, label and number, and how to draw them: `bars`, or a `line` over days."""

    title: str
    query: str
    form: Literal["bars", "line"] = "bars"


def _bars(title: str, mart: str, label: str, value: str, where: str = "true", order: str = "2 DESC, 1") -> Plot:
    query = f"SELECT {label}, {value} FROM {mart} WHERE {where} GROUP BY ALL ORDER BY {order} LIMIT {MAX_GROUPS}"  # noqa: S608 (our own words)
    return Plot(title, query)


def _line(title: str, mart: str, day: str, value: str) -> Plot:
    query = f"SELECT {day}, {value} FROM {mart} GROUP BY ALL ORDER BY 1 DESC LIMIT {MAX_POINTS}"  # noqa: S608 (our own words)
    return Plot(title, f"SELECT * FROM ({query}) ORDER BY 1", "line")  # noqa: S608 (our own words)


_IN_ORDER = "min(stage_order)"
PLOTS: dict[str, Plot] = {
    "agent_currency_snapshots": _bars(
        "Open value by currency, nothing converted",
        "agent_currency_snapshots",
        "currency",
        "sum(gross_pipeline_value)",
        "snapshot_date = (SELECT max(snapshot_date) FROM agent_currency_snapshots)",
    ),
    "agent_performance_snapshots": _line(
        "Won value so far, all agents", "agent_performance_snapshots", "snapshot_date", "sum(won_value)"
    ),
    "benchmark_comparison": _bars(
        "Agents against benchmarks: median ratio", "benchmark_comparison", "metric_key", "median(ratio)"
    ),
    "calibration_scores": _bars(
        "Share won by stated confidence",
        "calibration_scores",
        "confidence_bin",
        "any_value(won_share)",
        "scope = 'team' AND confidence_bin IS NOT NULL",
        "1",
    ),
    "close_date_slip": _bars("Deals by number of pushes", "close_date_slip", "pushes", "count(*)", order="1"),
    "commission_status_history": _bars(
        "Median days in a status", "commission_status_history", "status", "median(duration_days)", "NOT is_current"
    ),
    "commissions": _bars("Commissions by status", "commissions", "status", "count(*)"),
    "confidence_calibration": _bars(
        "Closed deals by stated confidence", "confidence_calibration", "confidence_bin", "count(*)", order="1"
    ),
    "cycle_times": _bars(
        "Median days to win",
        "cycle_times",
        "asset_type || ', ' || deal_type",
        "any_value(median_cycle_days)",
        "agent_id IS NULL AND asset_type IS NOT NULL",
        "2 DESC NULLS LAST, 1",
    ),
    "deal_revisions": _line(
        "Revisions by month", "deal_revisions", "date_trunc('month', valid_from_date)::DATE", "count(*)"
    ),
    "deals": _bars("Open deals by stage", "deals", "pipeline_stage", "count(*)", "status = 'open'"),
    "house_share": _bars("House share by currency", "house_share", "currency", "sum(house_share_amount)"),
    "lead_source_roi": _bars(
        "Confirmed commission by lead source",
        "lead_source_roi",
        "coalesce(lead_source, 'not stated')",
        "sum(confirmed_commission_amount)",
        "scope = 'source'",
    ),
    "payout_velocity": _bars(
        "Mean days of a step, all agents",
        "payout_velocity",
        "step",
        "any_value(avg_days)",
        "agent_id IS NULL",
        "min(step_order)",
    ),
    "performance_benchmarks": _bars("Published figures", "performance_benchmarks", "metric_key", "count(*)"),
    "pipeline_coverage": _bars(
        "Weighted pipeline / remaining target",
        "pipeline_coverage",
        "coalesce(agent_name, 'whole agency')",
        "any_value(pipeline_coverage)",
        order="2 DESC NULLS LAST, 1",
    ),
    "pipeline_stage_daily": _line(
        "Open value, all agents", "pipeline_stage_daily", "snapshot_date", "sum(gross_pipeline_value)"
    ),
    "recalibrated_pipeline": _bars(
        "Recalibrated pipeline",
        "recalibrated_pipeline",
        "coalesce(agent_name, 'whole agency')",
        "any_value(recalibrated_pipeline_value)",
        order="2 DESC NULLS LAST, 1",
    ),
    "stage_conversion": _bars(
        "Share that goes on",
        "stage_conversion",
        "stage",
        "sum(reached_n) / sum(entered_n)",
        order=_IN_ORDER,
    ),
    "stage_visits": _bars(
        "Median days of a stay", "stage_visits", "stage", "median(duration_seconds) / 86400", "NOT is_current"
    ),
}


def plot_mart(warehouse: duckdb.DuckDBPyConnection, mart: str) -> str | None:
    """Return the mart's plot as markdown with the picture in it; None where there is no plot or nothing to draw."""
    plot = PLOTS.get(mart)
    if plot is None:
        return None
    try:
        warehouse.execute("USE marts")
        rows = warehouse.execute(plot.query).fetchall()
    except duckdb.BinderException:  # a column was renamed: a refresh does not fail for want of a picture
        return None
    finally:
        warehouse.execute("USE main")
    points = [(str(label), float(value)) for label, value in rows if label is not None and value is not None]
    if not points:
        return None
    return draw_in_markdown(plot, points)


def draw_in_markdown(plot: Plot, points: Sequence[tuple[str, float]]) -> str:
    """Return the plot as markdown; of bars those that fit, the rest is counted below them."""
    shown = min(len(points), MAX_BARS if plot.form == "bars" else MAX_POINTS_DRAWN)
    while True:
        markdown = f"![{plot.title}](<data:image/svg+xml,{quote(draw(plot, points, shown), safe=_UNQUOTED)}>)"
        if len(markdown) < SHOWN_AT_ONCE or shown == 1:
            return markdown
        shown -= 1


def draw(plot: Plot, points: Sequence[tuple[str, float]], shown: int) -> str:
    """Return the plot as an SVG document; `shown` bars of it, or a line through that many of its points."""
    body, height = _draw_line(points, shown) if plot.form == "line" else _draw_bars(points, shown)
    looks = f"font-family='sans-serif' font-size='11' fill='{_TEXT}'"
    size = f"width='{_WIDTH}' height='{height}'"
    title = f"<text y='12' font-weight='bold'>{escape(plot.title)}</text>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {looks}>{title}{body}</svg>"


def _draw_bars(points: Sequence[tuple[str, float]], shown: int) -> tuple[str, int]:
    """Return a line of words for each bar and all bars as one path: every sign counts here."""
    most = max(abs(value) for _, value in points[:shown]) or 1
    bars, words = "", [f"{_cut(label)} {shorten(value)}" for label, value in points[:shown]]
    for row, (_, value) in enumerate(points[:shown]):
        length = round((_WIDTH - _WORDS) * abs(value) / most)
        bars += f"M{_WORDS} {20 + row * _ROW}h{length}v12h-{length}z"
    if len(points) > shown:
        words.append(f"and {len(points) - shown} more")
    lines = "".join(f"<tspan x='{_WORDS - 6}' dy='{_ROW}'>{escape(line, quote=False)}</tspan>" for line in words)
    return f"<path d='{bars}' fill='{_INK}'/><text y='13' text-anchor='end'>{lines}</text>", 24 + len(words) * _ROW


def _draw_line(points: Sequence[tuple[str, float]], shown: int) -> tuple[str, int]:
    """Return a line through evenly chosen points, the first and the last among them, in steps of one unit."""
    top, bottom, right = 24, 100, _WIDTH - _VALUE
    last = len(points) - 1
    chosen = [points[round(place * last / max(shown - 1, 1))] for place in range(shown - 1)] + [points[last]]
    low, high = min(0.0, *(value for _, value in chosen)), max(value for _, value in chosen)
    scale = (bottom - top) / ((high - low) or 1)
    heights = [round(bottom - (value - low) * scale) for _, value in chosen]
    line = " ".join(f"{round(place * right / max(shown - 1, 1))} {height}" for place, height in enumerate(heights))
    parts = [
        f"<path d='M0 {bottom}H{right}' stroke='{_GRID}'/><path d='M{line}' fill='none' stroke='{_INK}'/>",
        f"<text y='114'>{escape(chosen[0][0])}</text>",
        f"<text x='{right}' y='114' text-anchor='end'>{escape(chosen[-1][0])}</text>",
        f"<text x='{right + 4}' y='{heights[-1] + 4}'>{shorten(chosen[-1][1])}</text>",
    ]
    return "".join(parts), 118


def _cut(label: str) -> str:
    return label if len(label) <= 22 else label[:21] + "…"


def shorten(value: float) -> str:
    """Return a number in few signs: 1.2M, 34k, 0.63."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
