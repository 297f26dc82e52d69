"""Two figures that need a real ledger: how fast its log lands in raw, and what snapshots by a plain loop would cost.

The loop (`agent_day_loop`) is checked while it is measured: an agent and day on which it disagrees with the published
models stops the bench. It is measured on some of the days and scaled, for all of them would take minutes. Two pairs are
compared: the work alone, which is the loop and the statements that make the same snapshots, both warm; and whole
commands, with the start of Python, dbt and all.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.table import Table

from ledger.settings import PROJECT_DIR, Settings
from orchestration.bench_logs import land_log, lengthen_log, run_verb
from orchestration.bench_models import alone, build_models, run_script, statements_of

if TYPE_CHECKING:
    from rich.console import Console

DAYS = 90
DEALS_OF_DENSE = 1_000  # an agent, as in the models at size
MEASURED_DAYS = (0, 45, 89)  # before the last
LANDED_ENTRIES = 300_000  # at least; of fewer, what happens once is the larger part
CENT = Decimal("0.01")


@dataclass(frozen=True)
class LedgerFigures:
    """Log to raw in entries a second, of wall and of processor time; CPU seconds of snapshots both ways.

    `loop_seconds` is an agent's day in the loop, without its start; `snapshot_seconds` the statements of the snapshots
    and of what they read, for all `agent_days`; `command_seconds` a process that builds all marts by dbt, start
    included, and `loop_start_seconds` what the loop's process takes before its first agent. `dense_...` are an agent's
    day where an agent has `DEALS_OF_DENSE` deals.
    """

    entries: int
    landed_per_second: float
    landed_per_cpu_second: float
    agents: int
    agent_days: int
    loop_seconds: float
    loop_start_seconds: float
    snapshot_seconds: float
    command_seconds: float
    dense_loop_seconds: float
    dense_snapshot_seconds: float

    @property
    def looped(self) -> int:
        """How many agent-days the question is about: every agent on the last days."""
        return self.agents * DAYS

    @property
    def work_ratio(self) -> float:
        """CPU time of an agent's day in the loop, as a multiple of one in the statements."""
        return self.loop_seconds / (self.snapshot_seconds / self.agent_days)

    @property
    def dense_ratio(self) -> float:
        """The same where agents have as many deals as in the models at size."""
        return self.dense_loop_seconds / self.dense_snapshot_seconds

    @property
    def command_ratio(self) -> float:
        """CPU time of the loop's whole process, as a multiple of a whole dbt build, for the days in question."""
        return (self.loop_start_seconds + self.loop_seconds * self.looped) / self.command_seconds


@dataclass(frozen=True)
class LoopRun:
    """What the loop made and took, and how many agent-days the models made."""

    agents: int
    made: int
    agent_days: int
    cpu_seconds: float


