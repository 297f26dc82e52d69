"""Lands new log entries in the warehouse's raw schema, exactly once.

A batch's frames and the watermark commit in one transaction, so after a crash at any point the next landing goes on
where the last whole batch ended. A batch is read, checked and appended in parts: while one is appended, the next one
is read. The watermark keeps the hash of its last entry: a ledger that does not have that
entry is another ledger, or one that lost its end, and is refused.
"""

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import msgspec
import pandera.polars as pa
import polars as pl
from sqlalchemy import text

from ingestion.contracts import LOG_TABLES, create_table
from ingestion.entry_columns import WAREHOUSED
from ingestion.errors import ContractBroken, LogBroken, LogRewound, WarehouseBusy
from ingestion.log_position import entry_hash, log_size
from ingestion.log_reader import Batch, read_batches
from ingestion.reference_files import restore_reference_files
from ingestion.warehouse import WAIT_SECONDS, open_warehouse
from ledger.store import Ledger

__all__ = [
    "CompletenessReport",
    "LandingReport",
    "check_completeness",
    "land_new_entries",
    "log_size",
    "read_watermark",
]

# Entries that are appended at once. DuckDB writes a table in groups of 122,880 rows; what a transaction leaves of a
# group is written twice, in its log and at a checkpoint, or read again and joined with the next: parts may be small,
# for what lies ahead of them is still being read, transactions not.
PART = 100_000
NAMED_AT_MOST = 20  # entries spelled out in a message; the rejects file has them all


@dataclass(frozen=True)
class Watermark:
    """How far the log has been landed: entries below `log_size`, the last of which has `last_hash` (hex)."""

    log_size: int
    last_hash: str | None


@dataclass
class LandingReport:
    """What one landing brought: entries `from_n` up to and without `to_n`, which tell of so many different `deals`."""

    from_n: int
    to_n: int
    entries: int = 0
    not_warehoused: int = 0
    deals: int = 0
    rows_by_table: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class TypeCount:
    """Entries of one type below the watermark, in the log and in the raw tables that hold its facts."""

    type: str
    tables: tuple[str, ...]
    in_log: int
    in_raw: int


