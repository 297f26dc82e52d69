"""Reads the log by leaf index and gives it as typed frames, one per raw table.

Every entry is proved while it is read: no `n` is missing, the stored bytes give the stored hash, and the body says the
type that its row says. No read transaction stays open between batches.
What a fact means is not decided here: a column holds what the entry set, and null where it set nothing.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import LOG_TABLES
from ingestion.entry_columns import FACT_FAMILIES, WAREHOUSED
from ingestion.exact_entries import Parts, read_exactly
from ingestion.ordinary_entries import ORDINARY, OrdinaryReader
from ingestion.proved_entries import fetch_proved
from ledger.store import Ledger

__all__ = ["WAREHOUSED", "Batch", "read_batches", "read_frames"]

# Entries that are fetched and typed at once: few for the memory, many for each time that a query is planned.
PIECE = 50_000
PIECES_AHEAD = 6  # more than a batch that is being landed


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

    While the caller works on a batch the next one is read, piece by piece: one thread fetches, another one types.
    Raises LogBroken at an entry that is missing, does not give its hash, or cannot be read.
    """
    pieces = [
        (start, min(start + PIECE, batch_end))
        for batch_start in range(from_n, to_n, batch_size)
        for batch_end in [min(batch_start + batch_size, to_n)]
        for start in range(batch_start, batch_end, PIECE)
    ]
    found: list[Batch] = []
    for piece in _read_pieces(ledger, pieces):
        found.append(piece)
        if piece.to_n == min(found[0].from_n + batch_size, to_n):
            yield _join(found)
            found = []


def read_frames(ledger: Ledger, from_n: int, to_n: int) -> dict[str, pl.DataFrame]:
    """Return the entries `from_n` up to and without `to_n` as one frame per raw table, all in memory."""
    return {} if from_n == to_n else next(read_batches(ledger, from_n, to_n, to_n - from_n)).frames


def _read_pieces(ledger: Ledger, pieces: Sequence[tuple[int, int]]) -> Iterator[Batch]:
    """Yield pieces in order, some of them read ahead."""
    ahead: deque[Future[Batch]] = deque()
    with OrdinaryReader() as ordinary, ThreadPoolExecutor(1) as typing, ThreadPoolExecutor(1) as fetching:
        try:
            for start, end in pieces:
                fetched = fetching.submit(fetch_proved, ledger, start, end)
                ahead.append(typing.submit(_type_fetched, ordinary, start, end, fetched))
                if len(ahead) > PIECES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for piece in ahead:
                piece.cancel()


def _join(pieces: Sequence[Batch]) -> Batch:
    """Return pieces that follow each other as one batch."""
    frames = {
        table: pl.concat([piece.frames[table] for piece in pieces if table in piece.frames], rechunk=False)
        for table in LOG_TABLES
        if any(table in piece.frames for piece in pieces)
    }
    not_warehoused = sum(piece.not_warehoused for piece in pieces)
    return Batch(pieces[0].from_n, pieces[-1].to_n, pieces[-1].last_hash, not_warehoused, frames)


def _type_fetched(ordinary: OrdinaryReader, start: int, end: int, fetched: "Future[tuple[pa.Table, str]]") -> Batch:
    """Return the typed frames of entries; where one is not ordinary all are read exactly, to know what it is."""
    entries, last_hash = fetched.result()
    parts, not_warehoused = _read_ordinary(ordinary, entries) or read_exactly(entries)
    frames = {
        table: pl.concat(parts[table]).sort("n") if len(parts[table]) > 1 else parts[table][0]
        for table in LOG_TABLES
        if table in parts
    }
    return Batch(start, end, last_hash, not_warehoused, frames)


def _read_ordinary(ordinary: OrdinaryReader, entries: pa.Table) -> tuple[Parts, int] | None:
    """Return frames by raw table and how many entries have none; None where one is not ordinary."""
    types = set(entries["type"].unique().to_pylist())
    if any(type_.partition(".")[0] in FACT_FAMILIES for type_ in types - WAREHOUSED.keys()):
        return None  # facts that this version does not know
    found = ordinary.read(entries, types)
    rare = (types & WAREHOUSED.keys()) - ORDINARY
    if found is not None and rare:
        others, _ = read_exactly(entries.filter(pc.is_in(entries["type"], pa.array(rare, pa.string()))))
        for table, frames in others.items():
            found[0].setdefault(table, []).extend(frames)
    return found
