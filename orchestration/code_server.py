"""Dagster's code server, whose runs begin in a process that has Dagster and dbt imported already.

`python -m orchestration.code_server api grpc ...` is `dagster api grpc ...` but for how the process of a run is made.
Dagster spawns it: a new interpreter, which imports for seconds before the first step. Here it is forked from a process
that has imported `run_imports` and does nothing else. (The code server itself is none to fork from: it has threads, and
a lock that one of them holds would stay held in the run.)

What a run works with is as it was with spawning: environment and working directory are the code server's; our own
Python modules and the dbt project are read from disk when the run begins. Installed packages are those of the moment
when the service started: a new version of one needs a restart, as the graph, sensors and schedules always did.

The fork server ends when the code server and the last run have ended. Where there is none to be had, runs are spawned.
"""

import logging
import multiprocessing
import sys
from multiprocessing import forkserver
from typing import Any

_PRELOADED_BY = "orchestration.run_imports"


def fork_runs() -> None:
    """Have Dagster's code server, once it is started in this process, fork its runs.

    Does nothing elsewhere than on Linux, where even a process of one thread is not always safe to fork; says so where
    it cannot be done, as when Dagster is no longer built as it was.
    """
    if sys.platform != "linux":
        return
    try:
        context = multiprocessing.get_context("forkserver")
        from dagster._grpc import server

        class ForkingApiServer(server.DagsterApiServer):
            """Dagster's servicer with another way to make a process; Dagster has no public setting for it."""

            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                if _start_fork_server():  # now, that it does not hold up what was loaded above
                    self._mp_ctx = context  # type: ignore[assignment]

        server.DagsterApiServer = ForkingApiServer  # type: ignore[misc]
    except (ValueError, ImportError, AttributeError) as reason:
        _say_spawned(reason)


def _start_fork_server() -> bool:
    """Start the fork server, which begins to import at once: whoever asks for the first run finds it done."""
    forkserver.set_forkserver_preload([_PRELOADED_BY])
    try:
        forkserver.ensure_running()
    except OSError as reason:  # no process or no socket to be had; a path of TMPDIR can be too long for a socket
        _say_spawned(reason)
        return False
    return True


def _say_spawned(reason: Exception) -> None:
    logging.getLogger(__name__).warning("Runs are spawned, and begin some seconds later: %s", reason)


def main() -> None:
    """Serve as `dagster` does with the same arguments."""
    fork_runs()
    from dagster._cli import main as dagster

    dagster()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
