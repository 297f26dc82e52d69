"""The funnel: of the deals that entered a stage, how many went on, how many may yet, and how many dropped off."""

from collections.abc import Sequence
from typing import Any

from api.figures import FunnelStep, Window
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

PARTS = (("Went on", "var(--accent)"), ("Still in it", "var(--accent-mid)"), ("Dropped off", "var(--line-strong)"))


def chart_funnel(steps: Sequence[FunnelStep], window: Window) -> Chart:
    """Return the bars of all open stages in their order, of the deals that entered them in the window's months."""
    last = f"{window.last:%b %Y}"
    first = f"{window.first:%b %Y}" if window.first else None
    months = f"up to {last}" if first is None else f"in {last}" if first == last else f"from {first} to {last}"
    rows = [
        (
            wording.say(step.stage),
            step.entered_n,
            step.reached_n,
            step.conversion_rate,
            step.pending_n,
            _count_dropped(step),
            _count_dropped(step) / step.entered_n if step.entered_n else None,
        )
        for step in steps
    ]
    window_days = next((step.window_days for step in steps if step.window_days), None)
    words = "; ".join(f"{row[0]}: {row[2]} of {row[1]} went on, {row[5]} dropped off" for row in rows)
    return Chart(
        key="funnel",
        title="Funnel",
        explanation=(
            f"Deals that first entered a stage {months}, and what became of them within {window_days or 180} days."
        ),
        words=f"{words}.",
        options=_draw(rows),
        columns=(
            Column("stage", "Stage", is_text=True),
            Column("entered_n", "Entered", "{:,}".format),
            Column("reached_n", "Went on", "{:,}".format),
            Column("conversion_rate", "Rate", wording.rate),
            Column("pending_n", "Still in it", "{:,}".format),
            Column("dropped_n", "Dropped off", "{:,}".format),
            Column("drop_off_rate", "Drop-off", wording.rate),
        ),
        rows=rows,
        empty="" if any(row[1] for row in rows) else f"No deal entered a stage {months}.",
        height=350,
        notes=[
            "At the end of each bar: deals that entered, and the share that dropped off. A skipped stage counts as"
            " reached; a deal that came back counts once."
        ],
    )


def _count_dropped(step: FunnelStep) -> int:
    return step.entered_n - step.reached_n - step.pending_n


def _draw(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    # The drop-off stands at the end of each bar in figures, so that no length has to be guessed.
    ends = [f"{row[1]:,}   {'−' + wording.rate(row[6]) if row[6] else wording.rate(row[6])}" for row in rows]
    figures = [(row[2], row[4], row[5]) for row in rows]
    series = [
        charts.bars(
            name,
            color,
            [
                {
                    "value": parts[place],
                    **({"label": charts.label(position="right", formatter=end)} if place == len(PARTS) - 1 else {}),
                }
                for parts, end in zip(figures, ends, strict=True)
            ],
            stack="entered",
            barMaxWidth=22,
        )
        for place, (name, color) in enumerate(PARTS)
    ]
    return charts.begin() | {
        "legend": charts.legend(),
        "grid": {"left": 118, "right": 104, "top": 36, "bottom": 4},
        "xAxis": charts.value_axis(splitLine={"show": False}, axisLabel={"show": False}),
        "yAxis": charts.name_axis([row[0] for row in rows]),
        "series": series,
    }
