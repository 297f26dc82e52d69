"""A published file answers for any past day what a build for that day would say, to the byte."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ingestion.mart_digests import MartDigest, digest_mart
from ingestion.publishing import publish_marts
from orchestration.dated_marts import MARTS, dated_marts
from tests.dbt_project.test_incremental import Step, Workshop
from tests.support.campaigns import is_soak, rounds
from tests.support.random_histories import DAYS, EVENTS, FIRST_DAY, Event
from tests.support.raw_tables import History


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("workshop")
    yield Workshop(home)
    shutil.rmtree(home, ignore_errors=True)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Event], list[int]]:
    """Return a history and days to ask about, the last of which is the newest."""
    events = draw(st.lists(EVENTS, min_size=140, max_size=180))
    assume(len({event.kind for event in events}) > 10 and len({event.deal for event in events}) > 15)
    past = draw(st.lists(st.integers(0, DAYS - 2), min_size=rounds(1, 3), max_size=rounds(1, 3)))
    return events, [*past, DAYS]


@pytest.mark.soak
@given(histories())
@settings(
    max_examples=rounds(1, 60),
    deadline=None,
    database=None,
    derandomize=not is_soak(),
    phases=[Phase.generate, *([Phase.shrink] if is_soak() else [])],
    suppress_health_check=list(HealthCheck),
)
def test_a_published_file_says_of_a_past_day_what_a_build_for_that_day_says(
    workshop: Workshop, case: tuple[list[Event], list[int]]
) -> None:
    """Whatever happened later, however late it was written down; the functions give the bytes that a replay gives."""
    events, days = case
    log_size = workshop.write(events)
    add_reference_files(workshop.settings.warehouse_path)
    steps = [Step(log_size, day) for day in days]
    built = [workshop.build(step) for step in steps]
    published = publish(workshop, steps[-1])
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{published}' AS published (READ_ONLY)")
        for step, marts in zip(steps, built, strict=True):
            expected = {mart.mart: mart for mart in marts if mart.mart in MARTS}
            assert asked_of(connection, step) == expected, f"{step.as_of_date}"


def add_reference_files(warehouse: Path) -> None:
    """Let costs and benchmarks begin, and be corrected, on days in the middle of the history."""
    with duckdb.connect(warehouse) as connection:
        history = History(connection)
        for day in (5, 25):
            history.benchmark("conversion_rate", f"0.{30 + day}", (FIRST_DAY + timedelta(days=day)).isoformat())


def publish(workshop: Workshop, step: Step) -> Path:
    settings = workshop.settings
    shutil.rmtree(settings.published_dir, ignore_errors=True)
    publication = publish_marts(
        settings.warehouse_path,
        settings.published_dir,
        log_size=step.log_size,
        last_hash=None,
        as_of_date=step.as_of_date,
        definition_version="test",
        business_timezone="Asia/Singapore",
        reporting_currency="SGD",
        dbt_invocation_id=None,
        dbt_version=None,
        run_id="run",
        reference_digest="none",
        dated_marts=dated_marts(settings, definition_version="test"),
    )
    return settings.published_dir / publication.name


def asked_of(connection: duckdb.DuckDBPyConnection, step: Step) -> dict[str, MartDigest]:
    """Ask the published file for every mart of that day and digest what it answers."""
    answers = {}
    for mart in MARTS:
        connection.execute("USE published")
        connection.execute(f"CREATE OR REPLACE TABLE memory.main.{mart} AS FROM {mart}_as_of(DATE '{step.as_of_date}')")
        connection.execute("USE memory")
        answers[mart] = digest_mart(connection, "main", mart)
    return answers
