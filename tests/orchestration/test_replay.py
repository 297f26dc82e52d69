"""A replay gives the numbers that were published, from the log alone, whatever was learned since."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import LogBroken, ReplayNotPossible
from ingestion.mart_digests import MartDigest
from ingestion.publishing import current_publication
from ingestion.reference_files import load_reference_files
from ledger.settings import Settings
from ledger.store import Ledger
from orchestration.refresh import refresh
from orchestration.replay import replay
from tests.orchestration.conftest import DAY, Office
from tests.orchestration.test_refresh import _written
from tests.support.commands import run_dealbook
from tests.support.living_ledger import append_deals, live, new_ledger, tamper

RATES = "from_currency,to_currency,rate,effective_date,source\nUSD,SGD,1.35,2026-01-01,a bank\n"
LATER_RATES = RATES.replace("1.35,2026-01-01", "1.29,2026-02-01")


def _published_marts(settings: Settings) -> tuple[str, list[MartDigest]]:
    publication = current_publication(settings.published_dir)
    assert publication is not None
    return publication.name, publication.marts


def test_an_earlier_publication_is_rebuilt_to_the_same_digests(office: Office) -> None:
    """Entries written since make no difference, and nothing of the installation is touched."""
    name, marts = _published_marts(office.settings)
    append_deals(office.ledger, 3)
    office.refresh(as_of=DAY + timedelta(days=1))
    append_deals(office.ledger, 2)
    before = _written(office.settings.home)

    report = replay(office.settings, office.first.log_size)
    assert (report.outcome, report.publication, report.as_of_date) == ("equal", name, DAY)
    assert list(report.marts) == marts
    assert _written(office.settings.home) == before

    later = replay(office.settings, office.first.log_size + 3)
    assert (later.outcome, later.as_of_date) == ("equal", DAY + timedelta(days=1))
    assert later.marts != report.marts


def test_a_mart_that_is_not_what_was_published_is_named(office: Office) -> None:
    """Only the one that differs; the verb ends with exit code 1."""
    manifest = next(office.settings.published_dir.glob("marts-*.json"))
    document = json.loads(manifest.read_text())
    wrong = next(mart for mart in document["marts"] if mart["mart"] == "deals")
    wrong["digest"] = "0" * 64
    manifest.write_text(json.dumps(document))
    report = replay(office.settings, office.first.log_size)
    assert (report.outcome, report.differing) == ("different", ("deals",))
    assert "deals" in report.render().splitlines()[-1]


def test_any_size_and_day_can_be_asked_about(office: Office) -> None:
    """Also one never published: then nothing is compared, and the report says so."""
    report = replay(office.settings, 5, as_of=DAY)
    assert (report.outcome, report.publication) == ("not_compared", None)
    assert "Not compared" in report.render()


def test_what_cannot_be_replayed_says_why(office: Office) -> None:
    """A size that the log never had, a day that nobody said, entries that are not those that were written."""
    with pytest.raises(ReplayNotPossible, match="--as-of"):
        replay(office.settings, 5)
    with pytest.raises(ReplayNotPossible, match=f"has {office.first.log_size} entries"):
        replay(office.settings, office.first.log_size + 1, as_of=DAY)
    tamper(office.ledger, "UPDATE audit_logs SET body = replace(body, 'office', 'retail') WHERE type = 'deal.opened'")
    with pytest.raises(LogBroken):
        replay(office.settings, office.first.log_size)


def test_changed_definitions_are_not_compared(office: Office) -> None:
    """Other rules may give other numbers: that is no sign of tampering."""
    office.add_dbt_test("deals_exist", "select 1 where (select count(*) from {{ ref('deals') }}) = 0")
    report = replay(office.settings, office.first.log_size)
    assert report.outcome == "not_compared"
    assert "other definitions" in report.render()


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[tuple[Settings, Ledger]]:
    """The product's own models, over a ledger in which everything has happened."""
    settings = Settings(home=tmp_path / "home")
    ledger = new_ledger(settings.home)
    live(ledger)
    yield settings, ledger
    ledger.close()


def test_the_products_marts_come_back_with_the_references_of_their_time(
    agency: tuple[Settings, Ledger], tmp_path: Path
) -> None:
    """A rate loaded after the publication is not known to its replay; the verb says equal and ends with 0."""
    settings, ledger = agency

    def load(name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        load_reference_files([tmp_path / name], settings.warehouse_path, settings.rejects_dir)

    load("rates.csv", RATES)
    first = refresh(settings, as_of=DAY)
    assert first.outcome == "published", first.render()
    load("later.csv", LATER_RATES)
    append_deals(ledger, 2)

    ended = run_dealbook(settings.home, "replay", "--log-size", str(first.log_size), "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["outcome"], report["publication"]) == ("equal", first.publication)
    assert report["reference_files"] == ["rates.csv"]
    with duckdb.connect(str(settings.published_dir / str(first.publication)), read_only=True) as published:
        [(rows,)] = published.execute("select count(*) from agent_performance_snapshots").fetchall()
    assert {mart["mart"]: mart["row_count"] for mart in report["marts"]}["agent_performance_snapshots"] == rows > 0
