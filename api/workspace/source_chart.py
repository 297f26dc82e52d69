"""Lead sources: what each brought in confirmed commission, what it cost where a cost is known, and what was gained."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from api.figures import LeadSource
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column

SOURCES_DRAWN = 10
TOTALS = ("agent", "team")


def chart_sources(rows: Sequence[LeadSource], day: date, currency: str) -> Chart:
    """Return bars of commission and cost for each source, most commission first; its table begins with the total."""
    sources = [row for row in rows if row.scope not in TOTALS]
    sources.sort(key=lambda row: (-row.confirmed_commission_amount, -row.won_value, row.lead_source or ""))
    totals = [row for row in rows if row.scope in TOTALS]
    drawn = sources[:SOURCES_DRAWN]
    words = "; ".join(
        f"{name_source(row)}: commission {currency} {wording.short_amount(row.confirmed_commission_amount)},"
        f" {describe_return(row)}"
        for row in drawn
    )
    notes = []
    if not any(row.cost_amount is not None for row in sources):
        notes.append(
            "No cost is known, so no return can be told. Load costs on the server: dealbook reference agent_costs.csv."
        )
    if len(sources) > SOURCES_DRAWN:
        notes.append(f"The picture shows the first {SOURCES_DRAWN} of {len(sources):,} sources.")
    return Chart(
        key="sources",
        title="Lead sources",
        explanation=f"Confirmed commission and cost in {currency}, over all deals up to {wording.day(day)}.",
        words=f"{words}.",
        options=_draw(drawn, currency),
        columns=(
            Column("lead_source", "Source", is_text=True),
            Column("deals_closed_won", "Won", "{:,}".format),
            Column("won_value", f"Value won, {currency}", wording.amount),
            Column("confirmed_commission_amount", f"Commission, {currency}", wording.amount),
            Column("commission_yield", "Yield", wording.rate),
            Column("cost_amount", f"Cost, {currency}", wording.amount),
            Column("roi", "Return", wording.rate),
        ),
        rows=[
            (
                name_source(row),
                row.deals_closed_won,
                row.won_value,
                row.confirmed_commission_amount,
                row.commission_yield,
                row.cost_amount,
                row.roi,
            )
            for row in [*totals, *sources]
        ],
        empty="" if sources else "No deal has come from any source yet.",
        height=50 + 44 * max(len(drawn), 2),
        notes=notes,
    )


def name_source(row: LeadSource) -> str:
    """Return the source in words."""
    if row.scope in TOTALS:
        return "All sources"
    return wording.say(row.lead_source) if row.lead_source else "Not stated"


def describe_return(row: LeadSource) -> str:
    """Return the return on cost in words, or why there is none."""
    if row.roi is not None and row.roi >= 10:
        return f"return {row.roi:,.0f} times the cost"
    if row.roi is not None:
        return f"return {'+' if row.roi > 0 else ''}{wording.rate(row.roi)}".replace("-", "−")
    return "cost 0" if row.cost_amount is not None else "no cost known"


def _draw(rows: Sequence[LeadSource], currency: str) -> dict[str, Any]:
    def series(name: str, color: str, values: list[float | None], ends: list[str]) -> dict[str, Any]:
        marks = [
            {"value": value, "label": charts.label(position="right", formatter=end)}
            for value, end in zip(values, ends, strict=True)
        ]
        return charts.bars(name, color, marks, barMaxWidth=13, barGap="15%")

    earned = [charts.plot(row.confirmed_commission_amount) for row in rows]
    cost = [charts.plot(row.cost_amount) for row in rows]
    is_cost_known = any(value is not None for value in cost)
    return charts.begin() | {
        "legend": charts.legend(),
        "grid": {"left": 118, "right": 150, "top": 34, "bottom": 4},
        "xAxis": charts.value_axis(splitLine={"show": False}, axisLabel={"show": False}),
        "yAxis": charts.name_axis([name_source(row) for row in rows], axisLabel=charts.short_names(108)),
        "series": [
            series(
                f"Commission, {currency}",
                "var(--accent)",
                earned,
                [f"{wording.short_amount(row.confirmed_commission_amount)}   {describe_return(row)}" for row in rows],
            ),
            series(
                f"Cost, {currency}",
                "var(--line-strong)",
                cost,
                ["" if row.cost_amount is None else wording.short_amount(row.cost_amount) for row in rows],
            ),
        ][: 2 if is_cost_known else 1],
    }
