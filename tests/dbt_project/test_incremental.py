"""Computing anew only what later entries touch gives the same bytes as computing everything."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ingestion.mart_digests import MartDigest, digest_mart, list_marts
from ledger.settings import Settings
from orchestration.dbt_in_process import run_dbt
from tests.support.campaigns import is_soak, rounds, size
from tests.support.dbt_runs import parse_project
from tests.support.random_histories import DAYS, EVENTS, FIRST_DAY, Event, write_history

COMMAND = ["build", "--no-write-json", "--resource-type", "model", "--resource-type", "seed"]


@dataclass(frozen=True)
class Step:
    """A build: how much of the log it reads, and the day it is asked about."""

    log_size: int
    day: int

    @property
    def as_of_date(self) -> str:
        return (FIRST_DAY + timedelta(days=self.day)).isoformat()


class Workshop:
    """Builds marts in warehouse files of its own, with the project parsed once, as a refresh does."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.manifest = parse_project()

    def write(self, events: list[Event]) -> int:
        """Make a new warehouse with the raw facts of a history; return its log size."""
        self.settings.warehouse_path.unlink(missing_ok=True)
        with duckdb.connect(self.settings.warehouse_path) as connection:
            return write_history(connection, events)

    def build(self, step: Step, built: Step | None = None) -> list[MartDigest]:
        """Build, on what was `built` before if that is given, and return the marts' digests."""
        variables: dict[str, Any] = {"log_size": step.log_size, "as_of_date": step.as_of_date}
        variables |= {"business_timezone": "Asia/Singapore", "reporting_currency": "SGD", "definition_version": "test"}
        if built:
            variables |= {"built_log_size": built.log_size, "built_as_of_date": built.as_of_date}
        run = run_dbt(self.settings, COMMAND, manifest=self.manifest, variables=variables)
        assert run.is_success, [str(failure) for failure in run.failures]
        with duckdb.connect(self.settings.warehouse_path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return [digest_mart(connection, "marts", mart) for mart in list_marts(connection, "marts")]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("workshop")
    yield Workshop(home)
    shutil.rmtree(home, ignore_errors=True)


@st.composite
def histories_in_batches(draw: st.DrawFn) -> tuple[list[Event], list[tuple[float, int]]]:
    """Return a history and builds on the way: the share of the log that each reads, and its day, neither going back."""
    events = draw(st.lists(EVENTS, min_size=140, max_size=180))
    assume(len({event.kind for event in events}) > 10 and len({event.deal for event in events}) > 15)
    first = (draw(st.floats(0.5, 0.8)), draw(st.integers(3, DAYS - 10)))
    further = draw(st.lists(st.tuples(st.floats(0.01, 0.15), st.integers(size(1, 0), 12)), min_size=1, max_size=size(1, 3)))
    steps = accumulate([first, *further], lambda before, more: (min(before[0] + more[0], 1.0), before[1] + more[1]))
    return events, list(steps)


@pytest.mark.soak
@given(histories_in_batches())
@settings(
    max_examples=rounds(1, 100),
    deadline=None,
    database=None,
    derandomize=not is_soak(),
    phases=[Phase.generate, *([Phase.shrink] if is_soak() else [])],
    suppress_health_check=list(HealthCheck),
)
def test_a_build_on_top_of_the_last_one_equals_a_build_from_nothing(
    workshop: Workshop, case: tuple[list[Event], list[tuple[float, int]]]
) -> None:
    """Whatever happened, in whatever order it was written down: each batch gives the digests of a full build.

    Deals are reopened, reassigned, moved and moved back, entered late, cancelled, revalued in other currencies; their
    commissions are confirmed, clawed back, disputed; rates change; people are renamed.
    """
    events, batches = case
    log_size = workshop.write(events)
    built = None
    for share, day in batches:
        step = Step(int(log_size * share), day)
        on_top = workshop.build(step, built)
        raw_and_marts = workshop.settings.warehouse_path.with_suffix(".kept")
        shutil.copy(workshop.settings.warehouse_path, raw_and_marts)
        if built:
            assert on_top == workshop.build(step), f"{built} then {step}"
        shutil.move(raw_and_marts, workshop.settings.warehouse_path)
        built = step
