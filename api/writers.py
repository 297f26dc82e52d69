"""The threads in which requests write: as many as the ledger's database lets write at once (SQLite: one).

A request that waits for the ledger holds no thread, and those that wait together are committed together.
"""

import asyncio
import queue
import threading
from collections.abc import Sequence
from typing import Any

from ledger.group_commit import Outcome, Work, count_together, write_together
from ledger.store import Ledger

_Job = tuple[Work, "asyncio.Future[Any]"]


class Writers:
    """The writing threads of one running app; they start with the first write.

    `unsettled` counts the writes whose answer is not known yet.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._together = count_together(ledger)
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.unsettled = 0

    async def run(self, work: Work) -> Any:
        """Run `work` in a write transaction; return what it returned or raise what it raised, once that is settled."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._threads:
            self._start()
        self._waiting.put((work, future))
        self.unsettled += 1
        try:
            return await future
        finally:
            self.unsettled -= 1

    def close(self) -> None:
        """Let the threads finish what waits, and end them."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        with self._lock:
            if not self._threads:
                names = [f"writer-{number}" for number in range(self._ledger.concurrent_writers)]
                self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for name in names]
                for thread in self._threads:
                    thread.start()

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            jobs = [first]
            while len(jobs) < self._together:
                try:
                    job = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    self._waiting.put(None)
                    break
                jobs.append(job)
            outcomes = write_together(self._ledger, [work for work, _ in jobs])
            jobs[0][1].get_loop().call_soon_threadsafe(_settle, jobs, outcomes)


def _settle(jobs: Sequence[_Job], outcomes: Sequence[Outcome]) -> None:
    for (_, future), (value, error) in zip(jobs, outcomes, strict=True):
        if future.done():  # whoever asked has gone
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
