"""A digest per mart: equal when and only when the same columns hold the same rows, whatever order they were stored in.

A mart is digested in parts, each of the rows about the same 8 days, and its own digest is over theirs, in order: a
part that did not change need not be hashed anew. What all rows of a build say alike (as of which day, from how much of
the log, by which definitions) is left out: it is the manifest's, and would change every row of every build.

The rows of a part are put in order by all columns and streamed out as Arrow record batches, whose layout is a published
standard, independent of the version of DuckDB. Each column gets a SHA-256 over which rows are null, over the lengths of
its texts, and over its values (little-endian numbers, days and microseconds for dates and times, UTF-8). Hashing the
rows as text was measured to take more than twice as long. Memory is bounded by DuckDB's own, which sorts on disk where
it must.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import duckdb

ROWS_PER_BATCH = 100_000
PART_DAYS = 8
"""Longer parts would have more rows replaced that did not change; shorter ones cost a hash of each column more."""
PROVENANCE = ("as_of_date", "log_size", "definition_version")
"""The columns that say what the numbers of a row are a function of."""
_PLAIN_TYPES = ("BIGINT", "INTEGER", "DATE", "DOUBLE", "DECIMAL", "TIMESTAMP", "VARCHAR")
# The first of these that a table has says which days a row is about. Where none is there, the table is one part.
_DATED_BY = (
    "snapshot_date",
    "cohort_month",
    "valid_from_date",
    "entered_at",
    "opened_at",
    "judged_at",
    "introduced_at",
    "first_expected_date",
    "change_date",
    "effective_at",
)
_PART_MICROSECONDS = PART_DAYS * 86_400_000_000
_UNDATED = -(2**31)

Columns = Sequence[tuple[str, str]]
"""Names and types of a table's columns, in order."""
Fingerprint = tuple[int, int, int]
"""How many rows, and the sum and exclusive or of DuckDB's hashes of them: equal for equal rows in any order."""


@dataclass(frozen=True)
class MartDigest:
    """A mart's number of rows and the digest of its content (hex)."""

    mart: str
    row_count: int
    digest: str


@dataclass(frozen=True)
class PartDigest:
    """The same of a part of a mart."""

    row_count: int
    digest: str


