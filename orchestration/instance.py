"""Dagster's own state: where it lies, how it is set up, how a refresh opens it.

`dagster.yaml` is written once; an operator may edit it afterwards.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, event

from ledger.settings import Settings

_DAGSTER_YAML = """\
# Written by dealbook on first use; yours to edit. Runs, events and schedules are kept in SQLite in this folder.
telemetry:
  enabled: false

# One run at a time may touch the warehouse; the others queue. (A file lock guards it against the command line, too.)
concurrency:
  pools:
    default_limit: 1
    granularity: run

# A run whose process died is marked as failed instead of blocking the queue.
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  poll_interval_seconds: 60

# Runs say what they do in their events; capturing their console output as well costs half a second each.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager

# Marts say when they were not published in time.
freshness:
  enabled: true

nux:
  enabled: false

retention:
  schedule:
    purge_after_days: 90
  sensor:
    purge_after_days:
      skipped: 7
      failure: 30
      success: -1
"""


def prepare_instance(settings: Settings) -> Path:
    """Make Dagster's folder with its configuration where they are missing; returns the folder."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        configuration.write_text(_DAGSTER_YAML)
    return folder


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's records: the ones that the UI shows."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    folder = prepare_instance(settings)
    with quick_records(folder), dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


@contextlib.contextmanager
def quick_records(folder: Path) -> Iterator[None]:
    """Make Dagster's SQLite files in this folder cheap to write to while the context lasts, in this process.

    Dagster opens, commits and closes a connection for every event, several times over. Each commit waits for the disk,
    and each close, being the last one, folds the write-ahead log back into the file: some 30 ms an event, and a refresh
    has hundreds. Here commits do not wait (a power cut may take the last records, never the file's consistency), and
    one idle connection a file makes no close the last. The ledger's files are not touched: they lie elsewhere.
    """
    prefix = f"{folder.resolve()}{os.sep}"
    idle: dict[str, sqlite3.Connection] = {}

    def on_connect(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        [(_, _, path)] = connection.execute("PRAGMA database_list").fetchall()
        if not path.startswith(prefix):
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        if path not in idle:
            idle[path] = sqlite3.connect(path, check_same_thread=False)
        idle[path].execute("PRAGMA schema_version").fetchall()  # a read is what holds the write-ahead log open

    event.listen(Engine, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Engine, "connect", on_connect)
        for connection in idle.values():
            connection.close()
