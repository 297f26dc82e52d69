"""The threads in which requests write: as many as the ledger's database lets write at once (SQLite: one).

A request that waits for the ledger holds no thread, and those that wait together are committed together. Where there
are several threads, writes about the same thing go to the same one: elsewhere they would only wait for each other.
"""

import asyncio
import queue
import threading
import zlib
from collections.abc import Sequence
from typing import Any

from ledger.group_commit import MOST_TOGETHER, Outcome, Work, write_together
from ledger.store import Ledger

_Job = tuple[Work, "asyncio.Future[Any]"]
_Lane = queue.SimpleQueue[_Job | None]


class Writers:
    """The writing threads of one running app; they start with the first write.

    `unsettled` counts the writes whose answer is not known yet.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lanes: list[_Lane] = [queue.SimpleQueue() for _ in range(ledger.concurrent_writers)]
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.unsettled = 0

    async def run(self, work: Work, about: str = "") -> Any:
        """Run `work` in a write transaction; return what it returned or raise what it raised, once that is settled.

        `about` is the id of what it changes.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._threads:
            self._start()
        self._lanes[zlib.crc32(about.encode("utf-8", "replace")) % len(self._lanes)].put((work, future))
        self.unsettled += 1
        try:
            return await future
        finally:
            self.unsettled -= 1

    def close(self) -> None:
        """Let the threads finish what waits, and end them."""
        with self._lock:
            threads, self._threads = self._threads, []
        for lane in self._lanes if threads else ():
            lane.put(None)
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        with self._lock:
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._serve, args=(lane,), name=f"writer-{number}", daemon=True)
                    for number, lane in enumerate(self._lanes)
                ]
                for thread in self._threads:
                    thread.start()

    def _serve(self, lane: _Lane) -> None:
        while (first := lane.get()) is not None:
            jobs = [first]
            while len(jobs) < MOST_TOGETHER:
                try:
                    job = lane.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    lane.put(None)
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
