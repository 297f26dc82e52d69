"""Reads the log by leaf index and gives it as typed frames, one per raw table.

Every entry is proved while it is read: no `n` is missing, the stored bytes give the stored hash, and the body says the
type that its row says. A batch is in memory at a time, and no read transaction stays open between batches.
What a fact means is not decided here: a column holds what the entry set, and null where it set nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar, cast

import msgspec
import polars as pl
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple
from sqlalchemy import text

from ingestion.contracts import LOG_TABLES, polars_schema
from ingestion.errors import LogBroken
from ledger.store import Ledger

LEAF_PREFIX = b"\x00"  # RFC 6962: tells a leaf from an interior node


@dataclass(frozen=True)
class Batch:
    """Entries `from_n` up to and without `to_n` as frames by raw table.

    `last_hash` is the hex hash of the last entry; `not_warehoused` counts the entries of types that have no raw table.
    """

    from_n: int
    to_n: int
    last_hash: str
    not_warehoused: int
    frames: dict[str, pl.DataFrame]


# --- the parts of an entry that are landed ----------------------------------------------------------------------------

Text = str | None | UnsetType
Flag = bool | None | UnsetType


class _Named(Struct):
    id: str


# The fields of these follow the order of the columns in the raw tables.
class _DealColumns(Struct):
    agent_id: Text = UNSET
    asset_type: Text = UNSET
    deal_type: Text = UNSET
    status: Text = UNSET
    lead_source: Text = UNSET
    estimated_value_amount: Text = UNSET
    estimated_value_currency: Text = UNSET
    expected_close_date: Text = UNSET
    actual_close_date: Text = UNSET
    confidence: Text = UNSET
    external_ref: Text = UNSET
    project_id: Text = UNSET
    property_id: Text = UNSET


class _CommissionColumns(Struct):
    agent_id: Text = UNSET
    commission_type: Text = UNSET
    basis_amount: Text = UNSET
    basis_currency: Text = UNSET
    commission_rate: Text = UNSET
    commission_amount: Text = UNSET


class _NewCommissionColumns(_CommissionColumns):
    status: Text = UNSET


class _AdjustmentColumns(Struct):
    adjustment_type: str
    amount: str
    currency: str


class _DisputeColumns(Struct):
    amount: str
    currency: str
    hold: bool


class _PersonColumns(Struct):
    name: Text = UNSET
    email: Text = UNSET
    role: Text = UNSET
    active: Flag = UNSET


class _StageEvent(Struct):
    id: str
    to: str
    source: str | None = msgspec.field(name="from", default=None)


class _Deal(Struct):
    set: _DealColumns = msgspec.field(default_factory=_DealColumns)


class _StagedDeal(Struct):
    stage_event: _StageEvent
    set: _DealColumns = msgspec.field(default_factory=_DealColumns)


class _NewCommission(Struct):
    set: _NewCommissionColumns


class _Commission(Struct):
    set: _CommissionColumns = msgspec.field(default_factory=_CommissionColumns)
    source: str | None = msgspec.field(name="from", default=None)
    to: str | None = None


class _Adjustment(Struct):
    commission_id: str
    set: _AdjustmentColumns


class _OpenedDispute(Struct):
    commission_id: str
    set: _DisputeColumns
    source: str = msgspec.field(name="from")


class _ResolvedDispute(Struct):
    commission_id: str
    outcome: str
    to: str


class _Person(Struct):
    set: _PersonColumns


Data = TypeVar("Data")


class _Entry(Struct, Generic[Data]):
    type: str
    chain: str
    at: str
    effective_at: str
    actor: _Named
    subject: _Named
    data: Data

    @property
    def deal_id(self) -> str:
        if not self.chain.startswith("deal:"):
            raise ValueError(f"{self.type} stands in chain {self.chain!r}, not in a deal's")
        return self.chain[5:]

    @property
    def provenance(self) -> tuple[str, str, str]:
        return self.actor.id, self.at, self.effective_at


class _Header(Struct):
    type: str


# --- entry -> rows ----------------------------------------------------------------------------------------------------

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]


def _sparse(columns: Struct) -> Row:
    """Return the values with null for what was not set, and then the names of those set to null, or null."""
    values = astuple(columns)
    cleared = None
    if None in values:
        cleared = ",".join(name for name, value in zip(columns.__struct_fields__, values, strict=True) if value is None)
    return (*[None if value is UNSET else value for value in values], cleared)


def _add_deal(rows: Rows, n: int, entry: _Entry[_Deal]) -> None:
    rows["deal_events"].append((n, entry.deal_id, entry.type, *_sparse(entry.data.set), *entry.provenance))


def _add_staged_deal(rows: Rows, n: int, entry: _Entry[_StagedDeal]) -> None:
    deal_id, provenance, event = entry.deal_id, entry.provenance, entry.data.stage_event
    rows["deal_events"].append((n, deal_id, entry.type, *_sparse(entry.data.set), *provenance))
    rows["stage_events"].append((n, deal_id, event.id, entry.type, event.source, event.to, *provenance))


def _add_new_commission(rows: Rows, n: int, entry: _Entry[_NewCommission]) -> None:
    *values, status, cleared = _sparse(entry.data.set)
    rows["commission_events"].append(
        (n, entry.subject.id, entry.deal_id, entry.type, *values, None, status, cleared, *entry.provenance)
    )


def _add_commission(rows: Rows, n: int, entry: _Entry[_Commission]) -> None:
    *values, cleared = _sparse(entry.data.set)
    moved = entry.data.source, entry.data.to
    rows["commission_events"].append(
        (n, entry.subject.id, entry.deal_id, entry.type, *values, *moved, cleared, *entry.provenance)
    )


def _add_adjustment(rows: Rows, n: int, entry: _Entry[_Adjustment]) -> None:
    data = entry.data
    rows["adjustments"].append(
        (n, entry.subject.id, data.commission_id, entry.deal_id, *astuple(data.set), *entry.provenance)
    )


def _move_disputed(rows: Rows, n: int, entry: _Entry[Any], source: str, to: str) -> None:
    """A dispute moves its commission too, so that a commission's statuses are found in one table."""
    unset = (None,) * len(_CommissionColumns.__struct_fields__)
    rows["commission_events"].append(
        (n, entry.data.commission_id, entry.deal_id, entry.type, *unset, source, to, None, *entry.provenance)
    )


