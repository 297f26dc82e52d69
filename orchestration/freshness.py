"""Whether there is anything to refresh. Answers without importing Dagster or dbt, whose imports take seconds.

A publication is a pure function of the log's size, the day, the definitions, the settings and the reference files; its
manifest names them all.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING

from ingestion.log_position import has_facts_since, log_size
from ingestion.publishing import current_publication
from ingestion.reference_files import reference_digest
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.definition_version import definition_version

if TYPE_CHECKING:
    from ingestion.publishing import Publication


@dataclass(frozen=True)
class Inputs:
    """Everything that a publication depends on."""

    log_size: int
    as_of_date: str
    definition_version: str
    business_timezone: str
    reporting_currency: str
    references: str


@dataclass(frozen=True)
class News:
    """What a refresh would read, and the reasons (sentences) why it should; none means that nothing is new."""

    inputs: Inputs
    reasons: tuple[str, ...]
    publication: "Publication | None"


_REASONS = {
    "log_size": "the log has grown",
    "as_of_date": "another day is asked about",
    "definition_version": "the dbt project changed",
    "business_timezone": "the business time zone changed",
    "reporting_currency": "the reporting currency changed",
    "references": "reference files were loaded",
}


def find_news(settings: Settings, as_of_date: date) -> News:
    """Compare the current publication with what would be published now. Writes nothing."""
    publication = current_publication(settings.published_dir)
    ledger = Ledger.open(settings=settings)
    try:
        size = log_size(ledger)
        is_only_longer = publication is not None and not has_facts_since(ledger, publication.log_size)
    finally:
        ledger.close()
    inputs = Inputs(
        log_size=size,
        as_of_date=as_of_date.isoformat(),
        definition_version=definition_version(settings.dbt_project_dir),
        business_timezone=settings.business_timezone,
        reporting_currency=settings.reporting_currency,
        references=reference_digest(settings.warehouse_path),
    )
    publication = current_publication(settings.published_dir)
    if publication is None:
        return News(inputs, ("nothing is published yet",), None)
    published = {
        "log_size": publication.log_size,
        "as_of_date": str(publication.as_of_date),
        "definition_version": publication.definition_version,
        "business_timezone": publication.business_timezone,
        "reporting_currency": publication.reporting_currency,
        "references": publication.reference_digest,
    }
    wanted = asdict(inputs)
    if is_only_longer and size > publication.log_size:
        # Log-ins, tokens and heads lengthen the log and change no number.
        wanted["log_size"] = publication.log_size
    reasons = tuple(reason for name, reason in _REASONS.items() if published[name] != wanted[name])
    if not publication.is_newest:
        reasons = (*reasons, "readers were rolled back to an older publication")
    return News(inputs, reasons, publication)
