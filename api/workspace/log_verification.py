"""Verifying the log from its page: since what was signed last, or all of it; every finding is shown."""

import asyncio
import threading

from nicegui import ui

from api.workspace import wording
from api.workspace.context import SIGN_IN_PATH, SignedOut, Visit
from api.workspace.dialogs import explain
from api.workspace.elements import box, cell, panel, text
from ledger.access import Action, authorize
from ledger.log.audit import LIMITS, AuditReport, audit_log

FINDINGS_SHOWN = 200
VERDICTS = {0: "Sound", 1: "Not sound", 2: "Cannot decide"}
_BUSY = "The log is being verified already, here or in another window. Try again in a moment."
_one_at_a_time = threading.Lock()  # it keeps a processor busy: once is enough


class Verification:
    """A panel with two buttons and what the last of them found."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        with panel(
            "Verification", "Recomputes hashes, chains and the tree, and compares them with what was signed"
        ) as head:
            with head, box("div", "controls"):
                for words, since_last in (("Verify what is new", True), ("Verify everything", False)):
                    button = text("button", words, "button", type="button")
                    button.on("click", lambda since_last=since_last: self.run(since_last=since_last))
            self._place = box("div", "verification", aria_live="polite")

    async def run(self, *, since_last: bool) -> None:
        """Verify in a thread; the page stays usable meanwhile."""
        self._place.clear()
        with self._place:
            text("p", "Verifying…", "muted", role="status")
        try:
            report = await asyncio.to_thread(self._verify, since_last)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        except Exception as error:
            self._place.clear()
            with self._place:
                text("p", explain(error), "dialog-trouble", role="alert")
            return
        self._place.clear()
        with self._place:
            _draw_report(report, is_since_last=since_last) if report else text("p", _BUSY, "muted")

    def _verify(self, since_last: bool) -> AuditReport | None:
        actor = self._visit.require_actor()
        if not _one_at_a_time.acquire(blocking=False):
            return None
        try:
            with self._visit.workspace.ledger.read() as session:
                authorize(session, actor, Action.READ_DEAL)
                return audit_log(
                    session, self._visit.workspace.settings, since_last=since_last, with_state=not since_last
                )
        finally:
            _one_at_a_time.release()


def _draw_report(report: AuditReport, *, is_since_last: bool) -> None:
    with box("div", "verdict", data_verdict=str(report.exit_code)):
        text("strong", VERDICTS[report.exit_code])
        looked = wording.count(report.entries, "entry", "entries")
        since = " newer than the last checkpoint" if is_since_last else ""
        also = "" if is_since_last else "; the tables are what the log adds up to" if not report.findings else ""
        text("span", f"{looked}{since} in {wording.count(report.chains, 'chain')} looked at{also}.")
    if report.findings:
        scroll = box("div", "table-scroll", tabindex="0", role="group", aria_label="Findings")
        with scroll, box("table", "table findings"):
            with box("thead"), box("tr"):
                text("th", "Entry", scope="col")
                for words in ("Chain", "What is not as it was written"):
                    text("th", words, "text", scope="col")
            with box("tbody"):
                for finding in report.findings[:FINDINGS_SHOWN]:
                    with box("tr"):
                        cell(wording.NOTHING if finding.n is None else f"{finding.n:,}")
                        cell(finding.chain, is_text=True)
                        cell(finding.problem, is_text=True)
        if len(report.findings) > FINDINGS_SHOWN:
            text(
                "p", f"and {len(report.findings) - FINDINGS_SHOWN:,} more; `dealbook audit verify` lists all.", "muted"
            )
    for words in (*report.undecided, *report.notes):
        text("p", f"{words[:1].upper()}{words[1:]}.", "muted")
    with box("details", "limits"):
        text("summary", "What no such check can show")
        with box("ul"):
            for words in LIMITS:
                text("li", words)
