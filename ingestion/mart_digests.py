"""A digest per mart: equal when and only when the same columns hold the same rows, whatever order they were stored in.

The rows are put in order by all columns and streamed out as Arrow record batches, whose layout is a published
standard, independent of the version of DuckDB. Each column gets a SHA-256 over which rows are null, over the lengths of
its texts, and over its values (little-endian numbers, days and microseconds for dates and times, UTF-8); the mart's
digest is the SHA-256 over names, types and those. Hashing the rows as text was measured to take more than twice as
long. Memory is bounded by DuckDB's own, which sorts on disk where it must.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import duckdb

ROWS_PER_BATCH = 100_000
_PLAIN_TYPES = ("BIGINT", "INTEGER", "DATE", "DOUBLE", "DECIMAL", "TIMESTAMP", "VARCHAR")


@dataclass(frozen=True)
class MartDigest:
    """A mart's number of rows and the digest of its content (hex)."""

    mart: str
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


def digest_mart(
    connection: duckdb.DuckDBPyConnection, schema: str, mart: str, *, stored_in: str | None = None
) -> MartDigest:
    """Return the digest of a table or view of the current database.

    `stored_in` names an attached database instead, whose table was written in order: it is read as it lies, for
    sorting is most of the cost.
    """
    columns: list[tuple[str, str]] = connection.execute(
        """SELECT column_name, data_type FROM duckdb_columns()
           WHERE database_name = coalesce(?, current_database()) AND schema_name = ? AND table_name = ?
           ORDER BY column_index""",
        [stored_in, schema, mart],
    ).fetchall()
    values = ", ".join(f'"{name}"' if _is_plain(data_type) else f'"{name}"::VARCHAR' for name, data_type in columns)
    rows = 0
    digests = [_ColumnDigest() for _ in columns]
    names = ", ".join(f'"{name}"' for name, _ in columns)
    place = f'"{stored_in}"."{schema}"."{mart}"' if stored_in else f'"{schema}"."{mart}"'
    query = f"SELECT {values} FROM {place}{'' if stored_in else f' ORDER BY {names}'}"  # noqa: S608 (as DuckDB lists them)
    for batch in connection.execute(query).to_arrow_reader(ROWS_PER_BATCH):
        rows += batch.num_rows
        for column, digest in zip(batch.columns, digests, strict=True):
            digest.add(column)
    whole = sha256()
    for (name, data_type), digest in zip(columns, digests, strict=True):
        whole.update(f"{name} {data_type} {digest.hexdigest()}\n".encode())
    return MartDigest(mart, rows, whole.hexdigest())


def fingerprint_mart(connection: duckdb.DuckDBPyConnection, schema: str, mart: str) -> tuple[int, ...]:
    """Return the number of rows, and the sum and exclusive or of their hashes: equal for equal rows in any order.

    It needs no sorting, so a copy is compared by it with its source; it is DuckDB's own hash, so not to be kept.
    """
    query = (
        f'SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0), coalesce(bit_xor(hash(t)), 0) FROM "{schema}"."{mart}" t'  # noqa: S608
    )
    [found] = connection.execute(query).fetchall()
    return tuple(int(number) for number in found)


def _is_plain(data_type: str) -> bool:
    """Whether Arrow lays the type out as fixed-width values or text; lists and the like are hashed as text."""
    return data_type.startswith(_PLAIN_TYPES) and not data_type.endswith("]")


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

    def hexdigest(self) -> str:
        """Return the digest of all values so far."""
        parts = self._nulls.digest() + self._lengths.digest() + self._values.digest()
        return sha256(parts).hexdigest()


def _bytes_of(column: Any) -> memoryview:
    """Return the bytes of fixed-width values without nulls."""
    width = column.type.bit_width // 8
    buffer = column.buffers()[1]
    return memoryview(b"" if buffer is None else buffer)[column.offset * width : (column.offset + len(column)) * width]