def run_bench_ledger(settings: Settings, console: Console, *, deals: int = 2_000) -> LedgerFigures:
    """Measure landing and the loop on a sample of `deals`; print the table, and keep it in `settings.home/bench/`."""
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        place, dense = (Settings(home=Path(folder) / name) for name in ("sample", "dense"))
        console.print(f"sample of {deals:,} deals, and a refresh ...")
        run_verb(place, "demo", "--deals", str(deals))
        run_verb(place, "refresh")
        console.print("landing its log, many times over ...")
        entries, seconds, cpu = alone(partial(_land, place))[0]
        console.print("snapshots by a loop, and by the models ...")
        loop, loop_process_cpu, snapshot_cpu, command_cpu = _compare(place)
        agents = max(deals // DEALS_OF_DENSE, 1)
        console.print(f"the same of {agents} agents ...")
        run_verb(dense, "demo", "--deals", str(deals), "--agents", str(agents))
        run_verb(dense, "refresh")
        alone(partial(land_log, dense, _landed(dense).warehouse_path))
        dense_loop, _, dense_snapshot_cpu, _ = _compare(dense)
        figures = LedgerFigures(
            entries=entries,
            landed_per_second=entries / seconds,
            landed_per_cpu_second=entries / cpu,
            agents=loop.agents,
            agent_days=loop.agent_days,
            loop_seconds=loop.cpu_seconds / loop.made,
            loop_start_seconds=loop_process_cpu - loop.cpu_seconds,
            snapshot_seconds=snapshot_cpu,
            command_seconds=command_cpu,
            dense_loop_seconds=dense_loop.cpu_seconds / dense_loop.made,
            dense_snapshot_seconds=dense_snapshot_cpu / dense_loop.agent_days,
        )
    _report(settings, console, figures, deals)
    return figures


def _compare(place: Settings) -> tuple[LoopRun, float, float, float]:
    """Make snapshots both ways where the log was landed; return the loop's figures and the CPU seconds of its process,
    of the statements, and of a whole build.
    """
    loop, _, loop_process_cpu, _ = alone(partial(loop_over, place))
    last_day, landed = _last_day(place), _landed(place)
    alone(partial(build_models, landed, ["seed"], last_day))
    bare = Settings(home=place.home / "bare").warehouse_path  # statements name the database after its file
    bare.parent.mkdir(parents=True)
    shutil.copy(landed.warehouse_path, bare)
    _, _, command_cpu, _ = alone(partial(build_models, landed, ["model"], last_day))
    statements = alone(partial(statements_of, landed, "agent_performance_snapshots"))[0]
    snapshot_cpu = min(alone(partial(_run_statements, bare, statements))[0] for _ in range(3))
    return loop, loop_process_cpu, snapshot_cpu, command_cpu


def _landed(place: Settings) -> Settings:
    """Where the sample's log is landed a second time, without references."""
    return Settings(home=place.home / "landed")


def _run_statements(bare: Path, statements: list[str]) -> float:
    """Run the statements on a copy of the file, and return the CPU seconds they took."""
    with tempfile.TemporaryDirectory(dir=bare.parent) as folder:
        copy = Path(shutil.copy(bare, folder))
        cpu = time.process_time()
        run_script(copy, statements)
        return time.process_time() - cpu


def _land(place: Settings) -> tuple[int, float, float]:
    """Land a long log in a warehouse of its own; return its entries, and the seconds and CPU seconds it took.

    The sample's own log is landed first: for the models, and so that what has to be imported for it is there before.
    """
    size = land_log(place, _landed(place).warehouse_path)
    longer = Settings(home=place.home / "longer")
    lengthen_log(place, longer, -(-LANDED_ENTRIES // size) * size)
    started, cpu = time.monotonic(), time.process_time()
    entries = land_log(longer)
    return entries, time.monotonic() - started, time.process_time() - cpu


def _last_day(place: Settings) -> date:
    with duckdb.connect(place.warehouse_path, read_only=True) as warehouse:
        [(day,)] = warehouse.execute("SELECT max(snapshot_date) FROM marts.agent_performance_snapshots").fetchall()
    return date.fromisoformat(str(day))


def loop_over(place: Settings) -> LoopRun:
    """Make the snapshots of all agents on some days by the loop, and compare each with the models'.

    Only the loop itself is timed, and its first agent not. Raises RuntimeError where one differs.
    """
    from ledger.store import Ledger
    from orchestration.agent_day_loop import snapshot_by_loop

    with (PROJECT_DIR / "dbt_project" / "seeds" / "pipeline_stages.csv").open() as seed:
        defaults = {row["stage"]: Decimal(row["default_confidence"] or 0) for row in csv.DictReader(seed)}
    last_day, made, spent = _last_day(place), 0, 0.0
    ledger = Ledger.open(settings=place)
    with duckdb.connect(place.warehouse_path, read_only=True) as warehouse:
        rows = "SELECT count(*), count(DISTINCT agent_id) FROM marts.agent_performance_snapshots"
        [(agent_days, agents)] = warehouse.execute(rows).fetchall()
        for day in (last_day - timedelta(days=back) for back in MEASURED_DAYS):
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), place.time_zone)
            for agent_id, of_models in _snapshots(warehouse, day).items():
                if not made:
                    with ledger.read() as session:
                        snapshot_by_loop(session, agent_id, end, defaults)  # compiles its queries
                cpu = time.process_time()
                with ledger.read() as session:
                    looped = snapshot_by_loop(session, agent_id, end, defaults)
                spent += time.process_time() - cpu
                made += 1
                by_loop = _comparable(looped)
                # The last number is right of today alone: what confidence was stated before is not in the tables.
                known = len(by_loop) if day == last_day else -1
                if by_loop[:known] != of_models[:known]:
                    raise RuntimeError(f"On {day} the loop gives {by_loop} for {agent_id}, the models {of_models}.")
    ledger.close()
    return LoopRun(agents, made, agent_days, spent)


def _snapshots(warehouse: duckdb.DuckDBPyConnection, day: date) -> dict[str, tuple[Any, ...]]:
    """Return the models' numbers of a day by agent: counts, cycle days, and amounts in the reporting currency."""
    query = """
        SELECT every.agent_id, every.deals_open, every.deals_closed_won, every.deals_closed_lost, every.deals_cancelled,
            every.cycle_days_sum, coalesce(own.gross_pipeline_value, 0), coalesce(own.won_value, 0),
            coalesce(own.confirmed_commission_amount, 0), coalesce(own.weighted_pipeline_value, 0)
        FROM marts.agent_performance_snapshots AS every
        LEFT JOIN marts.agent_currency_snapshots AS own
            ON own.agent_id = every.agent_id AND own.snapshot_date = every.snapshot_date AND own.currency = 'SGD'
        WHERE every.snapshot_date = ?"""
    return {row[0]: row[1:] for row in warehouse.execute(query, [day]).fetchall()}


def _comparable(looped: Any) -> tuple[Any, ...]:
    amounts = (
        looped.gross_pipeline_value,
        looped.won_value,
        looped.confirmed_commission_amount,
        looped.weighted_pipeline_value,
    )
    counts = (looped.deals_open, looped.deals_closed_won, looped.deals_closed_lost, looped.deals_cancelled)
    return (
        *counts,
        looped.cycle_time / timedelta(days=1),
        *(amount["SGD"].quantize(CENT, ROUND_HALF_UP) for amount in amounts),
    )


def _report(settings: Settings, console: Console, figures: LedgerFigures, deals: int) -> None:
    table = Table(title=f"dealbook bench: log to raw, and snapshots by a loop, {deals:,} deals, {os.cpu_count()} cores")
    for heading in ("work", "figure"):
        table.add_column(heading)
    question = f"{figures.agents} agents x {DAYS} days"
    looped = figures.loop_seconds * figures.looped
    day = figures.snapshot_seconds / figures.agent_days
    for work, figure in (
        (f"log to raw, {figures.entries:,} entries", f"{figures.landed_per_second:,.0f} entries/s"),
        ("  of one processor", f"{figures.landed_per_cpu_second:,.0f} entries/CPU s"),
        ("the work alone, no start counted", ""),
        ("  loop: an agent's day", f"{figures.loop_seconds * 1000:.2f} CPU ms"),
        (f"  statements of the snapshots: an agent's day, of {figures.agent_days:,}", f"{day * 1000:.4f} CPU ms"),
        ("  the loop takes", f"{figures.work_ratio:,.0f} times as long"),
        (f"  where an agent has {DEALS_OF_DENSE:,} deals", f"{figures.dense_ratio:,.0f} times as long"),
        (f"whole commands, start counted, for {question}", ""),
        ("  loop, scaled", f"{figures.loop_start_seconds + looped:,.1f} CPU s"),
        ("  dbt, all marts and all days", f"{figures.command_seconds:.1f} CPU s"),
        ("  the loop takes", f"{figures.command_ratio:,.0f} times as long"),
        (f"the work alone, for {question}", ""),
        ("  loop, scaled", f"{looped:,.1f} CPU s"),
        ("  statements of the snapshots, all days nevertheless", f"{figures.snapshot_seconds:.2f} CPU s"),
        ("  the loop takes", f"{looped / figures.snapshot_seconds:,.0f} times as long"),
    ):
        table.add_row(work, figure)
    console.print(table)
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    ratios = {name: getattr(figures, name) for name in ("work_ratio", "dense_ratio", "command_ratio")}
    (target / "ledger.json").write_text(json.dumps(asdict(figures) | ratios, indent=2) + "\n")
    console.print(f"Figures: {target / 'ledger.json'}")
