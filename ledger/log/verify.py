"""Is the log what was written? Everything is recomputed from the stored bytes.

Each entry: the hash of its body; its indexed columns against the body; the canonical form; the log's name; `at` not
running backwards; `prev` and `seq` against the entry before it in its chain; `n` without gaps. At the end each chain's
head against its last entry. With `since_n` only newer entries are read; the link to the older ones is still checked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import String, func, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from ledger.columns import format_time, parse_time
from ledger.errors import EntryInvalid
from ledger.log.chain import FIRST_PREV
from ledger.log.entry import encode_entry, hash_leaf
from ledger.tables.log import AuditChain, AuditLog, LogIdentity

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it was written, and the leaf index of the entry (None for a chain as a whole)."""

    n: int | None
    chain: str
    problem: str


@dataclass(slots=True)
class ChainReport:
    """What was looked at, and every finding, not only the first."""

    entries: int
    chains: int
    findings: list[Finding]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def verify_chains(
    session: Session,
    *,
    since_n: int = 0,
    chain: str | None = None,
    on_leaf: Callable[[bytes], None] = lambda _leaf: None,
) -> ChainReport:
    """Check the entries from leaf index `since_n` on, or one chain; report every finding.

    `on_leaf` hears the stored hash of every entry read, in order.
    """
    origin = session.scalar(select(LogIdentity.origin))
    findings: list[Finding] = []
    heads = _heads_before(session, since_n)
    touched: set[str] = set()
    expected_n = since_n
    entries = 0
    for row in _read_rows(session, since_n, chain):
        entries += 1
        if chain is None and row.n != expected_n:
            findings.append(Finding(row.n, row.chain, f"leaf index {row.n} follows where {expected_n} was due"))
        expected_n = row.n + 1
        seq, prev, at = heads.get(row.chain, (0, FIRST_PREV, None))
        problems = [] if _is_as_written(row, origin) else list(_check_entry(row, origin))
        if row.seq != seq + 1:
            problems.append(f"seq is {row.seq} where {seq + 1} was due")
        if row.prev != prev:
            problems.append("prev is not the hash of the entry before it")
        if at is not None and type(at) is type(row.at) and row.at < at:
            problems.append("recorded earlier than the entry before it")
        findings += [Finding(row.n, row.chain, problem) for problem in problems]
        heads[row.chain] = (row.seq if isinstance(row.seq, int) else seq + 1, row.hash, row.at)
        touched.add(row.chain)
        on_leaf(row.hash if isinstance(row.hash, bytes) else b"")
    findings += _check_heads(session, heads, since_n, chain)
    return ChainReport(entries, len(touched), findings)


def _as_stored(column: Any) -> Any:
    """Return the column with its values as the store has them: making times of all their texts takes too long."""
    return type_coerce(column, String).label(column.key)


def _as_found(column: Any) -> Any:
    """Return the column unconverted: whoever edits the file can put a text where bytes belong."""
    return type_coerce(column, NullType()).label(column.key)


def _read_rows(session: Session, since_n: int, chain: str | None) -> Iterator[Any]:
    table = AuditLog.__table__
    columns = [_as_stored(column) if column.key in ("at", "effective_at") else _as_found(column) for column in table.c]
    last = since_n - 1
    while True:
        query = select(*columns).where(table.c.n > last).order_by(table.c.n).limit(_BATCH)
        if chain is not None:
            query = query.where(table.c.chain == chain)
        rows = session.execute(query).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].n


def _heads_before(session: Session, since_n: int) -> dict[str, tuple[int, bytes, Any]]:
    if since_n == 0:
        return {}
    newer = select(AuditLog.chain).where(AuditLog.n >= since_n).distinct()
    last = select(func.max(AuditLog.n)).where(AuditLog.n < since_n, AuditLog.chain.in_(newer)).group_by(AuditLog.chain)
    rows: Any = session.execute(
        select(AuditLog.chain, AuditLog.seq, AuditLog.hash, _as_stored(AuditLog.at)).where(AuditLog.n.in_(last))
    )
    return {chain: (seq, digest, at) for chain, seq, digest, at in rows}


