"""Takes rows of text for figures: types them, holds them against their contract, and settles their keys.

What cannot be taken becomes a `Reject` that says line, column, the value as the file has it, and why.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any, NoReturn

import pandera.polars as pa
import polars as pl

from ingestion.contracts import (
    MONTH,
    QUARTER,
    AgentCosts,
    DealCommissions,
    FxRates,
    PerformanceBenchmarks,
    RawTable,
    RoiMetrics,
    Targets,
    polars_schema,
)
from ingestion.reference_sources import SourceFile, SourceRow

# Words that mean one of ours and nothing less: a part of it (condo) or a neighbour (logistics) would be a wrong figure.
ASSET_TYPE_SYNONYMS = {"all": None, "hotel": "hospitality", "all_residential": "residential", "mixed": "mixed_use"}
DEAL_TYPE_SYNONYMS = {"all": None, "buy": "buy_side", "sell": "sell_side", "leasing": "lease"}
COLUMN_SYNONYMS = {
    "value_numeric": "metric_value",
    "value": "metric_value",
    "url": "source_url",
    "agent": "agent_email",
    "email": "agent_email",
    "cost": "cost_amount",
    "spend": "cost_amount",
}
PERIODS = {
    "quarter": (QUARTER, "is no quarter of the form YYYY-Qn"),
    "month": (MONTH, "is no month of the form YYYY-MM"),
}

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of reference file: its raw table, the columns that tell it, its key, and the column with the figure.

    `period` is the column whose first day is the effective date of a figure that states none.
    """

    table: str
    model: type[RawTable]
    told_by: frozenset[str]
    key: tuple[str, ...]
    value: str
    period: str | None = None


KINDS = (
    Kind(
        "performance_benchmarks",
        PerformanceBenchmarks,
        frozenset({"metric_key", "metric_value", "cohort"}),
        ("metric_key", "asset_type", "deal_type", "cohort", "region", "effective_date"),
        "metric_value",
    ),
    Kind(
        "fx_rates",
        FxRates,
        frozenset({"from_currency", "to_currency", "rate"}),
        ("from_currency", "to_currency", "effective_date"),
        "rate",
    ),
    Kind(
        "targets",
        Targets,
        frozenset({"quarter", "amount", "currency"}),
        ("agent_email", "quarter", "currency", "effective_date"),
        "amount",
        "quarter",
    ),
    Kind(
        "agent_costs",
        AgentCosts,
        frozenset({"agent_email", "month", "amount", "currency"}),
        ("agent_email", "month", "lead_source", "currency", "effective_date"),
        "amount",
        "month",
    ),
    Kind(
        "roi_metrics",
        RoiMetrics,
        frozenset({"lead_source", "month", "cost_amount", "currency"}),
        ("agent_email", "month", "lead_source", "currency", "effective_date"),
        "cost_amount",
        "month",
    ),
    Kind(
        "deal_commissions",
        DealCommissions,
        frozenset({"deal", "item", "amount", "currency"}),
        ("deal", "item", "effective_date"),
        "amount",
    ),
)


@dataclass(frozen=True)
class Reject:
    """A fault of a row; a row with several has several. `column` is None where the whole row is at fault."""

    line: int
    column: str | None
    value: str | None
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f", {self.column}" if self.column else "")
        return f"{where}: {self.value!r} {self.reason}" if self.value else f"{where}: {self.reason}"


