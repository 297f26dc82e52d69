"""Builders of small CRM exports: a mapping, files from a few words, and an import into a ledger."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingestion.crm_files import ImportReport, import_files
from ledger.actors import SYSTEM
from ledger.store import Ledger

MAPPING = """
source = "tiny"
time_zone = "Asia/Singapore"

[numbers]
thousands = ","
confidence = "percent"
rate = "percent"
currencies = { "S$" = "SGD", "US$" = "USD" }

[dates]
formats = ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M"]

[words.stage]
New = "lead_captured"
Offer = "proposal"
Deal = "negotiation"
Won = "closed_won"
Lost = "closed_lost"
Dropped = "cancelled"

[people.columns]
name = "Name"
email = "Mail"

[deals]
optional = ["expected_close", "stage_since", "title"]

[deals.columns]
id = "Id"
agent = "Owner"
company = "Client"
stage = "Stage"
value = "Value"
confidence = "Odds"
opened_on = "Created"
closed_on = "Closed"
expected_close = "Expected"
stage_since = "Since"
title = "Title"

[deals.constants]
currency = "SGD"
asset_type = "office"
deal_type = "lease"

[stage_events.columns]
deal_id = "Id"
stage = "To"
moved_on = "At"

[commissions]
optional = ["disputed_on", "disputed_amount", "resolved_on", "outcome"]

[commissions.columns]
deal_id = "Id"
agent = "Who"
basis = "Basis"
rate = "Rate"
status = "Status"
introduced_on = "Introduced"
confirmed_on = "Confirmed"
invoiced_on = "Invoiced"
paid_on = "Paid"
disputed_on = "Disputed"
disputed_amount = "Contested"
resolved_on = "Resolved"
outcome = "Outcome"

[commissions.constants]
commission_type = "exclusive"
currency = "SGD"
"""

# Of a CRM whose history tells the confidence at each move.
STATED_MAPPING = MAPPING.replace('moved_on = "At"', 'moved_on = "At"\nconfidence = "Odds"')

DEALS = "Id,Owner,Client,Stage,Value,Odds,Created,Closed"
HISTORY = "Id,To,At"
STATED_HISTORY = "Id,To,At,Odds"
COMMISSIONS = "Id,Who,Basis,Rate,Status,Introduced,Confirmed,Invoiced,Paid"


def write_mapping(directory: Path, text: str = MAPPING) -> Path:
    """Write a mapping and return its path."""
    path = directory / "tiny.toml"
    path.write_text(text)
    return path


def write_file(directory: Path, name: str, *lines: str) -> Path:
    """Write a file of these lines and return its path."""
    path = directory / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    """Write a CSV file with whatever quoting it needs, and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def rejects_of(report: ImportReport, number: int = 0) -> list[tuple[str, str, str]]:
    """Line, column and reason of what was rejected of a file."""
    path = report.files[number].rejects_file
    if path is None:
        return []
    with Path(path).open(encoding="utf-8", newline="") as rejects:
        return [(row["line"], row["column"], row["reason"]) for row in csv.DictReader(rejects)]


def import_export(ledger: Ledger, directory: Path, files: Sequence[Path], **options: Any) -> ImportReport:
    """Import through the tiny mapping, or another given as `mapping`."""
    mapping = options.pop("mapping", None) or write_mapping(directory)
    return import_files(ledger, SYSTEM, files, mapping, rejects_dir=directory / "rejects", **options)
