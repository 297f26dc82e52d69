"""Jobs beside the chain: the inbox, the lineage of columns, backups. None of them makes numbers."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from ledger.settings import Settings
from orchestration.advice import advise, in_one_line
from orchestration.column_lineage import build_lineage, lineage_path
from orchestration.defs.landing import raw_key
from orchestration.inbox import Drop, FilesNotTaken, TakenIn, list_drops, take_in
from orchestration.plain_failures import BACKUPS_KEPT, INBOX_KEPT, LINEAGE_KEPT, fail, fails_plainly
from orchestration.run_records import log_event

CRM_IMPORT, REFERENCE, COLUMN_LINEAGE = "crm_import", "reference", "column_lineage"
BACKUP_AND_VERIFY = "backup_and_verify"


def build_side_jobs(settings: Settings, manifest: Mapping[str, Any]) -> dict[str, dg.JobDefinition]:
    """Return the jobs by name."""

    @dg.op(name="import_files", out=dg.Out(dg.Nothing), description="Import the CRM exports that lie in the inbox.")
    @fails_plainly(kept=INBOX_KEPT)
    def import_files(context: dg.OpExecutionContext) -> None:
        _take_in_all(context, settings, [drop for drop in list_drops(settings) if not drop.is_reference])

    @dg.op(
        name="load_reference_files",
        out=dg.Out(dg.Nothing),
        pool="warehouse",
        description="Load the reference files that lie in the inbox.",
    )
    @fails_plainly(kept=INBOX_KEPT)
    def load_reference_files(context: dg.OpExecutionContext) -> None:
        _take_in_all(context, settings, [drop for drop in list_drops(settings) if drop.is_reference])

    @dg.op(
        name="find_column_lineage",
        out=dg.Out(dg.Nothing),
        pool="warehouse",
        description="Read out of the compiled SQL from which columns each column is made.",
    )
    @fails_plainly(kept=LINEAGE_KEPT)
    def find_column_lineage(context: dg.OpExecutionContext) -> None:
        models = build_lineage(settings, manifest)
        context.add_output_metadata({"models": len(models), "file": dg.MetadataValue.path(lineage_path(settings))})

    @dg.op(
        name="back_up_ledger",
        out=dg.Out(dg.Nothing),
        description="Copy the ledger while it is in use; the copy is there only if its whole log verifies.",
    )
    @fails_plainly(kept=BACKUPS_KEPT)
    def back_up_ledger(context: dg.OpExecutionContext) -> None:
        _back_up(context, settings)

    @dg.job(name=CRM_IMPORT, executor_def=dg.in_process_executor)
    def crm_import() -> None:
        """Take in the CRM exports that were dropped into `inbox/<mapping>/`; the numbers follow within a minute."""
        import_files()

    @dg.job(name=REFERENCE, executor_def=dg.in_process_executor)
    def reference() -> None:
        """Take in the reference files that were dropped into `inbox/reference/`, and then refresh the numbers."""
        load_reference_files()

    @dg.job(name=COLUMN_LINEAGE, executor_def=dg.in_process_executor)
    def column_lineage() -> None:
        """Find the lineage of every column once after the dbt project has changed; the next refresh shows it."""
        find_column_lineage()

    @dg.job(name=BACKUP_AND_VERIFY, executor_def=dg.in_process_executor)
    def backup_and_verify() -> None:
        """Back the ledger up and verify the copy against every checkpoint; the oldest copies go."""
        back_up_ledger()

    return {
        CRM_IMPORT: crm_import,
        REFERENCE: reference,
        COLUMN_LINEAGE: column_lineage,
        BACKUP_AND_VERIFY: backup_and_verify,
    }


def _back_up(context: dg.OpExecutionContext, settings: Settings) -> None:
    """Back up by the clock; a failure is noted and fails the run with what to do, and is not tried again by itself."""
    from ledger.backup import backup_by_the_clock

    log = settings.home / "logs" / "backup.jsonl"
    try:
        report, removed = backup_by_the_clock(settings)
    except Exception as fault:
        log_event(log, "backup.refused", run_id=context.run_id, reason=advise(fault) or in_one_line(fault))
        raise
    log_event(log, "backup.made", run_id=context.run_id, folder=report.folder, log_size=report.size, removed=removed)
    context.add_output_metadata(
        {
            "folder": dg.MetadataValue.path(report.folder),
            "log_size": report.size,
            "root": report.root,
            "verified": report.verified,
            "removed": removed,
        }
    )


def _take_in_all(context: dg.OpExecutionContext, settings: Settings, drops: list[Drop]) -> None:
    """Take in whatever nobody is writing any more; what cannot be taken in fails the run after the rest is done."""
    faults, texts = [], []
    log = settings.home / "logs" / "inbox.jsonl"
    for drop in drops:
        if not drop.is_settled:
            continue
        facts = {"run_id": context.run_id, "folder": drop.folder, "files": [path.name for path in drop.files]}
        try:
            taken = take_in(settings, drop, say=context.log.info)
        except FilesNotTaken as fault:
            faults.append(str(fault))
            log_event(log, "inbox.not_taken", **facts, reason=str(fault))
            continue
        context.log.info(taken.text)
        texts.append(f"```\n{taken.text}\n```")
        log_event(log, "inbox.taken", **facts, moved_to=str(taken.moved_to))
        _show_on_graph(context, drop, taken)
    context.add_output_metadata({"taken": len(texts), "report": dg.MetadataValue.md("\n\n".join(texts) or "Nothing.")})
    if faults:
        fail("\n".join(faults), "Everything else was taken in.", not_taken=len(faults))


def _show_on_graph(context: dg.OpExecutionContext, drop: Drop, taken: TakenIn) -> None:
    """Let the graph's reference tables say when they were loaded, from what, and how many rows."""
    if not drop.is_reference:
        return
    for file in taken.report["files"]:
        context.log_event(
            dg.AssetMaterialization(
                raw_key(file["kind"]),
                description=f"Loaded from {file['file_name']}.",
                metadata={
                    "accepted_rows": file["accepted"],
                    "rejected_rows": file["rejected"],
                    "file": dg.MetadataValue.path(taken.moved_to / file["file_name"]),
                    "file_sha256": file["file_sha256"],
                },
            )
        )
