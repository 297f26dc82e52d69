"""The log, read: every entry proved, every fact in its frame with the right type."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES, create_table, polars_schema
from ingestion.errors import LogBroken
from ingestion.log_position import log_size
from ingestion.log_reader import WAREHOUSED, read_batches, read_frames
from ledger.identifiers import new_id
from ledger.log.entry import Draft
from ledger.store import Ledger
from tests.support.living_ledger import append, append_deals, live, new_ledger, tamper


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()


def _frames(ledger: Ledger) -> dict[str, pl.DataFrame]:
    return read_frames(ledger, 0, log_size(ledger))


def test_a_whole_life_arrives_in_every_table(ledger: Ledger) -> None:
    """Whatever the rules of the ledger write, the reader knows: no type of a warehoused family is missed."""
    life = live(ledger)
    frames = _frames(ledger)
    assert set(frames) == set(LOG_TABLES)
    landed = {type_ for frame in frames.values() if "event_type" in frame.columns for type_ in frame["event_type"]}
    assert landed == WAREHOUSED.keys() - {"commission.adjusted", "user.changed"}
    for table, frame in frames.items():
        assert dict(frame.schema) == polars_schema(LOG_TABLES[table])
        LOG_TABLES[table].validate(frame)

    opened = frames["deal_events"].row(0, named=True)
    assert opened["deal_id"] == life.won_deal_id
    assert opened["estimated_value_amount"] == Decimal("12000.50")
    assert opened["confidence"] == Decimal("0.60")
    assert opened["expected_close_date"] == date(2030, 1, 31)
    assert opened["external_ref"] == "crm:7"
    assert opened["effective_at"] < opened["recorded_at"]

    changed = frames["deal_events"].filter(event_type="deal.changed").row(0, named=True)
    assert (changed["lead_source"], changed["cleared"]) == (None, "lead_source")
    assert (changed["agent_id"], changed["confidence"]) == (None, Decimal("0.75"))

    stages = frames["stage_events"].filter(deal_id=life.won_deal_id)
    assert stages["to_stage"].to_list() == [
        "lead_captured",
        "negotiation",
        "closed_won",
        "agreement",
        "closed_won",
    ]
    assert stages["from_stage"].to_list() == [None, "lead_captured", "negotiation", "closed_won", "agreement"]

    moves = frames["commission_events"].select("event_type", "from_status", "to_status").rows()
    assert moves == [
        ("commission.recorded", None, "pending"),
        ("commission.changed", None, None),
        ("commission.status_changed", "pending", "confirmed"),
        ("dispute.opened", "confirmed", "disputed"),
        ("dispute.resolved", "disputed", "confirmed"),
    ]
    assert frames["commission_events"]["commission_id"].unique().to_list() == [life.commission_id]
    assert frames["commission_events"]["commission_amount"].to_list()[2] == Decimal("360.02")
    assert frames["adjustments"].select("adjustment_type", "amount").rows() == [("clawback", Decimal("60.00"))]
    assert frames["disputes"].select("amount", "hold", "outcome", "to_status").rows() == [
        (Decimal("100.00"), True, None, "disputed"),
        (None, None, "partial", "confirmed"),
    ]
    assert frames["people"].select("name", "email", "active", "cleared").rows() == [
        ("Ana Lim", "ana@example.com", True, None),
        ("Ben Ong", None, True, "email"),
    ]


def test_batches_join_without_gap_and_count_what_no_table_holds(ledger: Ledger) -> None:
    live(ledger)
    size = log_size(ledger)
    batches = list(read_batches(ledger, 0, size, batch_size=4))
    assert [batch.from_n for batch in batches] == list(range(0, size, 4))
    assert [batch.to_n for batch in batches] == [*range(4, size, 4), size]
    whole = next(read_batches(ledger, 0, size, batch_size=size))
    assert sum(batch.not_warehoused for batch in batches) == whole.not_warehoused == 3  # log, contact, document
    assert batches[-1].last_hash == whole.last_hash
    together = pl.concat([batch.frames["deal_events"] for batch in batches if "deal_events" in batch.frames])
    assert together.equals(whole.frames["deal_events"])


@pytest.mark.parametrize("kind", ["BLOB", "TEXT"])
def test_an_edited_body_is_named(ledger: Ledger, kind: str) -> None:
    append_deals(ledger, 5)
    edited = f"CAST(replace(CAST(body AS TEXT), '1000.00', '9000.00') AS {kind})"
    tamper(ledger, f"UPDATE audit_logs SET body = {edited} WHERE n = 3")
    with pytest.raises(LogBroken, match=r"n=3: its bytes do not give its hash") as caught:
        _frames(ledger)
    assert caught.value.n == 3


def test_a_missing_entry_is_named(ledger: Ledger) -> None:
    append_deals(ledger, 5)
    tamper(ledger, "DELETE FROM audit_logs WHERE n = 2")
    with pytest.raises(LogBroken, match=r"n=2: missing"):
        _frames(ledger)


def test_a_missing_end_is_named(ledger: Ledger) -> None:
    append_deals(ledger, 5)
    with pytest.raises(LogBroken, match=r"n=6: missing"):
        read_frames(ledger, 0, 8)


@pytest.mark.parametrize("told", ["import.started", "deal.changed", "deal.cancelled", "commission.changed"])
def test_an_entry_hidden_behind_another_type_is_named(ledger: Ledger, told: str) -> None:
    """The type column is not hashed: relabelling a fact must not hide or bend it, whether a table holds it or none."""
    append_deals(ledger, 3)
    tamper(ledger, f"UPDATE audit_logs SET type = '{told}' WHERE n = 2")
    with pytest.raises(LogBroken, match=f"n=2: stored as '{told}', but its body says 'deal.opened'"):
        _frames(ledger)


def test_a_fact_of_unknown_type_is_not_passed_over(ledger: Ledger) -> None:
    """A newer ledger may write facts this version cannot count; leaving them out would give wrong numbers."""
    append(ledger, Draft("sys", "key.rotated", "key", new_id(), {}))
    assert _frames(ledger) == {}
    append(ledger, Draft(f"deal:{new_id()}", "deal.split", "deal", new_id(), {}))
    with pytest.raises(LogBroken, match=r"'deal\.split' is not known"):
        _frames(ledger)


@pytest.mark.parametrize("amount", ["12.345", "12", "1e3", "NaN", "123456789012345.00"])
def test_an_amount_that_is_not_exact_is_refused_not_rounded(ledger: Ledger, amount: str) -> None:
    deal_id = new_id()
    append(
        ledger, Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"estimated_value_amount": amount}})
    )
    with pytest.raises(LogBroken, match="estimated_value_amount"):
        _frames(ledger)


@pytest.mark.parametrize("day", ["2026-02-30", "23/08/2026", ""])
def test_a_date_that_is_none_is_refused(ledger: Ledger, day: str) -> None:
    deal_id = new_id()
    append(ledger, Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"expected_close_date": day}}))
    with pytest.raises(LogBroken, match="expected_close_date"):
        _frames(ledger)


def test_a_value_of_the_wrong_json_type_is_refused(ledger: Ledger) -> None:
    deal_id = new_id()
    append(ledger, Draft(f"deal:{deal_id}", "deal.changed", "deal", deal_id, {"set": {"estimated_value_amount": 12}}))
    with pytest.raises(LogBroken, match="Expected `str"):
        _frames(ledger)


@pytest.mark.parametrize(("name", "model"), [*LOG_TABLES.items(), *REFERENCE_TABLES.items()])
def test_the_tables_in_duckdb_are_the_contracts(name: str, model: type) -> None:
    """A frame that keeps its contract goes in and comes out with the very same types and order of columns."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA raw")
    connection.execute(create_table(name, model))
    frame = connection.execute(f"SELECT * FROM raw.{name}").pl()
    assert dict(frame.schema) == polars_schema(model)
