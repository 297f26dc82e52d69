"""A second reading of the log into raw rows: entry by entry, by the rule alone, and sharing nothing with the first."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from ingestion.contracts import LOG_TABLES
from ledger.store import Ledger

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


def plain_rows(ledger: Ledger, table: str, types: dict[str, str]) -> list[tuple[Any, ...]]:
    """Return what a raw table must hold, in the order of the log, with `types` by column as DuckDB names them."""
    with ledger.read() as session:
        entries = session.execute(text("SELECT n, body FROM audit_logs ORDER BY n")).all()
    rows = [row for n, body in entries for name, row in _rows_of(n, body) if name == table]
    return [tuple(_value(row.get(name), type_) for name, type_ in types.items()) for row in rows]
