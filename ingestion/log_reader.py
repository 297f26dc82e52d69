"""Reads the log by leaf index and gives it as typed frames, one per raw table.

Every entry is proved while it is read: no `n` is missing, the stored bytes give the stored hash, and the body says the
type that its row says. No read transaction stays open between batches.
What a fact means is not decided here: a column holds what the entry set, and null where it set nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
import polars as pl

from ingestion.contracts import LOG_TABLES, polars_schema
from ingestion.entry_columns import FACT_FAMILIES, WAREHOUSED, Entry, Header
from ingestion.errors import LogBroken
from ledger.store import Ledger

__all__ = ["WAREHOUSED", "Batch", "read_batches", "read_frames"]

LEAF_PREFIX = b"\x00"  # RFC 6962: tells a leaf from an interior node
CHAIN_PREFIX = "deal:"
ENTRIES_AT_ONCE = 5_000  # few enough that their Python objects stay in the processor's cache


@dataclass(frozen=True)
class Batch:
    """Entries `from_n` up to and without `to_n` as frames by raw table.

    `last_hash` is the hex hash of the last entry; `not_warehoused` counts the entries of types that have no raw table.
    """

    from_n: int
    to_n: int
    last_hash: str
    not_warehoused: int
    frames: dict[str, pl.DataFrame]


def read_batches(ledger: Ledger, from_n: int, to_n: int, batch_size: int) -> Iterator[Batch]:
    """Yield the entries `from_n` up to and without `to_n` in batches of at most `batch_size` entries.

    While the caller works on a batch the next one is read: two are in memory. Raises LogBroken at an entry that is
    missing, does not give its hash, or cannot be read.
    """
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Batch] | None = None
        for start in range(from_n, to_n, batch_size):
            following = reader.submit(_read_batch, ledger, start, min(start + batch_size, to_n))
            if ahead:
                yield ahead.result()
            ahead = following
        if ahead:
            yield ahead.result()


def read_frames(ledger: Ledger, from_n: int, to_n: int) -> dict[str, pl.DataFrame]:
    """Return the entries `from_n` up to and without `to_n` as one frame per raw table, all in memory."""
    return _read_batch(ledger, from_n, to_n).frames


@dataclass
class _Bodies:
    """The entries of one type: their leaf indexes and bodies."""

    n: list[int]
    bodies: list[bytes]


def _read_batch(ledger: Ledger, from_n: int, to_n: int) -> Batch:
    parts: dict[str, list[pl.DataFrame]] = {table: [] for table in LOG_TABLES}
    not_warehoused = 0
    last_hash = ""
    for by_type, last_hash in _read_proved(ledger, from_n, to_n):  # noqa: B007 (the last one is wanted)
        for type_, found in by_type.items():
            landing = WAREHOUSED.get(type_)
            if landing is None:
                _check_not_a_fact(type_, found)
                not_warehoused += len(found.n)
                continue
            entries = _decode(landing.entry, type_, found)
            shared = _shared_columns(type_, found.n, entries)
            for table, fill in landing.fills.items():
                parts[table].append(_typed_frame(table, {**shared, **fill(entries)}))
    frames = {table: pl.concat(frames).sort("n") for table, frames in parts.items() if frames}
    return Batch(from_n, to_n, last_hash, not_warehoused, frames)


def _read_proved(ledger: Ledger, from_n: int, to_n: int) -> Iterator[tuple[dict[str, _Bodies], str]]:
    """Yield the bodies by stored type, some entries at a time, with the hex hash of the last; all of them proved."""
    expected = from_n
    with ledger.read() as session:
        # The driver's own cursor: SQLAlchemy's rows would take as long again as reading them.
        cursor = session.connection().connection.cursor()
        cursor.execute(
            f"SELECT n, type, hash, body FROM audit_logs WHERE n >= {from_n:d} AND n < {to_n:d} ORDER BY n"  # noqa: S608
        )
        while rows := cursor.fetchmany(ENTRIES_AT_ONCE):
            by_type: defaultdict[str, _Bodies] = defaultdict(lambda: _Bodies([], []))
            leaf = b""
            for n, type_, stored_hash, body in rows:
                if n != expected:
                    raise LogBroken(expected, f"missing; the next one found is n={n}")
                leaf = sha256(LEAF_PREFIX + body).digest() if isinstance(body, bytes) else b""
                if leaf != stored_hash:  # an edit may even leave text where bytes were
                    raise LogBroken(n, "its bytes do not give its hash")
                found = by_type[type_]
                found.n.append(n)
                found.bodies.append(body)
                expected += 1
            yield by_type, leaf.hex()
    if expected != to_n:
        raise LogBroken(expected, "missing")


def _check_not_a_fact(type_: str, found: _Bodies) -> None:
    """Let entries pass that no raw table holds; the stored type is not hashed, so the bodies are asked."""
    for n, header in zip(found.n, _decode(Header, type_, found), strict=True):
        if header.type.partition(".")[0] in FACT_FAMILIES:
            raise LogBroken(n, f"type {type_!r} is not known to this version of dealbook; update it")


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _decode(shape: Any, type_: str, found: _Bodies) -> Sequence[Any]:
    """Decode all bodies in one go; only when that fails one by one, to name the entry at fault."""
    try:
        entries: list[Any] = _decoder(list[shape]).decode(b"[" + b",".join(found.bodies) + b"]")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        entries = []
    if len(entries) != len(found.bodies):
        entries = [_decode_one(shape, n, body) for n, body in zip(found.n, found.bodies, strict=True)]
    if {entry.type for entry in entries} - {type_}:
        n, entry = next(pair for pair in zip(found.n, entries, strict=True) if pair[1].type != type_)
        raise LogBroken(n, f"stored as {type_!r}, but its body says {entry.type!r}")
    return entries


def _decode_one(shape: Any, n: int, body: bytes) -> Any:
    try:
        return _decoder(shape).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise LogBroken(n, str(fault)) from fault


def _shared_columns(type_: str, n: Sequence[int], entries: Sequence[Entry[Any]]) -> dict[str, Any]:
    """Return the columns that most tables have; times are the same for many entries of one transaction."""
    return {
        "n": n,
        "deal_id": [entry.chain for entry in entries],
        "event_type": type_,
        "actor_id": [entry.actor.id for entry in entries],
        "recorded_at": [entry.at for entry in entries],
        "effective_at": [entry.effective_at for entry in entries],
    }


def _typed_frame(table: str, columns: dict[str, Any]) -> pl.DataFrame:
    """Return columns as a frame of the table's types; raises LogBroken naming an `n` whose text is not of its type.

    Decimals, dates and times are text in the log; polars parses whole columns many times faster than Python values.
    """
    types = polars_schema(LOG_TABLES[table])
    given = {
        name: pl.Series(name, columns[name], dtype=pl.String if _is_written_as_text(dtype) else dtype)
        for name, dtype in types.items()
        if name in columns and name != "event_type"
    }
    frame = pl.DataFrame(given)
    typed = frame.select(_column(name, dtype, given, columns) for name, dtype in types.items())
    for name in given:
        if typed[name].null_count() != frame[name].null_count():
            unread = frame.filter(typed[name].is_null() & frame[name].is_not_null()).row(0, named=True)
            raise LogBroken(unread["n"], f"{name} {unread[name]!r} is not of type {types[name]}")
    return typed


def _is_written_as_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Decimal | pl.Datetime) or dtype == pl.Date


def _column(name: str, dtype: pl.DataType, given: dict[str, pl.Series], columns: dict[str, Any]) -> pl.Expr:
    """Return a column in its type; what cannot be read, or not without rounding, becomes null."""
    if name == "event_type":
        return pl.lit(columns[name], dtype).alias(name)
    if name not in given:
        return pl.lit(None, dtype).alias(name)
    column = pl.col(name)
    if name == "deal_id":
        return pl.when(column.str.starts_with(CHAIN_PREFIX)).then(column.str.strip_prefix(CHAIN_PREFIX))
    if isinstance(dtype, pl.Decimal):
        exact = column.str.contains(rf"^-?\d{{1,{dtype.precision - dtype.scale}}}\.\d{{{dtype.scale}}}$")
        return pl.when(exact).then(column).cast(dtype, strict=False)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC", strict=False)
    if dtype == pl.Date:
        return column.str.to_date("%Y-%m-%d", strict=False)
    return column
