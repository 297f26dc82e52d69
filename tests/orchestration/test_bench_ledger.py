"""The loop that the models are compared with gives the same numbers: what is compared are two ways to one result."""

import os
import subprocess
import sys
from datetime import datetime

import duckdb
import pytest

from ingestion.landing import check_completeness, land_new_entries, log_size
from ledger.settings import PROJECT_DIR, Settings
from ledger.store import Ledger
from orchestration import bench_ledger
from orchestration.bench_logs import land_log, lengthen_log
from orchestration.bench_models import build_models


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a small sample, dirt included, landed and built."""
    place = Settings(home=tmp_path_factory.mktemp("loop"))
    command = [sys.executable, "-m", "dealbook", "demo", "--deals", "150", "--agents", "4"]
    environment = {**os.environ, "DEALBOOK_HOME": str(place.home)}
    subprocess.run(command, env=environment, cwd=PROJECT_DIR, check=True, capture_output=True)
    ledger = Ledger.open(settings=place)
    land_new_entries(ledger, place.warehouse_path)
    ledger.close()
    for kind in ("seed", "model"):
        build_models(place, [kind], datetime.now(place.time_zone).date())
    return place


def test_the_loop_and_the_models_agree_on_every_agent_and_day(built: Settings) -> None:
    """Counts, cycles and amounts of four agents on three days are equal to the cent and the microsecond."""
    loop = bench_ledger.loop_over(built)
    assert loop.agents >= 4
    assert loop.made == loop.agents * len(bench_ledger.MEASURED_DAYS)
    assert loop.agent_days > loop.made
    assert loop.cpu_seconds > 0


def test_the_long_log_that_is_landed_is_sound(built: Settings) -> None:
    """Its entries prove themselves and keep their contracts, again and again: what is measured is ordinary work."""
    short = Ledger.open(settings=built)
    size = log_size(short)
    short.close()
    longer = Settings(home=built.home / "longer")
    lengthen_log(built, longer, 2 * size + 1)
    assert land_log(longer) == 2 * size + 1
    lengthen_log(built, longer, 3 * size)
    assert land_log(longer) == size - 1
    ledger = Ledger.open(settings=longer)
    assert log_size(ledger) == 3 * size
    assert check_completeness(ledger, longer.warehouse_path).is_complete
    ledger.close()


def test_a_number_on_which_they_differ_stops_the_bench(built: Settings) -> None:
    """A wrong number is not measured as if it were one."""
    with duckdb.connect(built.warehouse_path) as warehouse:
        warehouse.execute(
            "UPDATE marts.agent_performance_snapshots SET deals_closed_won = deals_closed_won + 1 "
            "WHERE snapshot_date = (SELECT max(snapshot_date) FROM marts.agent_performance_snapshots)"
        )
    with pytest.raises(RuntimeError, match="the loop gives"):
        bench_ledger.loop_over(built)


def test_ratios_are_of_like_with_like() -> None:
    """An agent's day against an agent's day; a process with its start against a process with its start."""
    figures = bench_ledger.LedgerFigures(
        entries=1,
        landed_per_second=1,
        landed_per_cpu_second=1,
        agents=10,
        agent_days=1_000,
        loop_seconds=0.01,
        loop_start_seconds=1,
        snapshot_seconds=0.5,
        command_seconds=5,
        dense_loop_seconds=0.3,
        dense_snapshot_seconds=0.001,
    )
    assert figures.work_ratio == pytest.approx(0.01 / 0.0005)
    assert figures.dense_ratio == pytest.approx(300)
    assert figures.command_ratio == pytest.approx((1 + 10 * bench_ledger.DAYS * 0.01) / 5)
