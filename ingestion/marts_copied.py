"""Copies marts from the warehouse into a published file, and only what differs where an earlier file is the start.

In a published file rows lie in schema `stored`, and what readers ask for are views in `main`, which add what all
rows say alike: as of which day, from how much of the log, by which definitions. So a row that did not change is the
same in the next file. Which rows did is not taken on trust from the build: source and file are compared part by part,
by fingerprints of all their rows, and a part that differs is replaced.

A mart that is a view in the warehouse (what it says depends on the day, as how long a visit has lasted) is one in the
file as well: what it reads is copied, and its text is the one that dbt made.

Every row that was written is read back as a reader would and compared with the warehouse. Rows that were kept are those
of a file of which every byte is as it was when it was proved (`publishing` sees to that); that none of them went with
what was replaced, or came twice, is proved by how many each part has.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

import duckdb

from ingestion.mart_digests import (
    Columns,
    Fingerprint,
    MartDigest,
    PartDigest,
    columns_of,
    count_parts,
    digest_of_parts,
    digest_parts,
    fingerprint_parts,
    names_of,
    part_of,
    parts_in,
)
from ingestion.side_by_side import side_by_side

FILE = "published"
"""The name under which the file being made is attached to the warehouse."""
STORED = "stored"
PARTS = f"{STORED}.manifest_parts"


@dataclass(frozen=True)
class CopiedTable:
    """A table of the published file, and the relation of the warehouse that it is copied from."""

    schema: str
    name: str
    source: str
    columns: Columns

    @classmethod
    def of(cls, warehouse: duckdb.DuckDBPyConnection, schema: str, name: str, source: str) -> "CopiedTable":
        """Return it with the columns that the source has."""
        return cls(schema, name, source, columns_of(warehouse, source))

    @property
    def place(self) -> str:
        """Its name in SQL within the published file."""
        return f'{self.schema}."{self.name}"'


@dataclass(frozen=True)
class CopiedMart:
    """A mart of the published file, and the tables that it reads; one that computes something has a query for it."""

    name: str
    columns: Columns
    tables: tuple[CopiedTable, ...]
    query: str | None = None

    @classmethod
    def of(cls, warehouse: duckdb.DuckDBPyConnection, name: str, views: Mapping[str, str]) -> "CopiedMart":
        """Return the mart as it stands in the warehouse, of which these marts are views."""
        columns = columns_of(warehouse, _source(name))
        read = _read_by_view(warehouse, views.get(name))
        if read is None:
            return cls(name, columns, (CopiedTable(STORED, name, _source(name), columns),))
        query, tables = read
        return cls(name, columns, tables, query)

    @property
    def view(self) -> str:
        """What readers ask, in SQL within the published file."""
        return f'main."{self.name}"'


def _source(mart: str) -> str:
    return f'marts."{mart}"'


def views_built(warehouse: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the text of each mart that is a view. Asking for one costs as much as asking for all."""
    place = "database_name = current_database() AND schema_name = 'marts'"
    return dict(warehouse.execute(f"SELECT view_name, sql FROM duckdb_views() WHERE {place}").fetchall())  # noqa: S608


def _read_by_view(warehouse: duckdb.DuckDBPyConnection, text: str | None) -> tuple[str, tuple[CopiedTable, ...]] | None:
    """Return the query of a view, on tables in `stored`, and these tables; None where the mart is a table."""
    if text is None:
        return None
    [(database,)] = warehouse.execute("SELECT current_database()").fetchall()
    relation = re.compile(rf'(?<![\w."])"?{re.escape(database)}"?\.(\w+)\.(\w+)')
    query = re.sub(r"\A.*?\bAS\b", "", text, count=1, flags=re.DOTALL).rstrip(";\n ")
    sources = {name: f"{schema}.{name}" for schema, name in relation.findall(query)}
    tables = (CopiedTable.of(warehouse, STORED, name, source) for name, source in sorted(sources.items()))
    return relation.sub(rf"{STORED}.\2", query), tuple(tables)


