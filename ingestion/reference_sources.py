"""Reads a reference file of any accepted format into rows of text: CSV, JSON, JSON lines or Parquet, gz or not.

Nothing is judged here but whether there are rows with columns at all. `line` is where a row begins in a CSV file or in
JSON lines (from 1, the header counted), and the number of the record (from 1) in JSON and Parquet.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from ingestion.errors import ReferenceFileUnread

FORMATS = (".csv", ".json", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class SourceRow:
    """A row as text by column; an empty cell is None. `fault` says why the row could not be taken apart."""

    line: int
    values: dict[str, str | None]
    fault: str | None = None


@dataclass(frozen=True)
class SourceFile:
    """A file's name, the SHA-256 (hex) of its bytes as they lie on disk, its columns in lower case, and its rows."""

    name: str
    sha256: str
    columns: list[str]
    rows: list[SourceRow]


def read_source(path: Path, name: str | None = None) -> SourceFile:
    """Read a whole file; reference files are small. Raises ReferenceFileUnread, saying what is wrong with it."""
    try:
        stored = path.read_bytes()
    except OSError as fault:
        raise ReferenceFileUnread(f"{path} cannot be read: {fault.strerror}.") from fault
    name = name or path.name
    try:
        columns, rows = _parse(Path(name), stored)
    except (
        UnicodeDecodeError,
        ValueError,
        csv.Error,
        EOFError,
        OSError,
        zlib.error,
        pl.exceptions.PolarsError,
    ) as fault:
        raise ReferenceFileUnread(f"{name} cannot be read as {_suffix(Path(name))[1:]}: {fault}") from fault
    return SourceFile(name, sha256(stored).hexdigest(), columns, rows)


def _suffix(name: Path) -> str:
    return Path(name.stem).suffix.lower() if name.suffix.lower() == ".gz" else name.suffix.lower()


def _parse(name: Path, content: bytes) -> tuple[list[str], list[SourceRow]]:
    if name.suffix.lower() == ".gz":
        content = gzip.decompress(content)
    match _suffix(name):
        case ".csv":
            return _parse_csv(content.decode("utf-8-sig"))
        case ".json":
            records = enumerate(_find_records(_load_json(content.decode("utf-8-sig"))), start=1)
            return _from_records(records)
        case ".jsonl" | ".ndjson":
            lines = enumerate(content.decode("utf-8-sig").splitlines(), start=1)
            return _from_records((number, _load_json(line)) for number, line in lines if line.strip())
        case ".parquet":
            frame = pl.read_parquet(io.BytesIO(content)).with_columns(pl.all().cast(pl.String))
            return _from_records(enumerate(frame.to_dicts(), start=1), list(frame.columns))
        case other:
            raise ValueError(f"{other or 'no ending'} is none of {', '.join(FORMATS)} (each also with .gz)")


def _parse_csv(text: str) -> tuple[list[str], list[SourceRow]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns = _check_columns(next(reader, []))
    rows = []
    begins = reader.line_num + 1
    for cells in reader:
        if cells:
            fault = (
                None if len(cells) == len(columns) else f"has {len(cells)} cells where the header has {len(columns)}"
            )
            values = {column: _text(cell) for column, cell in zip(columns, cells, strict=False)}
            rows.append(SourceRow(begins, values, fault))
        begins = reader.line_num + 1
    return columns, rows


def _load_json(text: str) -> Any:
    """Numbers stay as they are written: no float comes between the file and the decimal."""
    return json.loads(text, parse_float=str, parse_int=str)


def _find_records(document: Any) -> list[Any]:
    """Accept a list of objects, or an object that holds one such list under any name."""
    if isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        document = lists[0] if len(lists) == 1 else None
    if not isinstance(document, list):
        raise ValueError("a list of objects is needed, or an object with one such list")  # noqa: TRY004 (bad file, no bug)
    return document


def _from_records(
    records: Iterator[tuple[int, Any]] | Any, columns: list[str] | None = None
) -> tuple[list[str], list[SourceRow]]:
    rows = []
    names: dict[str, None] = dict.fromkeys(_check_columns(columns) if columns else [])
    for line, record in records:
        if isinstance(record, dict):
            values = {str(key).strip().lower(): _text(value) for key, value in record.items()}
            names.update(dict.fromkeys(values))
            rows.append(SourceRow(line, values))
        else:
            rows.append(SourceRow(line, {}, "is not an object with columns"))
    return list(names), rows


def _check_columns(header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    if not any(columns):
        raise ValueError("it has no header")
    if len(set(columns)) < len(columns):
        raise ValueError(f"its header names a column twice: {', '.join(columns)}")
    return columns


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip() or None
