"""When the jobs run, in the business time zone. All schedules are on from the start.

A tick also tidies up after runs whose process died, which would otherwise hold up the queue.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from ingestion.refresh_lock import hold_refresh_lock, is_refresh_running
from ledger.settings import Settings
from orchestration.freshness import find_news
from orchestration.plain_failures import begins_plainly
from orchestration.resources import mark_dead_runs, today

NIGHTLY_AT = "10 0 * * *"  # ten minutes into the new day: the day before is over everywhere in the time zone
HOURLY_AT = "40 * * * *"
BACKUP_AT = "20 2 * * *"  # when few people write, and well after the nightly publication


def build_schedules(
    settings: Settings, jobs: dict[str, UnresolvedAssetJobDefinition], backup: dg.JobDefinition
) -> list[dg.ScheduleDefinition]:
    """Return a schedule for each job of the chain, and one for the backup."""

    @dg.schedule(
        name="nightly_schedule",
        job=jobs["nightly"],
        cron_schedule=NIGHTLY_AT,
        execution_timezone=settings.business_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: publish the new business day, with the whole log verified.",
    )
    @begins_plainly()
    def nightly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        tidy_dead_runs(context.instance, settings)
        return dg.RunRequest()

    @dg.schedule(
        name="hourly_schedule",
        job=jobs["hourly"],
        cron_schedule=HOURLY_AT,
        execution_timezone=settings.business_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every hour: publish what came in; skipped when nothing did.",
    )
    @begins_plainly()
    def hourly_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tidy_dead_runs(context.instance, settings)
        if is_refresh_running(settings):
            return dg.SkipReason("A refresh is running.")
        news = find_news(settings, today(settings))
        return dg.RunRequest() if news.reasons else dg.SkipReason("Nothing new since the last publication.")

    backup_schedule = dg.ScheduleDefinition(
        name="backup_schedule",
        job=backup,
        cron_schedule=BACKUP_AT,
        execution_timezone=settings.business_timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night: a copy of the ledger, verified.",
    )
    return [nightly_schedule, hourly_schedule, backup_schedule]


def tidy_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Mark runs as failed whose process died: left as they are they would hold up the queue."""
    if not is_refresh_running(settings):
        with hold_refresh_lock(settings):
            mark_dead_runs(instance)
