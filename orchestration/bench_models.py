"""The models measured at size: dbt beside the same statements as one SQL script, and on top of the last build.

A made-up agency is written straight into raw tables, so that sizes are cheap to make. Each way works on its own copy of
them, in this process, in turns. Wall time is what a user waits; processor time is what a busy machine falsifies least.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.table import Table

from ledger.settings import PROJECT_DIR, Settings

if TYPE_CHECKING:
    from rich.console import Console

DAYS = 1095
NEW_DAYS = 11  # one hundredth of three years
SCRIPT, ANEW, ON_TOP = "one SQL script", "dbt, everything", "dbt, on the last build"


@dataclass(frozen=True)
class ModelFigure:
    """What building the marts took: seconds of wall and processor time, peak memory of the process so far in MB."""

    way: str
    deals: int
    entries: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def run_bench_models(settings: Settings, console: Console, *, deals: int) -> list[ModelFigure]:
    """Measure a tenth of `deals` and all of them, over three years of days; print the table.

    Its figures and a plot go to `settings.home/bench/`. A million deals need some 15 GB of disk.
    """
    figures: list[ModelFigure] = []
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        for size in (max(deals // 10, 1), deals):
            console.print(f"models of {size:,} deals ...")
            place = Path(folder) / str(size)
            figures += _measure_size(Settings(home=place), size)
            shutil.rmtree(place)
    _report(settings, console, figures)
    return figures


def _measure_size(place: Settings, deals: int) -> list[ModelFigure]:
    """Build the marts of one size in all three ways."""
    from orchestration.dbt_in_process import load_manifest, run_dbt

    place.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    last_day, entries = synthesize(place.warehouse_path, deals)
    manifest = load_manifest(place)

    def build(kind: str, day: date, built: date | None = None) -> None:
        variables: dict[str, Any] = {"log_size": 2**40, "as_of_date": day.isoformat(), "definition_version": "bench"}
        if built:
            variables |= {"built_log_size": 2**40, "built_as_of_date": built.isoformat()}
        command = ["build", "--no-write-json", "--resource-type", kind]
        run = run_dbt(place, command, manifest=manifest, variables=variables)
        if not run.is_success:
            raise RuntimeError("; ".join(map(str, run.failures)))

    build("seed", last_day)
    base = place.warehouse_path.with_suffix(".base")
    shutil.copy(place.warehouse_path, base)

    def measure(way: str, work: Callable[[], None]) -> ModelFigure:
        started, cpu = time.monotonic(), time.process_time()
        work()
        seconds, cpu = time.monotonic() - started, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return ModelFigure(way, deals, entries, seconds, cpu, peak)

    anew = measure(ANEW, lambda: build("model", last_day))
    statements = script_of(place, manifest)
    shutil.copy(base, place.warehouse_path)
    script = measure(SCRIPT, lambda: run_script(place.warehouse_path, statements))
    shutil.copy(base, place.warehouse_path)
    before = last_day - timedelta(days=NEW_DAYS)
    build("model", before)
    on_top = measure(ON_TOP, lambda: build("model", last_day, before))
    return [script, anew, on_top]


def synthesize(path: Path, deals: int) -> tuple[date, int]:
    """Write the raw tables of an agency; return its last day and how many entries it has."""
    from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES, create_table

    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA raw")
        for name, model in {**LOG_TABLES, **REFERENCE_TABLES}.items():
            connection.execute(create_table(name, model))
        for name, value in {"deals": deals, "agents": max(20, deals // 1000), "days": DAYS}.items():
            connection.execute(f"SET VARIABLE {name} = {value}")
        connection.execute((PROJECT_DIR / "orchestration" / "synthetic_agency.sql").read_text())
        tables = ("deal_events", "commission_events", "adjustments", "people")
        counts = [connection.execute(f"SELECT count(*) FROM raw.{table}").fetchall()[0][0] for table in tables]  # noqa: S608 (our own names)
    return date(2022, 1, 2) + timedelta(days=DAYS), sum(counts)


def script_of(place: Settings, manifest: Any) -> list[str]:
    """Return the statements of the models as dbt compiled them, each after those it reads."""
    models = {name: node for name, node in manifest.nodes.items() if node.resource_type == "model"}
    ordered: dict[str, Any] = {}
    while len(ordered) < len(models):
        for name, node in models.items():
            if name not in ordered and all(
                parent in ordered or parent not in models for parent in node.depends_on.nodes
            ):
                ordered[name] = node
    folder = place.dbt_target_dir / "compiled" / "dealbook"
    return [
        f"CREATE {'VIEW' if node.config.materialized == 'view' else 'TABLE'} {node.schema}.{node.name} AS "
        + (folder / node.original_file_path).read_text()
        for node in ordered.values()
    ]


def run_script(path: Path, statements: list[str]) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in ("staging", "intermediate", "marts"):
            connection.execute(f"CREATE SCHEMA {schema}")
        for statement in statements:
            connection.execute(statement)


def _report(settings: Settings, console: Console, figures: list[ModelFigure]) -> None:
    """Print the table and keep figures and plot under `settings.home/bench/`."""
    table = Table(
        title=f"dealbook bench: models, {datetime.now(settings.time_zone):%Y-%m-%d %H:%M}, {os.cpu_count()} cores"
    )
    for heading in ("deals", "entries", "way", "seconds", "CPU seconds", "x everything (CPU)", "peak MB"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for figure in figures:
        anew = next(other for other in figures if other.way == ANEW and other.deals == figure.deals)
        table.add_row(
            f"{figure.deals:,}",
            f"{figure.entries:,}",
            figure.way,
            f"{figure.seconds:.2f}",
            f"{figure.cpu_seconds:.2f}",
            f"{figure.cpu_seconds / anew.cpu_seconds:.2f}",
            f"{figure.peak_mb:,.0f}",
        )
    console.print(table)
    small, large = (figure for figure in figures if figure.way == ANEW)
    growth = math.log(large.cpu_seconds / small.cpu_seconds) / math.log(large.entries / small.entries)
    console.print(
        f"Processor time grows as entries to the power of {growth:.2f}. Load of the machine: {os.getloadavg()[0]:.1f}."
    )
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "models.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    _plot(target / "models.png", figures)
    console.print(f"Figures and plot: {target / 'models.json'}, {target / 'models.png'}")


def _plot(path: Path, figures: list[ModelFigure]) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(7, 4.5), layout="constrained")
    axes = canvas.subplots()
    for way in (SCRIPT, ANEW, ON_TOP):
        series = [figure for figure in figures if figure.way == way]
        axes.plot([f.entries for f in series], [f.cpu_seconds for f in series], marker="o", label=way)
    axes.set(xscale="log", yscale="log", xlabel="entries", ylabel="CPU seconds", title="Building the marts")
    axes.legend()
    canvas.savefig(path)
