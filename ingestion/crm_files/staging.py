"""Where the rows of all files meet: a throw-away DuckDB file, so that memory does not grow with the number of deals.

Cleaned batches go in; out come, in bounded batches, deals with their histories, what is left over, and the rejects.
"""

import csv
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import polars as pl

from ingestion.crm_files.fields import STAGES, Section

MEMORY_LIMIT = "1GB"
WAITING_ROWS = 2_000
_REJECTS = {"file": pl.Int32, "line": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String}
_REJECTED_DEALS = {"id": pl.String, "file": pl.Int32, "line": pl.Int64}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that does not go in. `file` is its number in the command."""

    file: int
    line: int
    column: str | None
    value: str | None
    reason: str


class Staging:
    """The staged rows of one import. Every table has `file` (number) and `line`."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="dealbook-import-")
        self._db = duckdb.connect(Path(self._directory.name) / "staging.duckdb")
        self._db.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self._db.execute(f"SET temp_directory = '{self._directory.name}/spill'")
        self._db.execute(
            'CREATE TABLE rejects (file INTEGER, line BIGINT, "column" VARCHAR, value VARCHAR, reason VARCHAR)'
        )
        # Ids of deals whose row was turned away: what hangs on them is turned away with that as the reason.
        self._db.execute("CREATE TABLE rejected_deals (id VARCHAR, file INTEGER, line BIGINT)")
        self._sections: set[Section] = set()
        self._rejects: list[tuple[int, int, str | None, str | None, str]] = []
        self._rejected_deals: list[tuple[str, int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._directory.cleanup()

    def add(self, section: Section, file: int, frame: pl.DataFrame) -> None:
        """Stage a cleaned batch."""
        # Naive UTC: DuckDB hands zoned times to Python through another library.
        rows = frame.select(pl.lit(file, pl.Int32).alias("file"), pl.all()).with_columns(
            pl.selectors.datetime(time_zone="*").dt.replace_time_zone(None)
        )
        self._db.register("batch", rows)
        if section in self._sections:
            self._db.execute(f"INSERT INTO {section} BY NAME SELECT * FROM batch")  # noqa: S608 (our own names)
        else:
            self._db.execute(f"CREATE TABLE {section} AS SELECT * FROM batch")  # noqa: S608
            self._sections.add(section)
        self._db.unregister("batch")

    def reject(self, rejects: Iterable[Reject]) -> None:
        """Turn rows away."""
        self._rejects += [(each.file, each.line, each.column, each.value, each.reason) for each in rejects]
        if len(self._rejects) >= WAITING_ROWS:
            self._flush()

    def remember_rejected_deals(self, deals: Iterable[tuple[str, int, int]]) -> None:
        """Keep id, file and line of deals whose row was turned away."""
        self._rejected_deals += deals
        if len(self._rejected_deals) >= WAITING_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Write what waits: DuckDB likes many rows at once."""
        for table, rows, schema in (
            ("rejects", self._rejects, _REJECTS),
            ("rejected_deals", self._rejected_deals, _REJECTED_DEALS),
        ):
            if rows:
                self._db.register("batch", pl.DataFrame(rows, schema=schema, orient="row"))
                self._db.execute(f"INSERT INTO {table} SELECT * FROM batch")  # noqa: S608
                self._db.unregister("batch")
                rows.clear()

    def order(self) -> None:
        """After the last `add`: number the deals in the order of the files and lay their histories beside them."""
        for section in Section:
            if section not in self._sections:
                self._db.execute(f"CREATE TABLE {section} (file INTEGER, line BIGINT, id VARCHAR, deal_id VARCHAR)")
        self._db.execute(
            """CREATE TABLE ordered_deals AS
            SELECT row_number() OVER (PARTITION BY id ORDER BY file, line) AS occurrence,
                   first_value(file) OVER (PARTITION BY id ORDER BY file, line) AS first_file,
                   first_value(line) OVER (PARTITION BY id ORDER BY file, line) AS first_line, *
            FROM deals"""
        )
        self._db.execute("DROP TABLE deals")
        self._db.execute(
            """CREATE TABLE numbered_deals AS
            SELECT row_number() OVER (ORDER BY file, line) AS ordinal, * FROM ordered_deals WHERE occurrence = 1
            ORDER BY ordinal"""
        )
        if Section.STAGE_EVENTS in self._sections:
            self._db.execute(
                """CREATE TABLE histories AS
                SELECT d.ordinal, e.* FROM stage_events e LEFT JOIN numbered_deals d ON e.deal_id = d.id
                ORDER BY d.ordinal NULLS LAST, e.deal_id, e.moved_on, e.file, e.line"""
            )
        else:
            self._db.execute("CREATE TABLE histories (ordinal BIGINT, file INTEGER, line BIGINT, deal_id VARCHAR)")
        self._db.execute("DROP TABLE stage_events")

    def repeated_deals(self) -> Iterator[tuple[int, int, str, int, int]]:
        """Yield file, line, id, first file and first line of rows whose id an earlier row has."""
        rows = self._db.cursor().execute(
            "SELECT file, line, id, first_file, first_line FROM ordered_deals WHERE occurrence > 1 ORDER BY file, line"
        )
        while batch := rows.fetchmany(1000):
            yield from batch

    def count_deals(self) -> int:
        """Return how many deals are numbered."""
        return self._count("numbered_deals")

    def count_commissions(self) -> int:
        """Return how many commission rows are staged."""
        return self._count("commissions")

    def _count(self, table: str) -> int:
        row = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        return int(row[0]) if row else 0

    def people(self) -> list[dict[str, Any]]:
        """Return all people, in the order of the files."""
        return self._rows("SELECT * FROM people ORDER BY file, line")

    def agents(self) -> list[str]:
        """Return what deals and commissions call their agents, each once, in order of appearance."""
        known = [
            f"SELECT agent, file, line FROM {table}"  # noqa: S608
            for table, section in (("numbered_deals", Section.DEALS), ("commissions", Section.COMMISSIONS))
            if section in self._sections
        ]
        if not known:
            return []
        union = " UNION ALL ".join(known)
        rows = self._db.execute(f"SELECT agent FROM ({union}) GROUP BY agent ORDER BY min(file), min(line)")  # noqa: S608
        return [row[0] for row in rows.fetchall()]

    def deals(self, after: int, up_to: int) -> list[dict[str, Any]]:
        """Return deals by number."""
        return self._rows(
            "SELECT * FROM numbered_deals WHERE ordinal > ? AND ordinal <= ? ORDER BY ordinal", [after, up_to]
        )

    def histories(self, after: int, up_to: int) -> dict[int, list[dict[str, Any]]]:
        """Return the stage rows of those deals by the deal's number, in no order."""
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self._rows("SELECT * FROM histories WHERE ordinal > ? AND ordinal <= ?", [after, up_to]):
            found.setdefault(row["ordinal"], []).append(row)
        return found

    def leftover_stage_rows(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield batches of stage rows without a deal row, by deal and time, with the line of a rejected deal row."""
        yield from self._batches(
            f"""SELECT h.*, r.file AS deal_file, r.line AS deal_line FROM histories h
            LEFT JOIN (SELECT id, min(file) AS file, min(line) AS line FROM rejected_deals GROUP BY id) r
            ON h.deal_id = r.id WHERE h.ordinal IS NULL
            ORDER BY h.deal_id, h.moved_on, list_position({list(STAGES)}, h.stage), h.note, h.confidence, h.file,
                h.line"""  # noqa: S608
            if Section.STAGE_EVENTS in self._sections
            else "SELECT * FROM histories",
            size,
        )

    def commissions(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Yield batches of commission rows, a deal's together, with the line of a rejected deal row."""
        yield from self._batches(
            """SELECT c.*, r.file AS deal_file, r.line AS deal_line FROM commissions c
            LEFT JOIN numbered_deals d ON c.deal_id = d.id
            LEFT JOIN (SELECT id, min(file) AS file, min(line) AS line FROM rejected_deals GROUP BY id) r
            ON c.deal_id = r.id ORDER BY d.ordinal NULLS LAST, c.deal_id, c.file, c.line""",
            size,
        )

    def rejects(self, file: int | None = None) -> Iterator[Reject]:
        """Yield rejects by file and line."""
        self._flush()
        where = "" if file is None else f"WHERE file = {file:d}"
        rows = self._db.cursor().execute(f"SELECT * FROM rejects {where} ORDER BY file, line")  # noqa: S608
        while batch := rows.fetchmany(5000):
            for row in batch:
                yield Reject(*row)

    def count_rejects(self) -> dict[int, int]:
        """Return how many lines of each file were turned away."""
        self._flush()
        rows = self._db.execute("SELECT file, count(DISTINCT line) FROM rejects GROUP BY file").fetchall()
        return {int(file): int(count) for file, count in rows}

    def write_rejects(self, file: int, path: Path) -> None:
        """Write the rejects of a file as CSV: line, column, value, reason."""
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["line", "column", "value", "reason"])
            for reject in self.rejects(file):
                writer.writerow([reject.line, reject.column, reject.value, reject.reason])

    def _rows(self, query: str, parameters: list[int] | None = None) -> list[dict[str, Any]]:
        result = self._db.execute(query, parameters or [])
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _batches(self, query: str, size: int) -> Iterator[list[dict[str, Any]]]:
        self._flush()
        result = self._db.cursor().execute(query)  # a cursor of its own: others write between two batches
        names = [column[0] for column in result.description]
        while rows := result.fetchmany(size):
            yield [dict(zip(names, row, strict=True)) for row in rows]
