"""The performance page: one agent's published numbers, their change, their trend, and the team beside them."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from fastapi import Request, Response
from nicegui import ui

from api import summaries
from api.figures import Agent, Comparison, Period, Snapshot, Summary, Window
from api.published import Marts
from api.workspace import charts, tables, wording
from api.workspace.context import PAGE_SECONDS, PERFORMANCE_PATH, SignedOut, Visit, Visitor, open_visit
from api.workspace.elements import box, empty, notice, panel, segments, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.headlines import show_headlines
from api.workspace.visitors import find_visitor
from ledger.access import Action, is_permitted

PERIODS = {
    Period.LAST_30_DAYS.value: "30 days",
    Period.LAST_90_DAYS.value: "90 days",
    Period.LAST_365_DAYS.value: "365 days",
    Period.AS_OF.value: "To date",
}
DEFAULT_PERIOD = Period.LAST_90_DAYS
RANGES = {"90": "90 days", "365": "1 year", "1096": "3 years", "3660": "All"}
DEFAULT_RANGE = 365


@dataclass(frozen=True, slots=True)
class Question:
    """What the page is asked: whose numbers, which window, as of which day (None: the newest), how long a trend."""

    agent_id: str | None
    period: Period
    as_of: date | None
    trend_days: int

    @property
    def address(self) -> str:
        """The page's own address for this question, so that it can be bookmarked and sent around."""
        parts = [f"agent_id={self.agent_id}"] if self.agent_id else []
        parts.append(f"period={self.period}")
        if self.as_of:
            parts.append(f"as_of={self.as_of}")
        return f"{PERFORMANCE_PATH}?{'&'.join(parts)}"


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the page shows, read from one generation of the published file."""

    agents: list[Agent]
    summary: Summary
    before: Snapshot | None
    series: list[Snapshot]
    team: list[Snapshot]
    team_before: list[Snapshot]
    comparison: list[Comparison]


@ui.page("/performance", response_timeout=PAGE_SECONDS)
async def show_performance(
    request: Request, agent_id: str = "", period: str = DEFAULT_PERIOD.value, as_of: str = ""
) -> Response | None:
    """Show the performance page, or ask to sign in."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    question = Question(
        agent_id=agent_id or None,
        period=Period(period) if period in PERIODS else DEFAULT_PERIOD,
        as_of=_read_day(as_of),
        trend_days=DEFAULT_RANGE,
    )
    with frame(visit, visitor, "Performance", PERFORMANCE_PATH):
        await _Page(visit, visitor, question).build()
    return None


