"""A cell becomes exactly what it says, or is refused with a reason; nothing is guessed."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion.crm_files.cleaning import CleanBatch, clean
from ingestion.crm_files.fields import Section
from ingestion.crm_files.mapping import load_mapping
from tests.support.crm_export import MAPPING, write_mapping

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"Id": "1", "Owner": "A", "Stage": "New", "Created": "2025-01-01"}


def clean_deals(tmp_path: Path, *rows: dict[str, str], mapping: str = MAPPING) -> CleanBatch:
    names = list(dict.fromkeys(name for row in rows for name in {**GOOD, **row}))
    columns: dict[str, Any] = {"line": list(range(2, len(rows) + 2))}
    columns |= {f"c:{name}": [{**GOOD, **row}.get(name) for row in rows] for name in names}
    frame = pl.DataFrame(columns, schema_overrides={f"c:{name}": pl.String for name in names})
    return clean(frame, Section.DEALS, load_mapping(write_mapping(tmp_path, mapping)), NOW)


def one(tmp_path: Path, field: str, mapping: str = MAPPING, **cells: str) -> Any:
    """The value that a cell becomes, or the reason why it becomes none."""
    result = clean_deals(tmp_path, cells, mapping=mapping)
    return result.rejects["reason"][0] if result.rejects.height else result.rows[field][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1234.5", "1234.50"),
        ("1,234,567.89", "1234567.89"),
        ("S$ 1,234", "1234"),
        ("SGD 12", "12"),
        ("12 S$", "12"),
        ("99999999999999.99", "99999999999999.99"),
        ("0012", "12"),
        ("5.5000", "5.5"),
        ("+7", "7"),
        ("0", "0"),
    ],
)
def test_money_is_read_exactly(tmp_path: Path, text: str, value: str) -> None:
    """Signs, thousands and trailing zeros go; not a cent does."""
    assert one(tmp_path, "value", Value=text) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-5", "must not be negative"),
        ("(1,000)", "must not be negative"),
        ("- 5", "must not be negative"),
        ("1,23", "is not a number"),
        ("12,34,567", "is not a number"),
        ("1.234.567", "is not a number"),
        ("1e308", "is not a number"),
        ("NaN", "is not a number"),
        ("inf", "is not a number"),
        ("12 apples", "is not a number"),
        ("€5", "is not a number"),
        ("100000000000000", "more than 14 digits"),
        ("1.005", "more than two decimals"),
        ("US$5", ""),
    ],
)
def test_money_that_is_none_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """Floats in disguise, impossible groupings, negatives and amounts that the ledger cannot hold."""
    found = one(tmp_path, "value", Value=text)
    assert (reason in found) if reason else found == Decimal(5)


def test_a_comma_can_be_the_decimal_sign(tmp_path: Path) -> None:
    """What European exports write."""
    mapping = MAPPING.replace('thousands = ","', 'thousands = "."\ndecimal = ","')
    assert one(tmp_path, "value", mapping, Value="1.234,50") == Decimal("1234.50")
    assert "is not a number" in one(tmp_path, "value", mapping, Value="1,234.50")


def test_the_sign_says_the_currency_and_may_not_contradict_the_column(tmp_path: Path) -> None:
    """US$ in a row that says SGD is a mistake somewhere, and not ours to settle."""
    assert one(tmp_path, "currency", Value="US$ 5") == "USD"
    assert one(tmp_path, "currency", Value="5") == "SGD"
    mapping = MAPPING.replace('id = "Id"', 'id = "Id"\ncurrency = "Cur"', 1)
    assert one(tmp_path, "currency", mapping, Value="5", Cur="usd") == "USD"
    assert "another currency" in one(tmp_path, "currency", mapping, Value="US$5", Cur="SGD")
    assert "is not an ISO 4217 code" in one(tmp_path, "currency", mapping, Value="5", Cur="dollars")


@pytest.mark.parametrize(
    ("text", "value"), [("60", "0.60"), ("60%", "0.60"), ("12.5 %", None), ("0.5", None), ("100", "1"), ("0", "0")]
)
def test_confidence_is_a_share_of_one(tmp_path: Path, text: str, value: str | None) -> None:
    """The mapping says percent here: 60 is 0.60, and what two decimals cannot hold is refused."""
    found = one(tmp_path, "confidence", Odds=text)
    assert found == Decimal(value) if value else "is finer than" in found


def test_a_percentage_is_not_taken_for_a_share(tmp_path: Path) -> None:
    """Where the mapping says share, 60 is out of range, never 60 times too much."""
    mapping = MAPPING.replace('confidence = "percent"', 'confidence = "share"')
    assert one(tmp_path, "confidence", mapping, Odds="0.6") == Decimal("0.60")
    assert one(tmp_path, "confidence", mapping, Odds="60%") == Decimal("0.60")
    assert "is out of range" in one(tmp_path, "confidence", mapping, Odds="60")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-04", datetime(2025, 3, 3, 16, tzinfo=UTC)),
        ("04/03/2025", datetime(2025, 3, 3, 16, tzinfo=UTC)),
        ("4/3/2025", datetime(2025, 3, 3, 16, tzinfo=UTC)),
        ("2025-03-04 09:30", datetime(2025, 3, 4, 1, 30, tzinfo=UTC)),
        ("2025-03-04T09:30:00+02:00", datetime(2025, 3, 4, 7, 30, tzinfo=UTC)),
        ("2025-03-04T09:30:00Z", datetime(2025, 3, 4, 9, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_a_moment_in_the_files_time_zone(tmp_path: Path, text: str, moment: datetime) -> None:
    """Without an offset it is local time; ISO 8601 is understood whatever the mapping lists."""
    assert one(tmp_path, "opened_on", Created=text) == moment


@pytest.mark.parametrize("text", ["31/02/2025", "03/25/2025", "soon", "01/01/25", "0001-01-01", "45000"])
def test_a_date_in_no_format_is_refused(tmp_path: Path, text: str) -> None:
    """With the formats that were tried."""
    assert "is not a date in any of the mapping's formats (%Y-%m-%d" in one(tmp_path, "opened_on", Created=text)


def test_a_time_that_the_clock_skipped_is_refused(tmp_path: Path) -> None:
    """02:30 on the night in which summer time began in Berlin was no time at all."""
    mapping = MAPPING.replace("Asia/Singapore", "Europe/Berlin")
    assert "is not a date" in one(tmp_path, "opened_on", mapping, Created="2025-03-30 02:30")


def test_the_future_has_not_happened(tmp_path: Path) -> None:
    """A deal cannot have been opened tomorrow; it can be expected to close then."""
    assert one(tmp_path, "opened_on", Created="2026-01-02") == "lies in the future"
    assert one(tmp_path, "expected_close", Expected="2026-03-01") == datetime(2026, 2, 28, 16, tzinfo=UTC)


def test_ambiguous_dates_are_counted(tmp_path: Path) -> None:
    """04/03 could be either in this mapping, 25/03 could not."""
    mapping = MAPPING.replace('"%d/%m/%Y"', '"%d/%m/%Y", "%m/%d/%Y"')
    result = clean_deals(tmp_path, {"Created": "04/03/2025"}, {"Created": "25/03/2025"}, mapping=mapping)
    assert result.ambiguous_dates == 1


def test_words_are_compared_without_case_and_spacing(tmp_path: Path) -> None:
    """The source's words, and always our own."""
    for text in ("Offer", "OFFER", " offer ", "proposal", "Proposal"):
        assert one(tmp_path, "stage", Stage=text) == "proposal"
    assert "none of our words" in one(tmp_path, "stage", Stage="Pencilled")


def test_a_row_is_rejected_once_with_all_its_faults(tmp_path: Path) -> None:
    """The first faulty column, its value and reason; the others in the reason."""
    result = clean_deals(tmp_path, {"Stage": "Pencilled", "Value": "NaN", "Created": "soon"}, {}, {"Owner": ""})
    assert result.rows["line"].to_list() == [3]
    first, second = result.rejects.rows(named=True)
    assert (first["line"], first["column"], first["value"]) == (2, "Stage", "Pencilled")
    assert "; also 'Value' ('NaN') is not a number" in first["reason"]
    assert "; also 'Created' ('soon') is not a date" in first["reason"]
    assert (second["line"], second["column"], second["reason"]) == (4, "Owner", "is empty but required")
    assert result.rejected_deals == [("1", 2), ("1", 4)]
