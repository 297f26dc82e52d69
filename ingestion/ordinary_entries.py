"""Reads entries of the common types in DuckDB: outside of Python's lock, whole columns at a time.

Here nothing is refused. Each entry is told apart as ordinary or not, and only what is ordinary is read the same as
`exact_entries` reads it: where one is not, the caller has the batch read there, and that says what is wrong. Ordinary
is what the ledger writes: ids, times, dates and amounts in their one form, words of the vocabulary, and nothing but
texts and nulls in `set`.
"""

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
from msgspec import Struct

from ingestion.contracts import LOG_TABLES, duckdb_type, polars_schema
from ingestion.entry_columns import CHAIN_PREFIX, WAREHOUSED, CommissionColumns, DealColumns, NewCommissionColumns
from ingestion.exact_entries import Parts
from ledger.vocabulary import CommissionStatus, PipelineStage

ID = "________-____-____-____-____________"  # for LIKE
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
NOT_TEXT_NOR_NULL = '":[^"n]'  # in JSON without blanks; within a text it needs a backslash before the quote

DEALS = frozenset(type_ for type_, landing in WAREHOUSED.items() if "deal_events" in landing.tables)
STAGED_DEALS = frozenset(type_ for type_ in DEALS if "stage_events" in WAREHOUSED[type_].tables)
COMMISSIONS = frozenset({"commission.recorded", "commission.changed", "commission.status_changed"})
ORDINARY = DEALS | COMMISSIONS

_TEXT = "VARCHAR"
_HEAD: dict[str, Any] = {
    "type": _TEXT,
    "chain": _TEXT,
    "at": _TEXT,
    "effective_at": _TEXT,
    "actor": {"id": _TEXT},
    "subject": {"id": _TEXT},
}
_SHARED = {
    "deal_id": f"substr(entry.chain, {len(CHAIN_PREFIX) + 1})",
    "event_type": "type",
    "actor_id": "entry.actor.id",
    "recorded_at": "TRY_CAST(entry.at AS TIMESTAMP)",
    "effective_at": "TRY_CAST(entry.effective_at AS TIMESTAMP)",
}


class OrdinaryReader:
    """A DuckDB of its own, in memory, that turns entries into typed frames."""

    def __init__(self) -> None:
        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET threads = 1")  # another one fetches, and a third lands
        # Of `IN` with some words it would make a join, which is slower here and loses the order of the log.
        self._duckdb.execute("SET disabled_optimizers = 'in_clause'")

    def __enter__(self) -> "OrdinaryReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._duckdb.close()

    def read(self, entries: pa.Table, types: Set[str]) -> tuple[Parts, int] | None:
        """Return entries (n, type, body), whose types are `types`, as frames by raw table, and how many have none.

        Types of raw tables that are not `ORDINARY` are left out. None where an entry is not ordinary.
        """
        try:
            entries = _with_texts(entries)
        except pa.ArrowInvalid:
            return None
        parts: Parts = {}
        not_warehoused = 0
        if types - WAREHOUSED.keys():
            passed = self._run(_passed_query(), entries)
            if passed is None:
                return None
            not_warehoused = passed.height
        if types & DEALS:
            deals = self._run(_deals_query(), entries)
            if deals is None:
                return None
            stages = deals.filter(pl.col("event_type").is_in(STAGED_DEALS))
            parts["deal_events"] = [_columns_of("deal_events", deals)]
            if stages.height:
                parts["stage_events"] = [_columns_of("stage_events", stages)]
        if types & COMMISSIONS:
            commissions = self._run(_commissions_query(), entries)
            if commissions is None:
                return None
            parts["commission_events"] = [_columns_of("commission_events", commissions)]
        return parts, not_warehoused

    def _run(self, query: str, entries: pa.Table) -> pl.DataFrame | None:
        """Run a query over `entries`; None where a row of its result is not ordinary, or a body no JSON."""
        self._duckdb.register("entries", entries.to_reader())  # a stream: whole tables do not keep their order
        try:
            frame = self._duckdb.execute(query).pl()
        except duckdb.InvalidInputException:
            return None
        finally:
            self._duckdb.unregister("entries")
        return frame if frame["is_ordinary"].all() else None


def _with_texts(entries: pa.Table) -> pa.Table:
    """Return entries with their bodies as text, not copied; raises ArrowInvalid where one is not UTF-8."""
    parts = entries["body"].chunks
    texts = pa.chunked_array(
        [pa.StringArray.from_buffers(len(part), *part.buffers()[1:]) for part in parts], pa.string()
    )
    texts.validate(full=True)
    return entries.set_column(entries.column_names.index("body"), "body", texts)


