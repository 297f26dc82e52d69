"""Field types that every schema shares: money as text, times in UTC, nothing that was not asked for."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ledger.columns import format_time

# Patterns go into the description and are enforced, so they say nothing that JavaScript, Python and Rust read
# differently: no \s, \w or \S, no look-ahead.
_BLANK = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
ANY_TEXT = r"^[^\x00]*$"
"""No database keeps a NUL character in a text."""
TEXT = rf"^[^\x00]*[^{_BLANK}][^\x00]*$"
"""A text that says something."""
WEB_ADDRESS = rf"^(https?|s3|gs|sftp|smb|file)://[^{_BLANK}]+$"
"""Addresses become links in pages: those that a browser would run instead of open are not among them."""
MEDIA_TYPE_NAME = r"^[A-Za-z0-9_.+-]+/[A-Za-z0-9_.+-]+$"
IDEMPOTENCY_KEY = r"^[!-~]([ -~]{0,253}[!-~])?$"
WHAT_PATTERNS_ASK = {
    ANY_TEXT: "A text cannot hold a NUL character",
    TEXT: "Write at least one character that can be seen, and no NUL character",
    WEB_ADDRESS: "Write an address such as https://files.example.com/lease.pdf, without blanks",
    MEDIA_TYPE_NAME: "Write a media type such as application/pdf",
    IDEMPOTENCY_KEY: "Send 1 to 255 characters of ASCII that can be seen; blanks may stand between them",
}
"""What an error says instead of the pattern."""


class Request(BaseModel):
    """A body that a client sends: unknown fields are refused, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    """A body that we send; built from rows and dataclasses."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


def _decimal_text(pattern: str) -> BeforeValidator:
    """Take a decimal as text of this form alone, and describe it so; rows bring their Decimals."""

    def check(value: Any) -> Any:
        if isinstance(value, Decimal) or (isinstance(value, str) and re.fullmatch(pattern, value)):
            return value
        raise ValueError('write it as text, for example "0.25": a JSON number may lose cents')

    return BeforeValidator(check, json_schema_input_type=Annotated[str, Field(pattern=pattern)])


def _refuse_unless_written(pattern: str, example: str) -> BeforeValidator:
    """Refuse what would be read as seconds since 1970, a number in JSON or in an address alike."""

    def check(value: Any) -> Any:
        if isinstance(value, date) or (isinstance(value, str) and re.match(pattern, value)):
            return value
        raise ValueError(f"write it as {example}")

    return BeforeValidator(check)


def _scaled(digits: int) -> PlainSerializer:
    return PlainSerializer(lambda value: f"{value:.{digits}f}", return_type=str)


Money = Annotated[
    Decimal,
    _decimal_text(r"^-?[0-9]{1,14}(\.[0-9]{1,2})?$"),
    Field(max_digits=16, decimal_places=2, allow_inf_nan=False, examples=["1250000.00"]),
    _scaled(2),
]
MoneySum = Annotated[Decimal, Field(examples=["10005534.00"]), _scaled(2)]
Rate = Annotated[
    Decimal,
    _decimal_text(r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$"),
    Field(ge=0, le=1, max_digits=5, decimal_places=4, examples=["0.0250"]),
    _scaled(4),
]
Confidence = Annotated[
    Decimal,
    _decimal_text(r"^(0(\.[0-9]{1,2})?|1(\.0{1,2})?)$"),
    Field(ge=0, le=1, max_digits=4, decimal_places=2, examples=["0.60"]),
    _scaled(2),
]
Figure = Annotated[Decimal, Field(examples=["0.450000"]), _scaled(6)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["SGD"])]
Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    Field(examples=["2026-08-23T10:11:12.123456Z"]),
]


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("In UTC it lies beyond the years 1 to 9999.") from None


Day = Annotated[
    date, _refuse_unless_written(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", "2026-08-23"), Field(examples=["2026-08-23"])
]
TimeGiven = Annotated[
    AwareDatetime,
    _refuse_unless_written(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]", "2026-08-23T10:11:12Z, with its offset from UTC"),
    AfterValidator(_in_utc),
    Field(
        examples=["2026-08-23T10:11:12Z"], description="With its offset from UTC; in UTC within the years 1 to 9999."
    ),
]
Identifier = Annotated[
    str, Field(min_length=1, max_length=64, pattern=TEXT, examples=["0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e"])
]
Note = Annotated[str, Field(min_length=1, max_length=4000, pattern=TEXT)]
