"""Writes a published file as Parquet, for tools that do not read DuckDB: a file per mart, and the manifest.

Read from the immutable published file, so it may run while everything else does. `manifest.json` is removed first and
written last: a folder that has one holds a whole export of one publication.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from ingestion.errors import PublicationMissing
from ingestion.mart_digests import list_marts
from ingestion.publishing import current_publication, list_publications

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class ExportedFile:
    """A Parquet file: the table it holds, its rows and its size in bytes."""

    table: str
    path: str
    rows: int
    size: int


@dataclass(frozen=True)
class ExportReport:
    """What was written, from which publication."""

    publication: str
    folder: str
    files: tuple[ExportedFile, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return asdict(self)

    def render(self) -> str:
        """Return it as lines of text for people."""
        width = max(len(file.table) for file in self.files)
        lines = [
            f"  {file.table:<{width}}  {file.rows:>12,} rows  {file.size / 1024:>10,.0f} kB" for file in self.files
        ]
        return "\n".join([f"{self.publication} as Parquet in {self.folder}:", *lines])


def export_parquet(published_dir: Path, folder: Path, name: str | None = None) -> ExportReport:
    """Write every table of a publication, by default the one that readers see, to `folder` and return what was written.

    Files of an earlier export are replaced one by one, whole; others in the folder are left alone. Raises
    PublicationMissing.
    """
    if name is None:
        publication = current_publication(published_dir)
    else:
        publication = next((found for found in list_publications(published_dir) if found.name == name), None)
    if publication is None:
        raise PublicationMissing(
            f"There is no {name}; `dealbook publish list` shows what there is."
            if name
            else "Nothing is published yet: run `dealbook refresh`."
        )
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / MANIFEST_FILE
    manifest.unlink(missing_ok=True)
    files = []
    with duckdb.connect(published_dir / publication.name, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in list_marts(connection, "main"):
            path = folder / f"{table}.parquet"
            part = path.with_suffix(".parquet.part")
            [(rows,)] = connection.execute(
                f'COPY "{table}" TO {_quoted(part)} (FORMAT parquet, COMPRESSION zstd)'
            ).fetchall()
            part.replace(path)
            files.append(ExportedFile(table, str(path), int(rows), path.stat().st_size))
    document = {**msgspec.to_builtins(publication), "files": {file.table: Path(file.path).name for file in files}}
    part = manifest.with_suffix(".json.part")
    part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    part.replace(manifest)
    return ExportReport(publication.name, str(folder), tuple(files))


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
