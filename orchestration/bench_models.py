"""The models measured at size: dbt beside SQL that is tuned by hand, and a hundredth of new days on top.

A made-up agency is written straight into raw tables, so that sizes are cheap to make. Each step is a process of its
own, so that its memory is its own. Wall time is what a user waits; processor time is what a busy machine falsifies
least.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.table import Table

from ingestion.warehouse import MEMORY_LIMIT
from ledger.settings import PROJECT_DIR, Settings
from orchestration.bench_logs import land_log, lengthen_log, run_verb
from orchestration.environment import statement_threads

if TYPE_CHECKING:
    from rich.console import Console

DAYS = 1095
LOG_SIZE = 2**40  # all of any log
NEW_DAYS = 11  # one hundredth of three years
SAMPLE_DEALS = 2_000
MANY_DEALS = 50_000  # from here on one turn of each is enough, and long enough
BY_HAND, ANEW, TESTS, PUBLISH = "SQL tuned by hand", "dbt, everything", "data tests", "publishing"
ON_TOP, PUBLISH_ON_TOP = "dbt with data tests, on the last build", "publishing after that"
LAND, LAND_ON_TOP = "log to raw", "log to raw, a hundredth more"
WAYS = (LAND, LAND_ON_TOP, BY_HAND, ANEW, TESTS, PUBLISH, ON_TOP, PUBLISH_ON_TOP)
WHOLE, HUNDREDTH = (LAND, ANEW, TESTS, PUBLISH), (LAND_ON_TOP, ON_TOP, PUBLISH_ON_TOP)
"""The steps of a full refresh, and of one after a hundredth of new days."""


@dataclass(frozen=True)
class ModelFigure:
    """What a step took: seconds of wall and processor time, peak memory of its process in MB."""

    way: str
    deals: int
    entries: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def run_bench_models(settings: Settings, console: Console, *, deals: int) -> list[ModelFigure]:
    """Measure a hundredth of `deals`, a tenth and all of them, over three years of days; print the table.

    Its figures and a plot go to `settings.home/bench/`. A million deals need some 15 GB of disk.
    """
    figures: list[ModelFigure] = []
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        sample = Settings(home=Path(folder) / "sample")
        run_verb(sample, "demo", "--deals", str(SAMPLE_DEALS))
        for size in sorted({max(deals // 100, 1), max(deals // 10, 1), deals}):
            console.print(f"models of {size:,} deals ...")
            place = Path(folder) / str(size)
            figures += _measure_size(Settings(home=place), sample, size, console)
            shutil.rmtree(place)
    _report(settings, console, figures)
    return figures


def _measure_size(place: Settings, sample: Settings, deals: int, console: Console) -> list[ModelFigure]:
    """Build, test and publish the marts of one size; then eleven days later once more, on top of that.

    The build and its yardstick take turns, twice where that is quick, and the lower of each counts. What is landed is
    another log of as many entries: the agency's raw tables are made without one.
    """
    warehouse = place.warehouse_path
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    last_day, entries = alone(partial(synthesize, warehouse, deals))[0]
    console.print(f"  {entries:,} entries written")
    before = last_day - timedelta(days=NEW_DAYS)
    build = partial(build_models, place)
    raw, seeded = (warehouse.with_suffix(suffix) for suffix in (".raw", ".seeded"))
    shutil.copy(warehouse, raw)
    alone(partial(build, ["seed"], before))
    shutil.move(warehouse, seeded)
    figures: dict[str, ModelFigure] = {}

    def measure(way: str, work: Callable[[], object]) -> None:
        _, seconds, cpu, peak = alone(work)
        known = figures.get(way)
        if known is None or cpu < known.cpu_seconds:
            figures[way] = ModelFigure(way, deals, entries, seconds, cpu, peak)
        console.print(f"  {way}: {seconds:.1f} s, {cpu:.1f} CPU seconds, {peak:,.0f} MB")

    log = Settings(home=place.home / "log")
    for way, size in ((LAND, entries), (LAND_ON_TOP, entries + entries // 100)):
        alone(partial(lengthen_log, sample, log, size))
        measure(way, partial(land_log, log))
    shutil.rmtree(log.home)
    for _ in range(2 if deals < MANY_DEALS else 1):
        shutil.copy(raw, warehouse)
        measure(BY_HAND, partial(_build_by_hand, warehouse, before))
        shutil.copy(seeded, warehouse)
        measure(ANEW, partial(build, ["model"], before))
    measure(TESTS, partial(build, ["test"], before))
    measure(PUBLISH, partial(_publish, place, before, "before"))
    measure(ON_TOP, partial(build, ["model", "test"], last_day, before))
    measure(PUBLISH_ON_TOP, partial(_publish, place, last_day, "after"))
    return list(figures.values())


def alone(work: Callable[[], Any]) -> tuple[Any, float, float, float]:
    """Do work in a process of its own; return what it returned, its seconds, CPU seconds and peak memory in MB."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(_measured, work).result()


