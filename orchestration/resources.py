"""What the assets of one run share: the settings, the day asked about, the refresh lock and the tally of what was done.

One resource for the whole run, because all steps of a run live in one process (in-process executor). The clock is read
here, once a run, and nowhere below.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dagster as dg

from ingestion.refresh_lock import hold_refresh_lock
from ledger.settings import Settings
from orchestration.definition_version import definition_version
from orchestration.failed_checks import FailedCheck
from orchestration.freshness import find_news
from orchestration.log_verification import LogVerification
from orchestration.plain_failures import begins_plainly
from orchestration.run_records import STARTED_BY_TAG, log_event, records_path

LOCK_TAG = "dealbook/refresh_lock"
_HELD, _RELEASED = "held", "released"

RUN_CONFIG_SCHEMA = {
    "full": dg.Field(bool, default_value=False, description="Land the log again from its beginning; rebuild all."),
    "verify_all": dg.Field(bool, default_value=False, description="Verify every chain of the log, not only new ones."),
    "as_of_date": dg.Field(
        str, default_value="", description="Day asked about, YYYY-MM-DD; empty means today in the business time zone."
    ),
}


@dataclass
class Tally:
    """What a run did, collected as it goes; the run's log line and the refresh report are made from it."""

    log_size: int = 0
    landed_from: int = 0
    entries_landed: int = 0
    deals_processed: int = 0
    rows_published: int = 0
    publication: str = ""
    failed_checks: list[FailedCheck] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    on_progress: Callable[[str, int, int], None] | None = None

    def say(self, step: str, done: int, total: int) -> None:
        """Tell whoever watches how far a step is; a total of 0 is unknown."""
        if self.on_progress:
            self.on_progress(step, done, total)

    def fail(self, check: FailedCheck) -> None:
        """Note that a check failed."""
        self.failed_checks.append(check)


@dataclass(frozen=True)
class RefreshRun:
    """The run that assets belong to.

    `is_answered`: a refresh that ended after this run was asked for has published all that it would publish.
    """

    settings: Settings
    run_id: str
    as_of_date: date
    full: bool
    verify_all: bool
    definition_version: str
    started_by: str
    is_answered: bool
    tally: Tally
    verification: LogVerification

    @property
    def dbt_variables(self) -> dict[str, Any]:
        """Variables that every dbt model may read; `log_size` is known once the raw tables are landed."""
        return {
            "log_size": self.tally.log_size,
            "as_of_date": self.as_of_date.isoformat(),
            "business_timezone": self.settings.business_timezone,
            "reporting_currency": self.settings.reporting_currency,
            "definition_version": self.definition_version,
        }


def today(settings: Settings) -> date:
    """Return the present day in the business time zone."""
    return datetime.now(settings.time_zone).date()


def is_answered(settings: Settings, day: date, asked_at: float) -> bool:
    """Whether a refresh has published since `asked_at` (seconds) all there is to publish for that day."""
    news = find_news(settings, day)
    published = news.publication
    return published is not None and not news.reasons and published.published_at.timestamp() > asked_at


def _asked_at(instance: dg.DagsterInstance, run_id: str) -> float:
    record = instance.get_run_record_by_id(run_id)
    return record.create_timestamp.timestamp() if record else time.time()


def who_asked(tags: Mapping[str, str]) -> str:
    """Return who or what started a run: a person's account on this machine, a schedule, a sensor, the Dagster UI."""
    for tag in (STARTED_BY_TAG, "dagster/schedule_name", "dagster/sensor_name"):
        if name := tags.get(tag):
            return name.replace("_", " ")
    return "Dagster UI"


def mark_dead_runs(instance: dg.DagsterInstance, own_run_id: str = "") -> int:
    """Mark runs as failed that hold the refresh lock by their tag, though the caller holds it; returns how many.

    Their processes ended without a word (power cut, kill -9). Left as "started" they would hold up the run queue.
    """
    dead = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={LOCK_TAG: _HELD}))
        if run.run_id != own_run_id
    ]
    for run in dead:
        instance.report_run_failed(run, "The process of this run ended without a word. Start a new refresh.")
    return len(dead)


def build_refresh_run_resource(settings: Settings, tally: Tally | None = None) -> dg.ResourceDefinition:
    """Return the resource `refresh_run`; `tally` lets the caller read afterwards what the run did."""

    @dg.resource(config_schema=RUN_CONFIG_SCHEMA, description="The refresh that the assets of a run belong to.")
    @begins_plainly()
    def refresh_run(context: dg.InitResourceContext) -> Iterator[RefreshRun]:
        config = context.resource_config
        instance, log = context.instance, context.log
        if instance is None or log is None or context.run is None:
            raise dg.DagsterInvariantViolationError("refresh_run needs an instance and a run: run it through a job")
        run_id, job = context.run.run_id, context.run.job_name
        with hold_refresh_lock(settings, on_wait=log.info):
            mark_dead_runs(instance, own_run_id=run_id)
            instance.add_run_tags(run_id, {LOCK_TAG: _HELD})
            day = date.fromisoformat(config["as_of_date"]) if config["as_of_date"] else today(settings)
            has_more_to_do = config["full"] or config["verify_all"]
            run = RefreshRun(
                settings=settings,
                run_id=run_id,
                as_of_date=day,
                full=config["full"],
                verify_all=config["verify_all"],
                definition_version=definition_version(settings.dbt_project_dir),
                started_by=who_asked(context.run.tags),
                is_answered=not has_more_to_do and is_answered(settings, day, _asked_at(instance, run_id)),
                tally=tally if tally is not None else Tally(),
                verification=LogVerification(settings),
            )
            started = time.monotonic()
            try:
                yield run
            finally:
                run.verification.stop()
                _log_run(run, job, time.monotonic() - started)
                instance.add_run_tags(run_id, {LOCK_TAG: _RELEASED})

    return refresh_run


def _log_run(run: RefreshRun, job: str, seconds: float) -> None:
    """Leave the run's line: how long, how much, with what outcome."""
    tally = run.tally
    log_event(
        records_path(run.settings),
        "refresh.run_ended",
        run_id=run.run_id,
        job=job,
        started_by=run.started_by,
        outcome=_outcome(run),
        duration_seconds=round(seconds, 3),
        entries_landed=tally.entries_landed,
        deals_processed=tally.deals_processed,
        log_size=tally.log_size,
        as_of_date=run.as_of_date.isoformat(),
        rows_published=tally.rows_published,
        publication=tally.publication,
        failed_checks=[check.name for check in tally.failed_checks],
    )


def _outcome(run: RefreshRun) -> str:
    if run.tally.failed_checks:
        return "failed"
    if run.is_answered:
        return "nothing_new"
    return "published" if run.tally.publication else "incomplete"
