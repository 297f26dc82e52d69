"""The performance page: the published numbers of an agent or of everyone, their change, and charts of what is behind.

Everything on it is read from one generation of the published file, by the functions that REST answers with.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from fastapi import Request, Response
from nicegui import ui

from api import analyses, summaries
from api.analyses import CalibrationScope
from api.figures import (
    TEAM,
    Agent,
    CalibrationScore,
    Comparison,
    CycleTime,
    FunnelStep,
    LeadSource,
    Period,
    Snapshot,
    StageFigures,
    Summary,
    Whose,
    Window,
)
from api.published import Marts
from api.team_figures import EVERYONE, list_team_days
from api.workspace import (
    benchmark_chart,
    calibration_chart,
    cycle_chart,
    funnel_chart,
    leaderboard,
    source_chart,
    stage_charts,
    tables,
    trend_chart,
    wording,
)
from api.workspace.chart_panel import Origin, show_chart
from api.workspace.context import PAGE_SECONDS, PERFORMANCE_PATH, SignedOut, Visit, Visitor, open_visit
from api.workspace.elements import box, empty, notice, segments, text
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
# Stands for everyone in the address; no agent's id looks like it.
TEAM_WORD = "team"


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

    choices: list[Agent]
    summary: Summary
    before: Snapshot | None
    series: list[Snapshot]
    team: list[Snapshot]
    team_before: list[Snapshot]
    stages: list[StageFigures]
    comparison: list[Comparison]
    funnel: list[FunnelStep]
    cycles: list[CycleTime]
    calibration: list[CalibrationScore]
    sources: list[LeadSource]

    @property
    def agent(self) -> Agent:
        """Whose figures they are; `EVERYONE` for the team's."""
        return self.summary.agent


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
        trend_days=trend_chart.DEFAULT_RANGE,
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
            choices = [EVERYONE, *agents] if agents and is_permitted(actor, Action.READ_SUMMARY) else agents
            agent = _choose(choices, question.agent_id or "")
            if agent is None:
                return None
            newest = marts.publication.as_of_date
            window_end = min(question.as_of or newest, newest)
            window = Window(last=window_end, first=question.period.first_day(window_end), period=question.period)
            whose = TEAM if agent == EVERYONE else Whose(agent)
            scope = CalibrationScope.TEAM if agent == EVERYONE else CalibrationScope.AGENT
            visible = {agent.agent_id for agent in agents}
            return Reading(
                choices=choices,
                summary=summaries.summarise(marts, agent, window),
                before=summaries.read_snapshot(marts, agent, window.previous.last) if window.previous else None,
                series=_read_series(marts, agent, window.last, question.trend_days),
                team=[row for row in summaries.list_day(marts, window.last) if row.agent_id in visible],
                team_before=summaries.list_day(marts, window.first - timedelta(days=1)) if window.first else [],
                stages=summaries.list_pipeline(marts, window.last, agent.agent_id or None),
                comparison=[]
                if agent == EVERYONE
                else summaries.list_comparison(marts, agent.agent_id, as_of=window.last),
                funnel=analyses.list_funnel(marts, whose, first=window.first, last=window.last, as_of=window.last),
                cycles=analyses.list_cycle_times(marts, whose, as_of=window.last),
                calibration=analyses.list_calibration(marts, whose, scope=scope, as_of=window.last),
                sources=analyses.list_lead_sources(marts, whose, as_of=window.last),
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
        self._question = replace(self._question, agent_id=reading.agent.agent_id or TEAM_WORD)
        self._show_choices(reading)
        self._subtitle.set_text(_describe(summary))
        if self._question.as_of and self._question.as_of > summary.window.last:
            notice(
                f"Published numbers end on {wording.day(summary.window.last)}.",
                "The day you asked for is later, so that day is shown.",
            )
        show_headlines(summary, reading.before)
        self._show_charts(reading)

    def _show_charts(self, reading: Reading) -> None:
        summary, agent = reading.summary, reading.agent
        window, currency = summary.window, summary.as_of.reporting_currency
        origin = Origin(agent.agent_name, window.first, window.last, summary.publication)
        to_date = Origin(agent.agent_name, None, window.last, summary.publication)
        trend_days = self._question.trend_days
        with box("div", "charts"):
            show_chart(
                trend_chart.chart_trend(reading.series, trend_days, window.last, currency),
                Origin(
                    agent.agent_name, window.last - timedelta(days=trend_days - 1), window.last, summary.publication
                ),
                classes="panel-wide",
                controls=lambda: segments(
                    "Range", trend_chart.RANGES, str(trend_days), lambda value: self._ask(trend_days=int(value))
                ),
            )
            show_chart(
                stage_charts.chart_open_value(reading.stages, window.last, currency),
                Origin(agent.agent_name, None, window.last, summary.publication),
            )
            show_chart(funnel_chart.chart_funnel(reading.funnel, window), origin)
            show_chart(cycle_chart.chart_cycles(reading.cycles, window.last), to_date)
            if agent != EVERYONE:
                show_chart(
                    benchmark_chart.chart_comparison(reading.comparison, agent.agent_name, window.last),
                    to_date,
                    draw_table=lambda: tables.draw_comparison(reading.comparison),
                )
            show_chart(calibration_chart.chart_calibration(reading.calibration, window.last), to_date)
            # Without benchmarks the sources stand alone in their line.
            show_chart(
                source_chart.chart_sources(reading.sources, window.last, currency),
                to_date,
                classes="panel-wide" if agent == EVERYONE else "",
            )
            tables.show_currencies(summary)
            rows = leaderboard.compare_team(reading.team, reading.team_before)
            show_chart(
                leaderboard.chart_leaders(rows, currency),
                origin,
                classes="panel-wide",
                draw_table=lambda: leaderboard.draw_team(rows, currency, agent.agent_id, self._address_of),
                as_table=True,
            )

    def _show_choices(self, reading: Reading) -> None:
        window = reading.summary.window
        self._day.props["value"] = window.last.isoformat()
        self._day.props["max"] = reading.summary.publication.as_of_date.isoformat()
        self._day.update()
        if self._picker is not None:
            options = {agent.agent_id or TEAM_WORD: agent.agent_name for agent in reading.choices}
            self._picker.set_options(options, value=reading.agent.agent_id or TEAM_WORD)

    def _address_of(self, agent_id: str) -> str:
        return replace(self._question, agent_id=agent_id).address


def _describe(summary: Summary) -> str:
    window = summary.window
    if window.first is None:
        return f"{summary.agent.agent_name}, everything up to {wording.day(window.last)}"
    return f"{summary.agent.agent_name}, {wording.day(window.first)} to {wording.day(window.last)}"


def _choose(choices: list[Agent], wanted: str) -> Agent | None:
    """Return the agent asked for, else the first choice: everyone, or for an agent their own numbers."""
    for agent in choices:
        if wanted == (agent.agent_id or TEAM_WORD):
            return agent
    return choices[0] if choices else None


def _read_series(marts: Marts, agent: Agent, last: date, days: int) -> list[Snapshot]:
    days += trend_chart.ROLLING_DAYS
    first = last - timedelta(days=days - 1)
    if agent == EVERYONE:
        return list_team_days(marts, first, last)
    return summaries.list_snapshots(marts, agent.agent_id, first, last, days)


def _read_day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
