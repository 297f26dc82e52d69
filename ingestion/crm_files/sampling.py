"""The first rows of a file of which nothing is known yet: its encoding and separator found by looking."""

import codecs
import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ingestion.crm_files.errors import FileInvalid
from ingestion.crm_files.mapping import Files, Mapping, SectionMapping
from ingestion.crm_files.reading import is_parquet, read_batches, read_header

SAMPLE_ROWS = 500
MANY_WORDS = 60
_SNIFFED_BYTES = 256 * 1024
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Sample:
    """The header and the first rows of a file; `columns` holds the filled cells of each column, trimmed."""

    path: Path
    encoding: str
    delimiter: str
    rows: int
    columns: dict[str, list[str]]

    @property
    def header(self) -> list[str]:
        """Names of the columns, in the file's order."""
        return list(self.columns)


def read_sample(path: Path) -> Sample:
    """Look at a file. Raises `FileInvalid` where it cannot be read or has no header."""
    if not path.is_file():
        raise FileInvalid(f"There is no file {path}.")
    encoding, delimiter = ("utf-8", ",") if is_parquet(path) else _sniff(path)
    mapping = Mapping(
        source="sample",
        files=Files(encoding=encoding, delimiter=delimiter),
        people=SectionMapping(columns={"name": ("Name",)}),
    )
    header = [name for name in read_header(path, mapping) if name]
    columns: dict[str, list[str]] = {name: [] for name in header}
    rows = 0
    for batch in islice(read_batches(path, mapping), 1):
        rows = min(batch.frame.height, SAMPLE_ROWS)
        for name in header:
            cells = batch.frame.get_column(f"c:{name}")
            later = cells.slice(SAMPLE_ROWS).unique(maintain_order=True)
            # A column of words: one that comes late is to be translated as well.
            late = later.to_list() if later.len() <= MANY_WORDS else []
            found = [cell.strip() for cell in cells.head(SAMPLE_ROWS) if cell and cell.strip()]
            columns[name] = found + [
                cell.strip() for cell in late if cell and cell.strip() and cell.strip() not in found
            ]
    return Sample(path, encoding, delimiter, rows, columns)


def _sniff(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as raw:
            if path.name.lower().endswith(".gz"):
                with gzip.open(raw) as unpacked:
                    start = unpacked.read(_SNIFFED_BYTES)
            else:
                start = raw.read(_SNIFFED_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise FileInvalid(f"{path} cannot be read: {error}. Give a CSV or Parquet file, gzipped or not.") from error
    encoding = encoding_of(start)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    return encoding, max(_DELIMITERS, key=lambda sign: _regularity(text, sign))


def encoding_of(start: bytes) -> str:
    """Return the encoding that a file beginning so is written in."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _regularity(text: str, delimiter: str) -> float:
    """How much a text looks like a table with this separator: columns, if most rows have as many as the header."""
    rows = []
    try:
        for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter):
            if row:
                rows.append(len(row))
            if len(rows) > SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    if not rows or rows[0] == 1:
        return 0
    return rows[0] * sum(count == rows[0] for count in rows) / len(rows)
