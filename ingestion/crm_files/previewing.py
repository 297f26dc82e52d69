"""The first rows of files as an import would understand them: what it would take, what it would turn away, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from ingestion.crm_files.cleaning import clean
from ingestion.crm_files.fields import FIELDS, Section
from ingestion.crm_files.importing import sections_of
from ingestion.crm_files.mapping import Mapping, load_mapping
from ingestion.crm_files.reading import LINE, read_batches


@dataclass(frozen=True)
class PreviewRow:
    """A row: its line and either its values by our fields, as text, or why it would be turned away."""

    line: int
    values: dict[str, str]
    reason: str = ""


@dataclass(frozen=True)
class FilePreview:
    """The first rows of a file, which section reads it, and the fields that any of them fills."""

    name: str
    section: Section
    fields: list[str]
    rows: list[PreviewRow]


def preview_files(paths: Sequence[Path], mapping: str | Path, rows: int = 8) -> list[FilePreview]:
    """Read the first rows of each file through a mapping. Raises `MappingInvalid` or `FileInvalid` as an import does.

    Whether a deal, a person or a commission is known is not looked up: that is what a dry run is for.
    """
    loaded = load_mapping(mapping)
    sections = sections_of(paths, loaded)
    return [_preview(path, section, loaded, rows) for path, section in zip(paths, sections, strict=True)]


def _preview(path: Path, section: Section, mapping: Mapping, rows: int) -> FilePreview:
    found: list[PreviewRow] = []
    for batch in read_batches(path, mapping):
        cleaned = clean(batch.frame.head(rows), section, mapping, datetime.now(UTC))
        found = [PreviewRow(bad.line, {}, bad.reason) for bad in batch.unreadable[:rows]]
        found += [
            PreviewRow(line, {}, f"{column}: {reason}" if column else reason)
            for line, column, _, reason in cleaned.rejects.rows()
        ]
        found += [_say_row(row, section, mapping) for row in cleaned.rows.iter_rows(named=True)]
        found.sort(key=lambda row: row.line)
        break
    fields = [name for name in FIELDS[section] if any(row.values.get(name) for row in found)]
    return FilePreview(path.name, section, fields, found[:rows])


def _say_row(row: dict[str, Any], section: Section, mapping: Mapping) -> PreviewRow:
    return PreviewRow(row[LINE], {name: _say(row[name], mapping) for name in FIELDS[section]})


def _say(value: Any, mapping: Mapping) -> str:
    """Write a typed value so that a reader sees how it was understood: days year first, amounts plain."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        local = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(mapping.zone)
        return f"{local:%Y-%m-%d}" if local.time() == time() else f"{local:%Y-%m-%d %H:%M}"
    return str(value)
