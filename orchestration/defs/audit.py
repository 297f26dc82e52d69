"""Checks between the arrows: raw is complete, the log's chains are sound, what was published is what was built.

The first two block dbt: their outcome is known before a model is built. Whether frames keep their contract is said by
the landing itself (it checks before it writes), whether the tables agree by dbt's tests.
"""

import time
from collections.abc import Iterator

import dagster as dg

from orchestration.defs.landing import RAW_LOG_TABLES, raw_key
from orchestration.defs.publish import PUBLISHED_KEY
from orchestration.failed_checks import LAND_AGAIN, PUBLISH_AGAIN, VERIFY_LOG, FailedCheck
from orchestration.plain_failures import READERS_KEPT, fail, fails_plainly
from orchestration.resources import RefreshRun
from orchestration.table_facts import count_rows

_ANY_RAW = raw_key(next(iter(RAW_LOG_TABLES)))


def build_log_checks() -> dg.AssetChecksDefinition:
    """Return the blocking checks on what was landed."""
    complete = dg.AssetCheckSpec(
        "complete",
        asset=_ANY_RAW,
        additional_deps=[raw_key(table) for table in list(RAW_LOG_TABLES)[1:]],
        blocking=True,
        description="Every entry below the watermark is in each of its raw tables exactly once, type by type.",
    )
    chain_sound = dg.AssetCheckSpec(
        "chain_sound",
        asset=_ANY_RAW,
        additional_deps=[raw_key(table) for table in list(RAW_LOG_TABLES)[1:]],
        blocking=True,
        description="What was landed is what was written: hashes, links and order of the new entries; nightly, of all, "
        "and the log as a whole is the one that was signed.",
    )

    @dg.multi_asset_check(name="audit_raw", specs=[complete, chain_sound], pool="warehouse")
    @fails_plainly()
    def audit_raw(refresh_run: dg.ResourceParam[RefreshRun]) -> Iterator[dg.AssetCheckResult]:
        from ingestion.landing import check_completeness
        from ledger.log.audit_report import describe_finding
        from ledger.log.heads import record_heads_of_the_day
        from ledger.store import Ledger

        settings, tally = refresh_run.settings, refresh_run.tally
        started = time.monotonic()
        from_n = 0 if refresh_run.verify_all or refresh_run.full else tally.landed_from
        ledger = Ledger.open(settings=settings)
        try:
            report = check_completeness(ledger, settings.warehouse_path, from_n=from_n)
            chains = refresh_run.verification.report(from_n)
            if refresh_run.verify_all and chains.is_sound:
                record_heads_of_the_day(ledger)  # after what was landed: no number rests on it
        finally:
            ledger.close()
        tally.seconds["audit"] = time.monotonic() - started
        failed = []
        if report.problems:
            failed.append(FailedCheck("complete", "raw", None, "; ".join(report.problems), LAND_AGAIN))
        yield dg.AssetCheckResult(
            asset_key=complete.asset_key,
            check_name=complete.name,
            passed=report.is_complete,
            description=None if report.is_complete else failed[0].sentence(),
            metadata={
                "problems": report.problems,
                "from_entry": from_n,
                "log_size": report.log_size,
                **_if_failed(report.is_complete, LAND_AGAIN),
            },
        )
        findings = [describe_finding(finding) for finding in chains.findings]
        if findings:
            more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
            failed.append(FailedCheck("chain_sound", "the log", None, findings[0] + more, VERIFY_LOG))
        yield dg.AssetCheckResult(
            asset_key=chain_sound.asset_key,
            check_name=chain_sound.name,
            passed=chains.is_sound,
            description=None if chains.is_sound else failed[-1].sentence(),
            metadata={
                "findings": findings[:100],
                "entries": chains.entries,
                "chains": chains.chains,
                "from_entry": from_n,
                **_if_failed(chains.is_sound, VERIFY_LOG),
            },
        )
        if failed:
            for check in failed:
                tally.fail(check)
            fail(" ".join(check.sentence() for check in failed))

    return audit_raw


def _if_failed(has_passed: bool, what_to_do: str) -> dict[str, str]:
    """Return what a failed check says beside its findings."""
    return {} if has_passed else {"what_to_do": what_to_do, "kept": READERS_KEPT}


def build_publish_check() -> dg.AssetChecksDefinition:
    """Return the check that what readers see is what was built."""

    @dg.asset_check(
        name="published_equals_built",
        asset=PUBLISHED_KEY,
        pool="warehouse",
        description="The file that readers see is the one just published, and its manifest lists every mart with the "
        "rows that the warehouse has. (Publishing itself compares digests before it shows a file.)",
    )
    @fails_plainly()
    def published_equals_built(refresh_run: dg.ResourceParam[RefreshRun]) -> dg.AssetCheckResult:
        from ingestion.publishing import current_publication

        settings, tally = refresh_run.settings, refresh_run.tally
        publication = current_publication(settings.published_dir)
        problems = []
        if publication is None or (tally.publication and publication.name != tally.publication):
            problems.append(f"readers see {publication and publication.name}, not {tally.publication or 'a file'}")
        else:
            built = count_rows(settings.warehouse_path, "marts")
            published = {mart.mart: mart.row_count for mart in publication.marts}
            problems += [
                f"{mart}: built {built.get(mart)} rows, published {published.get(mart)}"
                for mart in sorted(built.keys() | published.keys())
                if built.get(mart) != published.get(mart)
            ]
        if problems:
            tally.fail(
                FailedCheck("published_equals_built", "published_marts", None, "; ".join(problems), PUBLISH_AGAIN)
            )
        return dg.AssetCheckResult(
            passed=not problems,
            description="; ".join([*problems, PUBLISH_AGAIN]) if problems else None,
            metadata={"problems": problems, **({"what_to_do": PUBLISH_AGAIN} if problems else {})},
        )

    return published_equals_built