@dataclass(frozen=True)
class CompletenessReport:
    """Whether every entry from `from_n` below `log_size` is accounted for; `problems` are sentences."""

    from_n: int
    log_size: int
    by_type: list[TypeCount]
    not_warehoused: int
    problems: list[str]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing and nothing is there twice."""
        return not self.problems


def read_watermark(warehouse_path: Path) -> int:
    """Return how many log entries the warehouse holds; 0 where there is no warehouse yet. Writes nothing."""
    if not warehouse_path.exists():
        return 0
    with open_warehouse(warehouse_path) as warehouse:
        return _watermark(warehouse).log_size


def land_new_entries(
    ledger: Ledger,
    warehouse_path: Path,
    *,
    batch_size: int = 1_000_000,
    rejects_dir: Path | None = None,
    full: bool = False,
    up_to: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> LandingReport:
    """Land the entries that the warehouse does not have yet, `batch_size` a transaction; with `full` all of them anew.

    `up_to` is a log size to stop at, for a warehouse that shall know no more than was known then. A warehouse made from
    nothing gets the remembered reference files too. `on_progress(landed, total)` is called after
    each part of a batch. With nothing new the warehouse is not written to.
    Raises LogRewound, LogBroken, ContractBroken (its rows go to `rejects_dir`, by default beside the warehouse) or
    WarehouseBusy; what was landed before a broken entry stays.
    """
    started = time.perf_counter()
    rejects_dir = rejects_dir or warehouse_path.parent / "rejects"
    restore_reference_files(warehouse_path, rejects_dir)
    end = log_size(ledger)
    with open_warehouse(warehouse_path, wait_seconds) as warehouse:
        if full:
            _empty_log_tables(warehouse)
        mark = _watermark(warehouse)
        _check_same_log(ledger, mark, end)
        if up_to is not None:
            end = max(min(end, up_to), mark.log_size)
        report = LandingReport(from_n=mark.log_size, to_n=end)
        # Many batches then share a checkpoint; commits are safe in the write-ahead log, which DuckDB keeps beside.
        warehouse.execute("SET checkpoint_threshold = '256MB'")
        warehouse.execute("SET threads = 1")  # two would write each batch in parts and then put them together again
        uncommitted = 0
        try:
            for part in read_batches(ledger, mark.log_size, end, min(batch_size, PART)):
                _check_contracts(part, rejects_dir)
                size = part.to_n - part.from_n
                is_last = uncommitted + size >= batch_size or part.to_n == end
                _land(warehouse, part, begins=not uncommitted, commits=is_last)
                uncommitted = 0 if is_last else uncommitted + size
                if is_last and part.to_n != end:
                    _give_memory_back()
                report.batches += is_last
                report.entries += size
                report.not_warehoused += part.not_warehoused
                for table, frame in part.frames.items():
                    report.rows_by_table[table] = report.rows_by_table.get(table, 0) + frame.height
                if on_progress:
                    on_progress(report.entries, end - report.from_n)
        except (LogBroken, ContractBroken):
            if uncommitted:
                warehouse.execute("COMMIT")
            raise
        if report.entries:
            report.deals = _count_deals(warehouse, report.from_n)
    report.seconds = time.perf_counter() - started
    return report


def _give_memory_back() -> None:
    """Return freed memory to the system: glibc keeps some of it for each thread, more with every million entries."""
    with suppress(OSError, AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)


def _count_deals(warehouse: duckdb.DuckDBPyConnection, from_n: int) -> int:
    """Return how many deals the entries from `from_n` on tell of, directly or by their commissions."""
    [(deals,)] = warehouse.execute(
        """SELECT count(DISTINCT deal_id) FROM (
            SELECT deal_id FROM raw.deal_events WHERE n >= $1
            UNION ALL SELECT deal_id FROM raw.commission_events WHERE n >= $1)""",
        [from_n],
    ).fetchall()
    return int(deals)


def check_completeness(ledger: Ledger, warehouse_path: Path, *, from_n: int = 0) -> CompletenessReport:
    """Compare the log with raw, type by type, for every entry from `from_n` below the watermark.

    Each entry of a warehoused type must be in each of its tables exactly once; the others must be counted as not
    warehoused by the landings that passed them, and the landings must join without gap or overlap. `from_n` is taken
    back to the start of the landing it falls in.
    """
    with open_warehouse(warehouse_path) as warehouse:
        size = _watermark(warehouse).log_size
        starts = warehouse.execute("SELECT coalesce(max(from_n), 0) FROM raw.landings WHERE from_n <= ?", [from_n])
        from_n = starts.fetchall()[0][0]
        statement = text("SELECT type, count(*) FROM audit_logs WHERE n >= :from_n AND n < :size GROUP BY type")
        with ledger.read() as session:
            in_log = {str(row[0]): int(row[1]) for row in session.execute(statement, {"from_n": from_n, "size": size})}
        by_type, problems = [], []
        raw_counts = {table: _count_by_type(warehouse, table, from_n) for table in LOG_TABLES}
        for type_ in sorted(WAREHOUSED.keys() | in_log.keys()):
            landing = WAREHOUSED.get(type_)
            if landing is None:
                continue
            for table in landing.tables:
                rows, entries = raw_counts[table].get(type_, (0, 0))
                if rows != in_log.get(type_, 0) or rows != entries:
                    problems.append(
                        f"{type_}: {in_log.get(type_, 0)} entries in the log, {entries} of them in raw.{table} "
                        f"({rows} rows)"
                    )
            least = min(raw_counts[table].get(type_, (0, 0))[1] for table in landing.tables)
            by_type.append(TypeCount(type_, landing.tables, in_log.get(type_, 0), least))
        others = sum(count for type_, count in in_log.items() if type_ not in WAREHOUSED)
        problems += _landing_problems(warehouse, from_n, size, others)
    if sum(in_log.values()) != size - from_n:
        problems.append(f"the log has {sum(in_log.values())} entries between n={from_n} and the watermark {size}")
    return CompletenessReport(from_n, size, by_type, others, problems)


def _landing_problems(warehouse: duckdb.DuckDBPyConnection, from_n: int, size: int, not_warehoused: int) -> list[str]:
    landings: list[tuple[int, int, int]] = warehouse.execute(
        "SELECT from_n, to_n, not_warehoused FROM raw.landings WHERE to_n > ? ORDER BY from_n", [from_n]
    ).fetchall()
    problems = []
    expected = from_n
    for start, end, _ in landings:
        if start != expected:
            problems.append(f"landings do not join: one starts at n={start}, where n={expected} was due")
        expected = end
    if expected != size:
        problems.append(f"landings end at n={expected}, the watermark says {size}")
    counted = sum(landing[2] for landing in landings)
    if counted != not_warehoused:
        problems.append(
            f"{not_warehoused} entries of types without a raw table in the log, {counted} passed in landings"
        )
    return problems


def _count_by_type(warehouse: duckdb.DuckDBPyConnection, table: str, from_n: int) -> dict[str, tuple[int, int]]:
    """Return rows and distinct entries of a raw table by entry type."""
    has_type = "event_type" in LOG_TABLES[table].to_schema().columns
    only_type = next(type_ for type_, landing in WAREHOUSED.items() if table in landing.tables)
    type_column = "event_type" if has_type else f"'{only_type}'"
    query = f"SELECT {type_column}, count(*), count(DISTINCT n) FROM raw.{table} WHERE n >= ? GROUP BY 1"  # noqa: S608 (our own names)
    return {row[0]: (row[1], row[2]) for row in warehouse.execute(query, [from_n]).fetchall()}


def _watermark(warehouse: duckdb.DuckDBPyConnection) -> Watermark:
    return Watermark(*warehouse.execute("SELECT log_size, last_hash FROM raw.watermark").fetchall()[0])


def _check_same_log(ledger: Ledger, mark: Watermark, end: int) -> None:
    if mark.log_size and (mark.log_size > end or entry_hash(ledger, mark.log_size - 1) != mark.last_hash):
        raise LogRewound(
            f"The warehouse holds {mark.log_size} log entries up to {str(mark.last_hash)[:12]}…, which this ledger "
            f"(log size {end}) does not have: it is another ledger, or an older state of this one. If the ledger is "
            "the right one, land it anew with `dealbook refresh --full`."
        )


def _check_contracts(batch: Batch, rejects_dir: Path) -> None:
    """Validate every frame; raise ContractBroken for the first that fails, its rows written to `rejects_dir`."""
    for table, frame in batch.frames.items():
        try:
            LOG_TABLES[table].validate(frame, lazy=True)
        except pa.errors.SchemaErrors as fault:
            raise _contract_broken(table, batch, frame, fault.failure_cases, rejects_dir) from fault


def _contract_broken(
    table: str, batch: Batch, frame: pl.DataFrame, failures: pl.DataFrame, rejects_dir: Path
) -> ContractBroken:
    faults = failures.select(
        pl.col("index").cast(pl.UInt32),
        pl.format("{}: {}", pl.col("column").fill_null("row"), pl.col("check")).alias("rule"),
    )
    rules = faults["rule"].unique(maintain_order=True).to_list()
    by_row = faults.drop_nulls("index").group_by("index").agg(pl.col("rule").unique(maintain_order=True).str.join("; "))
    rows = frame.with_row_index("index").join(by_row, on="index", maintain_order="left").drop("index")
    entries = rows["n"].to_list()
    rejects_dir.mkdir(parents=True, exist_ok=True)
    rejects = rejects_dir / f"raw-{table}-{batch.from_n}-{batch.to_n}.csv"
    rows.write_csv(rejects)
    named = ", ".join(f"n={n}" for n in entries[:NAMED_AT_MOST])
    more = f" and {len(entries) - NAMED_AT_MOST} more" if len(entries) > NAMED_AT_MOST else ""
    return ContractBroken(
        f"Log entries {named}{more} break the contract of raw.{table} ({' | '.join(rules)}). Entries {batch.from_n} to "
        f"{batch.to_n - 1} were not landed; the rows are in {rejects}. This is a fault of the ledger or of the "
        "contract, not of a user: report it with that file.",
        table=table,
        entries=entries,
        rules=rules,
    )


def _land(warehouse: duckdb.DuckDBPyConnection, batch: Batch, *, begins: bool, commits: bool) -> None:
    """Append a part of a transaction, or all of one, and move the watermark over it; an error takes all of it back."""
    now = datetime.now(UTC)
    rows_by_table = {table: frame.height for table, frame in batch.frames.items()}
    if begins:
        warehouse.execute("BEGIN")
    try:
        for table, frame in batch.frames.items():
            warehouse.register("incoming", frame)
            warehouse.execute(f"INSERT INTO raw.{table} BY NAME SELECT * FROM incoming")  # noqa: S608 (our own names)
            warehouse.unregister("incoming")
        warehouse.execute(
            "INSERT INTO raw.landings VALUES (?, ?, ?, ?, ?, ?)",
            [
                batch.from_n,
                batch.to_n,
                batch.to_n - batch.from_n,
                batch.not_warehoused,
                msgspec.json.encode(rows_by_table).decode(),
                now,
            ],
        )
        moved = warehouse.execute(
            "UPDATE raw.watermark SET log_size = ?, last_hash = ?, updated_at = ? WHERE log_size = ?",
            [batch.to_n, batch.last_hash, now, batch.from_n],
        ).fetchall()
        _check_moved(moved[0][0], batch)
        if commits:
            warehouse.execute("COMMIT")
    except BaseException:
        warehouse.execute("ROLLBACK")
        raise


def _check_moved(watermarks: int, batch: Batch) -> None:
    if watermarks != 1:
        raise WarehouseBusy(f"The watermark left n={batch.from_n} while entries from there were landed; try again.")


def _empty_log_tables(warehouse: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of the log anew, empty, in one transaction; reference tables stay."""
    warehouse.execute("BEGIN")
    for table, model in LOG_TABLES.items():
        warehouse.execute(f"DROP TABLE raw.{table}")
        warehouse.execute(create_table(table, model))
    # What the marts were built from is gone: the next build must not rest on them.
    warehouse.execute("DROP TABLE IF EXISTS raw.built")
    warehouse.execute("DELETE FROM raw.landings")
    warehouse.execute("UPDATE raw.watermark SET log_size = 0, last_hash = NULL, updated_at = NULL")
    warehouse.execute("COMMIT")