def _dispute(entry: _Entry[Any]) -> tuple[str, str, str, str]:
    return entry.subject.id, entry.data.commission_id, entry.deal_id, entry.type


def _add_opened_dispute(rows: Rows, n: int, entry: _Entry[_OpenedDispute]) -> None:
    data = entry.data
    rows["disputes"].append(
        (n, *_dispute(entry), *astuple(data.set), None, "disputed", *entry.provenance),
    )
    _move_disputed(rows, n, entry, data.source, "disputed")


def _add_resolved_dispute(rows: Rows, n: int, entry: _Entry[_ResolvedDispute]) -> None:
    data = entry.data
    rows["disputes"].append(
        (n, *_dispute(entry), None, None, None, data.outcome, data.to, *entry.provenance),
    )
    _move_disputed(rows, n, entry, "disputed", data.to)


def _add_person(rows: Rows, n: int, entry: _Entry[_Person]) -> None:
    rows["people"].append((n, entry.subject.id, entry.type, *_sparse(entry.data.set), *entry.provenance))


@dataclass(frozen=True)
class Landing:
    """How entries of a type are landed: the raw tables that get a row each, what to decode, what to add."""

    tables: tuple[str, ...]
    decode: Callable[[bytes], Any]
    add: Callable[[Rows, int, Any], None]


def _landing(*tables: str, entry: Any, add: Callable[[Rows, int, Any], None]) -> Landing:
    return Landing(tables, msgspec.json.Decoder(entry).decode, add)


_DEAL = _landing("deal_events", entry=_Entry[_Deal], add=_add_deal)
_STAGED_DEAL = _landing("deal_events", "stage_events", entry=_Entry[_StagedDeal], add=_add_staged_deal)
_COMMISSION = _landing("commission_events", entry=_Entry[_Commission], add=_add_commission)
_PERSON = _landing("people", entry=_Entry[_Person], add=_add_person)

WAREHOUSED: dict[str, Landing] = {
    "deal.opened": _STAGED_DEAL,
    "deal.changed": _DEAL,
    "deal.stage_changed": _STAGED_DEAL,
    "deal.reopened": _STAGED_DEAL,
    "deal.cancelled": _DEAL,
    "deal.assigned": _DEAL,
    "commission.recorded": _landing("commission_events", entry=_Entry[_NewCommission], add=_add_new_commission),
    "commission.changed": _COMMISSION,
    "commission.status_changed": _COMMISSION,
    "commission.adjusted": _landing("adjustments", entry=_Entry[_Adjustment], add=_add_adjustment),
    "dispute.opened": _landing("disputes", "commission_events", entry=_Entry[_OpenedDispute], add=_add_opened_dispute),
    "dispute.resolved": _landing(
        "disputes", "commission_events", entry=_Entry[_ResolvedDispute], add=_add_resolved_dispute
    ),
    "user.recorded": _PERSON,
    "user.changed": _PERSON,
}
# In these families every type is a fact that numbers rest on: one that is not known here must not pass unseen.
FACT_FAMILIES = {name.partition(".")[0] for name in WAREHOUSED}
_HEADER = msgspec.json.Decoder(_Header)


