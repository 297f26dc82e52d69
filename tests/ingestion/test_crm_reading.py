"""Rows keep their lines, and what is no row of the table is named instead of ending the import."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from ingestion.crm_files import FileInvalid, load_mapping
from ingestion.crm_files.mapping import Mapping
from ingestion.crm_files.reading import TextBatch, read_batches, read_header
from tests.support.crm_export import MAPPING, write_mapping


@pytest.fixture
def mapping(tmp_path: Path) -> Mapping:
    return load_mapping(write_mapping(tmp_path))


def read(tmp_path: Path, content: bytes, mapping: Mapping, name: str = "f.csv") -> TextBatch:
    path = tmp_path / name
    path.write_bytes(content)
    assert read_header(path, mapping)
    batches = list(read_batches(path, mapping))
    assert len(batches) == 1
    return batches[0]


def test_a_row_is_known_by_the_line_it_begins_on(tmp_path: Path, mapping: Mapping) -> None:
    """Line breaks inside quotes count as lines, so that an editor finds the row where we say it is."""
    batch = read(tmp_path, b'a,b\r\n1,"two\r\nlines"\r\n\r\n3,4\r\n', mapping)
    assert batch.frame.rows() == [(2, "1", "two\r\nlines"), (5, "3", "4")]
    assert batch.blank == 1


def test_a_line_with_nothing_in_it_is_no_row(tmp_path: Path, mapping: Mapping) -> None:
    """Empty lines and lines of separators, which spreadsheets leave behind, are counted apart."""
    batch = read(tmp_path, b"a,b\n1,2\n\n,\n , \n,,,\n3,4\n", mapping)
    assert (batch.rows, batch.blank) == (2, 4)
    assert batch.frame.get_column("line").to_list() == [2, 7]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,2,3", "has 3 cells where the header has 2"),
        (b"1", "has 1 cells where the header has 2"),
        (b"1,\xff", "contains bytes that are not utf-8"),
        (b"1,\x00", "contains a zero byte"),
        (b'1,"open', "a quote is opened and not closed on this line"),
        (b'"1,2', "a quote is opened and not closed on this line"),
    ],
)
def test_an_unreadable_row_takes_no_other_with_it(tmp_path: Path, mapping: Mapping, line: bytes, reason: str) -> None:
    """Of 1,000 rows around a bad one, 1,000 remain, and the bad one has its line and a reason."""
    good = [b"%d,x" % number for number in range(1000)]
    batch = read(tmp_path, b"\n".join([b"a,b", *good[:500], line, *good[500:]]) + b"\n", mapping)
    assert [bad.line for bad in batch.unreadable] == [502]
    assert reason in batch.unreadable[0].reason
    assert batch.frame.height == 1000
    assert batch.frame.get_column("line")[-1] == 1002


def test_gzip_and_encodings_and_separators(tmp_path: Path) -> None:
    """A gzipped, semicolon-separated Latin-1 file reads as its plain twin."""
    text = MAPPING.replace("[dates]", '[files]\nencoding = "latin-1"\ndelimiter = ";"\n\n[dates]', 1)
    mapping = load_mapping(write_mapping(tmp_path, text))
    content = "a;b\ncafé;2\n".encode("latin-1")
    plain = read(tmp_path, content, mapping)
    packed = read(tmp_path, gzip.compress(content), mapping, "f.csv.gz")
    assert plain.frame.rows() == packed.frame.rows() == [(2, "café", "2")]


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path, mapping: Mapping) -> None:
    """Excel's UTF-8 begins with a mark."""
    path = tmp_path / "f.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert read_header(path, mapping) == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, mapping: Mapping, encoding: str, name: str) -> None:
    """Excel's "Unicode text" is UTF-16, whatever the mapping says."""
    content = ("\ufeff" * (encoding != "utf-16") + "a,b\ncafé,2\n").encode(encoding)
    batch = read(tmp_path, gzip.compress(content) if name.endswith("gz") else content, mapping, name)
    assert batch.frame.rows() == [(2, "café", "2")]


def test_utf_16_without_a_mark_is_recognised_by_its_zero_bytes(tmp_path: Path, mapping: Mapping) -> None:
    """The message says what to write."""
    path = tmp_path / "f.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(FileInvalid, match="utf-16-le"):
        read_header(path, mapping)


def test_bytes_of_another_encoding_in_the_header_are_named(tmp_path: Path, mapping: Mapping) -> None:
    """The message says which they are, and what to state."""
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,caf\xe9\n1,2\n")
    with pytest.raises(FileInvalid, match=r"not utf-8: caf\\udce9\. State the encoding"):
        read_header(path, mapping)


def test_typed_parquet_cells_read_as_text_would(tmp_path: Path, mapping: Mapping) -> None:
    """Numbers, dates and times of a Parquet file come out as text that the cleaning understands; rows count from 2."""
    frame = pl.DataFrame(
        {
            "id": [7, 8, None],
            "value": [Decimal("12.50"), None, None],
            "on": [date(2025, 1, 2), None, None],
            "at": [datetime(2025, 1, 2, 3, 4, tzinfo=UTC), None, None],
        }
    )
    path = tmp_path / "f.parquet"
    frame.write_parquet(path)
    assert read_header(path, mapping) == ["id", "value", "on", "at"]
    (batch,) = read_batches(path, mapping)
    assert batch.frame.rows() == [
        (2, "7", "12.50", "2025-01-02", "2025-01-02T03:04:00.000000+00:00"),
        (3, "8", None, None, None),
    ]
    assert batch.blank == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("f.csv", b""), ("f.csv", b"a,a\n1,2\n"), ("f.csv.gz", b"no gzip"), ("f.parquet", b"no parquet")],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, mapping: Mapping, name: str, content: bytes) -> None:
    """Before anything is written, with the name of the file."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileInvalid, match=name):
        read_header(path, mapping)
