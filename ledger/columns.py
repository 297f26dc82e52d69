"""Column types that keep values exact on every database: Money, Rate, Confidence, UtcDateTime, JsonText, words.

SQLite would keep decimals as floats and drop time zones; here decimals are scaled integers and times are fixed-width
text, both of which sort as they should.
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, Enum, Numeric, String, Text, TypeDecorator
from sqlalchemy.types import DateTime, TypeEngine

from ledger.errors import AmountInvalid, TimeNaive

_json = msgspec.json.Encoder(order="deterministic")


def exact_decimal(value: object, *, precision: int, scale: int, column: str) -> Decimal:
    """Return `value` (Decimal, int or decimal text) at `scale` digits, never rounded, or raise `AmountInvalid`."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise AmountInvalid(f"{column} must be an exact decimal, not {type(value).__name__}.", column)
    try:
        number = Decimal(value)
        scaled = number.scaleb(scale)
        whole = int(scaled)
    except (ArithmeticError, ValueError):
        raise AmountInvalid(f"{column} is not a number: {str(value)[:40]!r}.", column) from None
    if scaled != whole:
        raise AmountInvalid(f"{column} has more than {scale} decimal places: {value}.", column)
    if abs(whole) >= 10**precision:
        raise AmountInvalid(f"{column} is out of range: at most {precision - scale} digits before the point.", column)
    return Decimal(whole).scaleb(-scale)


class _ScaledDecimal(TypeDecorator[Decimal]):
    """A fixed-point number: NUMERIC where the database is exact, a scaled integer on SQLite."""

    impl = BigInteger
    cache_ok = True
    precision: int
    scale: int
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(Numeric(self.precision, self.scale))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise AmountInvalid(f"A {type(self).__name__} must be a Decimal, not {type(value).__name__}.")
        number = exact_decimal(value, precision=self.precision, scale=self.scale, column=type(self).__name__)
        if (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum):
            raise AmountInvalid(f"A {type(self).__name__} must lie in {self.minimum}..{self.maximum}.")
        return int(number.scaleb(self.scale)) if dialect.name == "sqlite" else number

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002 - signature
        if value is None or isinstance(value, Decimal):
            return value
        return Decimal(value).scaleb(-self.scale)


class Money(_ScaledDecimal):
    """Money: 16 digits, 2 of them after the point, in the currency of the column beside it."""

    cache_ok = True
    precision, scale = 16, 2


class Rate(_ScaledDecimal):
    """A share such as a commission rate: 5 digits, 4 of them after the point."""

    cache_ok = True
    precision, scale = 5, 4


class Confidence(_ScaledDecimal):
    """A probability from 0 to 1 with two digits after the point."""

    cache_ok = True
    precision, scale = 4, 2
    minimum, maximum = Decimal(0), Decimal(1)


@lru_cache(maxsize=8192)
def format_time(value: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC with six digits and `Z`; a naive one raises `TimeNaive`.

    Cached because the same instant is written many times over: to the entry, its columns and each row it changes.
    """
    if value.tzinfo is not UTC:
        if value.tzinfo is None or value.utcoffset() is None:
            raise TimeNaive(f"{value.isoformat()} has no time zone; say which one it is in.")
        value = value.astimezone(UTC)
    return value.isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """Read what `format_time` wrote."""
    return datetime.fromisoformat(text[:26] + "Z")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: timestamptz, or on SQLite text like `2026-08-23T10:11:12.123456Z`. Always aware, always UTC."""

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return _write_text(value) if dialect.name == "sqlite" else _write_aware(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - signature
        return _read_time(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return what writes a value, with no step between."""
        return _write_text if dialect.name == "sqlite" else _write_aware

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002 - signature
        """Return what reads a value, with no step between: times are read more often than anything else."""
        return _read_time


def _write_text(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _write_aware(value: datetime | None) -> datetime | None:
    if value is not None:
        format_time(value)  # a naive time raises
    return value


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    return parse_time(value) if isinstance(value, str) else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """A JSON document kept as its canonical text, so that equal documents are equal bytes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - signature
        return None if value is None else encode_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - signature
        return None if value is None else msgspec.json.decode(value)


def encode_json(value: object) -> str:
    """Return the canonical text of a JSON document: sorted keys, no blanks."""
    return _json.encode(value).decode()


def word(vocabulary: type[StrEnum], check: str | None = None) -> Enum:
    """Return the column type of a vocabulary: text, checked by the database.

    `check` names the check where a table has two columns of a vocabulary.
    """
    return Enum(
        vocabulary,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=True,
        length=24,
        name=check or vocabulary.__name__.lower(),
    )
