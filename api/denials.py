"""Requests that were turned away, summed up in memory and written to the chain `auth` once a minute.

One entry for each reason, user and address of a minute, and at most `MOST_A_MINUTE` of them: whoever sends millions of
bad tokens, even from millions of addresses, adds a few dozen entries a minute. What is summed up and not yet written
when the process is killed is lost; a regular stop writes it.
"""

import logging
import threading
import time
from collections import Counter
from datetime import UTC, datetime

from ledger.auth_log import Denial, DenialReason, record_denials
from ledger.store import Ledger

log = logging.getLogger(__name__)

MOST_A_MINUTE = 50
MOST_UNWRITTEN = 1_000
_Key = tuple[datetime, DenialReason, str | None, str | None]


class Denials:
    """The sums of this process; safe to use from any thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._counts: Counter[_Key] = Counter()
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def note(self, reason: DenialReason, address: str, user_id: str | None = None) -> None:
        """Count a request that was turned away now; it is written when its minute is over."""
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        with self._lock:
            key: _Key = (minute, reason, address, user_id)
            if key not in self._counts and sum(1 for known in self._counts if known[0] == minute) >= MOST_A_MINUTE:
                key = (minute, reason, None, None)
            self._counts[key] += 1
            self._schedule()

    def flush(self) -> None:
        """Write what has been counted so far; what cannot be written now is kept and tried again."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._timer = None
        if not counts:
            return
        denials = [
            Denial(reason, minute, address, user_id, count)
            for (minute, reason, address, user_id), count in sorted(counts.items(), key=lambda item: item[0][0])
        ]
        try:
            with self._ledger.write() as session:
                record_denials(session, denials)
        except Exception:  # a thread of its own: nobody else would hear of it
            log.exception("%s denials could not be written to the log; trying again", counts.total())
            with self._lock:
                self._counts.update(dict(counts.most_common(MOST_UNWRITTEN)))
                self._schedule()

    def close(self) -> None:
        """Write what is left and stop."""
        with self._lock:
            self._is_closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _schedule(self) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = threading.Timer(60 - time.time() % 60, self.flush)
            self._timer.daemon = True
            self._timer.start()