def _columns_of(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that a raw table has, in its order; instants come from DuckDB without their zone."""
    types = polars_schema(LOG_TABLES[table])
    return frame.select(
        pl.col(name).dt.replace_time_zone(dtype.time_zone) if isinstance(dtype, pl.Datetime) else pl.col(name)
        for name, dtype in types.items()
    )


@dataclass(frozen=True)
class _Written:
    """What `data.set` may hold: columns by the names that they have in it, with their types in the raw table."""

    names: Mapping[str, str]
    types: Mapping[str, pl.DataType]

    @classmethod
    def as_told_by(cls, struct: type[Struct], table: str) -> "_Written":
        names = dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
        types = polars_schema(LOG_TABLES[table])
        return cls(names, {name: types[name] for name in names})

    @property
    def structure(self) -> dict[str, Any]:
        return dict.fromkeys(self.names.values(), _TEXT)

    @property
    def columns(self) -> dict[str, str]:
        return {name: self._typed(name) for name in self.names}

    @property
    def exact(self) -> list[str]:
        """Conditions: what is no text is written in the one form that its value has."""
        return [
            f"(written.{self.names[name]} IS NULL OR {typed}::VARCHAR = written.{self.names[name]})"
            for name, typed in self.columns.items()
            if self.types[name] != pl.String
        ]

    def cleared(self, names: Iterable[str] | None = None) -> str:
        """The names of those set to null. What is in `set` has no blanks, and no quote within a text stands alone."""
        parts = ", ".join(
            f"""CASE WHEN written.{key} IS NULL AND contains("set", '"{key}":null') THEN '{name}' END"""
            for name, key in self.names.items()
            if names is None or name in names
        )
        return f"nullif(concat_ws(',', {parts}), '')"

    def _typed(self, name: str) -> str:
        column, dtype = f"written.{self.names[name]}", self.types[name]
        return column if dtype == pl.String else f"TRY_CAST({column} AS {duckdb_type(dtype)})"


@cache
def _passed_query() -> str:
    """Return what asks the entries that no raw table holds: the stored type is not hashed, so the bodies are asked."""
    type_ = f"{_json('body', {'type': _TEXT})}.type"
    query = f"SELECT coalesce(type = {type_}, false) AS is_ordinary FROM entries"  # noqa: S608 - our own names
    return f"{query} WHERE type NOT IN {_words(WAREHOUSED)}"


@cache
def _deals_query() -> str:
    event = "entry.data.stage_event"
    written = _Written.as_told_by(DealColumns, "deal_events")
    columns = {
        **_SHARED,
        **written.columns,
        "cleared": written.cleared(),
        "stage_event_id": f"{event}.id",
        "from_stage": f'{event}."from"',
        "to_stage": f'{event}."to"',
    }
    is_staged_well = (
        f"type NOT IN {_words(STAGED_DEALS)} OR "
        f'({_is_id(f"{event}.id")} AND {event}."to" IN {_words(PipelineStage)} '
        f'AND ({event}."from" IS NULL OR {event}."from" IN {_words(PipelineStage)}))'
    )
    structure = {"set": "JSON", "stage_event": {"id": _TEXT, "from": _TEXT, "to": _TEXT}}
    return _query(DEALS, columns, written, structure, is_staged_well)


@cache
def _commissions_query() -> str:
    written = _Written.as_told_by(NewCommissionColumns, "commission_events")
    is_new = "type = 'commission.recorded'"
    before = CommissionColumns.__struct_fields__
    columns = {
        **_SHARED,
        **written.columns,
        "commission_id": "entry.subject.id",
        "cleared": f"CASE WHEN {is_new} THEN {written.cleared()} ELSE {written.cleared(before)} END",
        "from_status": f'CASE WHEN NOT {is_new} THEN entry.data."from" END',
        "to_status": f'CASE WHEN {is_new} THEN written.status ELSE entry.data."to" END',
    }
    is_moved_well = " AND ".join(
        f"""({is_new} OR entry.data."{end}" IS NULL OR entry.data."{end}" IN {_words(CommissionStatus)})"""
        for end in ("from", "to")
    )
    return _query(COMMISSIONS, columns, written, {"set": "JSON", "from": _TEXT, "to": _TEXT}, is_moved_well)


def _query(types: Set[str], columns: dict[str, str], written: _Written, data: dict[str, Any], condition: str) -> str:
    """Return what reads entries of `types` in two steps, `set` as a whole first: it tells a null from nothing."""
    is_ordinary = [
        "entry.type = type",
        f"starts_with(entry.chain, '{CHAIN_PREFIX}')",
        *(f"strftime({_SHARED[column]}, '{TIME}') = entry.{time}" for time, column in _TIMES),
        _is_id("entry.actor.id"),
        _is_id("entry.subject.id"),
        """starts_with("set", '{')""",
        f"""NOT regexp_matches("set", '{NOT_TEXT_NOR_NULL}')""",
        *written.exact,
        condition,
    ]
    return f"""
        WITH parsed AS (
            SELECT n, type, {_json("body", {**_HEAD, "data": data})} AS entry
            FROM entries
            WHERE type IN {_words(types)}
        ),
        split AS (
            SELECT *, entry.data.set::VARCHAR AS "set", {_json("entry.data.set", written.structure)} AS written
            FROM parsed
        )
        SELECT
            n,
            {", ".join(f"{expression} AS {name}" for name, expression in columns.items())},
            coalesce({" AND ".join(f"({condition})" for condition in is_ordinary)}, false) AS is_ordinary
        FROM split
        """  # noqa: S608 - our own names


_TIMES = (("at", "recorded_at"), ("effective_at", "effective_at"))


def _json(column: str, structure: dict[str, Any]) -> str:
    return f"json_transform({column}, '{json.dumps(structure)}')"


def _words(words: Iterable[str] | type[StrEnum]) -> str:
    return "(" + ", ".join(f"'{word!s}'" for word in sorted(words)) + ")"


def _is_id(column: str) -> str:
    """A condition that no number, list or object meets, whatever its text."""
    return f"({column} LIKE '{ID}' AND {column} NOT LIKE '[%' AND {column} NOT LIKE '{{%')"
