"""The log is verified beside the landing where that is worth a process; nobody can tell from the outcome."""

from hashlib import sha256

import pytest
from sqlalchemy import text

from ledger.log.checkpoint import make_checkpoint
from ledger.log.verify import verify_chains
from orchestration import log_verification
from orchestration.log_verification import LogVerification, verify_log
from tests.orchestration.conftest import Office
from tests.support.living_ledger import append_deals, tamper


def _break_a_chain(office: Office) -> None:
    append_deals(office.ledger, 1)
    tamper(office.ledger, "UPDATE audit_logs SET prev = zeroblob(31) || x'01' WHERE n = :n", n=office.first.log_size)


def test_a_process_of_its_own_reports_what_this_one_would(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    _break_a_chain(office)
    expected = verify_log(office.settings, 0)
    assert len(expected.findings) == 2
    monkeypatch.setattr(log_verification, "WORTH_A_PROCESS", 1)
    verification = LogVerification(office.settings)
    verification.begin(0, expected.entries)
    monkeypatch.setattr(log_verification, "verify_log", lambda *_: pytest.fail("it was not the process that verified"))
    assert verification.report(0) == expected


def test_without_that_process_the_log_is_verified_all_the_same(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been killed, or begun for other entries: no finding is lost by that."""
    _break_a_chain(office)
    expected = verify_log(office.settings, 0)
    monkeypatch.setattr(log_verification, "WORTH_A_PROCESS", 1)
    verification = LogVerification(office.settings)
    verification.begin(0, expected.entries)
    verification.stop()
    assert verification.report(0) == expected
    verification.begin(0, 0)
    assert verification.report(1) == verify_log(office.settings, 1)


def test_a_refresh_stops_at_what_the_process_found(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole runs, with the process from the first entry on: a sound log is published, a broken one is not built."""
    monkeypatch.setattr(log_verification, "WORTH_A_PROCESS", 1)
    append_deals(office.ledger, 1)
    good = office.refresh()
    assert good.outcome == "published"
    append_deals(office.ledger, 1)
    tamper(office.ledger, "UPDATE audit_logs SET prev = zeroblob(31) || x'01' WHERE n = :n", n=good.log_size)
    bad = office.refresh()
    assert [check.name for check in bad.failed_checks] == ["chain_sound"]
    assert bad.publication == good.publication


def test_a_chain_hashed_anew_is_found_by_what_was_signed(office: Office) -> None:
    """Every link fits again, so only the checkpoints tell: a run that verifies everything compares with them."""
    append_deals(office.ledger, 1)
    make_checkpoint(office.ledger)
    with office.ledger.read() as session:
        n, chain, body = session.execute(text("SELECT n, chain, body FROM audit_logs ORDER BY n DESC LIMIT 1")).one()
    forged = body.replace(b"1000.00", b"9000.00")
    assert forged != body
    digest = sha256(b"\0" + forged).digest()
    tamper(
        office.ledger, "UPDATE audit_logs SET body = :body, hash = :hash WHERE n = :n", n=n, body=forged, hash=digest
    )
    tamper(office.ledger, "UPDATE audit_chains SET hash = :hash WHERE chain = :chain", chain=chain, hash=digest)
    with office.ledger.read() as session:
        assert verify_chains(session).is_sound
    bad = office.refresh(full=True)
    assert [check.name for check in bad.failed_checks] == ["chain_sound"]
    assert "signed" in bad.failed_checks[0].message
