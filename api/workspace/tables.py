"""The tables of the performance page: amounts per currency, and agent against benchmark."""

from collections.abc import Sequence
from decimal import Decimal

from nicegui import ui

from api.figures import Comparison, Summary
from api.workspace import wording
from api.workspace.benchmark_chart import describe_source, is_days, name_metric
from api.workspace.elements import box, cell, panel, segments, text


def show_currencies(summary: Summary) -> None:
    """Draw the amounts in each currency, as they were written: currencies are never added."""
    with panel(
        "By currency",
        f"To date, as written; never added together. {wording.day(summary.window.last)}.",
        "panel-wide",
    ):
        if not summary.by_currency:
            text("p", "No deal carries an amount yet.", "muted")
            return
        with _scrolling("Amounts by currency"), box("table", "table", id="currencies"):
            _heads("Currency", "Open", "Gross", "Weighted", "Won", "Value won", "Confirmed", "In dispute")
            with box("tbody"):
                for row in summary.by_currency:
                    with box("tr", data_currency=row.currency):
                        text("th", row.currency, scope="row")
                        cell(f"{row.deals_open:,}")
                        _money_cells(row.currency, row.gross_pipeline_value, row.weighted_pipeline_value)
                        cell(f"{row.deals_closed_won:,}")
                        _money_cells(row.currency, row.won_value)
                        _money_cells(row.currency, row.confirmed_commission_amount, row.disputed_commission_amount)


def draw_comparison(rows: Sequence[Comparison]) -> None:
    """Draw the agent's figures beside their benchmarks, with source and the number of deals behind the agent's.

    First those over all the agent's deals; those by asset and deal type, of which there are many, on request.
    """
    overall = [row for row in rows if row.asset_type is None and row.deal_type is None]
    if overall and len(overall) < len(rows):
        choices = {"overall": "Overall", "all": f"By type too ({len(rows):,})"}
        segments("Benchmarks shown", choices, "overall", lambda choice: draw(overall if choice == "overall" else rows))
    place = box("div", "table-scroll table-tall", tabindex="0", role="region", aria_label="Benchmarks")

    def draw(shown: Sequence[Comparison]) -> None:
        place.clear()
        with place, box("table", "table", id="benchmarks"):
            _heads("Figure", "Agent", "Benchmark", "Difference", "Deals", "Source")
            with box("tbody"):
                for row in shown:
                    _draw_row(row)

    draw(overall or rows)


def _draw_row(row: Comparison) -> None:
    scope = [wording.say(row.cohort), *(wording.say(word).lower() for word in (row.asset_type, row.deal_type) if word)]
    with box("tr", data_metric=row.metric_key):
        with box("th", scope="row"):
            text("div", name_metric(row))
            text("div", ", ".join(scope), "headline-note")
        cell(_write_metric(row, row.agent_value))
        cell(_write_metric(row, row.benchmark_value))
        cell(_write_difference(row))
        cell(f"{row.n:,}")
        cell(describe_source(row), is_text=True)


def _write_metric(row: Comparison, value: float | None) -> str:
    return wording.days(value) if is_days(row) else wording.rate(value)


def _write_difference(row: Comparison) -> str:
    if row.delta is None:
        return wording.NOTHING
    sign = "−" if row.delta < 0 else "+"
    if is_days(row):
        return f"{sign}{wording.days(abs(row.delta))}"
    return f"{sign}{abs(row.delta) * 100:.1f} points"


def _heads(first: str, *others: str) -> None:
    with box("thead"), box("tr"):
        text("th", first, "text", scope="col")
        for title in others:
            text("th", title, "text" if title == "Source" else "", scope="col")


def _scrolling(label: str) -> ui.element:
    return box("div", "table-scroll", tabindex="0", role="region", aria_label=label)


def _money_cells(currency: str, *values: Decimal) -> None:
    for value in values:
        cell(wording.amount(value), title=wording.exact_amount(value, currency))
