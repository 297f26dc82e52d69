"""Log -> raw: exactly once, whatever interrupts it, and never from another log."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ingestion import landing
from ingestion.errors import ContractBroken, LogBroken, LogRewound, WarehouseBusy
from ingestion.landing import check_completeness, land_new_entries, log_size, read_watermark
from ingestion.warehouse import open_warehouse, warehouse_lock
from ledger.identifiers import new_id
from ledger.log.entry import Draft
from ledger.settings import PROJECT_DIR
from ledger.store import Ledger
from tests.support.living_ledger import append, append_deals, live, new_ledger, tamper

TABLES = ("deal_events", "stage_events", "commission_events", "adjustments", "disputes", "people")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def _raw(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that was landed, in the order of the log."""
    with open_warehouse(path) as connection:
        return {table: connection.execute(f"SELECT * FROM raw.{table} ORDER BY n").fetchall() for table in TABLES}


def test_landing_in_batches_equals_landing_at_once(ledger: Ledger, warehouse: Path, tmp_path: Path) -> None:
    live(ledger)
    report = land_new_entries(ledger, warehouse, batch_size=3)
    assert (report.from_n, report.to_n, report.entries) == (0, log_size(ledger), log_size(ledger))
    assert report.batches == -(-report.entries // 3)
    assert report.rows_by_table == {table: len(rows) for table, rows in _raw(warehouse).items()}
    land_new_entries(ledger, tmp_path / "once.duckdb", batch_size=1000)
    assert _raw(warehouse) == _raw(tmp_path / "once.duckdb")
    assert check_completeness(ledger, warehouse).is_complete


def test_an_error_in_a_later_part_takes_back_its_whole_transaction(
    ledger: Ledger, warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that were appended before it in the same transaction come again with the next landing, once."""
    append_deals(ledger, 12)
    moved = landing._check_moved

    def fail_in_the_second_part_of_the_second(watermarks: int, batch: landing.Batch) -> None:
        if batch.from_n == 6:
            raise _Stopped
        moved(watermarks, batch)

    monkeypatch.setattr(landing, "PART", 2)
    monkeypatch.setattr(landing, "_check_moved", fail_in_the_second_part_of_the_second)
    with pytest.raises(_Stopped):
        land_new_entries(ledger, warehouse, batch_size=4)
    assert read_watermark(warehouse) == 4
    monkeypatch.setattr(landing, "_check_moved", moved)
    report = land_new_entries(ledger, warehouse, batch_size=6)
    assert (report.from_n, report.to_n, report.batches) == (4, 13, 2)
    monkeypatch.undo()
    land_new_entries(ledger, tmp_path / "calm.duckdb")
    assert _raw(warehouse) == _raw(tmp_path / "calm.duckdb")
    assert check_completeness(ledger, warehouse).is_complete


def test_progress_is_told_after_each_batch(ledger: Ledger, warehouse: Path) -> None:
    append_deals(ledger, 9)
    heard: list[tuple[int, int]] = []
    land_new_entries(ledger, warehouse, batch_size=4, on_progress=lambda landed, total: heard.append((landed, total)))
    assert heard == [(4, 10), (8, 10), (10, 10)]


def test_only_what_is_new_is_landed(ledger: Ledger, warehouse: Path) -> None:
    append_deals(ledger, 3)
    land_new_entries(ledger, warehouse)
    append_deals(ledger, 2)
    report = land_new_entries(ledger, warehouse)
    assert (report.from_n, report.to_n, report.rows_by_table) == (4, 6, {"deal_events": 2, "stage_events": 2})
    assert check_completeness(ledger, warehouse).is_complete
    assert check_completeness(ledger, warehouse, from_n=5).from_n == 4  # back to where that landing began


def test_a_warehouse_may_know_less_than_the_log_does(ledger: Ledger, warehouse: Path) -> None:
    append_deals(ledger, 9)
    report = land_new_entries(ledger, warehouse, batch_size=3, up_to=5)
    assert (report.to_n, report.entries, read_watermark(warehouse)) == (5, 5, 5)
    assert check_completeness(ledger, warehouse).is_complete
    assert land_new_entries(ledger, warehouse, up_to=3).entries == 0
    assert land_new_entries(ledger, warehouse).from_n == 5


def test_nothing_new_writes_nothing(ledger: Ledger, warehouse: Path) -> None:
    """Not a byte, not a time: the file is as it was."""
    live(ledger)
    land_new_entries(ledger, warehouse)
    before, touched = warehouse.read_bytes(), warehouse.stat().st_mtime_ns
    report = land_new_entries(ledger, warehouse)
    assert (report.entries, report.batches) == (0, 0)
    assert check_completeness(ledger, warehouse).is_complete
    assert read_watermark(warehouse) == log_size(ledger)
    assert warehouse.stat().st_mtime_ns == touched
    assert warehouse.read_bytes() == before


def test_no_warehouse_is_a_watermark_of_zero_and_makes_none(warehouse: Path) -> None:
    assert read_watermark(warehouse) == 0
    assert not warehouse.exists()


class _Stopped(Exception):  # noqa: N818 - a fact
    """What the tests throw in the middle of things."""


@pytest.mark.parametrize("statement", ["INSERT INTO raw.stage_events", "INSERT INTO raw.landings", "UPDATE", "COMMIT"])
def test_an_error_at_any_statement_leaves_the_batch_out_whole(
    ledger: Ledger, warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Frames and watermark commit together: after the error, landing again gives what one landing would have given."""
    append_deals(ledger, 9)
    land = landing._land

    class Failing:
        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, query: str, *parameters: Any) -> Any:
            if query.startswith(statement):
                raise _Stopped
            return self._connection.execute(query, *parameters)

    def land_but_fail_on_the_second(connection: Any, batch: landing.Batch, **ends: bool) -> None:
        land(Failing(connection) if batch.from_n else connection, batch, **ends)

    monkeypatch.setattr(landing, "_land", land_but_fail_on_the_second)
    with pytest.raises(_Stopped):
        land_new_entries(ledger, warehouse, batch_size=4)
    assert read_watermark(warehouse) == 4
    monkeypatch.undo()
    land_new_entries(ledger, warehouse, batch_size=4)
    land_new_entries(ledger, tmp_path / "calm.duckdb")
    assert _raw(warehouse) == _raw(tmp_path / "calm.duckdb")
    assert check_completeness(ledger, warehouse).is_complete


def test_a_killed_process_loses_and_doubles_nothing(ledger: Ledger, warehouse: Path, tmp_path: Path) -> None:
    append_deals(ledger, 30)
    program = """
import os, signal, sys
from pathlib import Path
from ingestion import landing
from ledger.settings import Settings
from ledger.store import Ledger
home = Path(sys.argv[1])
moved = landing._check_moved
def kill_in_the_fourth(watermarks, batch):
    if batch.from_n == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    moved(watermarks, batch)
landing._check_moved = kill_in_the_fourth
landing.land_new_entries(Ledger.open(settings=Settings(home=home)), home / "warehouse.duckdb", batch_size=5)
"""
    process = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, env={**os.environ})
    assert process.returncode == -signal.SIGKILL
    assert read_watermark(warehouse) == 15
    land_new_entries(ledger, warehouse, batch_size=5)
    land_new_entries(ledger, tmp_path / "calm.duckdb")
    assert _raw(warehouse) == _raw(tmp_path / "calm.duckdb")


