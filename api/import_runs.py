"""Imports that run behind the requests: one after the other, in a thread of the service.

A run that a restart cuts off leaves its record unfinished, and nothing of it is lost or doubled: what had gone in
stays, and importing the same files again adds what is missing.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue

from api.uploads import without_places
from ledger.actors import Actor
from ledger.errors import DealbookError
from ledger.imports import ImportKind, ImportOutcome, fail_import, finish_import, record_rejects
from ledger.settings import Settings
from ledger.store import Ledger

log = logging.getLogger(__name__)

LEFT_BEHIND = timedelta(days=1)
# A batch holds the ledger's one write lock. SQLite's other writers look for it every 0.1 s: without a pause between two
# batches they could miss every gap until their patience ends.
BREATH_SECONDS = 0.12
_OUR_FAULT = (
    "Something went wrong on our side; the server's log has the cause. What had gone in by then stays: importing the "
    "same files again adds only what is missing."
)


@dataclass(frozen=True)
class ImportOrder:
    """An import that was accepted. `folder` holds its files and is deleted when it has ended."""

    import_id: str
    actor: Actor
    kind: ImportKind
    folder: Path
    files: tuple[Path, ...]
    mapping: Path | str = ""
    mapping_name: str = ""
    is_dry_run: bool = False
    is_strict: bool = False


@dataclass(frozen=True)
class RunProgress:
    """How far an import is: what it does, how much of it is done, of how much in total (None: not known)."""

    step: str
    done: int = 0
    total: int | None = None
    is_waiting: bool = False


class _Stopped(Exception):  # noqa: N818 - a fact, not a failure
    """The service ends; the import is left between two transactions."""


class ImportRuns:
    """The imports of one service. `start` returns at once; `progress_of` says how far one is while it runs."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._orders: SimpleQueue[ImportOrder | None] = SimpleQueue()
        self._progress: dict[str, RunProgress] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        _sweep(settings.uploads_dir)

    def start(self, order: ImportOrder) -> None:
        """Queue an import whose record is committed."""
        with self._lock:
            self._progress[order.import_id] = RunProgress("waiting for its turn", is_waiting=True)
            self._orders.put(order)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="imports", daemon=True)
                self._thread.start()

    def progress_of(self, import_id: str) -> RunProgress | None:
        """Return how far an import of this service is; None for one that it never ran. Ended ones say so themselves."""
        return self._progress.get(import_id)

    def stop(self) -> None:
        """End after the transaction that is under way; what is unfinished then is told as interrupted."""
        self._is_stopping = True
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None and not self._is_stopping:
            try:
                self._run(order)
            except _Stopped:
                log.info("Import %s was left unfinished: the service stops.", order.import_id)
            except DealbookError as fact:
                self._fail(order, without_places(fact.detail, order.folder))
            except Exception:
                log.exception("Import %s failed.", order.import_id)
                self._fail(order, _OUR_FAULT)
            finally:
                shutil.rmtree(order.folder, ignore_errors=True)
            # Kept: a reader whose snapshot is older than the end of the record must not take it for interrupted.
            self._progress[order.import_id] = RunProgress("finishing")

    def _run(self, order: ImportOrder) -> None:
        advance = self._advance_of(order)
        if order.kind == "reference":
            self._load_reference_files(order, advance)
            return
        from ingestion.crm_files import import_files  # polars and DuckDB, only when files come in

        import_files(
            self._ledger,
            order.actor,
            order.files,
            order.mapping,
            dry_run=order.is_dry_run,
            strict=order.is_strict,
            rejects_dir=self._settings.rejects_dir,
            on_progress=advance,
            mapping_name=order.mapping_name,
            import_id=order.import_id,
        )

    def _advance_of(self, order: ImportOrder) -> Callable[[str, int, int], None]:
        is_one_transaction = order.is_dry_run or order.is_strict

        def advance(step: str, done: int, total: int) -> None:
            self._progress[order.import_id] = RunProgress(step, done, total or None)
            if total and not is_one_transaction:
                time.sleep(BREATH_SECONDS)
            if self._is_stopping:
                raise _Stopped

        return advance

    def _load_reference_files(self, order: ImportOrder, advance: Callable[[str, int, int], None]) -> None:
        from ingestion.reference_files import load_reference_files_in_turn

        advance("loading figures", 0, 0)
        report = load_reference_files_in_turn(
            self._settings,
            order.files,
            dry_run=order.is_dry_run,
            on_wait=lambda _: advance("waiting for a refresh that is running", 0, 0),
        )
        outcome: ImportOutcome = "dry run" if order.is_dry_run else "imported"
        rows = sum(file.rows for file in report.files)
        rejected = sum(file.rejected for file in report.files)
        with self._ledger.write() as session:
            for file in report.files:
                rejects = [
                    {"file_name": file.file_name, "line": each.line, "column": each.column, "value": each.value}
                    | {"reason": each.reason}
                    for each in file.rejects
                ]
                record_rejects(session, order.import_id, rejects)
            finish_import(
                session,
                order.import_id,
                rows,
                rows - rejected,
                rejected,
                actor=order.actor,
                outcome=outcome,
                report=report.to_record(),
            )

    def _fail(self, order: ImportOrder, problem: str) -> None:
        try:
            with self._ledger.write() as session:
                fail_import(session, order.import_id, problem)
        except Exception:
            log.exception("Import %s failed, and that could not be noted.", order.import_id)


def _sweep(uploads: Path) -> None:
    """Delete what runs that were cut off left behind; not what is young, for another service may be at it."""
    if not uploads.is_dir():
        return
    before = datetime.now(UTC) - LEFT_BEHIND
    for folder in uploads.iterdir():
        if datetime.fromtimestamp(folder.stat().st_mtime, UTC) < before:
            shutil.rmtree(folder, ignore_errors=True)
