"""Dagster's code location: assembles what `defs/`, `jobs`, `schedules`, `sensors` and `resources` define.

Serve it with `dealbook up`, or, with DEALBOOK_HOME set, `DAGSTER_HOME=$DEALBOOK_HOME/dagster dagster dev -m
orchestration.definitions`.
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from ledger.settings import Settings, get_settings
from orchestration.defs.audit import build_log_checks, build_publish_check
from orchestration.defs.landing import build_external_assets, build_raw_assets
from orchestration.defs.publish import PUBLISHED_KEY, build_publish_assets
from orchestration.defs.transform import build_dbt_assets, mart_keys
from orchestration.inbox_sensors import build_inbox_sensors
from orchestration.jobs import build_jobs
from orchestration.plain_failures import begins_plainly
from orchestration.resources import build_refresh_run_resource
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors
from orchestration.side_jobs import BACKUP_AND_VERIFY, build_side_jobs


def build_definitions(
    settings: Settings | None = None, *, manifest: dict[str, Any] | None = None, **resources: Any
) -> dg.Definitions:
    """Return the whole graph for these settings.

    `manifest` is dbt's `manifest.json`, parsed anew when it is missing or stale unless it is given; `resources`
    replace the ones of the same name.
    """
    settings = settings or get_settings()
    if manifest is None:
        from orchestration.dbt_in_process import load_manifest_json

        manifest = load_manifest_json(settings)
    dbt_build = build_dbt_assets(manifest)
    # The nightly run publishes each day; the setting says how long readers wait before they call numbers stale.
    fresh = dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=settings.stale_after_hours + 1),
        warn_window=timedelta(hours=settings.stale_after_hours),
    )
    jobs = build_jobs()
    side_jobs = build_side_jobs(settings, manifest)
    return dg.Definitions(
        assets=[
            *build_external_assets(),
            build_raw_assets(),
            *(
                definition.map_asset_specs(lambda spec: _kept_fresh(spec, fresh))
                for definition in (dbt_build, *build_publish_assets(mart_keys(dbt_build)))
            ),
        ],
        asset_checks=[build_log_checks(), build_publish_check()],
        jobs=[*jobs.values(), *side_jobs.values()],
        schedules=build_schedules(settings, jobs, side_jobs[BACKUP_AND_VERIFY]),
        sensors=[*build_sensors(settings, jobs), *build_inbox_sensors(settings, side_jobs, jobs["hourly"])],
        resources={"refresh_run": build_refresh_run_resource(settings), **resources},
        executor=dg.in_process_executor,
    )


def _kept_fresh(spec: dg.AssetSpec, policy: dg.FreshnessPolicy) -> dg.AssetSpec:
    is_read = spec.group_name == "marts" or spec.key == PUBLISHED_KEY
    return spec.replace_attributes(freshness_policy=policy) if is_read else spec


@dg.definitions
@begins_plainly()
def defs() -> dg.Definitions:
    """Return the definitions under the settings of the environment; called by Dagster when it loads this module."""
    return build_definitions()
