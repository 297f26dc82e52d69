"""Dagster's own state: where it lies, how it is set up, how a refresh opens it.

`dagster.yaml` is written once; an operator may edit it afterwards.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from ledger.settings import Settings
from orchestration.environment import changed_environment

_DAGSTER_YAML = """\
# Written by dealbook on first use; yours to edit. Runs, events and schedules are kept in SQLite in this folder.
telemetry:
  enabled: false

# Dagster's own SQLite storage opens and closes its files for every event; this one keeps them open.
run_storage:
  module: orchestration.kept_records
  class: KeptRuns
  config:
    home:
      env: DAGSTER_HOME
event_log_storage:
  module: orchestration.kept_records
  class: KeptEvents
  config:
    home:
      env: DAGSTER_HOME

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

_WRITTEN_BEFORE = frozenset({"5a3b34a2d99024418886b02a1b83edce490f6d965210c3dbf3e49815b90d1c91"})
"""SHA-256 of what former versions wrote there: nobody edited such a file, so it is written anew."""


def prepare_instance(settings: Settings) -> Path:
    """Make Dagster's folder with its configuration where they are missing; returns the folder."""
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists() or hashlib.sha256(configuration.read_bytes()).hexdigest() in _WRITTEN_BEFORE:
        configuration.write_text(_DAGSTER_YAML)
    return folder


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's records: the ones that the UI shows."""
    folder = prepare_instance(settings)
    # The configuration names the folder by its variable.
    named = {"DAGSTER_HOME": str(folder.resolve()), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with changed_environment(named), dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance
