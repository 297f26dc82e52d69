"""The heads of all chains under one root, in an entry of the log: proof of what a chain did not yet hold.

A chain proves what is in it; nothing in it proves that nothing follows. So once a day, and for every dossier, an entry
`heads.recorded` holds the Merkle root over the head of every chain, sorted by name, as they stood among the first
`size` entries. A head is a leaf, and its text is what callers get as receipt: `chain;seq;hash`. With the path from its
leaf to that root a deal proves which entry was its last at that point.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from ledger.actors import SYSTEM, Actor
from ledger.errors import LedgerNotAnswering, ProofInvalid
from ledger.log.chain import append_entries, now_utc
from ledger.log.entry import Draft, decode_body, hash_leaf
from ledger.log.tree import HashTree
from ledger.tables.log import AuditChain, AuditLog, LogIdentity

if TYPE_CHECKING:
    from ledger.store import Ledger

HEADS = "heads.recorded"


class Head(NamedTuple):
    """The last entry of a chain: its number there, and its hash (32 bytes)."""

    chain: str
    seq: int
    hash: bytes

    @property
    def receipt(self) -> str:
        """The head as a line of text, as callers are given it."""
        return f"{self.chain};{self.seq};{self.hash.hex()}"

    @property
    def leaf(self) -> bytes:
        """What stands for it in the tree of heads."""
        return hash_leaf(self.receipt.encode())


class HeadsEntry(NamedTuple):
    """An entry `heads.recorded` where it stands in the log."""

    n: int
    seq: int
    hash: bytes
    at: datetime
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """What it states: `size`, `chains`, `root`, and the dossier it was made for."""
        data: dict[str, Any] = decode_body(self.body)["data"]
        return data


def read_heads(session: Session, size: int) -> list[Head]:
    """Return the head of every chain among the first `size` entries, sorted by the chain's name."""
    stands = and_(AuditLog.chain == AuditChain.chain, AuditLog.seq == AuditChain.seq, AuditLog.n < size)
    present = select(AuditLog.chain, AuditLog.seq, AuditLog.hash).join(AuditChain, stands)
    # Chains that have gone on since: what was their last entry then?
    moved = select(AuditChain.chain).outerjoin(AuditLog, stands).where(AuditLog.chain.is_(None))
    last = (
        select(AuditLog.chain, func.max(AuditLog.seq).label("seq"))
        .where(AuditLog.chain.in_(moved), AuditLog.n < size)
        .group_by(AuditLog.chain)
        .subquery()
    )
    former = select(AuditLog.chain, AuditLog.seq, AuditLog.hash).join(
        last, and_(AuditLog.chain == last.c.chain, AuditLog.seq == last.c.seq)
    )
    found = [*session.execute(present), *session.execute(former)]
    return sorted({Head(chain, seq, digest) for chain, seq, digest in found})  # one that moved in between is in both


class AllHeads:
    """The heads of all chains, sorted by name, and the tree over them."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self.heads = heads
        self._tree = HashTree([head.leaf for head in heads])

    @classmethod
    def at(cls, session: Session, size: int) -> "AllHeads":
        """Return the heads among the first `size` entries."""
        return cls(read_heads(session, size))

    @property
    def root(self) -> bytes:
        """The root over all of them."""
        return self._tree.root()

    def prove(self, chain: str) -> tuple[int, list[bytes]]:
        """Return the place of the chain's head among them, and its path to their root."""
        index = bisect_left(self.heads, (chain,))
        if index == len(self.heads) or self.heads[index].chain != chain:
            raise ProofInvalid(f"There is no chain {chain} among the {len(self.heads)} heads.")
        return index, self._tree.prove_inclusion(index)


def record_heads(session: Session, actor: Actor, dossier: Mapping[str, Any] | None = None) -> tuple[int, AllHeads]:
    """Write an entry over all heads as they stand, for `dossier` when given; return its `seq` in `sys`, and the heads.

    Where the log holds nothing newer than such an entry, and that says the same about the dossier, it is that one:
    an entry about heads alone is never the reason for another.
    """
    last = find_last_heads(session)
    if last is not None and last.data.get("dossier") == dossier and not _has_grown_since(session, last):
        return last.seq, AllHeads.at(session, int(last.data["size"]))
    origin = session.scalar(select(LogIdentity.origin)) or ""
    size = _count_entries(session)
    heads = AllHeads.at(session, size)
    data: dict[str, Any] = {"size": size, "chains": len(heads.heads), "root": heads.root.hex()}
    if dossier is not None:
        data["dossier"] = dict(dossier)
    [entry] = append_entries(session, actor, [Draft("sys", HEADS, "log", origin, data)])
    return entry.seq, heads


def record_heads_of_the_day(ledger: "Ledger") -> bool:
    """Write the day's entry over all heads unless there is one, or nothing to tell; return whether it was written.

    Days are those of UTC. A new log's first day needs none: it begins with the next one.
    """
    today = now_utc().date()
    with ledger.read() as session:
        if not _is_due(session, today):
            return False
    with ledger.write() as session:
        if not _is_due(session, today):
            return False
        record_heads(session, SYSTEM)
        return True


def find_heads(session: Session, seq: int) -> HeadsEntry:
    """Return the entry over all heads that is number `seq` of `sys`.

    Raises `LedgerNotAnswering` while it has no leaf index, because the database cannot give it one.
    """
    row = session.execute(_select_heads().where(AuditLog.seq == seq)).one_or_none()
    if row is None:
        raise LedgerNotAnswering("The newest entries have no place in the log yet: its database refuses. Try again.")
    return HeadsEntry._make(row)


def find_last_heads(session: Session) -> HeadsEntry | None:
    """Return the newest entry over all heads; None before the first."""
    row = session.execute(_select_heads().order_by(AuditLog.seq.desc()).limit(1)).one_or_none()
    return None if row is None else HeadsEntry._make(row)


def check_heads(session: Session, limit: int) -> list[tuple[int, str]]:
    """Return (leaf index, what is wrong) for those of the newest `limit` entries that do not tell the truth."""
    query = select(AuditLog.n, AuditLog.body).where(AuditLog.chain == "sys", AuditLog.type == HEADS)
    wrong = []
    for n, body in session.execute(query.order_by(AuditLog.seq.desc()).limit(limit)).all():
        try:
            data = decode_body(body)["data"]
            size, stated = int(data["size"]), (data["chains"], data["root"])
            heads = AllHeads.at(session, size)
            found = (len(heads.heads), heads.root.hex())
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the chains say what cannot be read
        if size > n or found != stated:
            wrong.append((n, f"the heads of the first {size:,} entries are not those it states"))
    return wrong


def _select_heads() -> Any:
    columns = (AuditLog.n, AuditLog.seq, AuditLog.hash, AuditLog.at, AuditLog.body)
    return select(*columns).where(AuditLog.chain == "sys", AuditLog.type == HEADS)


def _count_entries(session: Session) -> int:
    return int(session.scalar(select(func.coalesce(func.max(AuditLog.n), -1))) or 0) + 1


def _has_grown_since(session: Session, last: HeadsEntry) -> bool:
    return session.scalar(select(AuditLog.n).where(AuditLog.n > last.n, AuditLog.type != HEADS).limit(1)) is not None


def _is_due(session: Session, today: Any) -> bool:
    last = find_last_heads(session)
    if last is not None:
        return last.at.date() < today and _has_grown_since(session, last)
    first = session.scalar(select(AuditLog.at).order_by(AuditLog.n).limit(1))
    return first is not None and first.date() < today
