"""Environment variables for a while: dbt's profile and Dagster's configuration name places by them."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

NODES_AT_A_TIME = 2
"""How many nodes dbt works on at a time, as its profile says."""


@contextlib.contextmanager
def changed_environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set these variables while the context lasts, and put back what was there."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def profile_environment(warehouse_path: Path) -> dict[str, str]:
    """Return what dbt's profile reads: which file, and how many threads a statement gets."""
    return {"DEALBOOK_WAREHOUSE": str(warehouse_path), "DEALBOOK_STATEMENT_THREADS": str(statement_threads())}


def statement_threads() -> int:
    """Return the processors that a statement gets while dbt works on `NODES_AT_A_TIME`."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, processors // NODES_AT_A_TIME)