def read_rows(kind: Kind, source: SourceFile, loaded_at: datetime) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Return typed rows, without those that cannot be typed, and why not."""
    rows, rejects = [], []
    for source_row in source.rows:
        row, faults = _read_row(kind, source_row)
        rejects += faults
        if not faults:
            provenance = {
                "reference_id": str(source_row.line),  # until the key is settled
                "file_name": source.name,
                "file_sha256": source.sha256,
                "line": source_row.line,
                "loaded_at": loaded_at,
            }
            rows.append({**row, **provenance, **({"valid": True} if kind.model is PerformanceBenchmarks else {})})
    return rows, rejects


def _read_row(kind: Kind, source_row: SourceRow) -> tuple[dict[str, Any], list[Reject]]:
    if source_row.fault:
        return {}, [Reject(source_row.line, None, None, source_row.fault)]
    row: dict[str, Any] = {}
    faults = []
    given = _by_our_names(source_row.values)
    for name, column in kind.model.to_schema().columns.items():
        text = given.get(name)
        if text is None:
            row[name] = None
            if name in (kind.value, kind.period or "effective_date"):
                faults.append(Reject(source_row.line, name, None, "is missing; a figure needs it to be compared"))
            continue
        try:
            row[name] = _typed(name, text, column.dtype.type)
        except ValueError as fault:
            faults.append(Reject(source_row.line, name, text, str(fault)))
    if kind.period and row.get("effective_date") is None and row.get(kind.period):
        row["effective_date"] = _first_day(row[kind.period])
    return row, faults


def _by_our_names(values: dict[str, str | None]) -> dict[str, str | None]:
    return {COLUMN_SYNONYMS.get(column, column): value for column, value in values.items()}


def _typed(name: str, text: str, dtype: pl.DataType) -> Any:
    if isinstance(dtype, pl.Decimal):
        return _exact_decimal(text, dtype)
    if dtype == pl.Date:
        return _iso_date(text)
    if name in ("asset_type", "deal_type", "cohort", "metric_key", "item"):
        word = text.lower().replace(" ", "_").replace("-", "_")
        synonyms = {"asset_type": ASSET_TYPE_SYNONYMS, "deal_type": DEAL_TYPE_SYNONYMS}.get(name, {})
        return synonyms.get(word, word)
    if name in PERIODS:
        return _period(text, *PERIODS[name])
    if name == "agent_email":
        return None if text.lower() == "all" else text.lower()
    return text.upper() if name.endswith("currency") else text


def _period(text: str, form: str, otherwise: str) -> str:
    period = text.upper()
    if not re.match(form, period):
        _refuse(otherwise)
    return period


def _first_day(period: str) -> date:
    """Return the first day of YYYY-MM or of YYYY-Qn."""
    year, part = period.split("-")
    return date(int(year), 3 * int(part[1]) - 2 if part.startswith("Q") else int(part), 1)


def _iso_date(text: str) -> date:
    if len(text) != len("YYYY-MM-DD"):  # Python reads more forms than this one
        _refuse("is no date of the form YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError:
        _refuse("is no date of the form YYYY-MM-DD")


def _exact_decimal(text: str, dtype: pl.Decimal) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        _refuse("is no number")
    scale = dtype.scale
    if number != round(number, scale):
        _refuse(f"has more than {scale} decimal places")
    if abs(number) >= 10 ** (dtype.precision - scale):
        _refuse("is too large")
    return round(number, scale)


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)


def check_contract(
    kind: Kind, rows: list[dict[str, Any]], source: SourceFile
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Hold the rows against the table's contract; return those that keep it, and what the others break."""
    try:
        kind.model.validate(figures_frame(kind, rows), lazy=True)
    except pa.errors.SchemaErrors as fault:
        written = {row.line: _by_our_names(row.values) for row in source.rows}
        rejects = []
        for failure in fault.failure_cases.iter_rows(named=True):
            row = rows[failure["index"]]
            column = failure["column"] if failure["column"] in row else None
            value = written[row["line"]].get(column) if column else None
            rejects.append(Reject(row["line"], column, value, _sentence(failure["check"], column, kind)))
        broken = {reject.line for reject in rejects}
        return [row for row in rows if row["line"] not in broken], list(dict.fromkeys(rejects))
    return rows, []


def _sentence(check: str, column: str | None, kind: Kind) -> str:
    if check == "not_nullable":
        return "is missing"
    if check.startswith("isin("):
        words = ", ".join(check.removeprefix("isin([").removesuffix("])").replace("'", "").split(", "))
        return f"is not one of: {words}" + (
            "; leave it empty to mean all" if column in ("asset_type", "deal_type") else ""
        )
    if check.startswith("greater_than_or_equal_to("):
        return f"is less than {check.removeprefix('greater_than_or_equal_to(').removesuffix(')')}"
    if check.startswith("greater_than("):
        return f"is not greater than {check.removeprefix('greater_than(').removesuffix(')')}"
    if check.startswith("str_matches("):
        return f"is not of the form {check.removeprefix('str_matches(').removesuffix(')')}"
    return f"breaks the rule of {kind.table}: {check}"


def settle_keys(
    kind: Kind, rows: list[dict[str, Any]], loaded: dict[Key, tuple[Any, str, int]]
) -> tuple[list[dict[str, Any]], int, list[Reject]]:
    """Return the rows to add, how many repeat a figure that is there already, and the contradictions."""
    by_key: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        by_key.setdefault(tuple(row[name] for name in kind.key), []).append(row)
    accepted, repeated, conflicts = [], 0, []
    for key, group in by_key.items():
        values = {row[kind.value] for row in group}
        described = ", ".join(str(part) for part in key if part is not None)
        if key in loaded:
            value, file_name, line = loaded[key]
            for row in group:
                if row[kind.value] == value:
                    repeated += 1
                    continue
                reason = (
                    f"contradicts {value} from {file_name} line {line} for {described}; a figure is not replaced, give "
                    "the new one a later effective_date"
                )
                conflicts.append(Reject(row["line"], kind.value, str(row[kind.value]), reason))
        elif len(values) > 1:
            for row in group:
                others = ", ".join(
                    f"{other[kind.value]} on line {other['line']}" for other in group if other is not row
                )
                reason = f"contradicts {others} for {described}; neither is taken, keep one"
                conflicts.append(Reject(row["line"], kind.value, str(row[kind.value]), reason))
        else:
            parts = [kind.table, *("" if part is None else str(part) for part in key)]
            accepted.append({**group[0], "reference_id": sha256("\x1f".join(parts).encode()).hexdigest()[:32]})
            repeated += len(group) - 1
    return accepted, repeated, conflicts


def figures_frame(kind: Kind, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return rows as a frame of the table's types."""
    return pl.DataFrame(rows, schema=polars_schema(kind.model), orient="row")
