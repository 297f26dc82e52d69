"""The contract of the mapped frames of a CRM import: types, nulls, words, ranges (pandera, on collected frames).

Built from the list of fields (`crm_files/fields.py`), one schema per section. What needs several rows or files (paths
of stages, duplicates, agents) is checked where they come together, in `crm_files/assembling.py`.
"""

from datetime import datetime

import pandera.polars as pa
import polars as pl

from ingestion.crm_files.fields import FIELDS, Field, Kind, Section

MONEY = pl.Decimal(16, 2)
RATE = pl.Decimal(5, 4)
CONFIDENCE = pl.Decimal(4, 2)
MOMENT = pl.Datetime("us", "UTC")

_TYPES: dict[Kind, pl.DataType | type[pl.DataType]] = {
    Kind.TEXT: pl.String,
    Kind.AGENT: pl.String,
    Kind.WORD: pl.String,
    Kind.CURRENCY: pl.String,
    Kind.MOMENT: MOMENT,
    Kind.MONEY: MONEY,
    Kind.RATE: RATE,
    Kind.CONFIDENCE: CONFIDENCE,
}


def type_of(field: Field) -> pl.DataType | type[pl.DataType]:
    """Return the type of a field's column."""
    return _TYPES[field.kind]


def contract_of(section: Section, now: datetime) -> pa.DataFrameSchema:
    """Return the schema of a section's mapped frame; `now` (aware) is the moment after which nothing has happened yet.

    The checks' error texts are the reasons shown for rejected rows.
    """
    return pa.DataFrameSchema(
        {"line": pa.Column(pl.Int64, pa.Check.ge(2), unique=True)}
        | {
            name: pa.Column(type_of(field), _checks(name, field, now), nullable=not field.required)
            for name, field in FIELDS[section].items()
        }
    )


def _checks(name: str, field: Field, now: datetime) -> list[pa.Check]:
    match field.kind:
        case Kind.WORD:
            return [pa.Check.isin(field.words, error=f"is none of our words; add it to [words.{name}] of the mapping")]
        case Kind.CURRENCY:
            return [pa.Check.str_matches("^[A-Z]{3}$", error="is not an ISO 4217 code such as SGD")]
        case Kind.TEXT | Kind.AGENT:
            return [pa.Check.str_length(max_value=field.length, error=f"is longer than {field.length} characters")]
        case Kind.MONEY if not field.signed:
            return [pa.Check.ge(0, error="must not be negative")]
        case Kind.RATE | Kind.CONFIDENCE:
            return [pa.Check.in_range(0, 1, error="must be between 0 and 1 (0 and 100 %)")]
        case Kind.MOMENT if not field.future:
            return [pa.Check.le(now, error="lies in the future")]
    return []
