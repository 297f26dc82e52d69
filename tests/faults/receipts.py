"""Receipts of acknowledged writes, and whether the log still has every one of them."""

import threading
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.tables import AuditLog
from tests.support.served_api import Answer


@dataclass
class Receipts:
    """What callers were told was recorded; many threads add to it."""

    kept: list[tuple[str, int, str]] = field(default_factory=list)
    _checked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, answer: Answer) -> None:
        """Take down the receipt of a write that succeeded."""
        chain, seq, digest = answer.headers["audit-receipt"].split(";")
        with self._lock:
            self.kept.append((chain, int(seq), digest))

    def has_new(self, number: int) -> bool:
        """Whether at least so many were kept since the last check."""
        return len(self.kept) - self._checked >= number

    def check_new(self, session: Session) -> int:
        """Fail unless each receipt since the last check is in the log with that very hash; return how many."""
        with self._lock:
            new = self.kept[self._checked :]
            self._checked = len(self.kept)
        told: dict[str, list[tuple[int, str]]] = {}
        for chain, seq, digest in new:
            told.setdefault(chain, []).append((seq, digest))
        for chain, digests in told.items():
            query = select(AuditLog.seq, AuditLog.hash).where(AuditLog.chain == chain, AuditLog.seq >= min(digests)[0])
            found = dict(iter(session.execute(query)))
            for seq, digest in digests:
                assert seq in found, f"acknowledged and lost: {chain} {seq}"
                assert found[seq].hex() == digest, f"acknowledged and replaced: {chain} {seq}"
        return len(new)
