"""marts -> published file: copied, compared, and only then shown to readers by moving the pointer. Then the docs."""

import time

import dagster as dg

from orchestration.build_stamp import read_build_stamp
from orchestration.dated_marts import dated_marts
from orchestration.dbt_docs import are_docs_current, build_docs
from orchestration.failed_checks import SIGN_AGAIN, VERIFY_LOG, FailedCheck
from orchestration.plain_failures import NUMBERS_KEPT, fail, fails_plainly
from orchestration.resources import RefreshRun
from orchestration.run_records import records_path

PUBLISHED_KEY = dg.AssetKey("published_marts")
DOCS_KEY = dg.AssetKey("dbt_docs_site")
NOT_BUILT = (
    "The marts in the warehouse were not built and tested as a whole since they last changed. "
    "Materialise all assets, or run `dealbook refresh`."
)


def _sign_log(refresh_run: RefreshRun) -> str:
    """Return a checkpoint of the log, signed now: it covers every entry that the published numbers come from."""
    from ledger.errors import LedgerUnavailable, LogNotContinued
    from ledger.log.checkpoint import make_checkpoint
    from ledger.store import Ledger

    ledger = Ledger.open(settings=refresh_run.settings)
    try:
        return make_checkpoint(ledger).note
    except LedgerUnavailable as error:
        what_to_do = VERIFY_LOG if isinstance(error, LogNotContinued) else SIGN_AGAIN
        refresh_run.tally.fail(FailedCheck("checkpoint", "the log", None, error.detail, what_to_do))
        fail(f"{error.detail} {what_to_do}", cause=error)
    finally:
        ledger.close()


def build_publish_assets(mart_keys: list[dg.AssetKey]) -> list[dg.AssetsDefinition]:
    """Return the published file, downstream of every mart, and the docs site."""

    @dg.asset(
        key=PUBLISHED_KEY,
        deps=mart_keys,
        group_name="publish",
        owners=["team:data"],
        kinds={"duckdb"},
        pool="warehouse",
        description="An immutable, read-only DuckDB file with all marts and a manifest; readers find it by `CURRENT`. "
        "Made only from a build in which every test passed; the last files are kept for rollback.",
    )
    @fails_plainly()
    def published_marts(refresh_run: dg.ResourceParam[RefreshRun]) -> dg.MaterializeResult[None]:
        from ingestion.publishing import publish_marts
        from ingestion.warehouse import open_warehouse

        settings, tally = refresh_run.settings, refresh_run.tally
        stamp = read_build_stamp(settings)
        if stamp is None:
            fail(NOT_BUILT)
        tally.say("Publishing", 0, 0)
        started = time.monotonic()
        checkpoint = _sign_log(refresh_run)
        with open_warehouse(settings.warehouse_path) as warehouse:
            [(last_hash,)] = warehouse.execute("SELECT last_hash FROM raw.watermark").fetchall()
        publication = publish_marts(
            settings.warehouse_path,
            settings.published_dir,
            log_size=stamp.log_size,
            last_hash=last_hash,
            as_of_date=stamp.as_of_date,
            definition_version=stamp.definition_version,
            business_timezone=stamp.business_timezone,
            reporting_currency=stamp.reporting_currency,
            dbt_invocation_id=stamp.dbt_invocation_id,
            dbt_version=stamp.dbt_version,
            run_id=refresh_run.run_id,
            reference_digest=stamp.references,
            checkpoint=checkpoint,
            run_records=records_path(settings),
            by=refresh_run.started_by,
            dated_marts=dated_marts(settings, definition_version=stamp.definition_version),
            keep=settings.keep_published,
            whole=refresh_run.full or refresh_run.verify_all,
        )
        tally.seconds["publish"] = time.monotonic() - started
        tally.publication = publication.name
        tally.rows_published = sum(mart.row_count for mart in publication.marts)
        marts = "\n".join(f"| {mart.mart} | {mart.row_count:,} | {mart.digest[:12]} |" for mart in publication.marts)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": tally.rows_published,
                "file": dg.MetadataValue.path(settings.published_dir / publication.name),
                "generation": publication.generation,
                "log_size": publication.log_size,
                "as_of_date": str(publication.as_of_date),
                "definition_version": publication.definition_version,
                "marts": dg.MetadataValue.md(f"| mart | rows | digest |\n|---|---:|---|\n{marts}"),
            }
        )

    @dg.asset(
        key=DOCS_KEY,
        deps=[PUBLISHED_KEY],
        group_name="publish",
        owners=["team:analytics"],
        kinds={"dbt"},
        pool="warehouse",
        description="One page that describes every table and column; built anew when the dbt project has changed.",
    )
    @fails_plainly(kept=NUMBERS_KEPT)
    def dbt_docs_site(
        context: dg.AssetExecutionContext, refresh_run: dg.ResourceParam[RefreshRun]
    ) -> dg.MaterializeResult[None]:
        from orchestration.advice import DbtFailed

        settings, tally = refresh_run.settings, refresh_run.tally
        if are_docs_current(settings):
            return dg.MaterializeResult(metadata={"built": False})
        tally.say("Building the docs site", 0, 0)
        started = time.monotonic()
        try:
            page = build_docs(settings)
        except DbtFailed as failure:  # the numbers are published; the page follows with the next refresh
            context.log.warning(f"The docs site could not be built: {failure}")
            return dg.MaterializeResult(metadata={"built": False, "error": str(failure)})
        tally.seconds["docs"] = time.monotonic() - started
        return dg.MaterializeResult(metadata={"built": True, "file": dg.MetadataValue.path(page)})

    return [published_marts, dbt_docs_site]
