"""The list of earlier imports: when, what, by whom, and how it ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from api.workspace import wording
from api.workspace.context import Workspace
from api.workspace.elements import box, cell, text
from ledger.access import SYSTEM
from ledger.tables import Import

_OUTCOMES = {"imported": "imported", "dry run": "dry run", "refused": "refused", "failed": "failed"}


def draw_imports(rows: Sequence[Import], names: Mapping[str, str], workspace: Workspace, now: datetime) -> None:
    """Draw imports, newest first; those of the command line among them."""
    with box("div", "table-scroll"), box("table", "table import-list"):
        with box("thead"), box("tr"):
            for words in ("Files", "Mapping", "By", "Outcome"):
                text("th", words, "text", scope="col")
            for words in ("Rows", "Rejected", "When"):
                text("th", words, scope="col")
        with box("tbody"):
            for row in rows:
                _draw_row(row, names, workspace, now)


def _draw_row(row: Import, names: Mapping[str, str], workspace: Workspace, now: datetime) -> None:
    outcome = _OUTCOMES.get(row.outcome or "", "")
    if not outcome:
        outcome = "running" if workspace.imports.progress_of(row.id) else "interrupted"
    with box("tr", data_import=row.id, data_outcome=outcome.replace(" ", "_")):
        with box("th", "text", scope="row"):
            text("span", row.file_name)
            if row.problem:
                text("p", row.problem, "headline-note")
        cell(row.mapping or "reference figures", is_text=True)
        by = "command line" if row.started_by == SYSTEM.id else names.get(row.started_by, "someone")
        cell(by, is_text=True)
        with box("td", "text"):
            text("span", outcome, "status", data_status="disputed" if outcome in ("failed", "interrupted") else "")
        cell(wording.NOTHING if row.rows is None else f"{row.rows:,}")
        if row.rejected:
            with box("td"):
                link = text("a", f"{row.rejected:,}", href=f"/api/v1/imports/{row.id}/rejects.csv")
                link.props["download"] = f"rejects-{row.id}.csv"
                link.props["aria-label"] = f"Download {wording.count(row.rejected, 'rejected row')} of {row.file_name}"
        else:
            cell(wording.NOTHING if row.rejected is None else "0")
        local = row.created_at.astimezone(workspace.settings.time_zone)
        cell(wording.age(row.created_at, now), title=f"{local:%Y-%m-%d %H:%M %Z}")