def list_marts(connection: duckdb.DuckDBPyConnection, schema: str) -> list[str]:
    """Return the names of the tables and views in a schema of the current database, sorted."""
    rows = connection.execute(
        """SELECT table_name FROM information_schema.tables
           WHERE table_catalog = current_database() AND table_schema = ? ORDER BY table_name""",
        [schema],
    ).fetchall()
    return [row[0] for row in rows]


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    """Return the columns of a relation without those of provenance."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608 (our own names)
    return [(name, data_type) for name, data_type, *_ in described if name not in PROVENANCE]


def names_of(columns: Columns) -> str:
    """Return the names as a list in SQL."""
    return ", ".join(f'"{name}"' for name, _ in columns)


def part_of(columns: Columns) -> str:
    """Return the expression that says in which part a row is: a whole number, never null."""
    dated_by = _dated_by(columns)
    if dated_by is None:
        return f"{_UNDATED}::BIGINT"
    return f'coalesce(epoch_us("{dated_by}") // {_PART_MICROSECONDS}, {_UNDATED})'


def parts_in(columns: Columns, parts: Collection[int]) -> str:
    """Return the condition that is true of the rows of these parts.

    It says between which days they lie, by which DuckDB passes over the rest, and keeps rows in the order they have: a
    list of parts would be joined, and a join may turn rows round.
    """
    dated_by = _dated_by(columns)
    if dated_by is None:
        return "true" if _UNDATED in parts else "false"
    moment = "make_timestamptz" if dict(columns)[dated_by].endswith("TIME ZONE") else "make_timestamp"

    def lies_between(first: int, last: int) -> str:
        start, end = first * _PART_MICROSECONDS, (last + 1) * _PART_MICROSECONDS
        return f'"{dated_by}" >= {moment}({start}) AND "{dated_by}" < {moment}({end})'

    dated = sorted(set(parts) - {_UNDATED})
    firsts = [number for number in dated if number - 1 not in parts]
    lasts = [number for number in dated if number + 1 not in parts]
    runs = " OR ".join(f"({lies_between(*run)})" for run in zip(firsts, lasts, strict=True)) or "false"
    if _UNDATED in parts:
        return f"({part_of(columns)} = {_UNDATED} OR {runs})"
    # First all of them together: a scan knows the least and the greatest of what it may pass over.
    return f"{lies_between(dated[0], dated[-1])} AND ({runs})" if dated else runs


def _dated_by(columns: Columns) -> str | None:
    return next((name for wanted in _DATED_BY for name, _ in columns if name == wanted), None)


def digest_mart(connection: duckdb.DuckDBPyConnection, schema: str, mart: str) -> MartDigest:
    """Return the digest of a table or view of the current database."""
    relation = f'"{schema}"."{mart}"'
    columns = columns_of(connection, relation)
    return digest_of_parts(mart, columns, digest_parts(connection, relation, columns))


def digest_of_parts(mart: str, columns: Columns, parts: Mapping[int, PartDigest]) -> MartDigest:
    """Return the digest of a mart from those of its parts."""
    whole = sha256()
    for name, data_type in columns:
        whole.update(f"{name} {data_type}\n".encode())
    for number, part in sorted(parts.items()):
        whole.update(f"{number} {part.row_count} {part.digest}\n".encode())
    return MartDigest(mart, sum(part.row_count for part in parts.values()), whole.hexdigest())


def digest_parts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Columns,
    *,
    only: Collection[int] | None = None,
    lies_in_order: bool = False,
) -> dict[int, PartDigest]:
    """Return the digest of each part, or of some of them.

    `lies_in_order` says that the relation was written in the order of parts and columns: it is read as it lies, for
    sorting is most of the cost.
    """
    values = ", ".join(f'"{name}"' if _is_plain(data_type) else f'"{name}"::VARCHAR' for name, data_type in columns)
    part = part_of(columns)
    chosen = "" if only is None else f" WHERE {parts_in(columns, only)}"
    order = "" if lies_in_order else f" ORDER BY {part}, {names_of(columns)}"
    found: dict[int, _PartDigest] = {}
    query = f"SELECT {values}, {part} FROM {relation}{chosen}{order}"  # noqa: S608 (as DuckDB lists them)
    for batch in connection.execute(query).to_arrow_reader(ROWS_PER_BATCH):
        *content, parts = batch.columns
        for number, start, rows in _runs(parts):
            if number not in found:
                found[number] = _PartDigest(len(columns))
            found[number].add([column.slice(start, rows) for column in content], rows)
    return {number: digest.close() for number, digest in found.items()}


def fingerprint_parts(
    connection: duckdb.DuckDBPyConnection, relation: str, columns: Columns, *, only: Collection[int] | None = None
) -> dict[int, Fingerprint]:
    """Return the fingerprint of each part, or of some. It needs no sorting; by it copies are compared."""
    row = f"hash({names_of(columns)})"
    chosen = "" if only is None else f" WHERE {parts_in(columns, only)}"
    query = (
        f"SELECT {part_of(columns)} AS part, count(*), sum({row}::HUGEINT), bit_xor({row}) "  # noqa: S608
        f"FROM {relation}{chosen} GROUP BY part"
    )
    return {part: (count, int(total), int(xor)) for part, count, total, xor in connection.execute(query).fetchall()}


def count_parts(connection: duckdb.DuckDBPyConnection, relation: str, columns: Columns) -> dict[int, int]:
    """Return how many rows each part has, for which one column is read."""
    query = f"SELECT {part_of(columns)} AS part, count(*) FROM {relation} GROUP BY part"  # noqa: S608
    return dict(connection.execute(query).fetchall())


def _is_plain(data_type: str) -> bool:
    """Whether Arrow lays the type out as fixed-width values or text; lists and the like are hashed as text."""
    return data_type.startswith(_PLAIN_TYPES) and not data_type.endswith("]")


def _runs(parts: Any) -> list[tuple[int, int, int]]:
    """Return where a column's equal neighbours stand: the value, the place of the first, how many."""
    import pyarrow.compute as pc

    encoded = pc.run_end_encode(parts)
    ends = encoded.run_ends.to_pylist()
    return [
        (value, start, end - start)
        for value, start, end in zip(encoded.values.to_pylist(), [0, *ends], ends, strict=False)
    ]


class _PartDigest:
    """Hashes the columns of one part."""

    def __init__(self, columns: int) -> None:
        self._rows = 0
        self._columns = [_ColumnDigest() for _ in range(columns)]

    def add(self, columns: Sequence[Any], rows: int) -> None:
        """Add the next rows."""
        self._rows += rows
        for column, digest in zip(columns, self._columns, strict=True):
            digest.add(column)

    def close(self) -> PartDigest:
        """Return the digest of all rows so far."""
        return PartDigest(self._rows, sha256(b"".join(column.digest() for column in self._columns)).hexdigest())


class _ColumnDigest:
    """Hashes one column over all batches; where a batch ends makes no difference."""

    def __init__(self) -> None:
        self._nulls, self._lengths, self._values = sha256(), sha256(), sha256()

    def add(self, column: Any) -> None:
        """Add the next values: which are null, how long the texts are, and then the bytes of what is not null."""
        import pyarrow as pa  # here, because listing publications must not wait for it
        import pyarrow.compute as pc

        if column.null_count:
            self._nulls.update(_bytes_of(column.is_null().cast(pa.uint8())))
            column = column.drop_null()
        else:
            self._nulls.update(bytes(len(column)))
        if pa.types.is_string(column.type):
            self._lengths.update(_bytes_of(pc.binary_length(column)))
            offsets = memoryview(column.buffers()[1]).cast("i") if len(column) else [0]
            texts = column.buffers()[2]
            if texts is not None:
                self._values.update(memoryview(texts)[offsets[column.offset] : offsets[column.offset + len(column)]])
        else:
            self._values.update(_bytes_of(column))

    def digest(self) -> bytes:
        """Return the digest of all values so far."""
        parts = self._nulls.digest() + self._lengths.digest() + self._values.digest()
        return sha256(parts).digest()


def _bytes_of(column: Any) -> memoryview:
    """Return the bytes of fixed-width values without nulls."""
    width = column.type.bit_width // 8
    buffer = column.buffers()[1]
    return memoryview(b"" if buffer is None else buffer)[column.offset * width : (column.offset + len(column)) * width]
