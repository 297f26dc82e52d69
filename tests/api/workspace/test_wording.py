"""What pages write: figures that cannot be misread, and nothing that looks like a number where there is none."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from api.workspace import wording
from ledger.vocabulary import PipelineStage

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_missing_figures_are_dashes() -> None:
    """An absent figure is not a zero."""
    written = {wording.amount(None), wording.rate(None), wording.days(None), wording.say(None)}
    assert written == {wording.NOTHING}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.00", "0"),
        ("1234567.50", "1,234,568"),
        ("-1250.49", "-1,250"),
        ("99999999999999999999.00", "99,999,999,999,999,999,999"),
    ],
)
def test_amounts_are_whole_units_and_exact_in_titles(value: str, shown: str) -> None:
    """No float comes near money, however large; the title has the cents."""
    amount = Decimal(value)
    assert wording.amount(amount) == shown
    assert wording.exact_amount(amount, "SGD") == f"SGD {amount:,.2f}"


def test_rates_words_and_days_read_as_people_write_them() -> None:
    """Percentages, stage names, dates."""
    assert wording.rate(0.6316) == "63.2 %"
    assert wording.rate(1.0) == "100.0 %"
    assert wording.say(PipelineStage.NEEDS_ANALYSIS) == "Needs analysis"
    assert wording.day(date(2026, 2, 3)) == "3 Feb 2026"
    assert (wording.count(1, "deal"), wording.count(1200, "deal")) == ("1 deal", "1,200 deals")


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=26), "26 h ago"),
        (timedelta(days=9), "9 days ago"),
    ],
)
def test_ages_are_said_in_the_unit_that_fits(passed: timedelta, said: str) -> None:
    """A clock that runs ahead makes nothing come from the future."""
    assert wording.age(NOW - passed, NOW) == said


@pytest.mark.parametrize(
    ("name", "letters"), [("Mei Tan", "MT"), ("Farah binte Ismail", "FI"), ("Cher", "C"), ("<b>", "?"), ("", "?")]
)
def test_everyone_has_initials(name: str, letters: str) -> None:
    """Whatever an import called a person, the account button has something to show."""
    assert wording.initials(name) == letters
