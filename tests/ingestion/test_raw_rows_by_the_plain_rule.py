"""What lands in raw, checked against a second reading of the log that shares nothing with the first."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text

from ingestion.contracts import LOG_TABLES
from ingestion.landing import land_new_entries
from ingestion.warehouse import open_warehouse
from ledger.identifiers import new_id
from ledger.log.entry import Draft
from ledger.store import Ledger
from tests.support.living_ledger import append, append_deals, live, new_ledger

TABLES_OF = {
    "deal": ["deal_events"],
    "commission": ["commission_events"],
    "commission.adjusted": ["adjustments"],
    "dispute": ["disputes", "commission_events"],
    "user": ["people"],
}
SUBJECT = {
    "commission_events": "commission_id", "adjustments": "adjustment_id", "disputes": "dispute_id", "people": "user_id",
}  # fmt: skip


def _rows_of(n: int, body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return the raw rows that one entry stands for, by table."""
    entry = json.loads(body)
    type_, data = entry["type"], entry["data"]
    shared = {
        "n": n,
        "event_type": type_,
        "deal_id": entry["chain"].removeprefix("deal:"),
        "actor_id": entry["actor"]["id"],
        "recorded_at": entry["at"],
        "effective_at": entry["effective_at"],
    }
    rows: list[tuple[str, dict[str, Any]]] = []
    for table in TABLES_OF.get(type_, TABLES_OF.get(type_.partition(".")[0], [])):
        row = dict(shared)
        is_moved_by_dispute = type_.startswith("dispute.") and table == "commission_events"
        if not is_moved_by_dispute:
            row |= data.get("set", {})
        if table in SUBJECT and not is_moved_by_dispute:
            row[SUBJECT[table]] = entry["subject"]["id"]
        row |= {name: data[name] for name in ("commission_id", "outcome") if name in data}
        row["cleared"] = ",".join(
            name for name in LOG_TABLES[table].to_schema().columns if data.get("set", {}).get(name, 0) is None
        )
        if table == "commission_events":
            row |= {"from_status": data.get("from"), "to_status": data.get("to", row.get("status"))}
        if type_ == "dispute.opened":
            row["to_status"] = "disputed"
        if type_ == "dispute.resolved":
            row |= {"to_status": data["to"], "from_status": "disputed"}
        rows.append((table, row))
    if "stage_event" in data:
        event = data["stage_event"]
        moved = {"stage_event_id": event["id"], "from_stage": event.get("from"), "to_stage": event["to"]}
        rows.append(("stage_events", shared | moved))
    return rows


def _value(written: Any, landed_type: str) -> Any:
    if written is None or written == "":
        return None
    if landed_type.startswith("DECIMAL"):
        return Decimal(written)
    if landed_type == "DATE":
        return date.fromisoformat(written)
    if landed_type.startswith("TIMESTAMP"):
        return datetime.strptime(written, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)
    return written


def _expected(ledger: Ledger, table: str, types: dict[str, str]) -> list[tuple[Any, ...]]:
    with ledger.read() as session:
        entries = session.execute(text("SELECT n, body FROM audit_logs ORDER BY n")).all()
    rows = [row for n, body in entries for name, row in _rows_of(n, body) if name == table]
    return [tuple(_value(row.get(name), type_) for name, type_ in types.items()) for row in rows]


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
    path = tmp_path / "warehouse.duckdb"
    land_new_entries(ledger, path, batch_size=batch_size)
    with open_warehouse(path) as warehouse:
        for table in LOG_TABLES:
            assert _landed(warehouse, table) == _expected(ledger, table, _types(warehouse, table)), table
    ledger.close()


def _types(warehouse: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    columns = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND schema_name = 'raw'"
    return dict(warehouse.execute(columns + " ORDER BY column_index", [table]).fetchall())


def _landed(warehouse: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = warehouse.execute(f"SELECT * FROM raw.{table} ORDER BY n").fetchall()
    assert rows, table
    return rows
