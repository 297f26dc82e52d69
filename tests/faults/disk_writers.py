"""Clients that write without pause while the disk fills up and has room again."""

import json
import random
import threading
from collections.abc import Callable
from itertools import count

from sqlalchemy import select

from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.faults.conftest import Office
from tests.faults.receipts import Receipts
from tests.support.served_api import wait_until

FULL = {(507, "/problems/disk-full"), (503, "/problems/ledger-not-answering")}
WRITERS = 4


class Writer(threading.Thread):
    """Writes without pause until told to stop; every answer is a success or says that the disk is full."""

    def __init__(self, office: Office, deal: str, receipts: Receipts, seed: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._office, self._deal, self._receipts, self._stopping = office, deal, receipts, stopping
        self._rng = random.Random(seed)
        self.written = 0
        self.refused: dict[str, int] = {}
        self.unexpected = ""

    def run(self) -> None:
        caller = self._office.caller()
        for number in count():
            if self._stopping.is_set():
                break
            title = f"{self.name} {number}"
            body = {"title": title, "description": f"{number}" + "x" * self._rng.choice([0, 500, 4000, 19_000])}
            answer = caller.send("PATCH", self._deal, body, If_Match="*")
            if answer.status == 200:
                self._receipts.keep(answer)
                self.written += 1
                continue
            problem = answer.json()
            says_so = (answer.status, problem["type"]) in FULL and "othing was changed" in problem["detail"]
            if not says_so or not int(answer.headers.get("retry-after", 0)):
                self.unexpected = f"{answer.status} {answer.content[:500]!r}"
                break
            self.refused[title] = answer.status
        caller.close()


class DiskWriters:
    """Four of them, on one deal; each is answered with a success or is told that the disk is full."""

    def __init__(self, office: Office, deal: str, rng: random.Random) -> None:
        self.receipts = Receipts()
        self._deal, self._stopping = deal, threading.Event()
        self._writers = [
            Writer(office, deal, self.receipts, rng.randrange(2**32), self._stopping) for _ in range(WRITERS)
        ]

    def start(self) -> None:
        for writer in self._writers:
            writer.start()

    def wait_until_written(self) -> None:
        """Wait until each has been told twice, from now on, that it has written."""
        for writer in self._writers:
            writer.written = 0
        self._wait(lambda writer: writer.written > 1, "writing does not go on")

    def wait_until_refused(self, how: str) -> None:
        """Wait until each has been refused."""
        self._wait(lambda writer: bool(writer.refused), f"the disk never was full: {how}")

    def stop(self) -> None:
        """Stop them, and fail when one was told anything else."""
        self._stopping.set()
        for writer in self._writers:
            writer.join(60)
            assert not writer.is_alive()
            assert not writer.unexpected, writer.unexpected

    @property
    def refused(self) -> dict[str, int]:
        """Titles that were refused, with the status of the answer."""
        return {title: status for writer in self._writers for title, status in writer.refused.items()}

    @property
    def statuses(self) -> set[int]:
        """Statuses of the refusals."""
        return set(self.refused.values())

    def assert_none_refused_is_there(self, ledger: Ledger) -> None:
        """Fail when the log has anything that was refused."""
        with ledger.read() as session:
            bodies = session.scalars(select(AuditLog.body).where(AuditLog.chain == f"deal:{self._deal[-36:]}")).all()
        titles = {json.loads(body)["data"].get("set", {}).get("title") for body in bodies}
        assert not self.refused.keys() & titles, "what was refused is in the log"

    def _wait(self, what: Callable[[Writer], bool], otherwise: str) -> None:
        wait_until(lambda: all(what(writer) or not writer.is_alive() for writer in self._writers), otherwise)
