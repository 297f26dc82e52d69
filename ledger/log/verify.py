"""Is the log what was written? Everything is recomputed from the stored bytes.

Each entry: the hash of its body; its indexed columns against the body; the canonical form; the log's name; `at` not
running backwards; `prev` and `seq` against the entry before it in its chain; `n` without gaps. At the end each chain's
head against its last entry. With `since_n` only newer entries are read; the link to the older ones is still checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

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


def verify_chains(session: Session, *, since_n: int = 0, chain: str | None = None) -> ChainReport:
    """Check the entries from leaf index `since_n` on, or one chain; report every finding."""
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
        problems = list(_check_entry(row, origin))
        if row.seq != seq + 1:
            problems.append(f"seq is {row.seq} where {seq + 1} was due")
        if row.prev != prev:
            problems.append("prev is not the hash of the entry before it")
        if at is not None and row.at < at:
            problems.append("recorded earlier than the entry before it")
        findings += [Finding(row.n, row.chain, problem) for problem in problems]
        heads[row.chain] = (row.seq, row.hash, row.at)
        touched.add(row.chain)
    findings += _check_heads(session, heads, since_n, chain)
    return ChainReport(entries, len(touched), findings)


def _read_rows(session: Session, since_n: int, chain: str | None) -> Iterator[Any]:
    table = AuditLog.__table__
    last = since_n - 1
    while True:
        query = select(table).where(table.c.n > last).order_by(table.c.n).limit(_BATCH)
        if chain is not None:
            query = query.where(table.c.chain == chain)
        rows = session.execute(query).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].n


def _heads_before(session: Session, since_n: int) -> dict[str, tuple[int, bytes, datetime | None]]:
    if since_n == 0:
        return {}
    newer = select(AuditLog.chain).where(AuditLog.n >= since_n).distinct()
    last = select(func.max(AuditLog.n)).where(AuditLog.n < since_n, AuditLog.chain.in_(newer)).group_by(AuditLog.chain)
    rows = session.execute(select(AuditLog.chain, AuditLog.seq, AuditLog.hash, AuditLog.at).where(AuditLog.n.in_(last)))
    return {chain: (seq, digest, at) for chain, seq, digest, at in rows}


def _check_entry(row: Any, origin: str | None) -> Iterator[str]:
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
        if getattr(row, column) != value:
            yield f"column {column} differs from the body"


def _check_heads(
    session: Session, heads: dict[str, tuple[int, bytes, datetime | None]], since_n: int, only: str | None
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