@dataclass(frozen=True)
class Part:
    """A part of a table: its fingerprint in this version of DuckDB, its digest, and whether an earlier file had it."""

    fingerprint: Fingerprint
    digest: str
    is_kept: bool = False


Parts = dict[int, Part]


@dataclass(frozen=True)
class Proof:
    """What a relation of the file must hold: how many rows in each part, and exactly which ones in some parts."""

    name: str
    relation: str
    columns: Columns
    rows: Mapping[int, int]
    fingerprints: Mapping[int, Fingerprint]

    @classmethod
    def of(cls, name: str, relation: str, table: CopiedTable, parts: Parts) -> "Proof":
        """Return that of a copied table: what was written must be there exactly."""
        rows = {number: part.fingerprint[0] for number, part in parts.items()}
        written = {number: part.fingerprint for number, part in parts.items() if not part.is_kept}
        return cls(name, relation, table.columns, rows, written)

    def holds(self, reader: duckdb.DuckDBPyConnection) -> bool:
        """Whether the relation holds that, and nothing else."""
        if self.fingerprints.keys() == self.rows.keys():
            return fingerprint_parts(reader, self.relation, self.columns) == self.fingerprints
        return (
            count_parts(reader, self.relation, self.columns) == self.rows
            and fingerprint_parts(reader, self.relation, self.columns, only=self.fingerprints) == self.fingerprints
        )


def copy_tables(warehouse: duckdb.DuckDBPyConnection, tables: Sequence[CopiedTable]) -> dict[str, Parts]:
    """Make the attached file hold these tables alone, and return their parts, by the place of each table.

    What an earlier publication left in the file is kept where it is the same.
    """
    left = _parts_left(warehouse)
    for place in left.keys() - {table.place for table in tables}:
        warehouse.execute(f"DROP TABLE {FILE}.{place}")
    for schema in sorted({table.schema for table in tables}):
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {FILE}.{schema}")
    copied = side_by_side(warehouse, lambda cursor, table: _copy_table(cursor, table, left.get(table.place)), tables)
    return dict(zip((table.place for table in tables), copied, strict=True))


def _copy_table(warehouse: duckdb.DuckDBPyConnection, table: CopiedTable, left: Parts | None) -> Parts:
    """Bring one table up to its source."""
    place = f"{FILE}.{table.place}"
    order = f"{part_of(table.columns)}, {names_of(table.columns)}"
    read = f"SELECT {names_of(table.columns)} FROM {table.source}"  # noqa: S608 (as DuckDB lists them)
    built = fingerprint_parts(warehouse, table.source, table.columns)
    is_there = left is not None and columns_of(warehouse, place) == list(table.columns)
    kept = {number: part for number, part in (left or {}).items() if is_there and built.get(number) == part.fingerprint}
    differing = (built.keys() | (left or {}).keys()) - kept.keys()
    rows_to_copy = sum(rows for number, (rows, _, _) in built.items() if number in differing)
    # By part, then by its key, which stands first: equal content then lies in equal order, and ranges are skipped.
    if not is_there or 2 * rows_to_copy > sum(rows for rows, _, _ in built.values()):
        warehouse.execute(f"CREATE OR REPLACE TABLE {place} AS {read} ORDER BY {order}")
        kept, written = {}, None
    elif differing:
        chosen = parts_in(table.columns, differing)
        warehouse.execute(f"DELETE FROM {place} WHERE {chosen}")  # noqa: S608
        warehouse.execute(f"INSERT INTO {place} {read} WHERE {chosen} ORDER BY {order}")
        written = differing
    else:
        return kept
    digests = _digests(warehouse, table, place, written)
    fresh = {number: Part(found, digests.get(number, "")) for number, found in built.items() if number not in kept}
    return kept | fresh


def _digests(
    warehouse: duckdb.DuckDBPyConnection, table: CopiedTable, place: str, only: Collection[int] | None
) -> dict[int, str]:
    """Return the digests of the parts that were just written, in order; inputs have none, nobody asks for them."""
    if table.schema != STORED:
        return {}
    parts = digest_parts(warehouse, place, table.columns, only=only, lies_in_order=True)
    return {number: part.digest for number, part in parts.items()}


