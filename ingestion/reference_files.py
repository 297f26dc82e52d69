"""Loads reference figures into raw: performance benchmarks and exchange rates, told apart by their columns.

Every row of a file is accounted for: accepted, a repeat of a figure that is already there, or rejected with line,
column, value and reason. A figure is never replaced: what changes over time comes with a later `effective_date`, and
two values for one key and date are an error that names both. Accepted files are remembered beside the warehouse, so
that a warehouse made from nothing gets the same figures in the same order, from the same moments.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from ingestion.errors import ReferenceFileUnread
from ingestion.reference_rows import (
    COLUMN_SYNONYMS,
    KINDS,
    Key,
    Kind,
    Reject,
    check_contract,
    figures_frame,
    read_rows,
    settle_keys,
)
from ingestion.reference_sources import SourceFile, read_source
from ingestion.refresh_lock import hold_refresh_lock
from ingestion.remembered_files import digest_of_files, remember_file, remembered_files
from ingestion.warehouse import open_warehouse
from ledger.settings import Settings


@dataclass
class FileReport:
    """What became of a file: rows = accepted + repeated + rejected. `was_loaded`: it adds nothing."""

    file_name: str
    file_sha256: str
    kind: str
    rows: int = 0
    accepted: int = 0
    repeated: int = 0
    rejected: int = 0
    was_loaded: bool = False
    ignored_columns: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rejects_file: str | None = None

    def render(self) -> str:
        """Return it as lines for people."""
        if self.was_loaded:
            return f"{self.file_name}: loaded before ({self.accepted} figures); nothing added."
        lines = [
            f"{self.file_name}: {self.rows} rows of {self.kind}: {self.accepted} accepted, {self.repeated} repeated, "
            f"{self.rejected} rejected."
        ]
        by_reason: dict[tuple[str | None, str], list[int]] = {}
        for reject in self.rejects:
            by_reason.setdefault((reject.column, reject.reason), []).append(reject.line)
        for (column, reason), found in by_reason.items():
            named = ", ".join(str(line) for line in found[:8]) + (", …" if len(found) > 8 else "")
            lines.append(f"  {column or 'row'} {reason} (line {named})")
        if self.rejects_file:
            lines.append(f"  Every rejected row is in {self.rejects_file}")
        if self.ignored_columns:
            lines.append(f"  Columns not used: {', '.join(self.ignored_columns)}")
        return "\n".join(lines)


@dataclass
class ReferenceReport:
    """What became of the files, in the order in which they were given."""

    files: list[FileReport] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return asdict(self)

    def to_record(self) -> dict[str, Any]:
        """Return what the record of imports keeps, in the shape that it has for CRM files."""
        return {
            "files": [
                {
                    "name": file.file_name,
                    "section": file.kind,
                    "rows": file.rows,
                    "created": 0 if file.was_loaded else file.accepted,
                    "unchanged": file.repeated + (file.accepted if file.was_loaded else 0),
                    "rejected": file.rejected,
                    "accepted": file.accepted + file.repeated,
                }
                for file in self.files
            ],
            "reasons": dict(
                Counter(str(reject.reason) for file in self.files for reject in file.rejects).most_common(5)
            ),
        }

    def render(self) -> str:
        """Return it as lines for people."""
        return "\n".join(report.render() for report in self.files)


def load_reference_files(
    paths: Iterable[Path],
    warehouse_path: Path,
    rejects_dir: Path,
    *,
    remembered_dir: Path | None = None,
    dry_run: bool = False,
) -> ReferenceReport:
    """Load files into raw, one transaction each, and remember them; a file loaded before adds nothing.

    `remembered_dir` is `reference/` beside the warehouse unless given. Rejected rows go to
    `rejects_dir/reference-<file>-<digest>.csv`. A dry run does all this to each file and keeps nothing but the rejects.
    Raises ReferenceFileUnread for a file that is no reference file; the files before it stay loaded.
    """
    memory = remembered_dir or warehouse_path.parent / "reference"
    report = ReferenceReport()
    with open_warehouse(warehouse_path) as warehouse:
        _restore(warehouse, memory, rejects_dir)
        for path in paths:
            source = read_source(path)
            now = datetime.now(UTC)
            remember = partial(remember_file, memory, path, source.name, source.sha256, now)
            if dry_run:
                report.files.append(_load(warehouse, source, rejects_dir, now, is_kept=False))
            else:
                report.files.append(_load(warehouse, source, rejects_dir, now, before_commit=remember))
    return report


def load_reference_files_in_turn(
    settings: Settings, paths: Iterable[Path], *, dry_run: bool = False, on_wait: Callable[[str], None] | None = None
) -> ReferenceReport:
    """Load files into the warehouse of `settings`, waiting for a refresh that runs; `on_wait` is told that it waits."""
    # A refresh leaves the warehouse between its steps; loading there would keep dbt out.
    with hold_refresh_lock(settings, on_wait=on_wait):
        return load_reference_files(paths, settings.warehouse_path, settings.rejects_dir, dry_run=dry_run)


def restore_reference_files(
    warehouse_path: Path, rejects_dir: Path, *, remembered_dir: Path | None = None
) -> ReferenceReport:
    """Load the remembered files that the warehouse does not have, as after it was deleted; report those."""
    memory = remembered_dir or warehouse_path.parent / "reference"
    if not remembered_files(memory):
        return ReferenceReport()
    with open_warehouse(warehouse_path) as warehouse:
        return _restore(warehouse, memory, rejects_dir)


def tell_reference_file(path: Path) -> str:
    """Return which kind of reference file this is; raise ReferenceFileUnread for any other. Writes nothing."""
    return _kind_of(read_source(path))[0].table


def reference_digest(warehouse_path: Path) -> str:
    """Return a SHA-256 (hex) over the files loaded, in order: equal digests mean equal figures. Writes nothing."""
    files: list[tuple[str]] = []
    if warehouse_path.exists():
        with open_warehouse(warehouse_path) as warehouse:
            files = warehouse.execute("SELECT file_sha256 FROM raw.reference_files ORDER BY rowid").fetchall()
    return digest_of_files(file_sha256 for (file_sha256,) in files)


# --- one file ---------------------------------------------------------------------------------------------------------


def _load(
    warehouse: duckdb.DuckDBPyConnection,
    source: SourceFile,
    rejects_dir: Path,
    loaded_at: datetime,
    before_commit: Callable[[], None] = lambda: None,
    *,
    is_kept: bool = True,
) -> FileReport:
    kind, columns = _kind_of(source)
    report = FileReport(source.name, source.sha256, kind.table, rows=len(source.rows))
    loaded = warehouse.execute(
        "SELECT accepted, repeated, rejected FROM raw.reference_files WHERE file_sha256 = ?", [source.sha256]
    ).fetchall()
    if loaded:
        report.accepted, report.repeated, report.rejected = loaded[0]
        report.was_loaded = True
        return report
    report.ignored_columns = [name for name in columns if name not in kind.model.to_schema().columns]
    rows, rejects = read_rows(kind, source, loaded_at)
    rows, contract_rejects = check_contract(kind, rows, source)
    rows, repeated, conflicts = settle_keys(kind, rows, _figures(warehouse, kind))
    report.rejects = sorted([*rejects, *contract_rejects, *conflicts], key=lambda reject: reject.line)
    report.accepted, report.repeated = len(rows), repeated
    report.rejected = len({reject.line for reject in report.rejects})
    report.rejects_file = _write_rejects(rejects_dir, source, report.rejects)
    frame = kind.model.validate(figures_frame(kind, rows))
    before_commit()
    warehouse.execute("BEGIN")
    try:
        warehouse.register("incoming", frame)
        warehouse.execute(f"INSERT INTO raw.{kind.table} BY NAME SELECT * FROM incoming")  # noqa: S608 (our own names)
        warehouse.unregister("incoming")
        warehouse.execute(
            "INSERT INTO raw.reference_files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                source.sha256,
                source.name,
                kind.table,
                report.rows,
                report.accepted,
                report.repeated,
                report.rejected,
                loaded_at,
            ],
        )
        warehouse.execute("COMMIT" if is_kept else "ROLLBACK")
    except BaseException:
        warehouse.execute("ROLLBACK")
        raise
    return report


def _kind_of(source: SourceFile) -> tuple[Kind, list[str]]:
    """Tell a file by its columns, and return them by our names; raise ReferenceFileUnread for any other."""
    columns = [COLUMN_SYNONYMS.get(column, column) for column in source.columns]
    kind = next((kind for kind in KINDS if kind.told_by <= set(columns)), None)
    if kind is None:
        needed = "; ".join(f"{kind.table}: {', '.join(sorted(kind.told_by))}" for kind in KINDS)
        raise ReferenceFileUnread(
            f"{source.name} is no reference file: its columns are {', '.join(source.columns)}. Needed are {needed}."
        )
    return kind, columns


def _figures(warehouse: duckdb.DuckDBPyConnection, kind: Kind) -> dict[Key, tuple[Any, str, int]]:
    """Return the figures that are loaded: value, file name and line by key."""
    columns = ", ".join([*kind.key, kind.value, "file_name", "line"])
    rows = warehouse.execute(f"SELECT {columns} FROM raw.{kind.table}").fetchall()  # noqa: S608 (our own names)
    return {row[: len(kind.key)]: row[len(kind.key) :] for row in rows}


# --- files on disk ----------------------------------------------------------------------------------------------------


def _write_rejects(rejects_dir: Path, source: SourceFile, rejects: list[Reject]) -> str | None:
    """Write each fault with the whole row beside it; a file without faults leaves none."""
    if not rejects:
        return None
    rejects_dir.mkdir(parents=True, exist_ok=True)
    path = rejects_dir / f"reference-{source.name}-{source.sha256[:12]}.csv"
    rows = {row.line: row.values for row in source.rows}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "column", "value", "reason", "row"])
        for reject in rejects:
            row = json.dumps(rows[reject.line], ensure_ascii=False)
            writer.writerow([reject.line, reject.column, reject.value, reject.reason, row])
    return str(path)


def _restore(warehouse: duckdb.DuckDBPyConnection, memory: Path, rejects_dir: Path) -> ReferenceReport:
    loaded = {row[0] for row in warehouse.execute("SELECT file_sha256 FROM raw.reference_files").fetchall()}
    report = ReferenceReport()
    for file in remembered_files(memory):
        if file.sha256 not in loaded:
            source = read_source(memory / file.copy, file.name)
            report.files.append(_load(warehouse, source, rejects_dir, file.loaded_when))
    return report
