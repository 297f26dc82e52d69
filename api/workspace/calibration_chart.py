"""Calibration: whether deals were won as often as their confidence said, 30 days before they closed."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from api.figures import CalibrationScore
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

# The marts hide what stands on fewer deals; the page says so.
FEWEST = 20
BIN_WIDTH = 0.2


def chart_calibration(scores: Sequence[CalibrationScore], day: date) -> Chart:
    """Return the reliability plot of one agent or of the team: a point for each bin of confidence with enough deals."""
    total = next((row for row in scores if row.confidence_bin is None), None)
    bins = [row for row in scores if row.confidence_bin is not None]
    shown = [row for row in bins if row.won_share is not None and row.mean_confidence is not None]
    hidden = len(bins) - len(shown)
    deals = total.n if total else 0
    words = "; ".join(
        f"of {row.n:,} deals with a confidence of {wording.rate(row.mean_confidence)}, {wording.rate(row.won_share)}"
        " were won"
        for row in shown
    )
    notes = []
    if hidden and shown:
        notes.append(f"{wording.count(hidden, 'bin')} not drawn: fewer than {FEWEST} deals stand behind each.")
    if total and total.brier_score is not None:
        notes.append(
            f"Brier score {total.brier_score:.3f} over {wording.count(deals, 'deal')}: 0 is clairvoyant, 0.25 is what"
            " always saying one half gets."
        )
    empty = ""
    if not deals:
        empty = "No closed deal carried a stated confidence 30 days before its close."
    elif not shown:
        empty = (
            f"Hidden: {wording.count(deals, 'deal')} with a stated confidence closed so far, and no bin has {FEWEST}."
            " Under that, chance decides."
        )
    return Chart(
        key="calibration",
        title="Calibration of confidence",
        explanation=f"Confidence 30 days before the close against deals won, up to {wording.day(day)}.",
        words=f"{words}.",
        options=_draw(shown),
        columns=(
            Column("confidence", "Confidence", is_text=True),
            Column("n", "Deals", "{:,}".format),
            Column("mean_confidence", "Mean confidence", wording.rate),
            Column("won_n", "Won", "{:,}".format),
            Column("won_share", "Won, share", wording.rate),
            Column("brier_score", "Brier score", "{:.3f}".format),
        ),
        rows=[
            (_name_bin(row), row.n, row.mean_confidence, row.won_n, row.won_share, row.brier_score)
            for row in ([total] if total else []) + bins
        ],
        empty=empty,
        height=330,
        notes=notes,
    )


def _name_bin(row: CalibrationScore) -> str:
    if row.confidence_bin is None:
        return "All"
    low = float(row.confidence_bin)
    return f"{low * 100:.0f} to {(low + BIN_WIDTH) * 100:.0f} %"


def _away_from_diagonal(row: CalibrationScore) -> str:
    return "top" if (row.won_share or 0) >= (row.mean_confidence or 0) else "bottom"


def _draw(rows: Sequence[CalibrationScore]) -> dict[str, Any]:
    perfect = {
        "name": "Perfectly calibrated",
        "type": "line",
        "symbol": "none",
        "silent": True,
        "lineStyle": {"color": "var(--line-strong)", "type": [5, 4], "width": 1.4},
        "itemStyle": {"color": "var(--line-strong)"},
        "data": [[0, 0], [100, 100]],
    }
    points = {
        "name": "Deals",
        "type": "line",
        "symbol": "circle",
        "symbolSize": 10,
        "lineStyle": {"color": "var(--accent)", "width": 1.8},
        "itemStyle": {"color": "var(--accent)", "opacity": 1},
        "emphasis": {"disabled": True},
        "data": [
            {
                "value": [charts.percent(row.mean_confidence), charts.percent(row.won_share)],
                "label": charts.label(position=_away_from_diagonal(row), distance=7, formatter=f"n {row.n:,}"),
            }
            for row in rows
        ],
    }

    def axis(name: str, **more: Any) -> dict[str, Any]:
        return charts.value_axis(
            charts.WRITE_PERCENT, name=name, nameLocation="middle", min=0, max=100, interval=20, **more
        )

    return charts.begin(tooltip="item") | {
        "legend": {**charts.legend(data=["Deals", "Perfectly calibrated"]), "icon": None, "itemWidth": 24},
        "grid": {"left": 64, "right": 20, "top": 36, "bottom": 46},
        "xAxis": axis("Confidence stated", nameGap=28),
        "yAxis": axis("Won", nameGap=44),
        "series": [perfect, points],
    }
