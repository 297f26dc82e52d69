"""Charts of the stages: the open value that stands in each, and how many deals go on from one to the next."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from api.figures import StageFigures
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column
from ledger.vocabulary import PipelineStage


def chart_open_value(stages: Sequence[StageFigures], day: date, currency: str) -> Chart:
    """Return the donut of open value by stage on a day."""
    by_stage = {row.stage: row for row in stages}
    found = [by_stage[stage] for stage in PipelineStage if stage.is_open and stage in by_stage]
    total = sum((row.gross_pipeline_value for row in found), Decimal(0))
    deals = sum(row.deals_open for row in found)
    left_out = sum(row.unconverted_count for row in found)
    rows = [
        (
            wording.say(row.stage),
            row.deals_open,
            row.gross_pipeline_value,
            float(row.gross_pipeline_value / total) if total else None,
            row.weighted_pipeline_value,
        )
        for row in found
    ]
    shares = "; ".join(f"{row[0]} {currency} {wording.short_amount(row[2])}, {wording.rate(row[3])}" for row in rows)
    empty = ""
    if not deals:
        empty = f"No deal stood open on {wording.day(day)}."
    elif not total:
        empty = f"None of the {wording.count(deals, 'open deal')} of {wording.day(day)} carries a value in {currency}."
    notes = [f"Without {wording.count(left_out, 'deal')} that no exchange rate converts."] if left_out else []
    return Chart(
        key="open-value",
        title="Open value by stage",
        explanation=f"Gross value of {wording.count(deals, 'open deal')} on {wording.day(day)}, in {currency}.",
        words=f"{currency} {wording.amount(total)} in all: {shares}.",
        options=_draw_donut(found, rows, total, currency),
        columns=(
            Column("stage", "Stage", is_text=True),
            Column("deals_open", "Open", "{:,}".format),
            Column("gross_pipeline_value", f"Gross, {currency}", wording.amount),
            Column("share", "Share", wording.rate),
            Column("weighted_pipeline_value", f"Weighted, {currency}", wording.amount),
        ),
        rows=rows,
        height=350,
        empty=empty,
        notes=notes,
    )


def stage_color(stage: str) -> str:
    """Return the colour of an open stage."""
    return f"var(--stage-{PipelineStage(stage).order})"


def _draw_donut(
    found: Sequence[StageFigures], rows: Sequence[tuple[Any, ...]], total: Decimal, currency: str
) -> dict[str, Any]:
    # Whoever cannot tell the colours apart, or has no pointer, reads stage, value and share in the legend.
    names = [f"{row[0]}  {wording.short_amount(row[2])}  {wording.rate(row[3])}" for row in rows]
    donut = {
        "type": "pie",
        "radius": ["50%", "78%"],
        "center": ["28%", "50%"],
        "startAngle": 90,
        "label": {"show": False},
        "labelLine": {"show": False},
        "emphasis": {"disabled": True},
        "itemStyle": {"borderColor": "var(--surface)", "borderWidth": 2},
        "data": [
            {
                "name": name,
                "value": charts.plot(row.gross_pipeline_value),
                "itemStyle": {"color": stage_color(row.stage)},
            }
            for name, row in zip(names, found, strict=True)
        ],
        "tooltip": {":valueFormatter": "value => Math.round(value).toLocaleString('en-US')"},
    }
    side = charts.legend(orient="vertical", left="58%", top="middle", itemGap=11, selectedMode=False)
    middle = {
        "text": f"{currency} {wording.short_amount(total)}",
        "left": "28%",
        "top": "middle",
        "textAlign": "center",
        "padding": 0,
        "textStyle": {"color": "var(--ink)", "fontSize": 17, "fontWeight": 650},
    }
    narrow = {
        "series": [{"center": ["50%", 84], "radius": [48, 80]}],
        "legend": {"left": "center", "top": 182, "itemGap": 6},
        "title": {"left": "50%", "top": 75, "textStyle": {"fontSize": 13}},
    }
    return charts.begin(tooltip="item") | {
        "title": middle,
        "legend": side,
        "series": [donut],
        "media": [
            {"option": {"series": [{k: donut[k] for k in ("center", "radius")}], "legend": side, "title": middle}},
            {"query": {"maxWidth": 460}, "option": narrow},
        ],
    }
