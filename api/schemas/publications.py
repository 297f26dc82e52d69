"""Publications as clients see them."""

from datetime import date
from typing import Annotated

from pydantic import ConfigDict, Field

from api.schemas.fields import ANY_TEXT, Answer, Currency, Request, Time


class MartAnswer(Answer):
    """One mart of the published file and the digest of its rows."""

    mart: str
    row_count: int
    digest: str


class PublicationAnswer(Answer):
    """The manifest of the published file."""

    generation: int
    file_name: str
    log_size: int
    log_last_hash: str | None
    as_of_date: date
    definition_version: str
    business_timezone: str
    reporting_currency: Currency
    dbt_invocation_id: str | None
    dbt_version: str | None
    published_at: Time
    checkpoint: str | None
    stale: bool
    marts: list[MartAnswer]


class KeptPublication(Answer):
    """A publication that is kept, in short."""

    file_name: str
    generation: int
    log_size: int
    as_of_date: date
    definition_version: str
    published_at: Time
    rows: Annotated[int, Field(description="Of all marts.")]
    is_current: Annotated[bool, Field(description="Whether readers see this one.")]


class PublicationList(Answer):
    """All that are kept, the newest first."""

    items: list[KeptPublication]


class Rollback(Request):
    """The publication to show again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"file_name": "marts-000000041233-1a2b3c.duckdb"}]})

    file_name: Annotated[str, Field(min_length=1, max_length=200, pattern=ANY_TEXT)]
