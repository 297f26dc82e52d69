"""The leaderboard: what each agent did in the window and what stands at its end, best first by the figure chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api.figures import Snapshot
from api.workspace import charts, wording
from api.workspace.chart_panel import Chart, Column
from api.workspace.elements import box, cell, text

LONGEST = 15


@dataclass(frozen=True, slots=True)
class TeamRow:
    """One agent in the window: what was closed in it and what stands at its end.

    `left_out` deals closed in it have a value that no exchange rate converts: it is not in `won_value`.
    """

    agent_id: str
    name: str
    won: int
    closed: int
    won_value: Decimal
    left_out: int
    confirmed: Decimal
    open_deals: int
    weighted: Decimal

    @property
    def win_rate(self) -> float | None:
        """Won of closed; None when nothing was closed."""
        return self.won / self.closed if self.closed else None


SORTS: dict[str, tuple[str, Callable[[TeamRow], tuple[Any, ...]]]] = {
    "won": ("Won", lambda row: (-row.won, -row.won_value)),
    "rate": ("Win rate", lambda row: (-(row.win_rate or 0), -row.closed)),
    "won_value": ("Value won", lambda row: (-row.won_value,)),
    "confirmed": ("Confirmed commission", lambda row: (-row.confirmed,)),
    "open": ("Open", lambda row: (-row.open_deals,)),
    "weighted": ("Weighted pipeline", lambda row: (-row.weighted,)),
}


def has_worked(row: Snapshot) -> bool:
    """Whether the person ever had a deal or a confirmed commission up to that day."""
    deals = row.deals_open + row.deals_closed_won + row.deals_closed_lost + row.deals_cancelled
    return bool(deals or row.confirmed_commission_amount)


def compare_team(end: Sequence[Snapshot], start: Sequence[Snapshot]) -> list[TeamRow]:
    """Return what each agent did between two days: cumulative figures at `end` less those at `start`, most won first.

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
                left_out=now.closed_unconverted_count - (then.closed_unconverted_count if then else 0),
                confirmed=now.confirmed_commission_amount - (then.confirmed_commission_amount if then else 0),
                open_deals=now.deals_open,
                weighted=now.weighted_pipeline_value,
            )
        )
    return sort_team(rows, "won")


def sort_team(rows: Sequence[TeamRow], key: str) -> list[TeamRow]:
    """Return the rows best first by one of `SORTS`; equal ones by name."""
    return sorted(rows, key=lambda row: (*SORTS[key][1](row), row.name))


def chart_leaders(rows: Sequence[TeamRow], currency: str) -> Chart:
    """Return the leaderboard as bars of value won; its table holds all figures and can be sorted."""
    leaders = sort_team(rows, "won_value")[:LONGEST]
    words = "; ".join(f"{row.name} {currency} {wording.short_amount(row.won_value)}" for row in leaders)
    options = charts.begin() | {
        "grid": {"left": 170, "right": 70, "top": 8, "bottom": 8},
        "xAxis": charts.value_axis(splitLine={"show": False}, axisLabel={"show": False}),
        "yAxis": charts.name_axis([row.name for row in leaders], axisLabel=charts.short_names(156)),
        "series": [
            charts.bars(
                f"Value won, {currency}",
                "var(--won)",
                [charts.plot(row.won_value) for row in leaders],
                label=charts.label(position="right", **{":formatter": f"value => ({charts.WRITE_SHORT})(value.value)"}),
            )
        ],
    }
    return Chart(
        key="leaderboard",
        title="Leaderboard",
        explanation=f"In the same window; open deals and pipeline at its end. Money in {currency}.",
        words=f"Value won: {words}.",
        options=options,
        columns=(
            Column("agent", "Agent", is_text=True),
            Column("deals_closed_won", "Won", "{:,}".format),
            Column("deals_closed", "Closed", "{:,}".format),
            Column("conversion_rate", "Win rate", wording.rate),
            Column("won_value", f"Value won, {currency}", wording.amount),
            Column("confirmed_commission_amount", f"Confirmed commission, {currency}", wording.amount),
            Column("deals_open", "Open", "{:,}".format),
            Column("weighted_pipeline_value", f"Weighted pipeline, {currency}", wording.amount),
        ),
        rows=[
            (
                row.name,
                row.won,
                row.closed,
                row.win_rate,
                row.won_value,
                row.confirmed,
                row.open_deals,
                row.weighted,
            )
            for row in rows
        ],
        empty="" if rows else "Nobody had a deal up to that day.",
        picture_notes=[f"The picture shows the first {LONGEST} of {len(rows):,}."] if len(rows) > LONGEST else [],
        height=34 + 26 * len(leaders),
    )


def draw_team(rows: Sequence[TeamRow], currency: str, current: str, address_of: Callable[[str], str]) -> None:
    """Draw the team's table, best first by the column chosen; names lead to that agent's page."""
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
                for row in sort_team(rows, sort):
                    _draw_agent(row, currency, is_current=row.agent_id == current, link=address_of)

    draw("won")


def _draw_agent(row: TeamRow, currency: str, *, is_current: bool, link: Callable[[str], str]) -> None:
    with box("tr", data_agent=row.agent_id) as line:
        if is_current:
            line.props["aria-current"] = "true"
        with box("th", scope="row"):
            text("a", row.name, href=link(row.agent_id))
        cell(f"{row.won:,}")
        cell(f"{wording.rate(row.win_rate)} of {row.closed:,}")
        if row.left_out:
            missing = f"{row.left_out:,} without rate"
            shown = f"{wording.amount(row.won_value)} + {missing}" if row.won_value else missing
            cell(shown, title=f"{wording.count(row.left_out, 'closed deal')} that no exchange rate converts")
        else:
            cell(wording.amount(row.won_value), title=wording.exact_amount(row.won_value, currency))
        cell(wording.amount(row.confirmed), title=wording.exact_amount(row.confirmed, currency))
        cell(f"{row.open_deals:,}")
        cell(wording.amount(row.weighted), title=wording.exact_amount(row.weighted, currency))
