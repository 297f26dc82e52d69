"""What makes a refresh run without a clock: new facts in the log.

The sensor looks every few seconds, and a look costs two small queries: no warehouse, no dbt. It asks for a run when
facts were written that no publication has, and then waits for more of them:

- debounced: writes that come one after another are published together, at the latest when the first has waited long;
- with breaks: after a refresh it rests for a multiple of the time that the refresh took, so that a busy office with
  long refreshes does not refresh all the time;
- once: a log size that was asked for is not asked for again, also when its refresh failed. The hourly schedule tries
  that again.

Entries that no number rests on (log-ins, tokens, settings) make no refresh; neither does a rollback, which moves
readers back on purpose.
"""

import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ingestion.log_position import last_fact
from ingestion.publishing import list_publications
from ingestion.refresh_lock import is_refresh_running
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.plain_failures import begins_plainly
from orchestration.run_records import last_record
from orchestration.schedules import tidy_dead_runs

LOOK_SECONDS = 10
QUIET_SECONDS = 10.0
WAIT_AT_MOST_SECONDS = 30.0
REST_FACTOR = 2.0
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dataclass(frozen=True)
class Watch:
    """What the sensor remembers between looks; sizes are log sizes up to the last fact, times are seconds.

    `seen` is the size at the last look, `seen_at` when it was first seen, `waiting_since` when the first fact that is
    not published was seen (None when there is none), `asked` the size that a run was asked for.
    """

    seen: int = 0
    seen_at: float = 0.0
    waiting_since: float | None = None
    asked: int = 0


def decide(watch: Watch, *, size: int, published: int, rest_until: float, now: float) -> tuple[Watch, str | None]:
    """Return what to remember, and why not to refresh now; None asks for a refresh.

    `size` is where the last fact of the log ends, `published` the greatest log size of a publication, `rest_until` the
    end of the rest after the last refresh.
    """
    if size <= max(published, watch.asked):
        why = "Nothing new since the last publication." if size <= published else "Asked for; see the run."
        return replace(watch, seen=size, seen_at=now, waiting_since=None), why
    if size != watch.seen:
        watch = replace(watch, seen=size, seen_at=now)
    since = now if watch.waiting_since is None else watch.waiting_since
    watch = replace(watch, waiting_since=since)
    if now < rest_until:
        return watch, f"New entries; resting after the last refresh for {rest_until - now:.0f} s more."
    if now - watch.seen_at < QUIET_SECONDS and now - since < WAIT_AT_MOST_SECONDS:
        return watch, "New entries; waiting whether more follow."
    return replace(watch, asked=size, waiting_since=None), None


def rest_until(settings: Settings) -> float:
    """Return the moment (seconds) until which the last refresh, started by whomever, wants its rest."""
    record: dict[str, Any] | None = last_record(settings)
    return record["ended"] + REST_FACTOR * record["duration_seconds"] if record else 0.0


def build_sensors(settings: Settings, jobs: dict[str, UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """Return the sensor on the log, running from the start."""

    @dg.sensor(
        name="new_entries_sensor",
        job=jobs["hourly"],
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes new facts within a minute; writes in quick succession are taken together.",
    )
    @begins_plainly()
    def new_entries_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        if is_refresh_running(settings):
            return dg.SensorResult(skip_reason="A refresh is running.", cursor=context.cursor)
        tidy_dead_runs(context.instance, settings)
        if context.instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)):
            return dg.SensorResult(skip_reason="A run is about to begin.", cursor=context.cursor)
        published = max((found.log_size for found in list_publications(settings.published_dir)), default=0)
        ledger = Ledger.open(settings=settings)
        try:
            size = last_fact(ledger, published)
        finally:
            ledger.close()
        watch = Watch(**json.loads(context.cursor)) if context.cursor else Watch()
        watch, why_not = decide(watch, size=size, published=published, rest_until=rest_until(settings), now=time.time())
        cursor = json.dumps(asdict(watch))
        if why_not:
            return dg.SensorResult(skip_reason=why_not, cursor=cursor)
        return dg.SensorResult(run_requests=[dg.RunRequest(tags={"dealbook/log_size": str(size)})], cursor=cursor)

    return [new_entries_sensor]
