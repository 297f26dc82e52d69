"""What every rule asks of a single value: exact amounts, known words, texts, times, currencies. All pure."""

import re
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, TypeVar

from ledger.columns import exact_decimal
from ledger.errors import (
    AmountInvalid,
    EffectiveInFuture,
    EffectiveTooEarly,
    NoteRequired,
    TextInvalid,
    TimeNaive,
    WordUnknown,
)

Word = TypeVar("Word", bound=StrEnum)

CENT = Decimal("0.01")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


def check_money(value: object, column: str, *, is_signed: bool = False) -> Decimal:
    """Return an exact amount at two digits; negative only where `is_signed`."""
    amount = exact_decimal(value, precision=16, scale=2, column=column)
    if amount < 0 and not is_signed:
        raise AmountInvalid(f"{column} cannot be negative.", column)
    return amount


def check_rate(value: object, column: str) -> Decimal:
    """Return a share from 0 to 1 at four digits."""
    rate = exact_decimal(value, precision=5, scale=4, column=column)
    if not 0 <= rate <= 1:
        raise AmountInvalid(f"{column} is a share from 0 to 1 (2.5 % is 0.025), not {rate}.", column)
    return rate


def check_confidence(value: object, column: str = "confidence") -> Decimal:
    """Return a probability from 0 to 1 at two digits."""
    confidence = exact_decimal(value, precision=4, scale=2, column=column)
    if not 0 <= confidence <= 1:
        raise AmountInvalid(f"{column} is a probability from 0 to 1 (60 % is 0.6), not {confidence}.", column)
    return confidence


def check_currency(value: object, column: str) -> str:
    """Return an ISO 4217 code."""
    if not isinstance(value, str) or not _CURRENCY.match(value):
        raise WordUnknown(f"{column} must be an ISO 4217 code such as SGD, not {str(value)[:20]!r}.", column)
    return value


def check_word(value: Any, vocabulary: type[Word], column: str) -> Word:
    """Return the word of `vocabulary` that `value` names."""
    try:
        return vocabulary(value)
    except ValueError:
        words = ", ".join(vocabulary)
        raise WordUnknown(f"{column} must be one of {words}, not {str(value)[:40]!r}.", column) from None


def check_text(value: object, column: str, *, limit: int = 20_000) -> str:
    """Return a text that says something: stripped, not empty, at most `limit` characters, valid Unicode."""
    if not isinstance(value, str):
        raise TextInvalid(f"{column} must be text.", column)
    stripped = value.strip()
    if not stripped:
        raise TextInvalid(f"{column} is empty.", column)
    if len(stripped) > limit:
        raise TextInvalid(f"{column} is longer than {limit} characters.", column)
    if not stripped.isascii() and any("\ud800" <= character <= "\udfff" for character in stripped):
        raise TextInvalid(f"{column} holds a lone surrogate; it is not valid Unicode.", column)
    if "\x00" in stripped:
        raise TextInvalid(f"{column} holds a NUL character, which no database keeps in a text.", column)
    return stripped


def check_optional_text(value: object, column: str, *, limit: int = 20_000) -> str | None:
    """Like `check_text`, but nothing or blanks become None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return check_text(value, column, limit=limit)


def check_note(value: object, column: str, purpose: str) -> str:
    """Return a note that is required for `purpose`; raise `NoteRequired` without one."""
    note = check_optional_text(value, column)
    if note is None:
        raise NoteRequired(f"{purpose} needs a {column}.", column)
    return note


def check_effective(
    value: datetime | None, now: datetime, *, not_before: datetime | None = None, column: str = "effective_at"
) -> datetime:
    """Return when a business event happened, in UTC: now unless given, not in the future, not before `not_before`."""
    if value is None:
        return now
    if value.tzinfo is not UTC:
        if value.tzinfo is None or value.utcoffset() is None:
            raise TimeNaive(f"{column} {value.isoformat()} has no time zone; say which one it is in.", column)
        value = value.astimezone(UTC)
    if value > now:
        raise EffectiveInFuture(f"{column} {value.isoformat()} lies in the future.", column)
    if not_before is not None and value < not_before:
        raise EffectiveTooEarly(f"{column} {value.isoformat()} is before {not_before.isoformat()}.", column)
    return value


def compute_commission(basis: Decimal, rate: Decimal) -> Decimal:
    """Return basis x rate, rounded half up to cents."""
    return (basis * rate).quantize(CENT, ROUND_HALF_UP)