def _is_as_written(row: Any, origin: str | None) -> bool:
    """Whether an entry has nothing wrong with it, told quickly; False leaves it to `_check_entry` to say what."""
    body = row.body
    try:
        if hash_leaf(body) != row.hash:
            return False
        document = msgspec.json.decode(body)
        if encode_entry(document) != body:
            return False
        subject, at, effective_at = document["subject"], document["at"], document["effective_at"]
        return (
            document["log"] == origin
            and document["chain"] == row.chain
            and document["seq"] == row.seq
            and document["prev"] == row.prev.hex()
            and document["type"] == row.type
            and subject["kind"] == row.subject_kind
            and subject["id"] == row.subject_id
            and document["actor"]["id"] == row.actor_id
            and _is_stored_as(at, row.at)
            and _is_stored_as(effective_at, row.effective_at)
        )
    except (msgspec.DecodeError, EntryInvalid, KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_stored_as(text: str, stored: Any) -> bool:
    """Whether a time's canonical text is what the store has: that text, or on PostgreSQL the instant."""
    return _is_canonical(text) and (stored == text if isinstance(stored, str) else stored == parse_time(text))


@lru_cache(maxsize=100_000)
def _is_canonical(text: str) -> bool:
    return format_time(parse_time(text)) == text


def _instant(stored: Any) -> datetime | None:
    """Return a stored time; None where what the store has is none."""
    try:
        return parse_time(stored) if isinstance(stored, str) else stored.astimezone(UTC)
    except (TypeError, ValueError, AttributeError):
        return None


def _check_entry(row: Any, origin: str | None) -> Iterator[str]:
    if not all(isinstance(value, bytes) for value in (row.body, row.hash, row.prev)):
        yield "the body, the hash or prev is not stored as bytes"
        return
    if hash_leaf(row.body) != row.hash:
        yield "the hash is not that of the body"
    try:
        document = msgspec.json.decode(row.body)
        if encode_entry(document) != row.body:
            yield "the body is not in canonical form"
        columns = {
            "chain": document["chain"],
            "seq": document["seq"],
            "prev": bytes.fromhex(document["prev"]),
            "type": document["type"],
            "at": parse_time(document["at"]),
            "effective_at": parse_time(document["effective_at"]),
            "subject_kind": document["subject"]["kind"],
            "subject_id": document["subject"]["id"],
            "actor_id": document["actor"]["id"],
        }
        log = document["log"]
        is_exact = document["at"] == format_time(columns["at"])
    except (msgspec.DecodeError, EntryInvalid, KeyError, TypeError, ValueError) as error:
        yield f"the body cannot be read: {error}"
        return
    if log != origin:
        yield "the entry belongs to another log"
    if not is_exact:
        yield "a time is not in canonical form"
    for column, value in columns.items():
        stored = getattr(row, column)
        if (_instant(stored) if column in ("at", "effective_at") else stored) != value:
            yield f"column {column} differs from the body"


def _check_heads(
    session: Session, heads: dict[str, tuple[int, bytes, Any]], since_n: int, only: str | None
) -> Iterator[Finding]:
    query = select(AuditChain.chain, AuditChain.seq, AuditChain.hash)
    if only is not None:
        query = query.where(AuditChain.chain == only)
    stored = {chain: (seq, digest) for chain, seq, digest in session.execute(query)}
    for chain, (seq, digest, _) in heads.items():
        if stored.get(chain) != (seq, digest):
            yield Finding(None, chain, "the head is not the chain's last entry")
    if since_n == 0:
        for chain in stored.keys() - heads.keys():
            yield Finding(None, chain, "the chain has a head but no entries")
