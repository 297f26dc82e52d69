"""CSV and Parquet files as batches of text, each row with its line; rows that cannot be read are told apart, not fatal.

The line of a row is that of its first character, the header being line 1; rows of a Parquet file count from 2. A line
with nothing in it but separators and spaces is not a row: it is counted as blank and nothing else.
"""

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.crm_files.errors import FileInvalid
from ingestion.crm_files.mapping import Mapping

BATCH_ROWS = 20_000
LINE = "line"  # every batch carries it beside the file's own columns, which are named "c:<name>"


@dataclass
class Unreadable:
    """A row that is no row of this table."""

    line: int
    value: str
    reason: str


@dataclass
class TextBatch:
    """Up to `BATCH_ROWS` rows as text: `line` (Int64) and a String column `c:<name>` per column of the file."""

    frame: pl.DataFrame
    unreadable: list[Unreadable]
    blank: int

    @property
    def rows(self) -> int:
        """Rows in it, readable or not; blank lines are none."""
        return self.frame.height + len(self.unreadable)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(paths: Sequence[Path]) -> str:
    """Return the digest by which an import is known: that of its file, or of what sha256sum prints for several."""
    digests = [digest_of(path) for path in paths]
    if len(digests) == 1:
        return digests[0]
    listing = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True))
    return hashlib.sha256(listing.encode()).hexdigest()


def is_parquet(path: Path) -> bool:
    """Whether a file is read as Parquet; its name says so."""
    return path.name.lower().removesuffix(".gz").endswith((".parquet", ".pq"))


def read_header(path: Path, mapping: Mapping) -> list[str]:
    """Return the names of the columns. Raises `FileInvalid` for a file that has none or cannot be opened."""
    try:
        if is_parquet(path):
            with _opened(path) as file:
                names = [str(name) for name in pq.ParquetFile(file).schema_arrow.names]
        else:
            with _opened(path) as file, _CsvRows(file, mapping) as rows:
                names = rows.header
    except (OSError, EOFError, UnicodeError, zlib.error, pa.ArrowException) as error:
        raise FileInvalid(f"{path} cannot be read: {error}. Give a CSV or Parquet file, gzipped or not.") from error
    if any("\0" in name for name in names):
        raise FileInvalid(
            f'{path} has zero bytes in its header. It may be UTF-16: write encoding = "utf-16-le" under [files] of the '
            "mapping, or export it as UTF-8."
        )
    damaged = [name for name in names if _readable(name) != name]
    if damaged:
        raise FileInvalid(
            f"{path} has bytes in its header that are not {mapping.files.encoding}: {_readable(damaged[0])}. State the "
            "encoding under [files] of the mapping, or export it as UTF-8."
        )
    if not any(names):
        raise FileInvalid(f"{path} has no header: its first line must name the columns.")
    twice = {name for name in names if names.count(name) > 1 and name}
    if twice:
        raise FileInvalid(f"{path} has two columns named {', '.join(sorted(twice))}: rename one.")
    return names


def read_batches(path: Path, mapping: Mapping) -> Iterator[TextBatch]:
    """Stream a file whose header `read_header` accepted. Raises `FileInvalid` where it breaks off."""
    try:
        with _opened(path) as file:
            if is_parquet(path):
                yield from _parquet_batches(file, mapping)
            else:
                with _CsvRows(file, mapping) as rows:
                    yield from rows.batches()
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise FileInvalid(f"{path} breaks off: {error}. Export it again.") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.open(raw) as unpacked:
                if is_parquet(path):
                    yield io.BytesIO(unpacked.read())  # Parquet is read from its end: a stream will not do
                else:
                    yield unpacked  # type: ignore[misc]
        else:
            yield raw


