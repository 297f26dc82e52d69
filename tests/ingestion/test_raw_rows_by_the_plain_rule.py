"""What lands in raw, checked against a second reading of the log that shares nothing with the first."""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion import log_reader
from ingestion.contracts import LOG_TABLES
from ingestion.crm_files.importing import import_files
from ingestion.landing import land_new_entries
from ingestion.sample_files import write_sample
from ingestion.warehouse import open_warehouse
from ledger.actors import SYSTEM
from ledger.identifiers import new_id
from ledger.log.entry import Draft
from ledger.store import Ledger
from tests.support.living_ledger import append, append_deals, live, new_ledger
from tests.support.plain_raw_rows import plain_rows


def _odd_changes() -> list[Draft]:
    """Changes of deals whose texts look like other things, and that clear, set and leave out all sorts of columns."""
    texts = [
        "a:null",
        '"quoted"',
        "back\\slash",
        "Zürich 東京",
        "{}",
        "}\n{",
        "tab\there",
        "NaN",
        " null",
        "Inf",
        "x,y",
    ]
    changes: list[dict[str, Any]] = [{"lead_source": odd} for odd in texts]
    changes += [{"lead_source": None, "confidence": "0.10"}, {"expected_close_date": None, "confidence": None}, {}]
    drafts = []
    for change in changes:
        deal_id = new_id()
        drafts.append(Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": change, "note": "{"}))
    return drafts


@pytest.mark.parametrize("batch_size", [4, 1000])
def test_raw_holds_what_each_entry_says_read_one_by_one(tmp_path: Path, batch_size: int) -> None:
    """However entries are batched and decoded together, each raw row is that of its entry read alone by the rule."""
    ledger = new_ledger(tmp_path)
    live(ledger)
    append_deals(ledger, 7)
    append(ledger, *_odd_changes())
    _check(ledger, tmp_path / "warehouse.duckdb", batch_size)


@pytest.mark.parametrize("piece", [37, 1000])
def test_raw_holds_what_each_entry_of_an_import_says(
    tmp_path: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample with its dirt, in pieces that end anywhere: the rows lie in the order of the log."""
    monkeypatch.setattr(log_reader, "PIECE", piece)
    ledger = new_ledger(tmp_path)
    sample = write_sample(tmp_path / "sample", deals=80, agents=5, years=1, seed=3, until=date(2025, 6, 30))
    import_files(ledger, SYSTEM, sample.files, "sample_crm", rejects_dir=tmp_path / "rejects")
    live(ledger)
    _check(ledger, tmp_path / "warehouse.duckdb", 500)


def _check(ledger: Ledger, path: Path, batch_size: int) -> None:
    land_new_entries(ledger, path, batch_size=batch_size)
    with open_warehouse(path) as warehouse:
        for table in LOG_TABLES:
            assert _landed(warehouse, table) == plain_rows(ledger, table, _types(warehouse, table)), table
    ledger.close()


def _types(warehouse: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    columns = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'raw'"
    return dict(warehouse.execute(columns + " ORDER BY column_index", [table]).fetchall())


def _landed(warehouse: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = warehouse.execute(f"SELECT * FROM raw.{table} ORDER BY rowid").fetchall()
    assert rows, table
    return rows
