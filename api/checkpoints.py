"""The API's own clockwork: it signs the log while it serves, so that hardly anything stands unsigned for long."""

import logging
import threading
import time

from sqlalchemy.exc import OperationalError

from ledger.errors import DealbookError, LedgerNotAnswering
from ledger.log.checkpoint import make_checkpoint, read_size
from ledger.log.heads import record_heads_of_the_day
from ledger.store import Ledger

LOOK_SECONDS = 1.0
MAX_UNSIGNED = 10_000
log = logging.getLogger(__name__)


class CheckpointKeeper:
    """Signs a log that has grown `seconds` after it began to, or once `MAX_UNSIGNED` entries wait; and on `stop`.

    The first checkpoint of a day covers an entry over all heads. With `seconds` at 0 it never signs: refreshes and
    `dealbook audit checkpoint` then sign alone. A log that may not be signed (`LogNotContinued`) is reported once, not
    every second; writers are told by the ledger itself.
    """

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger = ledger
        self._seconds = seconds
        self._stopping = threading.Event()
        self._signed = 0
        self._grown_at: float | None = None
        self._reported = ""
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._seconds:
            self._thread.start()

    def stop(self) -> None:
        """Sign what is there, and end."""
        if self._seconds:
            self._stopping.set()
            self._thread.join()

    def look(self, now: float) -> bool:
        """Sign when it is time to, at monotonic time `now`; return whether it did."""
        with self._ledger.read() as session:
            size = read_size(session)
        if size == self._signed:
            self._grown_at = None
            return False
        if self._grown_at is None:
            self._grown_at = now
        is_due = now - self._grown_at >= self._seconds - LOOK_SECONDS or size - self._signed >= MAX_UNSIGNED
        return is_due and self._sign()

    def _sign(self) -> bool:
        try:
            record_heads_of_the_day(self._ledger)
        except (OperationalError, LedgerNotAnswering) as error:  # a long import holds it; the next checkpoint has them
            log.warning("The heads of the day wait: %s", error)
        self._signed = make_checkpoint(self._ledger).size
        self._grown_at = None
        self._reported = ""
        return True

    def _run(self) -> None:
        while not self._stopping.wait(min(LOOK_SECONDS, self._seconds)):
            self._attempt()
        self._grown_at = -self._seconds  # whatever is unsigned is due now
        self._attempt()

    def _attempt(self) -> None:
        try:
            self.look(time.monotonic())
        except DealbookError as error:
            self._report(error.detail, error)
        except Exception as error:
            self._report(repr(error), error)

    def _report(self, words: str, error: Exception) -> None:
        if words != self._reported:
            log.error("The log could not be signed: %s", words, exc_info=error)
            self._reported = words
