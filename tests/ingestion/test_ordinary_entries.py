"""What is read in DuckDB is read as it is one by one; whatever is odd about an entry is not passed over."""

import json
import random
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from ingestion.crm_files.importing import import_files
from ingestion.entry_columns import WAREHOUSED
from ingestion.exact_entries import Parts, read_exactly
from ingestion.log_position import log_size
from ingestion.ordinary_entries import ORDINARY, OrdinaryReader
from ingestion.proved_entries import ENTRIES_AT_ONCE, SCHEMA, fetch_proved
from ingestion.sample_files import write_sample
from ledger.actors import SYSTEM
from ledger.store import Ledger
from tests.support.campaigns import Campaign, rounds
from tests.support.living_ledger import append_deals, live, new_ledger

TEXTS = [
    "", "null", "true", "12", "-0.00", "12.00", "012.00", "12.0", "+12.00", "1e3", "123456789012345.00", "NaN",
    "2026-02-30", "2026-02-28", "2026-2-28", "0.50", "1.50", "{}", "[]", "}", '":null', '"confidence":null', "a\\b",
    "東京", "\u0000", "open", "castle", "lead_captured", "pending", "deal:", "deal.changed", "commission.recorded",
    "2026-11-26T06:36:05.696178Z", "2026-11-26T06:36:05.69617Z", "2026-11-26 06:36:05.696178Z",
    "2026-11-26T06:36:05.69617 Z", "2026-11-26T06:36:60.000000Z", "2026-11-26T24:00:00.000000Z",
    "-026-11-26T06:36:05.696178Z", "+026-11-26T06:36:05.696178Z", "2026-11-26T 6:36:05.696178Z",
    "2026-1--26T06:36:05.696178Z", "2026-11-26T06:36:05,696178Z", "0000-01-01T00:00:00.000000Z",
    "01a21690-8fb4-7aae-92a3-d28f2f6f0c5e", '["a21690-8fb4-7aae-92a3-d28f2f6f0c"]', "SGD", "sgd",
]  # fmt: skip
VALUES = [None, True, False, 0, 12, -3, 12.5, 12.25, [], ["open"], {}, {"confidence": None}, {"id": "x"}, *TEXTS]


def _entries_of(ledger: Ledger) -> list[tuple[str, bytes]]:
    entries, _ = fetch_proved(ledger, 0, log_size(ledger))
    return list(zip(entries["type"].to_pylist(), entries["body"].to_pylist(), strict=True))


def _table(rows: list[tuple[str, bytes]]) -> pa.Table:
    parts = []
    for start in range(0, len(rows), ENTRIES_AT_ONCE):
        types, bodies = zip(*rows[start : start + ENTRIES_AT_ONCE], strict=True)
        parts.append(pa.record_batch([range(start, start + len(types)), types, bodies], schema=SCHEMA))
    return pa.Table.from_batches(parts)


