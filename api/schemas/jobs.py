"""Runs of the refresh as clients see them."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.fields import Answer, Time


class Job(Answer):
    """A run of the refresh that has ended. Numbers are published only by runs whose every check passed."""

    run_id: str | None
    name: str = Field(examples=["refresh"])
    started_by: str | None = Field(examples=["nightly schedule"], description="Who asked; null before it was noted.")
    ended_at: Time
    outcome: str = Field(examples=["published"], description="published, nothing_new, failed or incomplete.")
    duration_seconds: float | None
    entries_read: int | None = Field(description="Entries of the log that it landed.")
    rows: int | None = Field(description="Rows of all marts that it published.")
    log_size: int | None
    as_of_date: date | None
    publication: str | None
    failed_checks: list[str]


class JobPage(Answer):
    """Runs, the last first."""

    items: list[Job]
    next_cursor: str | None


class JobLine(BaseModel):
    """A line of the file as the refresh writes it; fields that other versions write besides are ignored."""

    model_config = ConfigDict(extra="ignore")

    timestamp: datetime
    outcome: str
    run_id: str | None = None
    started_by: str | None = None
    duration_seconds: float | None = None
    entries_landed: int | None = None
    rows_published: int | None = None
    log_size: int | None = None
    as_of_date: date | None = None
    publication: str | None = None
    failed_checks: Annotated[list[str], Field(default_factory=list)]
