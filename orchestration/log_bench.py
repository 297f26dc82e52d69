"""The log measured: appending, verifying, and a dossier; beside each its yardstick, in the same run.

The yardstick of appending writes the same bytes with nothing but sqlite3 into a table without any index, in
transactions of the same size; that of verifying reads the stored bytes and hashes them. Less cannot be done.
Absolute times belong to the machine; seconds are of one processor, so that other work beside does not count as ours.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from ledger import access, deals
from ledger.actors import SYSTEM
from ledger.deals import NewDeal
from ledger.dossier.making import make_dossier
from ledger.identifiers import new_id
from ledger.log.audit import audit_log
from ledger.log.chain import append_entries
from ledger.log.checkpoint import make_checkpoint
from ledger.log.entry import Draft
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import AssetType, DealType, Role

if TYPE_CHECKING:
    from rich.console import Console

DEAL_ENTRIES = 200
_AT_ONCE = 10_000


@dataclass(frozen=True)
class Figure:
    """One step: entries that it went through, seconds of processor and of wall time, ratio to its yardstick."""

    step: str
    entries: int
    cpu_seconds: float
    seconds: float
    ratio: float | None = None

    @property
    def per_second(self) -> float:
        """Entries per second of one processor."""
        return self.entries / self.cpu_seconds


def run_log_bench(settings: Settings, console: Console, *, entries: int, repeat: int) -> list[Figure]:
    """Measure a log of `entries` under a temporary home and print the table; the best of `repeat` runs counts.

    The table and its figures (JSON) also go to `settings.home/bench/`.
    """
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        home = Path(folder) / "home"
        ledger = initialise(Settings(home=home))
        console.print(f"appending {entries:,} entries ...")
        appended = _append(ledger, entries)
        bare = _measure("  beside it: the same bytes into a bare table", appended.entries, _write_alone(home))
        deal_id = _live_a_deal(ledger)
        size = make_checkpoint(ledger).size
        console.print("verifying ...")
        read = [_measure("  beside it: read and hash alone", size, lambda: _hash_alone(home)) for _ in range(repeat)]
        verified = [_measure("verify everything", size, lambda: _verify(ledger, size)) for _ in range(repeat)]
        made = []
        for _ in range(repeat):
            with ledger.write() as session:  # something new, or the same dossier would come back
                append_entries(session, SYSTEM, [_draft()])
            made.append(_measure(f"dossier of a deal of {DEAL_ENTRIES}", DEAL_ENTRIES, lambda: _make(ledger, deal_id)))
        ledger.close()
    best, yardstick = (min(series, key=lambda figure: figure.cpu_seconds) for series in (verified, read))
    figures = [
        replace(appended, ratio=appended.cpu_seconds / bare.cpu_seconds),
        bare,
        Figure(best.step, best.entries, best.cpu_seconds, best.seconds, best.cpu_seconds / yardstick.cpu_seconds),
        yardstick,
        min(made, key=lambda figure: figure.cpu_seconds),
    ]
    _report(settings, console, figures)
    return figures


def _measure(step: str, entries: int, function: Callable[[], object]) -> Figure:
    started, cpu = time.perf_counter(), time.process_time()
    function()
    return Figure(step, entries, time.process_time() - cpu, time.perf_counter() - started)


def _drafts(count: int) -> list[Draft]:
    """Return entries of ten to a deal, as an agency's log has them."""
    found: list[Draft] = []
    while len(found) < count:
        opened = _draft()
        more = {
            "set": {"confidence": "0.60", "lead_source": "referral"},
            "was": {"confidence": "0.40", "lead_source": None},
        }
        found += [opened, *(replace(opened, type="deal.changed", data=more) for _ in range(9))]
    return found[:count]


def _draft() -> Draft:
    deal_id = new_id()
    columns = {
        "agent_id": new_id(),
        "asset_type": "office",
        "deal_type": "lease",
        "pipeline_stage": "lead_captured",
        "status": "open",
        "estimated_value_amount": "1000.00",
        "estimated_value_currency": "SGD",
    }
    event = {"id": new_id(), "from": None, "to": "lead_captured"}
    return Draft(f"deal:{deal_id}", "deal.opened", "deal", deal_id, {"set": columns, "stage_event": event})


