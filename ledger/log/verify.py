"""Is the log what was written? Everything is recomputed from the stored bytes.

Each entry: the hash of its body; its indexed columns against the body; the canonical form; the log's name; `at` not
running backwards; `prev` and `seq` against the entry before it in its chain; `n` without gaps. At the end each chain's
head against its last entry. With `since_n` only newer entries are read; the link to the older ones is still checked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain as in_turn
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, String, bindparam, func, null, select, type_coerce, union
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from ledger.collection import without_collection
from ledger.columns import format_time, parse_time
from ledger.errors import EntryInvalid
from ledger.log.chain import FIRST_PREV
from ledger.log.entry import encode_entry, hash_leaf
from ledger.log.entry_shape import is_canonical_time, read_shape
from ledger.statements import Statement
from ledger.tables.log import AuditChain, AuditLog, AuditPending, LogIdentity

_BATCH = 1_000  # what the processor's cache holds
_BEFORE_ALL = (0, FIRST_PREV, None)


class _Stored(NamedTuple):
    """An entry as the store has it; what should be bytes, a number or a time may be anything."""

    n: Any
    chain: Any
    seq: Any
    hash: Any
    prev: Any
    type: Any
    at: Any
    effective_at: Any
    subject_kind: Any
    subject_id: Any
    actor_id: Any
    body: Any


_COLUMNS = _Stored._fields


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
    on_leaves: Callable[[list[bytes]], None] = lambda _leaves: None,
) -> ChainReport:
    """Check the entries from leaf index `since_n` on, or one chain; report every finding.

    `on_leaves` hears the stored hashes of the entries read, in order, batch by batch.
    """
    origin = session.scalar(select(LogIdentity.origin))
    findings: list[Finding] = []
    heads = _heads_before(session, since_n)
    touched: set[str] = set()
    expected_n = since_n
    entries = 0
    for rows in in_turn(_read_batches(session, since_n, chain), _read_waiting(session, chain)):
        entries += len(rows)
        for row in rows:
            n, name, found_seq, digest, prev, _, found_at, *_ = row
            problems = [] if _is_as_written(row, origin) else list(_check_entry(row, origin))
            if n is not None:
                if n != expected_n and chain is None:
                    problems.insert(0, f"leaf index {n} follows where {expected_n} was due")
                expected_n = n + 1
            seq, due, at = heads.get(name, _BEFORE_ALL)
            if found_seq != seq + 1:
                problems.append(f"seq is {found_seq} where {seq + 1} was due")
            if prev != due:
                problems.append("prev is not the hash of the entry before it")
            if at is not None and type(at) is type(found_at) and found_at < at:
                problems.append("recorded earlier than the entry before it")
            if problems:
                findings += [Finding(n, name, problem) for problem in problems]
            heads[name] = (found_seq if isinstance(found_seq, int) else seq + 1, digest, found_at)
        touched.update([row[1] for row in rows])
        on_leaves([row[3] if isinstance(row[3], bytes) else b"" for row in rows if row[0] is not None])
    findings += _check_heads(session, heads, since_n, chain)
    return ChainReport(entries, len(touched), findings)


def _as_stored(column: Any) -> Any:
    """Return the column with its values as the store has them: making times of all their texts takes too long."""
    return type_coerce(column, String).label(column.key)


def _as_found(column: Any) -> Any:
    """Return the column unconverted: whoever edits the file can put a text where bytes belong."""
    return type_coerce(column, NullType()).label(column.key)


def _unconverted(table: Any, name: str) -> Any:
    return (_as_stored if name in ("at", "effective_at") else _as_found)(table.c[name])


def _read_waiting(session: Session, chain: str | None) -> Iterator[Sequence[Any]]:
    """Return the entries that have no leaf index yet: links of their chains, but not leaves of the tree."""
    table = AuditPending.__table__
    columns = [null().label("n") if name == "n" else _unconverted(table, name) for name in _COLUMNS]
    query = select(*columns).order_by(table.c.arrival)
    if chain is not None:
        query = query.where(table.c.chain == chain)
    yield session.execute(query).all()


def _page(*narrowing: ColumnElement[bool]) -> Statement:
    """Return what reads the next entries after leaf index `last`."""
    table = AuditLog.__table__
    query = select(*(_unconverted(table, name) for name in _COLUMNS)).where(table.c.n > bindparam("last"), *narrowing)
    return Statement(query.order_by(table.c.n).limit(_BATCH))


_PAGE, _PAGE_OF_CHAIN = _page(), _page(AuditLog.chain == bindparam("chain"))


def _read_batches(session: Session, since_n: int, chain: str | None) -> Iterator[Sequence[Any]]:
    last = since_n - 1
    while True:
        with without_collection():
            rows = (
                _PAGE.all(session, last=last) if chain is None else _PAGE_OF_CHAIN.all(session, last=last, chain=chain)
            )
            if not rows:
                return
            yield rows
            last = rows[-1][0]


def _heads_before(session: Session, since_n: int) -> dict[str, tuple[int, bytes, Any]]:
    if since_n == 0:
        return {}
    newer = union(select(AuditLog.chain).where(AuditLog.n >= since_n), select(AuditPending.chain))
    last = select(func.max(AuditLog.n)).where(AuditLog.n < since_n, AuditLog.chain.in_(newer)).group_by(AuditLog.chain)
    rows: Any = session.execute(
        select(AuditLog.chain, AuditLog.seq, AuditLog.hash, _as_stored(AuditLog.at)).where(AuditLog.n.in_(last))
    )
    return {chain: (seq, digest, at) for chain, seq, digest, at in rows}


def _is_as_written(row: Any, origin: str | None) -> bool:
    """Whether an entry has nothing wrong with it, told quickly; False leaves it to `_check_entry` to say what."""
    _, chain, seq, digest, prev, type_, at, effective_at, subject_kind, subject_id, actor_id, body = row
    try:
        if hash_leaf(body) != digest:
            return False
        entry = read_shape(body)
        return (
            entry is not None
            and entry.chain == chain
            and entry.log == origin
            and entry.seq == seq
            and entry.prev == prev.hex()
            and entry.type == type_
            and entry.subject.kind == subject_kind
            and entry.subject.id == subject_id
            and entry.actor.id == actor_id
            and _is_stored_as(entry.at, at)
            and _is_stored_as(entry.effective_at, effective_at)
        )
    except (TypeError, ValueError, AttributeError):
        return False


def _is_stored_as(text: str, stored: Any) -> bool:
    """Whether a time's canonical text is what the store has: that text, or on PostgreSQL the instant."""
    return is_canonical_time(text) and (stored == text if isinstance(stored, str) else stored == parse_time(text))


def _instant(stored: Any) -> datetime | None:
    """Return a stored time; None where what the store has is none."""
    try:
        return parse_time(stored) if isinstance(stored, str) else stored.astimezone(UTC)
    except (TypeError, ValueError, AttributeError):
        return None


def _check_entry(found: Any, origin: str | None) -> Iterator[str]:
    row = _Stored._make(found)
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
