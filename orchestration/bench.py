"""Refreshes measured beside their yardstick: a bare `dbt build` of the same project on the same data, in one run.

Each figure is a whole process, started cold as a user would, with its wall time and its peak memory. Absolute times
belong to the machine; the ratio to the yardstick is what we promise.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

from ledger.settings import PROJECT_DIR, Settings
from orchestration.bench_models import alone
from orchestration.environment import profile_environment, statement_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console


@dataclass(frozen=True)
class Figure:
    """One measured step: seconds of wall time (median of `runs`), peak resident memory in MB, ratio to `dbt build`."""

    step: str
    seconds: float
    peak_mb: float
    runs: int
    ratio: float | None = None


def _measure(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command to its end; return (wall seconds, peak resident MB of that process)."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=PROJECT_DIR)  # noqa: S603 (our own verbs)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{log.read().decode()[-4000:]}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def run_bench(
    settings: Settings,
    console: Console,
    *,
    new: list[int],
    repeat: int,
    also: Callable[[Path], object] | None = None,
) -> list[Figure]:
    """Measure a fresh installation under a temporary home and print the table.

    Begins with a sample of 5,000 deals, then for each number in `new` imports that many further deals and refreshes;
    0 refreshes with nothing new. The yardstick runs right after each refresh on a copy of its warehouse. The table and
    its figures (JSON) also go to `settings.home/bench/`. `also` is handed the home before it is removed, to measure
    something else on it.
    """
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        home = Path(folder) / "home"
        environment = {**os.environ, "DEALBOOK_HOME": str(home), "NO_COLOR": "1"}
        dealbook = [sys.executable, "-m", "dealbook"]

        def add(step: str, command: list[str]) -> None:
            console.print(f"{step} ...")
            seconds, peak = _measure(command, environment)
            figures.append(Figure(step, seconds, peak, 1))

        add("sample of 5,000 deals: write and import", [*dealbook, "demo", "--deals", "5000"])
        add("first refresh", [*dealbook, "refresh"])
        add("docs site", [*dealbook, "docs"])
        for count in new:
            times: list[tuple[float, float]] = []
            yardstick: list[tuple[float, float]] = []
            wanted, seed = (1 if count >= 5_000 else repeat), 1000 + 100 * len(figures)
            while len(times) < wanted:
                seed += 1
                if count:
                    _measure([*dealbook, "demo", "--deals", str(count), "--seed", str(seed)], environment)
                console.print(f"refresh with {count:,} new deals, run {len(times) + 1} ...")
                before = (home / "published" / "CURRENT").read_text()
                figure = _measure([*dealbook, "refresh"], environment)
                if count and (home / "published" / "CURRENT").read_text() == before:
                    continue  # the sample's dirt took its only deal: nothing was new
                times.append(figure)
                yardstick.append(_measure_dbt_build(home, Path(folder) / "copy", environment))
            seconds, base = (median(second for second, _ in series) for series in (times, yardstick))
            figures.append(
                Figure(f"refresh, {count:,} new deals", seconds, max(mb for _, mb in times), len(times), seconds / base)
            )
            figures.append(Figure("  beside it: dbt build alone", base, max(mb for _, mb in yardstick), len(yardstick)))
        console.print("refresh with a few new deals in a process that refreshed before ...")
        warm, _, _, peak = alone(partial(_refresh_warm, Settings(home=home), environment))
        base = _measure_dbt_build(home, Path(folder) / "copy", environment)[0]
        figures.append(Figure("refresh, a few new deals, in a warm process", warm, peak, 1, warm / base))
        figures.append(Figure("  beside it: dbt build alone", base, 0, 1))
        if also:
            also(home)
    _report(settings, console, figures)
    return figures


def _refresh_warm(place: Settings, environment: dict[str, str]) -> float:
    """Refresh twice in this process, each time after new deals, and return the seconds of the second one.

    The running service does it like that: whatever has to be imported is there.
    """
    from orchestration.refresh import refresh

    published: list[float] = []
    seed = 9_000
    while len(published) < 2:
        seed += 1
        _measure([sys.executable, "-m", "dealbook", "demo", "--deals", "3", "--seed", str(seed)], environment)
        started = time.monotonic()
        report = refresh(place)
        if report.outcome == "failed":
            raise RuntimeError(report.render())
        if report.outcome == "published":  # otherwise the sample's dirt took all three
            published.append(time.monotonic() - started)
    return published[-1]


def _measure_dbt_build(home: Path, copy: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Time a plain `dbt build` process on a copy of the warehouse, with a warm parse cache and the same variables."""
    from orchestration.refresh import dbt_variables

    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    shutil.copy(home / "warehouse.duckdb", copy / "warehouse.duckdb")
    shutil.copytree(home / "dbt", copy / "dbt")
    variables = dbt_variables(Settings(home=home))
    command = [str(Path(sys.executable).parent / "dbt"), "build", "--exclude-resource-type", "unit_test", "--quiet"]
    command += ["--project-dir", str(PROJECT_DIR / "dbt_project"), "--profiles-dir", str(PROJECT_DIR / "dbt_project")]
    command += ["--vars", json.dumps(variables)]
    threads = statement_threads(copy / "warehouse.duckdb")
    paths = profile_environment(copy / "warehouse.duckdb", threads) | {"DBT_TARGET_PATH": str(copy / "dbt")}
    paths |= {"DBT_LOG_PATH": str(copy / "logs"), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    _measure(command, {**environment, **paths})
    return _measure(command, {**environment, **paths})


def _report(settings: Settings, console: Console, figures: list[Figure]) -> None:
    """Print the table and keep it under `settings.home/bench/`."""
    table = Table(title=f"dealbook bench, {datetime.now(settings.time_zone):%Y-%m-%d %H:%M}, {os.cpu_count()} cores")
    for heading in ("step", "seconds", "peak MB", "runs", "x dbt build"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.step, f"{figure.seconds:.2f}", f"{figure.peak_mb:,.0f}", str(figure.runs), ratio)
    console.print(table)
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "refresh.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    console.print(f"Figures: {target / 'refresh.json'}")
