"""What makes the jobs beside the chain run: files in the inbox, loaded reference files, a new dbt project.

Each asks for nothing while a run of the same job is unfinished, so two looks never take in one file twice.
"""

import dagster as dg

from ledger.settings import Settings
from orchestration.build_stamp import read_build_stamp
from orchestration.column_lineage import read_lineage
from orchestration.definition_version import definition_version
from orchestration.freshness import find_news
from orchestration.inbox import find_strays, inbox_path, list_drops
from orchestration.plain_failures import LINEAGE_KEPT, begins_plainly
from orchestration.resources import today
from orchestration.sensors import LOOK_SECONDS, UNFINISHED
from orchestration.side_jobs import COLUMN_LINEAGE, CRM_IMPORT, REFERENCE


def build_inbox_sensors(
    settings: Settings, jobs: dict[str, dg.JobDefinition], refresh_job: object
) -> list[dg.SensorDefinition]:
    """Return the sensors of the inbox and of the lineage, running from the start."""

    @dg.sensor(
        name="inbox_sensor",
        jobs=[jobs[CRM_IMPORT], jobs[REFERENCE]],
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes in files dropped into inbox/<mapping>/ and inbox/reference/ when nobody writes them now.",
    )
    @begins_plainly(kept="The files stay where they are.")
    def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        drops = list_drops(settings)
        settled = {REFERENCE if drop.is_reference else CRM_IMPORT for drop in drops if drop.is_settled}
        wanted = [job for job in sorted(settled) if not _is_unfinished(context.instance, job)]
        if wanted:
            return dg.SensorResult(run_requests=[dg.RunRequest(job_name=job) for job in wanted])
        if settled:
            return dg.SkipReason("Files are being taken in.")
        if drops:
            return dg.SkipReason(f"{len(drops[0].files)} files in {drops[0].folder} may still be written.")
        if strays := find_strays(settings):
            return dg.SkipReason(
                f"{strays[0].name} lies in {inbox_path(settings)} itself: move it into a folder there, reference or one"
                " named after a mapping."
            )
        return dg.SkipReason("The inbox is empty.")

    def follow_reference(name: str, status: dg.DagsterRunStatus, description: str) -> dg.SensorDefinition:
        @dg.run_status_sensor(
            name=name,
            run_status=status,
            monitored_jobs=[jobs[REFERENCE]],
            request_job=refresh_job,  # type: ignore[arg-type]  # a job of assets that is resolved later
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=description,
        )
        @begins_plainly()
        def sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
            if not find_news(settings, today(settings)).reasons:
                return dg.SkipReason("The files brought nothing new.")
            return dg.RunRequest(run_key=context.dagster_run.run_id)

        return sensor

    # A file that cannot be read fails the run, after the others were loaded: their numbers do not wait for its repair.
    reference_sensors = [
        follow_reference(
            "reference_sensor",
            dg.DagsterRunStatus.SUCCESS,
            "Refreshes the numbers after reference files were loaded.",
        ),
        follow_reference(
            "reference_partly_sensor",
            dg.DagsterRunStatus.FAILURE,
            "Refreshes the numbers when some reference files were loaded beside one that could not be.",
        ),
    ]

    @dg.sensor(
        name="column_lineage_sensor",
        job=jobs[COLUMN_LINEAGE],
        minimum_interval_seconds=6 * LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the lineage of columns found once after the first refresh of a new dbt project.",
    )
    @begins_plainly(kept=LINEAGE_KEPT)
    def column_lineage_sensor() -> dg.RunRequest | dg.SkipReason:
        version = definition_version(settings.dbt_project_dir)
        stamp = read_build_stamp(settings)
        if stamp is None or stamp.definition_version != version:
            return dg.SkipReason("No refresh of the project as it is now.")
        if read_lineage(settings):
            return dg.SkipReason("Known.")
        return dg.RunRequest(run_key=version)

    return [inbox_sensor, *reference_sensors, column_lineage_sensor]


def _is_unfinished(instance: dg.DagsterInstance, job: str) -> bool:
    return bool(instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNFINISHED)))
