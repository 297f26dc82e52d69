"""One writer of the warehouse at a time on one machine: refreshes and reference files take this lock.

It is a lock of the operating system: it ends with its process, however that ends.
"""

import contextlib
from collections.abc import Callable, Iterator

from filelock import FileLock, Timeout

from ledger.settings import Settings

WAITING = "Another refresh is running; this one begins when it has ended."


@contextlib.contextmanager
def hold_refresh_lock(settings: Settings, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock, waiting for whoever holds it; `on_wait` is told once that it waits. Re-entrant in a thread."""
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.home / "refresh.lock", is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait(WAITING)
        lock.acquire(poll_interval=0.25)
    try:
        yield
    finally:
        lock.release()


def is_refresh_running(settings: Settings) -> bool:
    """Whether somebody holds the lock at this moment."""
    if not settings.home.exists():
        return False
    try:
        with FileLock(settings.home / "refresh.lock").acquire(timeout=0):
            return False
    except Timeout:
        return True
