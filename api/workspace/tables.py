"""The tables of the performance page: amounts per currency, agent against benchmark, and the team."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from nicegui import ui

from api.figures import Comparison, Snapshot, Summary
from api.workspace import wording
from api.workspace.elements import box, cell, panel, segments, text

# Benchmarks name one figure in several ways; the marts have already brought rates to shares of one.
METRICS = {
    **dict.fromkeys(("conversion_rate", "conversion_rate_pct", "win_rate", "win_rate_pct"), "Win rate"),
    "conversion_rate_value": "Win rate by value",
    **dict.fromkeys(("avg_cycle_days", "sales_cycle_days"), "Days to win"),
    "median_cycle_days": "Median days to win",
}


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One agent in the window: what was closed in it and what stands at its end."""

    agent_id: str
    name: str
    won: int
    closed: int
    won_value: Decimal
    confirmed: Decimal
    open_deals: int
    weighted: Decimal

    @property
    def win_rate(self) -> float | None:
        """Won of closed; None when nothing was closed."""
        return self.won / self.closed if self.closed else None


def has_worked(row: Snapshot) -> bool:
    """Whether the person ever had a deal or a confirmed commission up to that day."""
    deals = row.deals_open + row.deals_closed_won + row.deals_closed_lost + row.deals_cancelled
    return bool(deals or row.confirmed_commission_amount)


def compare_team(end: Sequence[Snapshot], start: Sequence[Snapshot]) -> list[TeamRow]:
    """Return what each agent did between two days: cumulative figures at `end` less those at `start`.

    People who never had a deal are left out: managers and newcomers have figures too, all of them zero.
    """
    before = {row.agent_id: row for row in start}
    rows = []
    for now in end:
        if not has_worked(now):
            continue
        then = before.get(now.agent_id)
        rows.append(
            TeamRow(
                agent_id=now.agent_id,
                name=now.agent_name,
                won=now.conversion_numerator - (then.conversion_numerator if then else 0),
                closed=now.conversion_denominator - (then.conversion_denominator if then else 0),
                won_value=now.won_value - (then.won_value if then else 0),
                confirmed=now.confirmed_commission_amount - (then.confirmed_commission_amount if then else 0),
                open_deals=now.deals_open,
                weighted=now.weighted_pipeline_value,
            )
        )
    return rows


SORTS: dict[str, tuple[str, Callable[[TeamRow], tuple[object, ...]]]] = {
    "won": ("Won", lambda row: (-row.won, -row.won_value)),
    "rate": ("Win rate", lambda row: (-(row.win_rate or 0), -row.closed)),
    "won_value": ("Value won", lambda row: (-row.won_value,)),
    "confirmed": ("Confirmed commission", lambda row: (-row.confirmed,)),
    "open": ("Open", lambda row: (-row.open_deals,)),
    "weighted": ("Weighted pipeline", lambda row: (-row.weighted,)),
}


def show_team(
    end: Sequence[Snapshot], start: Sequence[Snapshot], summary: Summary, address_of: Callable[[str], str]
) -> None:
    """Draw the team's table, best first by the column chosen; names lead to that agent's page."""
    rows = compare_team(end, start)
    currency = summary.as_of.reporting_currency
    words = "In the same window; open deals and pipeline at its end. Money in " + currency + "."
    with panel("Team", words, "panel-wide"):
        place = box("div", "table-scroll table-tall", tabindex="0", role="region", aria_label="Team table")

    def draw(sort: str) -> None:
        place.clear()
        with place, box("table", "table", id="team"):
            with box("thead"), box("tr"):
                text("th", "Agent", "text", scope="col")
                for key, (title, _) in SORTS.items():
                    with box("th", scope="col", aria_sort="descending" if key == sort else "none"):
                        button = text("button", f"{title} ▾" if key == sort else title, type="button")
                        button.on("click", lambda key=key: draw(key))
            with box("tbody"):
                for row in sorted(rows, key=lambda row: (*SORTS[sort][1](row), row.name)):
                    _draw_agent(row, currency, is_current=row.agent_id == summary.agent.agent_id, link=address_of)

    draw("won")


def _draw_agent(row: TeamRow, currency: str, *, is_current: bool, link: Callable[[str], str]) -> None:
    with box("tr", data_agent=row.agent_id) as line:
        if is_current:
            line.props["aria-current"] = "true"
        with box("th", scope="row"):
            text("a", row.name, href=link(row.agent_id))
        cell(f"{row.won:,}")
        cell(f"{wording.rate(row.win_rate)} of {row.closed:,}")
        for value in (row.won_value, row.confirmed):
            cell(wording.amount(value), title=wording.exact_amount(value, currency))
        cell(f"{row.open_deals:,}")
        cell(wording.amount(row.weighted), title=wording.exact_amount(row.weighted, currency))


def show_currencies(summary: Summary) -> None:
    """Draw the agent's amounts in each currency, as they were written: currencies are never added."""
    with panel("By currency", f"To date, as written; never added together. {wording.day(summary.window.last)}."):
        if not summary.by_currency:
            text("p", "No deal of this agent carries an amount yet.", "muted")
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


def show_comparison(rows: Sequence[Comparison], summary: Summary) -> None:
    """Draw the agent's figures beside their benchmarks, with source and the number of deals behind the agent's.

    First those over all the agent's deals; those by asset and deal type, of which there are many, on request.
    """
    day = wording.day(summary.publication.as_of_date)
    overall = [row for row in rows if row.asset_type is None and row.deal_type is None]
    with panel(
        "Against benchmarks", f"Over all deals closed up to {day}, beside the reference figure in force."
    ) as head:
        if not rows:
            text("p", "No benchmark applies yet. Load reference figures with:", "muted")
            text("code", "dealbook reference FILE && dealbook refresh", "command")
            return
        place = box("div", "table-scroll table-tall", tabindex="0", role="region", aria_label="Benchmarks")

    def draw(shown: Sequence[Comparison]) -> None:
        place.clear()
        with place, box("table", "table", id="benchmarks"):
            _heads("Figure", "Agent", "Benchmark", "Difference", "Deals", "Source")
            with box("tbody"):
                for row in shown:
                    _draw_comparison(row)

    draw(overall or rows)
    if overall and len(overall) < len(rows):
        with head:
            choices = {"overall": "Overall", "all": f"By type too ({len(rows):,})"}
            segments(
                "Benchmarks shown", choices, "overall", lambda choice: draw(overall if choice == "overall" else rows)
            )


def _draw_comparison(row: Comparison) -> None:
    scope = [wording.say(row.cohort), *(wording.say(word).lower() for word in (row.asset_type, row.deal_type) if word)]
    since = f", {wording.day(row.effective_date)}" if row.effective_date else ""
    with box("tr", data_metric=row.metric_key):
        with box("th", scope="row"):
            text("div", METRICS.get(row.metric_key) or wording.say(row.metric_key))
            text("div", ", ".join(scope), "headline-note")
        cell(_write_metric(row, row.agent_value))
        cell(_write_metric(row, row.benchmark_value))
        cell(_write_difference(row))
        cell(f"{row.n:,}")
        cell(f"{row.source or wording.NOTHING}{since}", is_text=True)


def _write_metric(row: Comparison, value: float | None) -> str:
    return wording.days(value) if row.metric_key.endswith("_days") else wording.rate(value)


def _write_difference(row: Comparison) -> str:
    if row.delta is None:
        return wording.NOTHING
    sign = "−" if row.delta < 0 else "+"
    if row.metric_key.endswith("_days"):
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
