"""What runs are forked from: a process of one thread that has imported what it should."""

import logging
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.code_server import fork_runs

_IMPORT = """
import os, sys
from orchestration import run_imports
print("threads", len(os.listdir("/proc/self/task")))
print("missing", *set(run_imports.PRELOADED) - set(sys.modules))
print("ours", *(name for name in sys.modules if name.split(".")[0] in ("orchestration", "ingestion", "ledger")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs are spawned")
def test_all_is_imported_by_one_thread_and_nothing_of_ours_is() -> None:
    """A thread more, and a fork could wait for a lock that nobody releases; modules of ours could be out of date."""
    root = Path(__file__).parents[2]
    told = subprocess.run([sys.executable, "-W", "ignore", "-c", _IMPORT], cwd=root, capture_output=True, check=True)
    assert told.stdout.decode().splitlines() == ["threads 1", "missing", "ours orchestration orchestration.run_imports"]


def test_without_a_fork_server_runs_are_spawned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A code server that starts runs slowly is better than none."""

    def refuse(_way: str) -> None:
        raise ValueError("cannot find context")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    with caplog.at_level(logging.WARNING):
        fork_runs()
    assert "Runs are spawned" in caplog.text
