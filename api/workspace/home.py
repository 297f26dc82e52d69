"""Where people land: an agent on their own board, a viewer on the numbers, a manager on what waits for a manager."""

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from nicegui import ui

from api import summaries
from api.figures import Period, Snapshot, Summary, Window
from api.team_figures import EVERYONE
from api.workspace import leaderboard, wording
from api.workspace.commissions import QUEUES, Queue, read_queues
from api.workspace.context import (
    COMMISSIONS_PATH,
    HOME_PATH,
    PAGE_SECONDS,
    PERFORMANCE_PATH,
    PIPELINE_PATH,
    SignedOut,
    Visit,
    open_visit,
)
from api.workspace.elements import box, panel, text
from api.workspace.frame import ask_to_sign_in, fill, frame
from api.workspace.headlines import show_headlines
from api.workspace.visitors import find_visitor
from ledger.vocabulary import Role

FIRST_PAGES = {Role.AGENT: PIPELINE_PATH, Role.VIEWER: PERFORMANCE_PATH, Role.ADMIN: PERFORMANCE_PATH}
ROWS_SHOWN = 4
COUNTED = 50
PERIOD = Period.LAST_30_DAYS


@dataclass(frozen=True, slots=True)
class Team:
    """The team's last thirty days."""

    summary: Summary
    before: Snapshot
    rows: list[leaderboard.TeamRow]


@ui.page("/performance/home", response_timeout=PAGE_SECONDS)
async def show_home(request: Request) -> Response | None:
    """Lead to the role's first page, or show a manager the queue and the team."""
    visit = open_visit(request)
    try:
        visitor = await find_visitor(visit)
    except SignedOut:
        return ask_to_sign_in()
    elsewhere = FIRST_PAGES.get(visitor.actor.role)
    if elsewhere is not None:
        return RedirectResponse(elsewhere, status_code=303)
    with frame(visit, visitor, "Today", HOME_PATH):
        with box("div", "page-head"), box("div"):
            text("h1", "Today")
            text("p", "Commissions that wait for you, as the ledger has them now, and how the team does", "muted")
        # Two reads, so that trouble with the published file never hides what waits in the ledger.
        await fill(box("div", "page-body"), lambda: _read_waiting(visit), _show_waiting, placeholders=4)
        await fill(box("div", "page-body"), lambda: _read_team(visit), _show_team)
    return None


def _read_waiting(visit: Visit) -> list[Queue]:
    actor = visit.require_actor()
    with visit.workspace.ledger.read() as session:
        return read_queues(session, actor, "", {status: COUNTED for status, _, _ in QUEUES}).queues


def _read_team(visit: Visit) -> Team:
    visit.require_actor()
    with visit.workspace.marts.read() as marts:
        last = marts.publication.as_of_date
        window = Window(last=last, first=PERIOD.first_day(last), period=PERIOD)
        before = last - timedelta(days=30)
        rows = leaderboard.compare_team(summaries.list_day(marts, last), summaries.list_day(marts, before))
        return Team(
            summaries.summarise(marts, EVERYONE, window), summaries.read_snapshot(marts, EVERYONE, before), rows
        )


def _show_waiting(queues: list[Queue]) -> None:
    with box("div", "home-queues"):
        for queue in queues:
            _show_queue(queue)


def _show_team(team: Team) -> None:
    with box("div", "section-head"):
        text("h2", "The team in the last 30 days")
        text("a", "All figures and charts", href=f"{PERFORMANCE_PATH}?period={PERIOD}")
    show_headlines(team.summary, team.before)
    currency = team.summary.as_of.reporting_currency
    with panel("Agents", f"Closed in the last 30 days; open deals and pipeline now. Money in {currency}."):
        link = f"{PERFORMANCE_PATH}?period={PERIOD}&agent_id="
        leaderboard.draw_team(team.rows, currency, "", lambda agent_id: f"{link}{agent_id}")


def _show_queue(queue: Queue) -> None:
    title, words = next((title, words) for status, title, words in QUEUES if status == queue.status)
    count = f"{len(queue.rows):,}{'+' if queue.has_more else ''}"
    with panel(title, words, "home-queue") as head:
        head.props["data-queue"] = queue.status.value
        with head:
            text("span", count, "home-count")
        if not queue.rows:
            text("p", "Nothing waits here.", "muted")
            return
        with box("ul", "home-lines"):
            for row in queue.rows[:ROWS_SHOWN]:
                commission, net = row.commission.row, row.commission.net
                with box("li"):
                    text("span", row.title or "A colleague's deal", "home-title")
                    text("span", row.commission.agent_name, "muted home-title")
                    amount = "when confirmed" if net is None else f"{commission.basis_currency} {wording.amount(net)}"
                    text("span", amount, "num")
        text("a", "Work on these", href=COMMISSIONS_PATH, aria_label=f"Work on what is {title.lower()}")
