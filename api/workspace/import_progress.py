"""An import of the page while it runs, and what became of every row when it has ended."""

import asyncio
from collections.abc import Awaitable, Callable

from nicegui import ui

from api.import_runs import RunProgress
from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit
from api.workspace.elements import box, cell, panel, text
from api.workspace.import_panels import draw_bar
from ledger.imports import read_import
from ledger.tables import Import

LOOK_SECONDS = 0.3


class RunView:
    """Draws one import in `place`: a bar while it runs, then its report."""

    def __init__(self, visit: Visit, place: ui.element, on_end: Callable[[], Awaitable[None]]) -> None:
        self._visit = visit
        self._place = place
        self._on_end = on_end
        # Made once and beside the place: a timer that is deleted while it works does not finish its work.
        self._timer = ui.timer(LOOK_SECONDS, self._look, active=False, immediate=False)
        self._is_looking = False
        self._import_id = ""

    @property
    def is_running(self) -> bool:
        """Whether the import that is shown has not ended."""
        return bool(self._timer.active)

    def show(self, import_id: str) -> None:
        """Follow an import that has just been started."""
        self._import_id = import_id
        self._draw_progress(RunProgress("beginning", is_waiting=True))
        self._timer.activate()

    async def _look(self) -> None:
        if self._is_looking or not self._timer.active:
            return
        self._is_looking = True
        try:
            await self._draw()
        finally:
            self._is_looking = False

    async def _draw(self) -> None:
        progress = self._visit.workspace.imports.progress_of(self._import_id)
        try:
            row = await asyncio.to_thread(self._read)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        if row.finished_at is None and progress is not None:
            self._draw_progress(progress)
            return
        self._timer.deactivate()
        self._place.clear()
        with self._place:
            _draw_report(row)
        await self._on_end()

    def _read(self) -> Import:
        actor = self._visit.require_actor()
        with self._visit.workspace.ledger.read() as session:
            return read_import(session, actor, self._import_id)

    def _draw_progress(self, progress: RunProgress) -> None:
        self._place.clear()
        with self._place, panel("Importing"):
            draw_bar(progress.step, progress.done, progress.total)


def _draw_report(row: Import) -> None:
    title = "Dry run: nothing was written" if row.is_dry_run else "Imported"
    if row.outcome == "failed":
        title = "The import failed"
    elif row.outcome == "refused":
        title = "Nothing was imported"
    elif row.outcome is None:
        title = "The import was interrupted"
    outcome = (row.outcome or "interrupted").replace(" ", "_")
    with box("div", "import-outcome", data_outcome=outcome), panel(title, classes="import-report"):
        report = row.report
        if report is None:
            text("p", row.problem or "Import the files again: only what is missing is added.")
            return
        text("p", _verdict(row, report.get("entries", 0)))
        scroll = box("div", "table-scroll", tabindex="0", role="group", aria_label="What became of the rows")
        with scroll, box("table", "table"):
            with box("thead"), box("tr"):
                text("th", "File", "text", scope="col")
                for words in ("Rows", "New", "Changed", "Known", "Rejected"):
                    text("th", words, scope="col")
            with box("tbody"):
                for file in report["files"]:
                    with box("tr"):
                        text("th", file["name"], "text", scope="row")
                        for name in ("rows", "created", "changed", "unchanged", "rejected"):
                            cell(f"{file.get(name, 0):,}")
        for file in report["files"]:
            for line in _remarks(file):
                text("p", f"{file['name']}: {line}", "muted")
        if report.get("agents_created"):
            names = report["agents_created"]
            shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            verb = "would be added" if row.is_dry_run else "have been added"
            text("p", f"{wording.count(len(names), 'person', 'people')} unknown so far {verb}: {shown}", "muted")
        if row.rejected and report["reasons"]:
            with box("div", "mapping-notes"):
                text("strong", "Most frequent reasons")
                with box("ul"):
                    for reason, count in sorted(report["reasons"].items(), key=lambda item: -item[1]):
                        text("li", f"{count:,} × {reason}")
            draw_rejects_link(row)


def _verdict(row: Import, entries: int) -> str:
    if row.outcome == "refused":
        return f"{row.rejected or 0:,} rows were rejected or held back, and it was to be all or nothing."
    accepted = f"{row.accepted or 0:,} of {row.rows or 0:,} rows"
    if row.kind == "reference":
        return f"{accepted} can go in." if row.is_dry_run else f"{accepted} are in; the next refresh uses them."
    if row.is_dry_run:
        return f"{accepted} can go in. An import would write {wording.count(entries, 'log entry', 'log entries')}."
    if not entries:
        return f"{accepted} are in. Everything was there already: no log entry written."
    return f"{accepted} are in. {wording.count(entries, 'log entry', 'log entries')} written."


def _remarks(file: dict[str, object]) -> list[str]:
    said = {
        "rows_dated_by_mapping": "rows have no date and take the mapping's",
        "ambiguous_dates": "dates fit several formats of the mapping; the first one counts",
        "passed_over": "rows of other matters, which the mapping passes over",
        "blank_lines": "blank lines, which are no rows",
    }
    return [f"{file[name]:,} {words}." for name, words in said.items() if file.get(name)]


def draw_rejects_link(row: Import) -> None:
    """Draw the link that downloads the rows that were turned away."""
    words = f"Download {wording.count(row.rejected or 0, 'rejected row')}"
    link = text("a", words, "button", href=f"/api/v1/imports/{row.id}/rejects.csv")
    link.props["download"] = f"rejects-{row.id}.csv"
