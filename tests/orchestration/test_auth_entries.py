"""Log-ins, denials and the roots over all heads lengthen the log; no number rests on them."""

from datetime import UTC, datetime, timedelta

import pytest

from ingestion.landing import check_completeness, read_watermark
from ledger.actors import SYSTEM
from ledger.auth_log import Denial, record_denials
from ledger.log import heads
from ledger.log.heads import record_heads
from orchestration.freshness import find_news
from tests.orchestration.conftest import DAY, Office
from tests.support.ledger import read_log
from tests.support.living_ledger import append_deals


def deny(office: Office) -> None:
    with office.ledger.write() as session:
        record_denials(session, [Denial("bad_credential", datetime.now(UTC), "192.0.2.7", None, 3)])


def test_a_refresh_publishes_for_facts_and_not_for_denials(office: Office) -> None:
    """Guessers cannot keep the service publishing; with the next fact the denials before it are accounted for."""
    deny(office)
    assert find_news(office.settings, DAY).reasons == ()
    assert office.refresh().outcome == "nothing_new"
    append_deals(office.ledger, 1)
    assert find_news(office.settings, DAY).reasons == ("the log has grown",)
    report = office.refresh()
    assert (report.outcome, report.entries_landed) == ("published", 2)
    assert report.log_size == read_watermark(office.settings.warehouse_path)
    completeness = check_completeness(office.ledger, office.settings.warehouse_path)
    assert completeness.is_complete, completeness.problems
    deny(office)
    assert office.refresh().outcome == "nothing_new"
    with office.ledger.write() as session:
        record_heads(session, SYSTEM)  # the nightly run writes these itself: it must not call for another
    assert office.refresh().outcome == "nothing_new"


def test_the_nightly_run_writes_the_heads_of_the_day_and_calls_for_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a full refresh, it verifies everything first; what it wrote itself is no news to the next one."""
    monkeypatch.setattr(heads, "now_utc", lambda: datetime.now(UTC) + timedelta(days=1))
    append_deals(office.ledger, 1)
    assert office.refresh(full=True).outcome == "published"
    assert [entry["type"] for entry in read_log(office.ledger)].count(heads.HEADS) == 1
    assert read_log(office.ledger)[-1]["type"] == heads.HEADS
    assert find_news(office.settings, DAY).reasons == ()
    assert office.refresh().outcome == "nothing_new"
