"""Fetches entries from the ledger's database and proves them: none is missing, and each has its hash.

The database hands over some thousand entries as one row, their bodies one behind the other: a row of Python objects for
each would take as long as all the rest of reading it. Only when something is wrong rows are looked at one by one.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy.orm import Session

from ingestion.errors import LogBroken
from ledger.databases import is_sqlite
from ledger.store import Ledger

LEAF_PREFIX = b"\x00"  # RFC 6962: tells a leaf from an interior node
HASH_BYTES = 32
ENTRIES_AT_ONCE = 2_000  # of some 800 bytes: they stay in the processor's cache

SCHEMA = pa.schema({"n": pa.int64(), "type": pa.string(), "body": pa.binary()})

_ROWS = "SELECT n, type, hash, body FROM audit_logs WHERE n >= {start:d} AND n < {end:d} ORDER BY n"
# In the order of its key, as SQLite walks a range of it; where it should not, the numbers say so.
_JOINED_BY_SQLITE = f"""
    SELECT
        sum(typeof(type) = 'text' AND typeof(hash) = 'blob' AND length(hash) = {HASH_BYTES} AND typeof(body) = 'blob'),
        group_concat(n), group_concat(type), group_concat(length(body)),
        CAST(group_concat(hash, '') AS BLOB), CAST(group_concat(body, '') AS BLOB)
    FROM audit_logs
    WHERE n >= {{start:d}} AND n < {{end:d}}
    """  # noqa: S608 - numbers alone are put in
_JOINED_BY_POSTGRESQL = f"""
    SELECT
        count(*) FILTER (WHERE octet_length(hash) = {HASH_BYTES}),
        string_agg(n::text, ',' ORDER BY n), string_agg(type, ',' ORDER BY n),
        string_agg(octet_length(body)::text, ',' ORDER BY n),
        string_agg(hash, ''::bytea ORDER BY n), string_agg(body, ''::bytea ORDER BY n)
    FROM ({_ROWS}) AS entry
    """  # noqa: S608 - numbers alone are put in


def fetch_proved(ledger: Ledger, from_n: int, to_n: int) -> tuple[pa.Table, str]:
    """Return the entries `from_n` up to and without `to_n` (n, type, body) and the hex hash of the last one.

    They are read in one transaction, which ends here. Raises LogBroken at an entry that is missing, or whose bytes do
    not give its hash.
    """
    parts = []
    last_hash = b""
    with ledger.read() as session:
        for start in range(from_n, to_n, ENTRIES_AT_ONCE):
            part, last_hash = _fetch_joined(session, start, min(start + ENTRIES_AT_ONCE, to_n))
            parts.append(part)
    return pa.Table.from_batches(parts, SCHEMA), last_hash.hex()


def _fetch_joined(session: Session, start: int, end: int) -> tuple[pa.RecordBatch, bytes]:
    """Fetch entries as one row and prove them; what does not fit at first sight is fetched again row by row."""
    connection = session.connection()
    query = _JOINED_BY_SQLITE if is_sqlite(connection.dialect) else _JOINED_BY_POSTGRESQL
    # The driver's own cursor: SQLAlchemy would look at each value once more.
    [(sound, numbers, types, lengths, hashes, bodies)] = _execute(connection, query.format(start=start, end=end))
    due = np.arange(start, end)
    if sound != len(due) or not np.array_equal(np.fromstring(numbers, np.int64, sep=","), due):
        return _fetch_rows(connection, start, end)
    names = types.split(",")
    offsets = np.concatenate(([0], np.cumsum(np.fromstring(lengths, np.int64, sep=",")))).astype(np.int32)
    ends = offsets.tolist()
    begun, content = sha256(LEAF_PREFIX).copy, memoryview(bodies)
    leaves = []
    for since, until in pairwise(ends):
        leaf = begun()
        leaf.update(content[since:until])
        leaves.append(leaf.digest())
    if b"".join(leaves) != hashes or len(names) != len(due) or ends[-1] != len(bodies):
        return _fetch_rows(connection, start, end)
    body = pa.Array.from_buffers(pa.binary(), len(due), [None, pa.py_buffer(offsets), pa.py_buffer(bodies)])
    return pa.record_batch([pa.array(due), pa.array(names, pa.string()), body], schema=SCHEMA), leaves[-1]


def _fetch_rows(connection: Any, start: int, end: int) -> tuple[pa.RecordBatch, bytes]:
    """Fetch entries one by one; raises LogBroken at the first that is missing or is not what was hashed."""
    rows = _execute(connection, _ROWS.format(start=start, end=end))
    for due, (n, type_, stored_hash, body) in enumerate(rows, start):
        if n != due:
            raise LogBroken(due, f"missing; the next one found is n={n}")
        # An edit may even leave text where bytes were.
        if not isinstance(body, bytes) or sha256(LEAF_PREFIX + body).digest() != stored_hash:
            raise LogBroken(n, "its bytes do not give its hash")
        if not isinstance(type_, str):
            raise LogBroken(n, f"stored as {type_!r}, which is no type")
    if len(rows) != end - start:
        raise LogBroken(start + len(rows), "missing")
    numbers, types, hashes, bodies = zip(*rows, strict=True)
    return pa.record_batch([numbers, types, bodies], schema=SCHEMA), hashes[-1]


def _execute(connection: Any, query: str) -> Sequence[Any]:
    cursor = connection.connection.cursor()
    cursor.execute(query)
    rows: Sequence[Any] = cursor.fetchall()
    return rows
