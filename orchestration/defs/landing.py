"""log -> raw: the entries that the warehouse does not have yet, as typed tables; exactly once, checked before written.

Reference tables (benchmarks, exchange rates) come from files that people load; they stand in the graph as external.
"""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration.build_stamp import remove_build_stamp
from orchestration.failed_checks import READ_REJECTS, FailedCheck
from orchestration.plain_failures import READERS_KEPT, fail, fails_plainly
from orchestration.resources import RefreshRun, Tally
from orchestration.table_facts import describe_raw_tables

ANSWERED = (
    "Nothing to do: a refresh that was running when this one was asked for has published everything since. All that "
    "follows is skipped; readers see the newest numbers."
)
LOG_KEY = dg.AssetKey(["ledger", "audit_log"])
# Kept here as words because the modules that define these tables import polars and pandera; a test compares them.
RAW_LOG_TABLES = {
    "deal_events": "One row per entry that opened, changed, moved, assigned or cancelled a deal.",
    "stage_events": "One row per entry that moved a deal to a stage.",
    "commission_events": "One row per entry that recorded, changed or moved a commission.",
    "adjustments": "One row per clawback, bonus or correction of a commission.",
    "disputes": "One row per dispute opened or resolved.",
    "people": "One row per entry that recorded or changed a member of staff.",
}
RAW_REFERENCE_TABLES = {
    "performance_benchmarks": "Benchmark figures by metric, asset type, deal type and cohort, as loaded from files.",
    "fx_rates": "Dated exchange rates, as loaded from files.",
    "targets": "Targets of value won by agent and quarter, as loaded from files.",
    "agent_costs": "Costs of agents by month and lead source, as loaded from files.",
    "roi_metrics": "Costs of lead sources by month from an older system's ROI feed, as loaded from files.",
    "deal_commissions": "Commissions of deals and what goes to other agencies, as loaded from files.",
}


def raw_key(table: str) -> dg.AssetKey:
    """Return the asset key of a raw table, the same that dbt's source has."""
    return dg.AssetKey(["raw", table])


def build_external_assets() -> list[dg.AssetSpec]:
    """Return what the graph begins with: the log, and the tables that are loaded from reference files."""
    log = dg.AssetSpec(
        LOG_KEY,
        group_name="ledger",
        owners=["team:operations"],
        kinds={"sqlite"},
        description="The tamper-evident log of the ledger. People and CRM imports write it; everything here folds it.",
    )
    references = [
        dg.AssetSpec(
            raw_key(table),
            group_name="reference",
            owners=["team:analytics"],
            kinds={"duckdb", "csv"},
            description=f"{text} Loaded with `dealbook reference FILE…`, not by a refresh.",
        )
        for table, text in RAW_REFERENCE_TABLES.items()
    ]
    return [log, *references]


def build_raw_assets() -> dg.AssetsDefinition:
    """Return the definition that lands new log entries in all raw tables at once."""
    specs = [
        dg.AssetSpec(
            raw_key(table),
            deps=[LOG_KEY],
            group_name="raw",
            owners=["team:data"],
            kinds={"duckdb", "polars", "pandera"},
            skippable=True,
            description=f"{text} Append-only; `n` is the entry's leaf index in the log.",
        )
        for table, text in RAW_LOG_TABLES.items()
    ]
    contracts = [
        dg.AssetCheckSpec(
            "contract",
            asset=raw_key(table),
            blocking=True,
            description="Columns, types, nulls, words, ranges and keys of what was landed are as the contract states.",
        )
        for table in RAW_LOG_TABLES
    ]

    @dg.multi_asset(name="land_log", specs=specs, check_specs=contracts, pool="warehouse")
    @fails_plainly()
    def land_log(context: dg.AssetExecutionContext, refresh_run: dg.ResourceParam[RefreshRun]) -> Iterator[Any]:
        from ingestion.errors import ContractBroken
        from ingestion.landing import land_new_entries, log_size, read_watermark
        from ingestion.reference_files import restore_reference_files
        from ledger.store import Ledger

        settings, tally = refresh_run.settings, refresh_run.tally
        if refresh_run.is_answered:
            context.log.info(ANSWERED)
            yield from (
                dg.AssetCheckResult(
                    asset_key=raw_key(table), check_name="contract", passed=True, metadata={"rows": 0, "why": ANSWERED}
                )
                for table in RAW_LOG_TABLES
            )
            return
        remove_build_stamp(settings)
        started = time.monotonic()
        restore_reference_files(settings.warehouse_path, settings.rejects_dir)  # where the warehouse is new
        ledger = Ledger.open(settings=settings)
        try:
            from_n = 0 if refresh_run.full or refresh_run.verify_all else read_watermark(settings.warehouse_path)
            refresh_run.verification.begin(from_n, entries=log_size(ledger) - from_n)
            report = land_new_entries(
                ledger,
                settings.warehouse_path,
                batch_size=settings.ingest_batch_size,
                rejects_dir=settings.rejects_dir,
                full=refresh_run.full,
                on_progress=lambda done, total: _say_landed(context, tally, done, total),
            )
        except ContractBroken as broken:
            yield dg.AssetCheckResult(
                asset_key=raw_key(broken.table),
                check_name="contract",
                passed=False,
                metadata={
                    "rules": broken.rules,
                    "entries": broken.entries[:100],
                    "what_to_do": READ_REJECTS,
                    "kept": READERS_KEPT,
                },
                description=str(broken),
            )
            tally.fail(FailedCheck("contract", f"raw.{broken.table}", len(broken.entries), str(broken), READ_REJECTS))
            fail(str(broken), cause=broken)
        finally:
            ledger.close()
        tally.seconds["land"] = time.monotonic() - started
        tally.landed_from, tally.log_size, tally.entries_landed = report.from_n, report.to_n, report.entries
        tally.deals_processed = report.deals

        tables = describe_raw_tables(settings.warehouse_path)
        for table in RAW_LOG_TABLES:
            key, landed = raw_key(table), report.rows_by_table.get(table, 0)
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={**tables[table], "landed_rows": landed, "log_size": report.to_n},
                check_results=[
                    dg.AssetCheckResult(asset_key=key, check_name="contract", passed=True, metadata={"rows": landed})
                ],
            )

    return land_log


def _say_landed(context: dg.AssetExecutionContext, tally: Tally, done: int, total: int) -> None:
    context.log.info(f"landed {done:,} of {total:,} entries")
    tally.say("Landing log entries", done, total)