# --- the log -> frames ------------------------------------------------------------------------------------------------

_ENTRIES = text("SELECT n, type, hash, body FROM audit_logs WHERE n >= :from_n AND n < :to_n ORDER BY n")


def read_batches(ledger: Ledger, from_n: int, to_n: int, batch_size: int) -> Iterator[Batch]:
    """Yield the entries `from_n` up to and without `to_n` in batches of at most `batch_size` entries.

    Raises LogBroken at the first entry that is missing, does not give its hash, or cannot be read.
    """
    for start in range(from_n, to_n, batch_size):
        yield _read_batch(ledger, start, min(start + batch_size, to_n))


def read_frames(ledger: Ledger, from_n: int, to_n: int) -> dict[str, pl.DataFrame]:
    """Return the entries `from_n` up to and without `to_n` as one frame per raw table, all in memory."""
    return _read_batch(ledger, from_n, to_n).frames


def _read_batch(ledger: Ledger, from_n: int, to_n: int) -> Batch:
    rows: Rows = {table: [] for table in LOG_TABLES}
    not_warehoused = 0
    expected, last_hash = from_n, b""
    with ledger.read() as session:
        entries = cast(
            Iterable[tuple[int, str, bytes, bytes]], session.execute(_ENTRIES, {"from_n": from_n, "to_n": to_n})
        )
        for n, type_, stored_hash, body in entries:
            if n != expected:
                raise LogBroken(expected, f"missing; the next one found is n={n}")
            last_hash = sha256(LEAF_PREFIX + body).digest() if isinstance(body, bytes) else b""
            if last_hash != stored_hash:  # an edit may leave text where bytes were
                raise LogBroken(n, "its bytes do not give its hash")
            expected += 1
            landing = WAREHOUSED.get(type_)
            try:
                if landing is None:
                    _refuse_unknown(type_)
                    _check_type(type_, _HEADER.decode(body).type)
                    not_warehoused += 1
                else:
                    entry = landing.decode(body)
                    _check_type(type_, entry.type)
                    landing.add(rows, n, entry)
            except (ValueError, msgspec.MsgspecError) as fault:
                raise LogBroken(n, str(fault)) from fault
    if expected != to_n:
        raise LogBroken(expected, "missing")
    frames = {table: _typed_frame(table, table_rows) for table, table_rows in rows.items() if table_rows}
    return Batch(from_n, to_n, last_hash.hex(), not_warehoused, frames)


def _refuse_unknown(type_: str) -> None:
    if type_.partition(".")[0] in FACT_FAMILIES:
        raise ValueError(f"type {type_!r} is not known to this version of dealbook; update it")


def _check_type(stored: str, signed: str) -> None:
    if stored != signed:
        raise ValueError(f"stored as {stored!r}, but its body says {signed!r}")


def _typed_frame(table: str, rows: list[Row]) -> pl.DataFrame:
    """Return rows as a frame of the table's types; raises LogBroken naming the first `n` whose text is not of its type.

    Decimals, dates and times are text in the log; polars parses whole columns many times faster than Python values.
    """
    types = polars_schema(LOG_TABLES[table])
    written = {name: pl.String() if _is_written_as_text(dtype) else dtype for name, dtype in types.items()}
    frame = pl.DataFrame(rows, schema=written, orient="row")
    typed = frame.with_columns(_parse(name, dtype) for name, dtype in types.items() if _is_written_as_text(dtype))
    for name in written:
        if typed[name].null_count() != frame[name].null_count():
            unread = frame.filter(typed[name].is_null() & frame[name].is_not_null()).row(0, named=True)
            raise LogBroken(unread["n"], f"{name} {unread[name]!r} is not of type {types[name]}")
    return typed


def _is_written_as_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Decimal | pl.Datetime) or dtype == pl.Date


def _parse(name: str, dtype: pl.DataType) -> pl.Expr:
    """Parse a text column; what cannot be parsed, or not without rounding, becomes null."""
    column = pl.col(name)
    if isinstance(dtype, pl.Decimal):
        exact = column.str.contains(rf"^-?\d{{1,{dtype.precision - dtype.scale}}}\.\d{{{dtype.scale}}}$")
        return pl.when(exact).then(column).cast(dtype, strict=False)
    if isinstance(dtype, pl.Datetime):
        return column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC", strict=False)
    return column.str.to_date("%Y-%m-%d", strict=False)
