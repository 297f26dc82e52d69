"""The two jobs. Both are the whole chain, from the log to the published marts: a check guards only in its own run."""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

WHOLE_CHAIN = dg.AssetSelection.all()


def build_jobs() -> dict[str, UnresolvedAssetJobDefinition]:
    """Return the jobs by name."""
    return {
        "hourly": dg.define_asset_job(
            "hourly",
            selection=WHOLE_CHAIN,
            executor_def=dg.in_process_executor,
            description="Land what is new in the log, rebuild, test, publish. `dealbook refresh` runs this job.",
        ),
        "nightly": dg.define_asset_job(
            "nightly",
            selection=WHOLE_CHAIN,
            executor_def=dg.in_process_executor,
            config={"resources": {"refresh_run": {"config": {"verify_all": True}}}},
            description="The same chain for the new business day, after verifying every hash and chain of the log.",
        ),
    }