class _Lines:
    """The lines of a text, counted, with a way back: a row that swallowed its neighbours can return them."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self._returned: deque[str] = deque()
        self.taken: list[str] = []
        self.count = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._file)
        self.taken.append(line)
        self.count += 1
        return line

    def give_back_all_but_first(self) -> None:
        """Return every line taken for the current row but its first."""
        self._returned.extendleft(reversed(self.taken[1:]))
        self.count -= len(self.taken) - 1
        del self.taken[1:]


class _CsvRows:
    """Rows of a CSV file. Bad bytes are kept as surrogates, so that the row, not the file, is refused."""

    def __init__(self, file: IO[bytes], mapping: Mapping) -> None:
        encoding = _marked_encoding(file) or mapping.files.encoding
        errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
        self.text = io.TextIOWrapper(file, encoding, errors, newline="")
        self.lines = _Lines(self.text)
        self.delimiter = mapping.files.delimiter
        self.encoding = encoding
        self.blank_characters = self.delimiter + '" \t\r\n\ufeff'
        self.reader = self._new_reader()
        try:
            header = next((row for row in self.reader if any(cell.strip() for cell in row)), [])
        except csv.Error as error:
            self.text.detach()
            raise OSError(f"its header is not CSV ({error})") from error
        self.header = [cell.strip() for cell in header]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.text.detach()  # the file is closed by who opened it

    def _new_reader(self) -> Iterator[list[str]]:
        # Strict: a quote in the wrong place is refused, for the lenient reader would move cells without a word.
        return csv.reader(self.lines, delimiter=self.delimiter, strict=True)

    def batches(self) -> Iterator[TextBatch]:
        """Yield the rows after the header."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        unreadable: list[Unreadable] = []
        blank = 0
        width = len(self.header)
        taken = self.lines.taken
        while True:
            taken.clear()
            line = self.lines.count + 1
            reason = ""
            row: list[str] = []
            try:
                row = next(self.reader)
            except StopIteration:
                break
            except csv.Error as error:
                reason = f"not a CSV row: {error}"
            if not reason and len(row) != width:
                if not taken[0].strip(self.blank_characters) and not "".join(row).strip():
                    blank += 1
                    continue
                reason = f"has {len(row)} cells where the header has {width}"
            elif not reason and not "".join(row).strip():
                blank += 1
                continue
            if reason and len(taken) > 1:
                # A stray quote swallows line after line: only the first is to blame.
                reason += "; a quote is opened and not closed on this line"
                self.lines.give_back_all_but_first()
                self.reader = self._new_reader()
            if not reason:
                reason = self._unfit("".join(row))
            if reason:
                unreadable.append(Unreadable(line, _readable(taken[0].rstrip("\r\n")[:500]), reason))
            else:
                rows.append(row)
                numbers.append(line)
            if len(rows) + len(unreadable) >= BATCH_ROWS:
                yield TextBatch(self._frame(rows, numbers), unreadable, blank)
                rows, numbers, unreadable, blank = [], [], [], 0
        if rows or unreadable or blank:
            yield TextBatch(self._frame(rows, numbers), unreadable, blank)

    def _unfit(self, text: str) -> str:
        if "\0" in text:
            return "contains a zero byte: the file is damaged here"
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                return f"contains bytes that are not {self.encoding}; state the encoding in [files] of the mapping"
            if "\ufffd" in text:
                return f"contains characters that were lost when the file was written (not {self.encoding})"
        return ""

    def _frame(self, rows: list[list[str]], numbers: list[int]) -> pl.DataFrame:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.header)
        return pl.DataFrame(
            [pl.Series(LINE, numbers, pl.Int64)]
            + [
                pl.Series(f"c:{name}", column, pl.String)
                for name, column in zip(self.header, columns, strict=True)
                if name
            ]
        )


def _marked_encoding(file: IO[bytes]) -> str | None:
    """The encoding that a byte order mark at the start of a file tells, whatever the mapping says."""
    start = file.peek(3) if isinstance(file, io.BufferedReader | gzip.GzipFile) else b""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig" if start.startswith(codecs.BOM_UTF8) else None


def _readable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def _parquet_batches(file: IO[bytes], mapping: Mapping) -> Iterator[TextBatch]:
    line = 2
    for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS):
        frame = pl.DataFrame(pl.from_arrow(batch))
        if not frame.width or not frame.height:
            continue
        text = frame.select(
            pl.int_range(line, line + pl.len(), dtype=pl.Int64).alias(LINE),
            *[_as_text(column, mapping) for column in frame.get_columns()],
        )
        line += frame.height
        cells = [pl.col(name).fill_null("").str.strip_chars() == "" for name in text.columns[1:]]
        filled = text.filter(~pl.all_horizontal(cells))
        yield TextBatch(filled, [], text.height - filled.height)


def _as_text(column: pl.Series, mapping: Mapping) -> pl.Series:
    """Write typed cells as the mapping would have them, so that one reading serves both kinds of file."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        text = (column.dt.convert_time_zone("UTC") if kind.time_zone else column).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        text = text + "+00:00" if kind.time_zone else text
    elif kind == pl.Date:
        text = column.dt.strftime("%Y-%m-%d")
    elif kind.is_numeric() and mapping.numbers.decimal == ",":
        text = column.cast(pl.String).str.replace(".", ",", literal=True)
    elif kind.is_nested() or kind == pl.Binary:
        text = pl.Series([None if value is None else str(value) for value in column.to_list()], dtype=pl.String)
    else:
        text = column.cast(pl.String)
    return text.alias(f"c:{column.name}")
