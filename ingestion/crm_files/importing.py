"""An import from files to ledger: read and clean every file, put rows together, hand them to `ledger.bulk`, report.

    files --reading, cleaning--> staging --loading, assembling--> ledger.bulk --> outcomes --> report and rejects

Deals go in by batches of `BATCH_DEALS`, a transaction each: an import that is interrupted is finished by running it
again, for what is there already is left alone. A strict import and a dry run are one transaction.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from ingestion.crm_files.assembling import Assembler
from ingestion.crm_files.cleaning import clean
from ingestion.crm_files.errors import FileInvalid
from ingestion.crm_files.fields import Section
from ingestion.crm_files.loading import Loader
from ingestion.crm_files.mapping import Mapping, load_mapping
from ingestion.crm_files.reading import digest_of_files, read_batches, read_header
from ingestion.crm_files.report import FileReport, ImportReport
from ingestion.crm_files.staging import Reject, Staging
from ledger.actors import Actor
from ledger.bulk import finish_import, record_rejects, start_import
from ledger.settings import get_settings
from ledger.store import Ledger

BATCH_DEALS = 1_000
Progress = Callable[[str, int, int], None]


def import_files(
    ledger: Ledger,
    actor: Actor,
    paths: Sequence[Path | str],
    mapping: str | Path,
    *,
    dry_run: bool = False,
    strict: bool = False,
    rejects_dir: Path,
    on_progress: Progress | None = None,
    mapping_name: str = "",
    import_id: str = "",
) -> ImportReport:
    """Import CRM exports that belong together through a mapping (name of a shipped one, or a TOML file).

    Rows that cannot go in are written to `rejects_dir/<import id>-<file>.csv` (also by a dry run) and to the table of
    rejects; the rest goes in. With `strict`, one such row keeps everything out. `on_progress(what, done, total)` is
    told how far it is, a total of 0 meaning that it is not known; what it raises ends the import between two
    transactions. `mapping_name` is what the record calls the mapping. With `import_id` the record exists already, and
    a dry run is noted in it, too. Raises `MappingInvalid` or `FileInvalid` before anything is written.
    """
    files = [Path(path) for path in paths]
    name = mapping_name or str(mapping)
    run = _Import(ledger, actor, files, load_mapping(mapping), name, on_progress or (lambda *_: None), import_id)
    return run.run(dry_run=dry_run, strict=strict, rejects_dir=rejects_dir)


class _Import:
    def __init__(
        self,
        ledger: Ledger,
        actor: Actor,
        files: list[Path],
        mapping: Mapping,
        name: str,
        on_progress: Progress,
        import_id: str,
    ) -> None:
        self.ledger, self.actor, self.files, self.mapping, self.name = ledger, actor, files, mapping, name
        self.import_id = import_id
        self.is_strict = False
        self.on_progress = on_progress
        self.now = datetime.now(UTC)
        headers = _headers_of(files, mapping)
        self.sections = [section for section, _ in headers]
        columns = {section: mapping.sections[section].named(header) for section, header in reversed(headers)}
        self.assembler = Assembler(mapping, self.now, get_settings().reporting_currency, columns)
        self.report = ImportReport("", name)
        self.report.files = [FileReport(str(f), s) for f, s in zip(files, self.sections, strict=True)]
        self.reasons: Counter[str] = Counter()
        self.session: Session | None = None  # the one transaction of a strict import or a dry run

    def run(self, *, dry_run: bool, strict: bool, rejects_dir: Path) -> ImportReport:
        self.started = time.monotonic()
        self.is_strict = strict
        with Staging() as self.staging:
            self._stage()
            if dry_run or strict:
                self._run_as_one(dry_run=dry_run)
            else:
                self._run_in_batches()
            self._count_rejects()
            self._write_rejects(rejects_dir)
        self.report.seconds = self._seconds()
        return self.report

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    # ---- files to staging

    def _stage(self) -> None:
        read = 0
        for number, (path, section) in enumerate(zip(self.files, self.sections, strict=True)):
            report = self.report.files[number]
            for batch in read_batches(path, self.mapping):
                report.blank_lines += batch.blank
                self._reject(number, [(bad.line, None, bad.value, bad.reason) for bad in batch.unreadable])
                cleaned = clean(batch.frame, section, self.mapping, self.now)
                report.rows += batch.rows - cleaned.passed_over
                report.passed_over += cleaned.passed_over
                report.ambiguous_dates += cleaned.ambiguous_dates
                self.staging.add(section, number, cleaned.rows)
                self._reject(number, cleaned.rejects.rows())
                self.staging.remember_rejected_deals((id_, number, line) for id_, line in cleaned.rejected_deals)
                read += batch.rows
                self.on_progress(f"reading {path.name}", read, 0)
        self.staging.order()
        for file, line, id_, first_file, first_line in self.staging.repeated_deals():
            where = f"line {first_line}" + (f" of {self.files[first_file].name}" if first_file != file else "")
            self._reject(file, [(line, self.assembler.column(Section.DEALS, "id"), id_, f"duplicate id of {where}")])

    def _reject(self, file: int, rows: Sequence[tuple[int, str | None, str | None, str]]) -> None:
        self.staging.reject(Reject(file, *row) for row in rows)
        # Counted without the lines they name, so that like goes with like.
        reasons = (re.sub(r"\b(line )\d+", r"\1…", reason) for *_, reason in rows)
        self.reasons.update(
            f"{row[1]}: {reason}" if row[1] else reason for row, reason in zip(rows, reasons, strict=True)
        )

    # ---- transactions

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        if self.session is not None:
            yield self.session
        else:
            with self.ledger.write() as session:
                yield session

    def _run_in_batches(self) -> None:
        self._start()
        self._import_all()
        self._finish(rejects=True)

    def _run_as_one(self, *, dry_run: bool) -> None:
        try:
            with self.ledger.write() as self.session:
                self._start()
                self._import_all()
                if dry_run:
                    self.report.outcome = "dry run"
                elif self.staging.count_rejects():
                    self.report.outcome = "refused"
                if self.report.outcome == "imported":
                    self._finish(rejects=False)
                else:
                    self.session.rollback()
        finally:
            self.session = None
        if self.report.outcome == "refused":
            self.report.entries = 0
            self.report.agents_created = []
            self._start()
            self._finish(rejects=True)
        elif dry_run and self.import_id:
            self._finish(rejects=True)

    def _start(self) -> None:
        if self.import_id:
            self.report.import_id = self.import_id
            return
        with self._transaction() as session:
            self.report.import_id = start_import(
                session,
                self.actor,
                file_name=", ".join(path.name for path in self.files)[:500],
                file_sha256=digest_of_files(self.files),
                mapping=self.name[:200],
                is_strict=self.is_strict,
            )

    def _finish(self, *, rejects: bool) -> None:
        self._count_rejects()
        self.report.seconds = self._seconds()
        accepted = 0 if self.report.outcome == "refused" else self.report.accepted
        with self._transaction() as session:
            if rejects:
                self._insert_rejects(session)
            finish_import(
                session,
                self.report.import_id,
                rows=self.report.rows,
                accepted=accepted,
                rejected=self.report.rows - accepted,
                actor=self.actor,
                outcome=self.report.outcome,
                report=self.report.to_record(),
            )

    def _import_all(self) -> None:
        loader = Loader(self.actor, self.mapping, self.assembler, self.staging, self.report, self._reject)
        with self._transaction() as session:
            loader.load_people(session)
        total = self.staging.count_deals()
        for after in range(0, total, BATCH_DEALS):
            with self._transaction() as session:
                loader.load_deals(session, after, after + BATCH_DEALS)
            self.on_progress("deals", min(after + BATCH_DEALS, total), total)
        for rows in self.staging.leftover_stage_rows(BATCH_DEALS * 4):
            with self._transaction() as session:
                loader.load_leftovers(session, rows)
        done, total = 0, self.staging.count_commissions()
        for rows in self.staging.commissions(BATCH_DEALS):
            with self._transaction() as session:
                loader.load_commissions(session, rows)
            done += len(rows)
            self.on_progress("commissions", done, total)

    def _insert_rejects(self, session: Session) -> None:
        rejects = self.staging.rejects()
        while batch := list(islice(rejects, 1000)):
            named = [asdict(reject) | {"file_name": self.files[reject.file].name} for reject in batch]
            record_rejects(session, self.report.import_id, named)

    def _count_rejects(self) -> None:
        for number, count in self.staging.count_rejects().items():
            self.report.files[number].rejected = count
        self.report.reasons = dict(self.reasons.most_common(5))
        for file in self.report.files:
            if file.accepted + file.rejected != file.rows:
                raise AssertionError(f"{file.name}: {file.accepted} accepted + {file.rejected} rejected of {file.rows}")

    def _write_rejects(self, directory: Path) -> None:
        for number, file in enumerate(self.report.files):
            if file.rejected:
                directory.mkdir(parents=True, exist_ok=True)
                path = directory / f"{self.report.import_id}-{self.files[number].name}"
                path = path.with_name(path.name.removesuffix(".gz"))
                path = path if path.suffix == ".csv" else path.with_name(path.name + ".csv")
                self.staging.write_rejects(number, path)
                file.rejects_file = str(path)


def sections_of(files: Sequence[Path], mapping: Mapping) -> list[Section]:
    """Say which section of a mapping each file is, by its header. Raises `FileInvalid` with what is missing."""
    return [section for section, _ in _headers_of(list(files), mapping)]


def _headers_of(files: list[Path], mapping: Mapping) -> list[tuple[Section, list[str]]]:
    """Say which section each file is, by its header, and give that. Raises `FileInvalid` with what is missing."""
    if not files:
        raise FileInvalid("There is no file to import: name at least one CSV or Parquet file.")
    if len({path.resolve() for path in files}) < len(files):
        raise FileInvalid("A file is named twice: name each once.")
    headers = []
    for path in files:
        if not path.is_file():
            raise FileInvalid(f"There is no file {path}.")
        header = read_header(path, mapping)
        section = mapping.section_of(header)
        if section is None:
            near, lacking = mapping.missing_columns(header)
            raise FileInvalid(
                f"{path} fits no section of the mapping '{mapping.source}'. It is nearest to [{near}], but lacks the "
                f"columns {', '.join(repr(column) for column in lacking)}. Its header has: {', '.join(header)}. "
                f"Correct [{near}.columns], or list fields that may be missing in [{near}] optional."
            )
        headers.append((section, header))
    return headers