def _append(ledger: Ledger, entries: int) -> Figure:
    """Append in transactions of `_AT_ONCE`; what is to be appended is made before the clock runs."""
    cpu = seconds = 0.0
    for start in range(0, entries, _AT_ONCE):
        drafts = _drafts(min(_AT_ONCE, entries - start))

        def append(drafts: list[Draft] = drafts) -> None:
            with ledger.write() as session:
                append_entries(session, SYSTEM, drafts)

        part = _measure("", len(drafts), append)
        cpu, seconds = cpu + part.cpu_seconds, seconds + part.seconds
    return Figure("bulk append, 10,000 a transaction", entries, cpu, seconds)


def _write_alone(home: Path) -> Callable[[], object]:
    """Return what writes the rows of the log, read beforehand, into a table of another file."""
    with sqlite3.connect(home / "ledger.sqlite3") as ledger:
        rows = ledger.execute("SELECT * FROM audit_logs ORDER BY n").fetchall()
    ledger.close()
    bare = sqlite3.connect(home / "bare.sqlite3", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute(f"CREATE TABLE entries ({', '.join(f'c{place}' for place in range(len(rows[0])))})")
    statement = f"INSERT INTO entries VALUES ({', '.join('?' * len(rows[0]))})"  # noqa: S608 (question marks)

    def write() -> None:
        for start in range(0, len(rows), _AT_ONCE):
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany(statement, rows[start : start + _AT_ONCE])
            bare.execute("COMMIT")
        bare.close()

    return write


def _live_a_deal(ledger: Ledger) -> str:
    with ledger.write() as session:
        agent = access.create_user(session, SYSTEM, name="Anna Lim", role=Role.AGENT)
        new = NewDeal(agent_id=agent.id, title="Tower", asset_type=AssetType.OFFICE, deal_type=DealType.LEASE)
        deal = deals.open_deal(session, SYSTEM, new)
        for turn in range(DEAL_ENTRIES - 1):
            deals.change_deal(session, SYSTEM, deal.id, {"title": f"Tower, level {turn}"})
        return deal.id


def _hash_alone(home: Path) -> None:
    database = sqlite3.connect(home / "ledger.sqlite3")
    for digest, body in database.execute("SELECT hash, body FROM audit_logs ORDER BY n"):
        if sha256(b"\x00" + body).digest() != digest:
            raise RuntimeError("a hash is not that of its body")
    database.close()


def _verify(ledger: Ledger, size: int) -> None:
    with ledger.read() as session:
        report = audit_log(session, ledger.settings)
    if report.exit_code or report.entries != size:
        raise RuntimeError(f"the log was not found sound: {report.findings[:3]}")


def _make(ledger: Ledger, deal_id: str) -> None:
    if make_dossier(ledger, SYSTEM, deal_id).entries != DEAL_ENTRIES:
        raise RuntimeError("the dossier is not about the whole deal")


def _report(settings: Settings, console: Console, figures: list[Figure]) -> None:
    """Print the table and keep it under `settings.home/bench/`."""
    table = Table(
        title=f"dealbook audit bench, {datetime.now(settings.time_zone):%Y-%m-%d %H:%M}, {os.cpu_count()} cores"
    )
    for heading in ("step", "entries", "processor s", "wall s", "entries/s", "x yardstick"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        cpu, wall = f"{figure.cpu_seconds:.2f}", f"{figure.seconds:.2f}"
        table.add_row(figure.step, f"{figure.entries:,}", cpu, wall, f"{figure.per_second:,.0f}", ratio)
    console.print(table)
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(figure), "entries_per_cpu_second": figure.per_second} for figure in figures]
    (target / "log.json").write_text(json.dumps(rows, indent=2) + "\n")
    console.print(f"Figures: {target / 'log.json'}")