def test_landings_at_the_same_time_do_not_double(ledger: Ledger, warehouse: Path) -> None:
    append_deals(ledger, 40)
    reports: list[landing.LandingReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(land_new_entries(ledger, warehouse, batch_size=5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.entries for report in reports) == [0, 0, 0, 41]
    assert check_completeness(ledger, warehouse).is_complete


def test_who_waits_too_long_for_the_warehouse_is_told_so(ledger: Ledger, warehouse: Path) -> None:
    with warehouse_lock(warehouse), pytest.raises(WarehouseBusy, match="Another process is writing"):
        land_new_entries(ledger, warehouse, wait_seconds=0.2)


def test_a_warehouse_held_by_another_program_is_told_so(ledger: Ledger, warehouse: Path) -> None:
    """An analyst's tool that opened the private file does not take our lock, but DuckDB's."""
    append_deals(ledger, 1)
    land_new_entries(ledger, warehouse)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(warehouse)!r}); print('open', flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        holder.stdout.readline()
        with pytest.raises(WarehouseBusy, match="close the program"):
            land_new_entries(ledger, warehouse, wait_seconds=0.3)
        holder.stdin.write(b"\n")


def test_another_ledger_is_refused(ledger: Ledger, warehouse: Path, tmp_path: Path) -> None:
    append_deals(ledger, 5)
    land_new_entries(ledger, warehouse)
    other = new_ledger(tmp_path / "other")
    append_deals(other, 8)
    with pytest.raises(LogRewound, match="dealbook refresh --full"):
        land_new_entries(other, warehouse)
    other.close()


def test_a_ledger_that_lost_its_end_is_refused(ledger: Ledger, warehouse: Path) -> None:
    """A restored backup: also when it has grown again past the watermark with other entries."""
    append_deals(ledger, 5)
    land_new_entries(ledger, warehouse)
    tamper(ledger, "DELETE FROM audit_logs WHERE n >= 4")
    with pytest.raises(LogRewound):
        land_new_entries(ledger, warehouse)
    append_deals(ledger, 10)
    with pytest.raises(LogRewound):
        land_new_entries(ledger, warehouse)
    report = land_new_entries(ledger, warehouse, full=True)
    assert (report.from_n, report.entries) == (0, log_size(ledger))
    assert check_completeness(ledger, warehouse).is_complete


def test_landing_in_full_gives_the_same_rows(ledger: Ledger, warehouse: Path) -> None:
    live(ledger)
    land_new_entries(ledger, warehouse)
    before = _raw(warehouse)
    assert land_new_entries(ledger, warehouse, full=True).entries == log_size(ledger)
    assert _raw(warehouse) == before


def test_a_broken_log_keeps_its_batch_out(ledger: Ledger, warehouse: Path) -> None:
    append_deals(ledger, 9)
    tamper(ledger, "UPDATE audit_logs SET hash = zeroblob(32) WHERE n = 7")
    with pytest.raises(LogBroken, match="n=7"):
        land_new_entries(ledger, warehouse, batch_size=5)
    assert read_watermark(warehouse) == 5


def test_what_was_appended_before_a_broken_entry_stays(
    ledger: Ledger, warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its transaction was to be longer."""
    append_deals(ledger, 9)
    tamper(ledger, "UPDATE audit_logs SET hash = zeroblob(32) WHERE n = 7")
    monkeypatch.setattr(landing, "PART", 2)
    with pytest.raises(LogBroken, match="n=7"):
        land_new_entries(ledger, warehouse)
    assert read_watermark(warehouse) == 6
    assert check_completeness(ledger, warehouse).is_complete


def test_facts_that_break_the_contract_stay_out_and_are_named(ledger: Ledger, warehouse: Path, tmp_path: Path) -> None:
    append_deals(ledger, 2)
    deal_id = new_id()
    append(
        ledger,
        Draft(
            f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"asset_type": "castle", "confidence": "1.50"}}
        ),
        Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"status": "open"}}),
        Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"estimated_value_currency": "sgd"}}),
    )
    rejects = tmp_path / "rejects"
    with pytest.raises(ContractBroken, match=r"n=3, n=5 break the contract of raw\.deal_events") as caught:
        land_new_entries(ledger, warehouse, rejects_dir=rejects)
    assert caught.value.entries == [3, 5]
    assert caught.value.table == "deal_events"
    assert len(caught.value.rules) == 3
    assert read_watermark(warehouse) == 0
    assert not any(_raw(warehouse).values())
    lines = (rejects / "raw-deal_events-0-6.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["n", "3", "5"]
    assert "asset_type: isin" in lines[1]
    assert "confidence: less_than_or_equal_to(1)" in lines[1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "DELETE FROM raw.stage_events WHERE n = 3",
            "deal.opened: 4 entries in the log, 3 of them in raw.stage_events",
        ),
        ("INSERT INTO raw.deal_events FROM raw.deal_events WHERE n = 2", r"raw.deal_events \(5 rows\)"),
        ("DELETE FROM raw.landings WHERE from_n = 2", "landings do not join"),
        ("UPDATE raw.landings SET not_warehoused = 1 WHERE from_n = 2", "without a raw table"),
        ("UPDATE raw.watermark SET log_size = 9", "the watermark says 9"),
    ],
)
def test_what_is_missing_or_doubled_in_raw_is_found(ledger: Ledger, warehouse: Path, damage: str, said: str) -> None:
    append_deals(ledger, 4)
    land_new_entries(ledger, warehouse, batch_size=2)
    assert check_completeness(ledger, warehouse).is_complete
    with open_warehouse(warehouse) as connection:
        connection.execute(damage)
    report = check_completeness(ledger, warehouse)
    assert not report.is_complete
    assert re.search(said, "; ".join(report.problems))


def test_the_warehouse_is_opened_with_the_memory_that_dbt_has(warehouse: Path) -> None:
    """Whoever works in it, a warehouse of any size leaves the machine to others; the limit is the same for all."""
    profile = yaml.safe_load((PROJECT_DIR / "dbt_project" / "profiles.yml").read_text())
    limit = profile["dealbook"]["outputs"]["local"]["config_options"]["memory_limit"]
    with open_warehouse(warehouse) as connection:
        [(ours,)] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
        connection.execute(f"SET memory_limit = '{limit}'")
        [(dbts,)] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    assert ours == dbts
