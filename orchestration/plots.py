"""The small plot that the Dagster UI shows with each mart: a query and a drawing in SVG, no plotting library imported.

A refresh draws them all: a query here reads one mart and returns few rows. A new mart needs a line; a test asks for it.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import duckdb

MAX_BARS, MAX_POINTS = 12, 400
_WIDTH, _ROW, _LABELS, _VALUES = 420, 18, 130, 70
_TEXT, _INK, _GRID = "#64748b", "#3b82f6", "#94a3b8"  # legible on light and dark pages
_FONT = "font-family='system-ui,sans-serif' font-size='11'"


@dataclass(frozen=True)
class Plot:
    """A query of two columns, label and number, and how to draw them: `bars`, or a `line` over days."""

    title: str
    query: str
    form: Literal["bars", "line"] = "bars"


def _bars(title: str, mart: str, label: str, value: str, where: str = "true", order: str = "2 DESC, 1") -> Plot:
    query = f"SELECT {label}, {value} FROM {mart} WHERE {where} GROUP BY ALL ORDER BY {order} LIMIT {MAX_BARS}"  # noqa: S608 (our own words)
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
        "snapshot_date = as_of_date",
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
    drawing = base64.b64encode(draw(plot, points).encode()).decode()
    return f"![{plot.title}](data:image/svg+xml;base64,{drawing})"


def draw(plot: Plot, points: Sequence[tuple[str, float]]) -> str:
    """Return the plot of these points as an SVG document."""
    body, height = _draw_line(points) if plot.form == "line" else _draw_bars(points)
    size = f"width='{_WIDTH}' height='{height}' viewBox='0 0 {_WIDTH} {height}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{_words(0, 13, plot.title, 'bold')}{body}</svg>"


def _words(x: float, y: float, words: str, weight: str = "normal", anchor: str = "start") -> str:
    looks = f"{_FONT} font-weight='{weight}' fill='{_TEXT}' text-anchor='{anchor}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {looks}>{escape(words)}</text>"


def _draw_bars(points: Sequence[tuple[str, float]]) -> tuple[str, int]:
    most = max(abs(value) for _, value in points) or 1
    parts = []
    for row, (label, value) in enumerate(points):
        top = 24 + row * _ROW
        length = (_WIDTH - _LABELS - _VALUES) * abs(value) / most
        parts += [
            _words(_LABELS - 6, top + 11, _cut(label), anchor="end"),
            f"<rect x='{_LABELS}' y='{top}' width='{length:.1f}' height='{_ROW - 5}' rx='2' fill='{_INK}'/>",
            _words(_LABELS + length + 5, top + 11, shorten(value)),
        ]
    return "".join(parts), 28 + len(points) * _ROW


def _draw_line(points: Sequence[tuple[str, float]]) -> tuple[str, int]:
    top, bottom, left, right = 28, 112, 4, _WIDTH - _VALUES
    low, high = min(0.0, *(value for _, value in points)), max(value for _, value in points)
    scale = (bottom - top) / ((high - low) or 1)
    step = (right - left) / max(len(points) - 1, 1)
    heights = [bottom - (value - low) * scale for _, value in points]
    line = " ".join(f"{left + at * step:.1f},{height:.1f}" for at, height in enumerate(heights))
    parts = [
        f"<line x1='{left}' y1='{bottom}' x2='{right}' y2='{bottom}' stroke='{_GRID}' stroke-width='1'/>",
        f"<polyline points='{line}' fill='none' stroke='{_INK}' stroke-width='1.5'/>",
        _words(left, 128, points[0][0]),
        _words(right, 128, points[-1][0], anchor="end"),
        _words(right + 5, heights[-1] + 4, shorten(points[-1][1])),
    ]
    return "".join(parts), 134


def _cut(label: str) -> str:
    return label if len(label) <= 22 else label[:21] + "…"


def shorten(value: float) -> str:
    """Return a number in few signs: 1.2M, 34k, 0.63."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