def write_views(
    warehouse: duckdb.DuckDBPyConnection,
    marts: Sequence[CopiedMart],
    *,
    as_of_date: date,
    log_size: int,
    definition_version: str,
) -> None:
    """Write the views that readers ask, one for each mart, with the comments that the mart has in the warehouse."""
    facts = f"DATE '{as_of_date}' AS as_of_date, {log_size}::BIGINT AS log_size"
    facts += f", {_text(definition_version)} AS definition_version"
    comments = _comments(warehouse)
    with in_file(warehouse):
        for (name,) in warehouse.execute(
            "SELECT view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"
        ).fetchall():
            warehouse.execute(f'DROP VIEW main."{name}"')
        for mart in marts:
            query = mart.query or f"SELECT {names_of(mart.columns)}, {facts} FROM {mart.tables[0].place}"  # noqa: S608
            warehouse.execute(f"CREATE VIEW {mart.view} AS {query}")
            for column, comment in comments.get(mart.name, []):
                what = f'COLUMN {mart.view}."{column}"' if column else f"VIEW {mart.view}"
                warehouse.execute(f"COMMENT ON {what} IS {_text(comment)}")


@contextmanager
def in_file(warehouse: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Make the file the current database: views and functions are bound within what their own file holds."""
    [(before,)] = warehouse.execute("SELECT current_database()").fetchall()
    warehouse.execute(f"USE {FILE}")
    try:
        yield
    finally:
        warehouse.execute(f'USE "{before}"')


def _comments(warehouse: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str | None, str]]]:
    """Return the comments on marts in the warehouse, by mart: on which column, or on the mart itself, and what."""
    place = "database_name = current_database() AND schema_name = 'marts' AND comment IS NOT NULL"
    rows = warehouse.execute(
        f"SELECT table_name, NULL, comment FROM duckdb_tables() WHERE {place}"  # noqa: S608 (our own text)
        f" UNION ALL SELECT view_name, NULL, comment FROM duckdb_views() WHERE {place}"
        f" UNION ALL SELECT table_name, column_name, comment FROM duckdb_columns() WHERE {place}"
    ).fetchall()
    comments: dict[str, list[tuple[str | None, str]]] = {}
    for mart, column, comment in rows:
        comments.setdefault(mart, []).append((column, comment))
    return comments


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def write_parts(
    warehouse: duckdb.DuckDBPyConnection, tables: Sequence[CopiedTable], parts: Mapping[str, Parts]
) -> None:
    """Write which parts the tables have, for the publication that starts from this file."""
    import pyarrow as pa  # here, because listing publications must not wait for it

    warehouse.execute(
        f"CREATE OR REPLACE TABLE {FILE}.{PARTS} (place VARCHAR, part BIGINT, row_count BIGINT, digest VARCHAR,"
        " hash_sum HUGEINT, hash_xor UBIGINT)"
    )
    rows = [
        (table.place, number, part.fingerprint[0], part.digest, str(part.fingerprint[1]), str(part.fingerprint[2]))
        for table in tables
        for number, part in sorted(parts[table.place].items())
    ]
    # As Arrow: text and parameters by the thousand are bound slowly. It has no integers of 128 bits, so sums are text.
    columns = ("place", "part", "row_count", "digest", "hash_sum", "hash_xor")
    warehouse.register(
        "parts_written", pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)})
    )
    warehouse.execute(f"INSERT INTO {FILE}.{PARTS} FROM parts_written")
    warehouse.unregister("parts_written")


def prove_copied(
    warehouse: duckdb.DuckDBPyConnection,
    marts: Sequence[CopiedMart],
    inputs: Sequence[CopiedTable],
    parts: Mapping[str, Parts],
) -> list[Proof]:
    """Return what must be found in the file, read as readers do, for it to hold what was built.

    A mart that computes something is one text on tables that are proved, so it says the same of the same rows. What it
    says is compared in the parts of which its tables got rows, and in its last one, whatever was written.
    """
    proofs = [Proof.of(table.name, table.place, table, parts[table.place]) for table in inputs]
    stored = {table.place: table for mart in marts for table in mart.tables if mart.query}
    proofs += [Proof.of(table.name, table.place, table, parts[place]) for place, table in stored.items()]
    return proofs + side_by_side(warehouse, lambda cursor, mart: _prove_mart(cursor, mart, parts), marts)


def _prove_mart(warehouse: duckdb.DuckDBPyConnection, mart: CopiedMart, parts: Mapping[str, Parts]) -> Proof:
    if mart.query is None:
        return Proof.of(mart.name, mart.view, mart.tables[0], parts[mart.tables[0].place])
    rows = count_parts(warehouse, _source(mart.name), mart.columns)
    below = [(number, part) for table in mart.tables for number, part in parts[table.place].items()]
    chosen = {number for number, part in below if not part.is_kept} & rows.keys() | set(sorted(rows)[-1:])
    only = chosen if any(part.is_kept for _, part in below) else None
    seen = fingerprint_parts(warehouse, _source(mart.name), mart.columns, only=only)
    return Proof(mart.name, mart.view, mart.columns, rows, seen)


def find_differing(reader: duckdb.DuckDBPyConnection, proofs: Sequence[Proof]) -> list[str]:
    """Return the names of what is not in the open file as it should be."""
    are_held = side_by_side(reader, lambda cursor, proof: proof.holds(cursor), proofs)
    return sorted({proof.name for proof, is_held in zip(proofs, are_held, strict=True) if not is_held})


def digest_copied(mart: CopiedMart, parts: Mapping[str, Parts], rows: int) -> MartDigest:
    """Return the digest of a mart that was copied, of which readers see so many rows."""
    digests = []
    for table in mart.tables:
        found = {number: PartDigest(part.fingerprint[0], part.digest) for number, part in parts[table.place].items()}
        digests.append(digest_of_parts(table.name, table.columns, found))
    return _digest_of_tables(mart, digests, rows)


def digest_built(warehouse: duckdb.DuckDBPyConnection, name: str) -> MartDigest:
    """Return the digest that a mart of the warehouse has when it is published.

    Of a mart that is a view it is over the tables that the view reads; the rest of what readers see follows from the
    day and the definitions, which are the manifest's.
    """
    mart = CopiedMart.of(warehouse, name, views_built(warehouse))
    digests = []
    for table in mart.tables:
        found = digest_parts(warehouse, table.source, table.columns)
        digests.append(digest_of_parts(table.name, table.columns, found))
    [(rows,)] = warehouse.execute(f"SELECT count(*) FROM {_source(name)}").fetchall()  # noqa: S608 (our own names)
    return _digest_of_tables(mart, digests, rows)


def _digest_of_tables(mart: CopiedMart, tables: Sequence[MartDigest], rows: int) -> MartDigest:
    if mart.query is None:
        return tables[0]
    whole = sha256()
    for name, data_type in mart.columns:
        whole.update(f"{name} {data_type}\n".encode())
    for table in tables:
        whole.update(f"{table.mart} {table.row_count} {table.digest}\n".encode())
    return MartDigest(mart.name, rows, whole.hexdigest())


def _parts_left(warehouse: duckdb.DuckDBPyConnection) -> dict[str, Parts]:
    """Return the parts of each table that the file began with; none where it is new or of an earlier form."""
    known = "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name || '.' || table_name = ?"
    if not warehouse.execute(known, [FILE, PARTS]).fetchall():
        return {}
    left: dict[str, Parts] = {}
    for place, part, *fingerprint, digest in warehouse.execute(
        f"SELECT place, part, row_count, hash_sum, hash_xor, digest FROM {FILE}.{PARTS}"  # noqa: S608
    ).fetchall():
        count, total, xor = map(int, fingerprint)
        left.setdefault(place, {})[part] = Part((count, total, xor), digest, is_kept=True)
    return left