class _Page:
    """The page of one visit: its controls, its question, and the place where answers are drawn."""

    def __init__(self, visit: Visit, visitor: Visitor, question: Question) -> None:
        self._visit = visit
        self._question = question
        self._picker: ui.select | None = None
        with box("div", "page-head"):
            with box("div"):
                text("h1", "Performance")
                self._subtitle = text("p", "", "muted")
            with box("div", "controls"):
                if is_permitted(visitor.actor, Action.READ_SUMMARY):
                    self._picker = (
                        ui.select({}, with_input=True, on_change=lambda event: self._choose_agent(event.value))
                        .props('outlined dense options-dense hide-bottom-space aria-label="Agent"')
                        .classes("picker")
                    )
                segments("Window", PERIODS, question.period, lambda value: self._ask(period=Period(value)))
                with box("label", "field"):
                    text("span", "as of")
                    self._day = box("input", type="date")
                    self._day.on(
                        "change",
                        lambda event: self._ask(as_of=_read_day(event.args)),
                        js_handler="(event) => emit(event.target.value)",
                    )
        self._place = box("div", "page-body")

    async def build(self) -> None:
        """Draw the first answer."""
        await fill(self._place, self._read, self._show)

    async def _ask(self, **changes: Any) -> None:
        question = replace(self._question, **changes)
        if question == self._question:
            return
        self._question = question
        ui.navigate.history.replace(question.address)
        await self.build()

    async def _choose_agent(self, agent_id: str | None) -> None:
        if agent_id:
            await self._ask(agent_id=agent_id)

    def _read(self) -> Reading | None:
        actor = self._visit.require_actor()
        question = self._question
        with self._visit.workspace.marts.read() as marts:
            agents = [
                agent
                for agent in summaries.list_agents(marts)
                if is_permitted(actor, Action.READ_SUMMARY, agent.agent_id)
            ]
            visible = {agent.agent_id for agent in agents}
            newest = marts.publication.as_of_date
            window_end = min(question.as_of or newest, newest)
            window = Window(last=window_end, first=question.period.first_day(window_end), period=question.period)
            team = [row for row in summaries.list_day(marts, window.last) if row.agent_id in visible]
            own = actor.id if any(row.agent_id == actor.id and tables.has_worked(row) for row in team) else ""
            agent = _choose(agents, team, question.agent_id or own)
            if agent is None:
                return None
            return Reading(
                agents=agents,
                summary=summaries.summarise(marts, agent, window),
                before=summaries.read_snapshot(marts, agent, window.previous.last) if window.previous else None,
                series=_read_series(marts, agent, window.last, question.trend_days),
                team=team,
                team_before=summaries.list_day(marts, window.first - timedelta(days=1)) if window.first else [],
                comparison=summaries.list_comparison(marts, agent.agent_id),
            )

    def _show(self, reading: Reading | None) -> None:
        if reading is None:
            empty(
                "No agent has published numbers yet",
                "They appear once a deal has an owner and a refresh has run. On the server, for example:",
                "dealbook import FILE --mapping NAME && dealbook refresh",
            )
            return
        summary = reading.summary
        self._question = replace(self._question, agent_id=summary.agent.agent_id)
        self._show_choices(reading)
        self._subtitle.set_text(_describe(summary))
        if self._question.as_of and self._question.as_of > summary.window.last:
            notice(
                f"Published numbers end on {wording.day(summary.window.last)}.",
                "The day you asked for is later, so that day is shown.",
            )
        show_headlines(summary, reading.before)
        with panel("Trend", "Weighted pipeline on each day, and deals won up to it.") as head:
            with head:
                segments(
                    "Range", RANGES, str(self._question.trend_days), lambda value: self._ask(trend_days=int(value))
                )
            _show_trend(reading.series, summary)
        with box("div", "panels"):
            tables.show_currencies(summary)
            tables.show_comparison(reading.comparison, summary)
            tables.show_team(reading.team, reading.team_before, summary, self._address_of)

    def _show_choices(self, reading: Reading) -> None:
        window = reading.summary.window
        self._day.props["value"] = window.last.isoformat()
        self._day.props["max"] = reading.summary.publication.as_of_date.isoformat()
        self._day.update()
        if self._picker is not None:
            options = {agent.agent_id: agent.agent_name for agent in reading.agents}
            self._picker.set_options(options, value=reading.summary.agent.agent_id)

    def _address_of(self, agent_id: str) -> str:
        return replace(self._question, agent_id=agent_id).address


def _show_trend(series: list[Snapshot], summary: Summary) -> None:
    if len(series) < 2:
        text("p", "A trend needs at least two days; the first deal of this agent is too young.", "muted")
        return
    first, last = series[0], series[-1]
    currency = summary.as_of.reporting_currency
    begin, end = (f"{currency} {wording.amount(row.weighted_pipeline_value)}" for row in (first, last))
    words = (
        f"From {wording.day(first.snapshot_date)} to {wording.day(last.snapshot_date)}: weighted pipeline from {begin}"
        f" to {end}; deals won from {first.deals_closed_won} to {last.deals_closed_won}."
    )
    with box("div", role="img", aria_label=words):
        ui.echart(charts.draw_trend(series, currency), renderer="svg").classes("chart")


def _describe(summary: Summary) -> str:
    window = summary.window
    if window.first is None:
        return f"{summary.agent.agent_name}, everything up to {wording.day(window.last)}"
    return f"{summary.agent.agent_name}, {wording.day(window.first)} to {wording.day(window.last)}"


def _choose(agents: list[Agent], team: list[Snapshot], wanted: str) -> Agent | None:
    """Return the agent asked for, else the one with most deals won, so that a first visit shows something."""
    for agent in agents:
        if agent.agent_id == wanted:
            return agent
    best = max(team, key=lambda row: (row.deals_closed_won, row.won_value, row.deals_open), default=None)
    return Agent(best.agent_id, best.agent_name) if best else None


def _read_series(marts: Marts, agent: Agent, last: date, days: int) -> list[Snapshot]:
    first = last - timedelta(days=days - 1)
    return summaries.list_snapshots(marts, agent.agent_id, first, last, days)


def _read_day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
