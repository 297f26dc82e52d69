"""Field types that every schema shares: money as text, times in UTC, nothing that was not asked for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


class Request(BaseModel):
    """A body that a client sends: unknown fields are refused, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Answer(BaseModel):
    """A body that we send; built from rows and dataclasses."""

    model_config = ConfigDict(from_attributes=True, extra="forbid")


def _refuse_numbers(value: Any) -> Any:
    if isinstance(value, str | Decimal):
        return value
    raise ValueError('write it as text, for example "12000.00": a JSON number may lose cents')


def _write_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _scaled(digits: int) -> PlainSerializer:
    return PlainSerializer(lambda value: f"{value:.{digits}f}", return_type=str)


Money = Annotated[
    Decimal,
    BeforeValidator(_refuse_numbers, json_schema_input_type=str),
    Field(max_digits=16, decimal_places=2, allow_inf_nan=False, examples=["1250000.00"]),
    _scaled(2),
]
MoneySum = Annotated[Decimal, Field(examples=["10005534.00"]), _scaled(2)]
Rate = Annotated[Decimal, Field(ge=0, le=1, max_digits=5, decimal_places=4, examples=["0.0250"]), _scaled(4)]
Confidence = Annotated[Decimal, Field(ge=0, le=1, max_digits=4, decimal_places=2, examples=["0.60"]), _scaled(2)]
Figure = Annotated[Decimal, Field(examples=["0.450000"]), _scaled(6)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["SGD"])]
Time = Annotated[
    datetime,
    PlainSerializer(_write_time, return_type=str),
    Field(examples=["2026-08-23T10:11:12.123456Z"]),
]
TimeGiven = Annotated[
    AwareDatetime,
    AfterValidator(lambda value: value.astimezone(UTC)),
    Field(examples=["2026-08-23T10:11:12Z"], description="With its offset from UTC."),
]
Identifier = Annotated[str, Field(min_length=1, max_length=64, examples=["0198c6a2-6f1e-7c7a-9d5e-2f3a4b5c6d7e"])]
Note = Annotated[str, Field(min_length=1, max_length=4000)]
