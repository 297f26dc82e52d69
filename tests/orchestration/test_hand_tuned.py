"""The marts written by hand give what dbt gives: every mart, every column, every row.

The two share no statement, so whatever one counts wrongly the other contradicts.
"""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ingestion.landing import land_new_entries
from ingestion.reference_files import load_reference_files
from ledger.settings import PROJECT_DIR, Settings
from ledger.store import Ledger
from orchestration.dbt_in_process import run_dbt
from orchestration.hand_tuned import build_marts_by_hand
from tests.support.campaigns import is_soak, rounds
from tests.support.commands import run_dealbook
from tests.support.dbt_runs import parse_project
from tests.support.random_histories import DAYS, EVENTS, FIRST_DAY, Event, write_history
from tests.support.raw_tables import create_raw_tables, synthesize


class Both:
    """Builds the same raw tables both ways, in files beside each other."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
        self.by_hand = home / "by_hand.duckdb"
        self.manifest = parse_project()

    def compare(self, day: date, log_size: int = 2**40) -> dict[str, int]:
        """Return the rows of each mart; fails with the first rows that only one of the two has."""
        shutil.copy(self.settings.warehouse_path, self.by_hand)
        with duckdb.connect(self.by_hand) as connection:
            connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")  # of an earlier comparison
        build_marts_by_hand(self.by_hand, as_of_date=day, log_size=log_size, definition_version="test")
        variables = {"as_of_date": day.isoformat(), "log_size": log_size, "definition_version": "test"}
        command = ["build", "--no-write-json", "--resource-type", "model", "--resource-type", "seed"]
        run = run_dbt(self.settings, command, manifest=self.manifest, variables=variables)
        assert run.is_success, [str(failure) for failure in run.failures]
        with duckdb.connect(self.settings.warehouse_path) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH '{self.by_hand}' AS by_hand (READ_ONLY)")
            columns = _columns(connection, self.settings.warehouse_path.stem)
            assert columns == _columns(connection, "by_hand")
            return {mart: _compare(connection, mart, list(columns[mart])) for mart in columns}


def _columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, dict[str, str]]:
    """Names and types of the columns of every mart, in their order."""
    found: dict[str, dict[str, str]] = {}
    query = """SELECT table_name, column_name, data_type FROM duckdb_columns()
        WHERE database_name = ? AND schema_name = 'marts' ORDER BY table_name, column_index"""
    for mart, column, data_type in connection.execute(query, [database]).fetchall():
        found.setdefault(mart, {})[column] = data_type
    return found


def _compare(connection: duckdb.DuckDBPyConnection, mart: str, columns: list[str]) -> int:
    names = ", ".join(columns)
    for one, other in (("marts", "by_hand.marts"), ("by_hand.marts", "marts")):
        query = f"SELECT {names} FROM {one}.{mart} EXCEPT ALL SELECT {names} FROM {other}.{mart} ORDER BY ALL LIMIT 3"
        only = [dict(zip(columns, row, strict=True)) for row in connection.execute(query).fetchall()]
        assert not only, f"{mart}: in {one} alone"
    [(rows,)] = connection.execute(f"SELECT count(*) FROM marts.{mart}").fetchall()
    return int(rows)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    home = tmp_path_factory.mktemp("both")
    yield Both(home)
    shutil.rmtree(home, ignore_errors=True)


def test_the_sample_is_the_same_by_hand(both: Both, tmp_path: Path) -> None:
    """A real ledger, imported and landed, with the benchmarks, rates, targets and costs that come along."""
    done = run_dealbook(tmp_path, "demo", "--deals", "400")
    assert done.returncode == 0, done.stdout + done.stderr
    place = Settings(home=tmp_path)
    references = sorted((PROJECT_DIR / "data" / "reference").glob("*.csv"))
    loaded = load_reference_files(references, place.warehouse_path, place.rejects_dir)
    assert all(file.accepted for file in loaded.files)
    ledger = Ledger.open(settings=place)
    land_new_entries(ledger, place.warehouse_path)
    ledger.close()
    both.settings.warehouse_path.unlink(missing_ok=True)
    with duckdb.connect(both.settings.warehouse_path) as connection:
        connection.execute(f"ATTACH '{tmp_path / 'warehouse.duckdb'}' AS landed (READ_ONLY)")
        create_raw_tables(connection)
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name <> 'landed'").fetchall()
        for (table,) in tables:
            connection.execute(f"INSERT INTO raw.{table} BY NAME FROM landed.raw.{table}")
        [(last,)] = connection.execute("SELECT max(effective_at)::DATE FROM raw.deal_events").fetchall()
        [(log_size,)] = connection.execute("SELECT log_size FROM landed.raw.watermark").fetchall()
    rows = both.compare(last, log_size)
    assert [mart for mart, count in rows.items() if not count] == ["house_share"]
    assert both.compare(last - timedelta(days=200), log_size // 2)["deals"] < rows["deals"]


REFERENCES = Path(__file__).with_name("made_up_references.sql")


def test_a_made_up_agency_is_the_same_by_hand(both: Both) -> None:
    """Enough deals that confidences are scored, velocities shown and five peers found, and reference figures of every
    kind: no mart is empty.
    """
    both.settings.warehouse_path.unlink(missing_ok=True)
    with duckdb.connect(both.settings.warehouse_path) as connection:
        create_raw_tables(connection)
        last_day = date.fromisoformat(synthesize(connection, deals=2_000, agents=12, days=400))
        connection.execute(REFERENCES.read_text())
    rows = both.compare(last_day)
    assert all(rows.values()), rows
    assert rows["calibration_scores"] > 50
    assert rows["benchmark_comparison"] > 100


@pytest.mark.soak
@given(st.lists(EVENTS, min_size=140, max_size=180), st.integers(DAYS // 2, DAYS + 5), st.floats(0.5, 1))
@settings(
    max_examples=rounds(3, 300),
    deadline=None,
    database=None,
    derandomize=not is_soak(),
    phases=[Phase.generate, *([Phase.shrink] if is_soak() else [])],
    suppress_health_check=list(HealthCheck),
)
def test_random_histories_are_the_same_by_hand(both: Both, events: list[Event], day: int, known: float) -> None:
    """Whatever happened, in whatever order it was written down, as known after any part of the log."""
    assume(len({event.kind for event in events}) > 10 and len({event.deal for event in events}) > 15)
    both.settings.warehouse_path.unlink(missing_ok=True)
    with duckdb.connect(both.settings.warehouse_path) as connection:
        log_size = write_history(connection, events)
    both.compare(FIRST_DAY + timedelta(days=day), int(log_size * known))