def _measured(work: Callable[[], Any]) -> tuple[Any, float, float, float]:
    started, cpu = time.monotonic(), time.process_time()
    result = work()
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return result, seconds, cpu, peak / 1024


def _build_by_hand(path: Path, day: date) -> None:
    from orchestration.hand_tuned import build_marts_by_hand

    build_marts_by_hand(path, as_of_date=day, log_size=LOG_SIZE, definition_version="bench")


def build_models(place: Settings, kinds: list[str], day: date, built: date | None = None) -> None:
    """Build these kinds of dbt's nodes as of a day; on top of what was `built` if that is given."""
    from orchestration.dbt_in_process import load_manifest, run_dbt

    variables: dict[str, Any] = {"log_size": LOG_SIZE, "as_of_date": day.isoformat(), "definition_version": "bench"}
    if built:
        variables |= {"built_log_size": LOG_SIZE, "built_as_of_date": built.isoformat()}
    command = ["build", "--no-write-json", *(word for kind in kinds for word in ("--resource-type", kind))]
    run = run_dbt(place, command, manifest=load_manifest(place), variables=variables)
    if not run.is_success:
        raise RuntimeError("; ".join(map(str, run.failures)))


def _publish(place: Settings, day: date, run_id: str) -> None:
    from ingestion.publishing import publish_marts

    publish_marts(
        place.warehouse_path,
        place.published_dir,
        log_size=LOG_SIZE,
        last_hash=None,
        as_of_date=day,
        definition_version="bench",
        business_timezone="Asia/Singapore",
        reporting_currency="SGD",
        dbt_invocation_id=None,
        dbt_version=None,
        run_id=run_id,
        reference_digest="",
        keep=1,
    )


def statements_of(place: Settings, mart: str) -> list[str]:
    """Return what `script_of` returns for the project as it was last built there."""
    from orchestration.dbt_in_process import load_manifest

    return script_of(place, load_manifest(place), mart)


def synthesize(path: Path, deals: int) -> tuple[date, int]:
    """Write the raw tables of an agency; return its last day and how many entries it has."""
    from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES, create_table

    with duckdb.connect(path) as connection:
        _set_up(connection)
        connection.execute("CREATE SCHEMA raw")
        for name, model in {**LOG_TABLES, **REFERENCE_TABLES}.items():
            connection.execute(create_table(name, model))
        for name, value in {"deals": deals, "agents": max(20, deals // 1000), "days": DAYS}.items():
            connection.execute(f"SET VARIABLE {name} = {value}")
        connection.execute((PROJECT_DIR / "orchestration" / "synthetic_agency.sql").read_text())
        tables = ("deal_events", "commission_events", "adjustments", "people")
        counts = [connection.execute(f"SELECT count(*) FROM raw.{table}").fetchall()[0][0] for table in tables]  # noqa: S608 (our own names)
    return date(2022, 1, 2) + timedelta(days=DAYS), sum(counts)


def script_of(place: Settings, manifest: Any, mart: str) -> list[str]:
    """Return the statements of a mart and of all that it reads as dbt compiled them, each after those it reads."""
    models = {name: node for name, node in manifest.nodes.items() if node.resource_type == "model"}
    ordered: dict[str, Any] = {}

    def add(name: str) -> None:
        for parent in models[name].depends_on.nodes:
            if parent in models and parent not in ordered:
                add(parent)
        ordered[name] = models[name]

    add(next(name for name, node in models.items() if node.name == mart))
    folder = place.dbt_target_dir / "compiled" / "dealbook"
    return [
        f"CREATE {'VIEW' if node.config.materialized == 'view' else 'TABLE'} {node.schema}.{node.name} AS "
        + (folder / node.original_file_path).read_text()
        for node in ordered.values()
    ]


def run_script(path: Path, statements: list[str]) -> None:
    """Run the statements one after the other, with the settings that dbt's profile has."""
    threads = statement_threads(path)
    with duckdb.connect(path) as connection:
        _set_up(connection)
        connection.execute(f"SET threads = {threads}")
        for schema in ("staging", "intermediate", "marts"):
            connection.execute(f"CREATE SCHEMA {schema}")
        for statement in statements:
            connection.execute(statement)


def _set_up(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")


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
    console.print(f"Load of the machine: {os.getloadavg()[0]:.1f}.")
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "models.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    _plot(target / "models.png", figures)
    console.print(f"Figures and plot: {target / 'models.json'}, {target / 'models.png'}")


def _plot(path: Path, figures: list[ModelFigure]) -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(7, 4.5), layout="constrained")
    axes = canvas.subplots()
    for way in WAYS:
        series = [figure for figure in figures if figure.way == way]
        axes.plot([f.entries for f in series], [f.cpu_seconds for f in series], marker="o", label=way)
    axes.set(xscale="log", yscale="log", xlabel="entries", ylabel="CPU seconds", title="Building the marts")
    axes.legend(fontsize="small")
    canvas.savefig(path)
