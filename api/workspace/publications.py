"""What was published and by which run, what was not and why, and the way back to an earlier publication."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nicegui import ui

from api.job_log import read_jobs
from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit, Visitor, read_clock
from api.workspace.dialogs import Form, ask
from api.workspace.elements import box, cell, panel, text
from api.workspace.frame import fill
from api.workspace.writing import Messages, read
from ingestion.publishing import (
    Flip,
    Publication,
    current_publication,
    list_flips,
    list_publications,
    rollback_publication,
)
from ledger.access import Action, authorize, is_permitted

RUNS_SHOWN = 30


@dataclass(frozen=True)
class _Runs:
    publications: dict[str, Publication]
    current: str | None
    runs: list[dict[str, Any]]
    rollbacks: list[Flip]


class Publications:
    """A panel with the last runs of the refresh; a manager can lead readers back to a publication that is kept."""

    def __init__(self, visit: Visit, visitor: Visitor, layer: ui.element, messages: Messages) -> None:
        self._visit = visit
        self._visitor_name = visitor.name
        self._may_roll_back = is_permitted(visitor.actor, Action.ROLL_BACK)
        self._layer = layer
        self._messages = messages
        with panel("Publications", "Numbers are published only when every check has passed"):
            self._place = box("div")

    async def build(self) -> None:
        """Read the folder of publications and the runs, and draw them."""
        await fill(self._place, self._read, self._show, placeholders=3)

    def _read(self) -> _Runs:
        self._visit.require_actor()
        settings = self._visit.workspace.settings
        folder = settings.published_dir
        found = {each.name: each for each in list_publications(folder)} if folder.is_dir() else {}
        current = current_publication(folder) if folder.is_dir() else None
        runs, _ = read_jobs(settings.home / "logs" / "refresh.jsonl", None, RUNS_SHOWN)
        rollbacks = [flip for flip in list_flips(folder, RUNS_SHOWN) if flip.action == "rollback"]
        return _Runs(found, current.name if current else None, runs, rollbacks)

    def _show(self, found: _Runs) -> None:
        told = {run.get("publication") for run in found.runs}
        untold = [each for name, each in found.publications.items() if name not in told]
        if not found.runs and not untold:
            text("p", "Nothing has been published yet; the first refresh does it.", "muted")
            return
        with box("div", "table-scroll"), box("table", "table"):
            with box("thead"), box("tr"):
                for words in ("When", "Outcome", "By"):
                    text("th", words, "text", scope="col")
                for words in ("As of", "Log", "Rows"):
                    text("th", words, scope="col")
                with box("th", scope="col"):
                    text("span", "What may be done", "visually-hidden")
            with box("tbody"):
                lines = [(str(run.get("timestamp", "")), partial(self._draw_run, run)) for run in found.runs]
                lines += [(flip.at.isoformat(), partial(self._draw_rollback, flip)) for flip in found.rollbacks]
                for _, draw in sorted(lines, key=lambda line: line[0], reverse=True):
                    draw(found)
                for publication in untold:
                    self._draw_publication(publication, found)

    def _draw_run(self, run: dict[str, Any], found: _Runs) -> None:
        publication = found.publications.get(str(run.get("publication") or ""))
        with box("tr", data_outcome=str(run.get("outcome")), data_publication=publication.name if publication else ""):
            self._draw_time(_time_of(run))
            with box("td", "text"):
                outcome = str(run.get("outcome") or "unknown").replace("_", " ")
                text("span", outcome, "status", data_status="disputed" if outcome == "failed" else "")
                for check in list(run.get("failed_checks") or [])[:3]:
                    text("p", f"failed: {check}", "headline-note")
            cell(str(run.get("started_by") or wording.NOTHING), is_text=True)
            cell(str(run.get("as_of_date") or wording.NOTHING))
            cell(_number(run.get("log_size")))
            cell(_number(run.get("rows_published")))
            self._draw_offer(publication, found)

    def _draw_time(self, at: datetime | None) -> None:
        """Draw a time as the log's entries have it: the business time, and UTC where one points at it."""
        if at is None:
            cell(wording.NOTHING, is_text=True)
        else:
            local = at.astimezone(self._visit.workspace.settings.time_zone)
            cell(f"{local:%Y-%m-%d %H:%M}", is_text=True, title=f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")

    def _draw_publication(self, publication: Publication, found: _Runs) -> None:
        with box("tr", data_outcome="published", data_publication=publication.name):
            self._draw_time(publication.published_at)
            with box("td", "text"):
                text("span", "published", "status")
            cell(wording.NOTHING, is_text=True, title="No record of its run is left")
            cell(publication.as_of_date.isoformat())
            cell(f"{publication.log_size:,}")
            cell(f"{sum(mart.row_count for mart in publication.marts):,}")
            self._draw_offer(publication, found)

    def _draw_rollback(self, flip: Flip, found: _Runs) -> None:
        publication = found.publications.get(flip.to)
        with box("tr", data_outcome="rollback"):
            self._draw_time(flip.at)
            with box("td", "text"):
                text("span", "rolled back", "status", data_status="disputed")
            cell(flip.by or wording.NOTHING, is_text=True)
            cell(publication.as_of_date.isoformat() if publication else wording.NOTHING)
            cell(_number(publication.log_size if publication else None))
            cell(_number(sum(mart.row_count for mart in publication.marts) if publication else None))
            box("td")

    def _draw_offer(self, publication: Publication | None, found: _Runs) -> None:
        with box("td", "queue-buttons"):
            if publication is None:
                return
            if publication.name == found.current:
                text("strong", "shown now", "num")
            elif self._may_roll_back:
                label = f"Show the numbers of {publication.published_at:%Y-%m-%d %H:%M} again"
                button = text("button", "Roll back to it", "button", type="button", aria_label=label)
                button.on("click", partial(self.ask_to_roll_back, publication))

    def ask_to_roll_back(self, publication: Publication) -> None:
        """Ask before readers see other numbers."""

        async def submit(_: Form) -> None:
            await read(self._visit, lambda session, actor: authorize(session, actor, Action.ROLL_BACK))
            folder = self._visit.workspace.settings.published_dir
            await asyncio.to_thread(rollback_publication, folder, publication.name, by=self._visitor_name)
            await self._refresh()
            self._messages.say(f"Shown now: the numbers as of {wording.day(publication.as_of_date)}.")

        age = wording.age(publication.published_at, read_clock())
        explanation = (
            f"Everybody then sees the numbers as of {wording.day(publication.as_of_date)}, over "
            f"{publication.log_size:,} entries, published {age}, until the next refresh publishes anew. No deal and no "
            "entry is touched."
        )
        ask(self._layer, "Roll back the numbers", [], "Roll back", submit, explanation=explanation)

    async def _refresh(self) -> None:
        try:
            found = await asyncio.to_thread(self._read)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        self._place.clear()
        with self._place:
            self._show(found)


def _time_of(run: dict[str, Any]) -> datetime | None:
    """When a run ended, if its record says so with a zone."""
    try:
        at = datetime.fromisoformat(str(run.get("timestamp")))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else wording.NOTHING