def _whole(parts: Parts) -> dict[str, pl.DataFrame]:
    return {table: pl.concat(frames).sort("n") for table, frames in parts.items()}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Entries of every ordinary type, and some others."""
    ledger = new_ledger(tmp_path_factory.mktemp("lived"))
    live(ledger)
    append_deals(ledger, 3)
    found = _entries_of(ledger)
    ledger.close()
    return found


def _damage(rng: random.Random, body: bytes) -> bytes:
    """Change one thing about an entry: a value, a key, a byte, a blank."""
    document = json.loads(body)
    place = rng.choice(_objects(document))
    kind = rng.randrange(6)
    if kind == 0 and place:
        del place[rng.choice(list(place))]
    elif kind == 1:
        place[rng.choice(["status", "confidence", "from", "to", "id", "type", "set", "odd"])] = rng.choice(VALUES)
    elif kind < 4 and place:
        place[rng.choice(list(place))] = rng.choice(VALUES)
    elif kind == 4:
        at = rng.randrange(len(body))
        return body[:at] + bytes([rng.choice(b' "\\{}[]:,n1\xc3\x00')]) + body[at + rng.randrange(2) :]
    separators = rng.choice([(",", ":"), (",", ":"), (", ", ": "), (",", " :")])
    return json.dumps(document, ensure_ascii=rng.random() < 0.3, separators=separators).encode()


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    return [value, *(found for inner in value.values() for found in _objects(inner))]


PLACES = [
    ("deal.stage_changed", ("effective_at",)),
    ("deal.opened", ("data", "set", "expected_close_date")),
    ("deal.opened", ("data", "set", "estimated_value_amount")),
    ("deal.opened", ("data", "set", "lead_source")),
    ("deal.opened", ("actor", "id")),
    ("deal.stage_changed", ("data", "stage_event", "to")),
    ("commission.status_changed", ("data", "from")),
    ("commission.recorded", ("data", "set", "status")),
]


@pytest.mark.parametrize(("type_", "place"), PLACES, ids=[".".join(place) for _, place in PLACES])
def test_no_value_is_bent(lived: list[tuple[str, bytes]], type_: str, place: tuple[str, ...]) -> None:
    """Whatever stands where a text, a word, an id, a day, a time or an amount is due: the same row, or left alone."""
    body = next(body for found, body in lived if found == type_)
    with OrdinaryReader() as ordinary:
        for value in VALUES:
            document = json.loads(body)
            *path, last = place
            reduce(dict.__getitem__, path, document)[last] = value
            odd = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
            _check_the_same(ordinary, _table([(type_, odd)]), type_)


@pytest.mark.soak
def test_whatever_is_odd_about_an_entry_it_is_read_the_same_or_left_to_the_exact_reader(
    lived: list[tuple[str, bytes]], campaign: Campaign
) -> None:
    """Entries with one thing changed, hash or no hash: those that count as ordinary give the rows they give alone."""
    sound = [row for row in lived if row[0] in ORDINARY]
    taken = left = 0
    with OrdinaryReader() as ordinary:
        for _ in campaign.each(rounds(1_500, 100_000)):
            type_, body = campaign.rng.choice(sound)
            odd = (type_, _damage(campaign.rng, body))
            entries = _table([odd, (type_, body)])
            if _check_the_same(ordinary, entries, type_):
                taken += 1
            else:
                left += 1
    campaign.say(f"{taken:,} read as ordinary, {left:,} left to the exact reader")
    assert taken > left / 10
    assert left > taken / 10


def _check_the_same(ordinary: OrdinaryReader, entries: pa.Table, type_: str) -> bool:
    """Whether entries count as ordinary; if so, they are read as they are read exactly."""
    found = ordinary.read(entries, {type_})
    if found is None:
        return False
    exact, _ = read_exactly(entries)
    for table, frame in _whole(exact).items():
        assert _whole(found[0])[table].equals(frame, null_equal=True), entries["body"].to_pylist()
    return True


def test_all_that_the_ledger_writes_is_ordinary(lived: list[tuple[str, bytes]]) -> None:
    """Otherwise whole pieces of the log would go the slow way, and nobody would see it."""
    assert {type_ for type_, _ in lived} >= ORDINARY
    _are_ordinary(lived)


def test_the_order_of_the_log_is_kept(lived: list[tuple[str, bytes]]) -> None:
    """Also where deals are rare among other entries and then follow each other, as in an import."""
    deal = next(row for row in lived if row[0] == "deal.opened")
    commission = next(row for row in lived if row[0] == "commission.recorded")
    rows = [*[deal, *[commission] * 60] * 100, *[deal] * 5_000] * 3
    with OrdinaryReader() as ordinary:
        found = ordinary.read(_table(rows), {type_ for type_, _ in rows})
    assert found is not None
    for frames in found[0].values():
        assert frames[0]["n"].is_sorted()


def test_all_that_an_import_writes_is_ordinary(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    sample = write_sample(tmp_path / "sample", deals=60, agents=5, years=1, seed=3, until=date(2025, 6, 30))
    import_files(ledger, SYSTEM, sample.files, "sample_crm", rejects_dir=tmp_path / "rejects")
    _are_ordinary(_entries_of(ledger))
    ledger.close()


def _are_ordinary(rows: list[tuple[str, bytes]]) -> None:
    """Each is ordinary, and read together, thousands at once, they are as they are read exactly, in their order."""
    rows = [row for row in rows if row[0] in ORDINARY or row[0] not in WAREHOUSED]
    entries = _table(rows * (-(-10_000 // len(rows))))
    with OrdinaryReader() as ordinary:
        found = ordinary.read(entries, {type_ for type_, _ in rows})
    assert found is not None
    exact, not_warehoused = read_exactly(entries)
    assert found[1] == not_warehoused > 0
    assert found[0].keys() == exact.keys()
    for table, frame in _whole(exact).items():
        [read] = found[0][table]
        assert read.equals(frame, null_equal=True), table
