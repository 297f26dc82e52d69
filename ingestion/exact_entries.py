"""Reads any entries, typed by msgspec, and says which one is wrong and how.

This is the rule of what an entry may look like. `ordinary_entries` reads the common types several times faster, but
only what this module would read the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa

from ingestion.contracts import LOG_TABLES, polars_schema
from ingestion.entry_columns import CHAIN_PREFIX, FACT_FAMILIES, WAREHOUSED, Entry, Header
from ingestion.errors import LogBroken

ENTRIES_AT_ONCE = 5_000  # few enough that their Python objects stay in the processor's cache


Parts = dict[str, list[pl.DataFrame]]
"""Frames by raw table, each in the order of the log."""


@dataclass
class _Bodies:
    """The entries of one type: their leaf indexes and bodies."""

    n: list[int]
    bodies: list[bytes]


def read_exactly(entries: pa.Table) -> tuple[Parts, int]:
    """Return proved entries (n, type, body) as frames by raw table, and how many are of types that have none.

    Raises LogBroken at an entry that cannot be read, or is not of the type that it is stored as.
    """
    frames: Parts = {}
    not_warehoused = 0
    for start in range(0, entries.num_rows, ENTRIES_AT_ONCE):
        by_type: defaultdict[str, _Bodies] = defaultdict(lambda: _Bodies([], []))
        part = entries.slice(start, ENTRIES_AT_ONCE)
        for n, type_, body in zip(*(part[name].to_pylist() for name in ("n", "type", "body")), strict=True):
            by_type[type_].n.append(n)
            by_type[type_].bodies.append(body)
        for type_, found in by_type.items():
            landing = WAREHOUSED.get(type_)
            if landing is None:
                _check_not_a_fact(type_, found)
                not_warehoused += len(found.n)
                continue
            decoded = _decode(landing.entry, type_, found)
            shared = _shared_columns(type_, found.n, decoded)
            for table, fill in landing.fills.items():
                frames.setdefault(table, []).append(_typed_frame(table, {**shared, **fill(decoded)}))
    return frames, not_warehoused


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
