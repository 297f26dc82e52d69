"""An import accounts for every row, adds what is new and nothing else, and says why it turned a row away."""

import csv
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ingestion.crm_files import FileInvalid, ImportReport
from ledger.log.entry import decode_body
from ledger.rebuild import compare_tables
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditLog, Commission, Import, ImportReject, StageEvent, User
from tests.support.crm_export import (
    COMMISSIONS,
    DEALS,
    HISTORY,
    MAPPING,
    STATED_HISTORY,
    STATED_MAPPING,
    import_export,
    rejects_of,
    write_file,
    write_mapping,
)
from tests.support.ledger import build_ledger

SINGAPORE = timezone(timedelta(hours=8))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return build_ledger(tmp_path / "home")


def count_entries(ledger: Ledger) -> int:
    with ledger.read() as session:
        return session.scalar(select(func.count()).select_from(AuditLog)) or 0


def deal_of(ledger: Ledger, name: str) -> AgentDeal:
    with ledger.read() as session:
        return session.scalars(select(AgentDeal).where(AgentDeal.external_ref == f"tiny:{name}")).one()


def path_of(ledger: Ledger, name: str) -> list[tuple[str, str]]:
    """The stages of a deal with their local times."""
    with ledger.read() as session:
        rows = session.execute(
            select(StageEvent.to_stage, StageEvent.effective_at)
            .join(AgentDeal, AgentDeal.id == StageEvent.deal_id)
            .where(AgentDeal.external_ref == f"tiny:{name}")
            .order_by(StageEvent.effective_at, StageEvent.audit_log_seq)
        ).all()
    singapore = [(stage.value, at.timestamp() + 8 * 3600) for stage, at in rows]
    return [(stage, datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")) for stage, at in singapore]


def check_accounts(report: ImportReport) -> None:
    for file in report.files:
        assert file.accepted + file.rejected == file.rows, file
        if file.rejects_file:
            with Path(file.rejects_file).open(encoding="utf-8", newline="") as rejects:
                assert len({row["line"] for row in csv.DictReader(rejects)}) == file.rejected


def test_deals_history_people_and_commissions_come_together(ledger: Ledger, tmp_path: Path) -> None:
    """A deal row and its stage rows make one deal with its whole path; its agent is found however spelled."""
    files = [
        write_file(tmp_path, "people.csv", "Name,Mail", "Ayla Tarr,ayla@example.com"),
        write_file(tmp_path, "deals.csv", DEALS, '1,"TARR, Ayla",Acme,Won,"S$1,000",,2025-01-06,10/02/2025'),
        write_file(
            tmp_path,
            "history.csv",
            HISTORY,
            "1,Offer,2025-01-20 09:00",
            "1,New,2025-01-06 10:00",
            "1,Won,2025-02-10 17:00",
        ),
        write_file(
            tmp_path,
            "claims.csv",
            COMMISSIONS,
            "1,ayla@example.com,1000,2.5%,Invoiced,2025-01-21,2025-02-11,2025-02-12,",
        ),
    ]
    report = import_export(ledger, tmp_path, files)
    check_accounts(report)
    assert (report.rejected, report.agents_created) == (0, [])
    assert path_of(ledger, "1") == [
        ("lead_captured", "2025-01-06 10:00"),
        ("proposal", "2025-01-20 09:00"),
        ("closed_won", "2025-02-10 17:00"),
    ]
    deal = deal_of(ledger, "1")
    assert (deal.status, deal.actual_close_date, deal.estimated_value_amount) == (
        "closed_won", date(2025, 2, 10), Decimal(1000),
    )  # fmt: skip
    with ledger.read() as session:
        assert session.scalars(select(User.name).where(User.id == deal.agent_id)).one() == "Ayla Tarr"
        claim = session.scalars(select(Commission)).one()
        assert (claim.status, claim.commission_rate) == ("invoiced", Decimal("0.0250"))
        assert compare_tables(session) == []


def test_the_same_files_again_add_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """Every row is then unchanged and the log is not one entry longer."""
    files = [
        write_file(
            tmp_path, "deals.csv", DEALS, "1,A B,Acme,Won,5,,2025-01-06,2025-02-10", "2,A B,,Offer,,,2025-01-06,"
        ),
        write_file(tmp_path, "history.csv", HISTORY, "1,Offer,2025-01-20 09:00", "1,Offer,2025-01-22 09:00"),
        write_file(tmp_path, "claims.csv", COMMISSIONS, "1,A B,1000,2%,,2025-01-21,,,"),
    ]
    first = import_export(ledger, tmp_path, files)
    assert [file.created for file in first.files] == [2, 1, 1]
    assert first.files[1].unchanged == 1  # to the stage it was in already
    entries = count_entries(ledger)
    again = import_export(ledger, tmp_path, files)
    assert again.entries == 0
    assert [(file.unchanged, file.rows) for file in again.files] == [(2, 2), (2, 2), (1, 1)]
    assert count_entries(ledger) == entries
    assert "Everything was there already" in again.render()
    alone = import_export(ledger, tmp_path, files[:1])  # without the history that it came with
    assert (alone.entries, alone.files[0].unchanged) == (0, 2)


def test_a_newer_export_adds_the_changes_only(ledger: Ledger, tmp_path: Path) -> None:
    """A new stage, a new value, a new deal: as many entries, no more; the rest is left alone."""
    old = write_file(tmp_path, "old.csv", DEALS, "1,A B,,Offer,5,,2025-01-06,", "2,A B,,Offer,5,,2025-01-06,")
    import_export(ledger, tmp_path, [old])
    new = write_file(
        tmp_path,
        "new.csv",
        DEALS,
        "1,A B,,Won,5,,2025-01-06,2025-03-01",
        "2,A B,,Offer,6,,2025-01-06,",
        "3,A B,,New,,,2025-02-01,",
    )
    report = import_export(ledger, tmp_path, [new])
    assert (report.files[0].created, report.files[0].changed, report.rejected) == (1, 2, 0)
    assert report.entries == 3
    assert path_of(ledger, "1") == [("proposal", "2025-01-06 00:00"), ("closed_won", "2025-03-01 00:00")]


def test_stage_rows_alone_reach_deals_of_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """Later histories need no deal rows; an unknown deal is named."""
    import_export(ledger, tmp_path, [write_file(tmp_path, "deals.csv", DEALS, "1,A B,,New,,,2025-01-06,")])
    later = write_file(
        tmp_path, "h.csv", HISTORY, "1,Deal,2025-02-01", "1,New,2025-01-06", "9,Deal,2025-02-01", "1,Dropped,2025-03-01"
    )
    report = import_export(ledger, tmp_path, [later])
    check_accounts(report)
    assert (report.files[0].changed, report.files[0].unchanged, report.files[0].rejected) == (1, 1, 2)
    assert [line for line, _, _ in rejects_of(report)] == ["4", "5"]
    assert path_of(ledger, "1")[-1] == ("negotiation", "2025-02-01 00:00")


STATED_DEALS = (
    "1,A B,,Won,5,100,2025-01-06,2025-03-01",
    "2,A B,,Deal,5,60,2025-01-06,",
    "3,A B,,Dropped,5,0,2025-01-06,2025-03-01",
)
STATED_MOVES = (
    "1,New,2025-01-06,10", "1,Offer,2025-01-20,45%", "1,Won,2025-03-01,100",
    "2,New,2025-01-06,", "2,Offer,2025-01-20,35", "2,Deal,2025-02-01,70",
    "3,New,2025-01-06,20", "3,Dropped,2025-03-01,0",
)  # fmt: skip


def confidences_of(ledger: Ledger, name: str) -> list[tuple[str, str | None]]:
    """Each confidence that the log states of a deal, with its local day or `now`."""
    with ledger.read() as session:
        deal_id = session.scalars(select(AgentDeal.id).where(AgentDeal.external_ref == f"tiny:{name}")).one()
        rows = session.scalars(select(AuditLog).where(AuditLog.chain == f"deal:{deal_id}").order_by(AuditLog.seq)).all()
    stated = [(row, decode_body(row.body)["data"].get("set", {}).get("confidence")) for row in rows]
    return [
        ("now" if row.effective_at == row.at else row.effective_at.astimezone(SINGAPORE).strftime("%m-%d"), confidence)
        for row, confidence in stated
        if confidence is not None
    ]


def import_stated(ledger: Ledger, tmp_path: Path, files: list[Path], **options: Any) -> ImportReport:
    return import_export(ledger, tmp_path, files, mapping=write_mapping(tmp_path, STATED_MAPPING), **options)


def test_a_history_states_the_confidence_from_each_move_on(ledger: Ledger, tmp_path: Path) -> None:
    """What closes a deal states none, in the history and in the deal's own row; an open deal has what its row says."""
    deals = write_file(tmp_path, "d.csv", DEALS, *STATED_DEALS)
    moves = write_file(tmp_path, "h.csv", STATED_HISTORY, *STATED_MOVES)
    rehearsal = import_stated(ledger, tmp_path, [deals, moves], dry_run=True)
    report = import_stated(ledger, tmp_path, [deals, moves])
    check_accounts(report)
    assert (report.rejected, report.entries) == (0, rehearsal.entries)
    assert confidences_of(ledger, "1") == [("01-06", "0.10"), ("01-20", "0.45")]
    assert confidences_of(ledger, "2") == [("01-20", "0.35"), ("02-01", "0.70"), ("now", "0.60")]
    assert confidences_of(ledger, "3") == [("01-06", "0.20")]
    assert [deal_of(ledger, name).confidence for name in "123"] == [Decimal("0.45"), Decimal("0.6"), Decimal("0.2")]
    with ledger.read() as session:
        assert compare_tables(session) == []
    for files in ([deals, moves], [deals], [moves]):
        assert import_stated(ledger, tmp_path, files).entries == 0


def test_a_history_that_comes_later_states_it_too(ledger: Ledger, tmp_path: Path) -> None:
    """Deals first, then the history alone: the deal has the same confidence as if both had come together."""
    import_stated(ledger, tmp_path, [write_file(tmp_path, "d.csv", DEALS, *STATED_DEALS[:2])])
    moves = write_file(tmp_path, "h.csv", STATED_HISTORY, *STATED_MOVES[:6])
    rehearsal = import_stated(ledger, tmp_path, [moves], dry_run=True)
    report = import_stated(ledger, tmp_path, [moves])
    check_accounts(report)
    assert (report.rejected, report.entries) == (0, rehearsal.entries)
    # The opening is known, so it is left as it is.
    assert confidences_of(ledger, "1") == [("01-20", "0.45")]
    assert confidences_of(ledger, "2") == [("01-06", "0.60"), ("01-20", "0.35"), ("02-01", "0.70"), ("now", "0.60")]
    assert [deal_of(ledger, name).confidence for name in "12"] == [Decimal("0.45"), Decimal("0.60")]
    with ledger.read() as session:
        assert compare_tables(session) == []
    assert import_stated(ledger, tmp_path, [moves]).entries == 0


def test_a_confidence_adds_nothing_to_a_move_that_is_known(ledger: Ledger, tmp_path: Path) -> None:
    """An export made again with one column more is not told apart from the first."""
    deals = write_file(tmp_path, "d.csv", DEALS, *STATED_DEALS)
    bare = write_file(tmp_path, "bare.csv", HISTORY, *[row.rpartition(",")[0] for row in STATED_MOVES])
    import_export(ledger, tmp_path, [deals, bare])
    moves = write_file(tmp_path, "h.csv", STATED_HISTORY, *STATED_MOVES)
    for files in ([deals, moves], [moves]):
        report = import_stated(ledger, tmp_path, files)
        assert (report.entries, report.files[-1].created + report.files[-1].changed) == (0, 0)


def test_a_stage_row_whose_confidence_cannot_be_read_is_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """As a deal's row is: nothing is left out of a row unsaid."""
    files = [
        write_file(tmp_path, "d.csv", DEALS, "1,A,,Deal,5,,2025-01-06,"),
        write_file(
            tmp_path, "h.csv", STATED_HISTORY,
            "1,New,2025-01-06,", "1,Offer,2025-01-20,high", "1,Offer,2025-01-21,140", "1,Deal,2025-02-01,70",
        ),
    ]  # fmt: skip
    report = import_stated(ledger, tmp_path, files)
    check_accounts(report)
    assert [(line, column) for line, column, _ in rejects_of(report, 1)] == [("3", "Odds"), ("4", "Odds")]
    assert "is out of range" in rejects_of(report, 1)[1][2]
    assert confidences_of(ledger, "1") == [("02-01", "0.70")]


def test_a_repeated_stage_before_a_move_of_the_same_moment_is_not_put_after_it(ledger: Ledger, tmp_path: Path) -> None:
    """The deal stands where the file leaves it, and importing the history again does not take it back."""
    import_export(ledger, tmp_path, [write_file(tmp_path, "deals.csv", DEALS, "1,A B,,New,,,2025-01-06,")])
    history = write_file(tmp_path, "h.csv", HISTORY, "1,New,2025-02-01", "1,Deal,2025-02-01")
    for entries in (1, 0):
        assert import_export(ledger, tmp_path, [history]).entries == entries
        assert path_of(ledger, "1")[-1] == ("negotiation", "2025-02-01 00:00")


def test_a_moved_stage_without_a_date_is_not_guessed(ledger: Ledger, tmp_path: Path) -> None:
    """Nothing says when it moved, so the row is rejected, naming what the ledger has; with a date it goes in."""
    import_export(ledger, tmp_path, [write_file(tmp_path, "a.csv", DEALS, "1,A B,,New,,,2025-01-06,")])
    report = import_export(ledger, tmp_path, [write_file(tmp_path, "b.csv", DEALS, "1,A B,,Deal,,,2025-01-06,")])
    ((line, column, reason),) = rejects_of(report)
    assert (line, column) == ("2", "Stage")
    assert "differs from the ledger's lead_captured" in reason
    dated = write_file(tmp_path, "c.csv", DEALS + ",Since", "1,A B,,Deal,,,2025-01-06,,2025-02-03")
    assert import_export(ledger, tmp_path, [dated]).files[0].changed == 1
    assert path_of(ledger, "1")[-1] == ("negotiation", "2025-02-03 00:00")


def test_work_done_in_dealbook_survives_an_old_export(ledger: Ledger, tmp_path: Path) -> None:
    """A file that knows less than the ledger is not a contradiction: its row says nothing new."""
    deals = write_file(tmp_path, "deals.csv", DEALS, "1,A B,,New,,,2025-01-06,")
    import_export(ledger, tmp_path, [deals])
    import_export(ledger, tmp_path, [write_file(tmp_path, "h.csv", HISTORY, "1,Deal,2025-02-01")])
    report = import_export(ledger, tmp_path, [deals])
    assert (report.entries, report.files[0].unchanged) == (0, 1)


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("1,A,,Won,5,,2025-01-06,", "Stage", "needs a date, but 'Closed' is empty"),
        ("1,A,,Dropped,5,,2025-01-06,", "Stage", "needs a date, but 'Closed' is empty"),
        ("1,A,,Won,5,,2025-01-06,2025-01-05", "Closed", "lies before 'Created' (2025-01-06)"),
        ("1,A,,Won,5,,2025-01-06,2199-01-05", "Closed", "lies in the future, but 'Stage' says 'Won'"),
        ("1,A,,Offer,5,,2025-01-06,2025-02-01", "Closed", "is past, but 'Stage' says 'Offer', an open stage"),
        ("1,A,,Offer,5,,,", "Created", "is empty and no stage row says when"),
        ("1,A,,Offer,5,,2199-01-01,", "Created", "lies in the future"),
        ("1,A,,Offer,-5,,2025-01-06,", "Value", "must not be negative"),
        ("1,A,,Offer,1e308,,2025-01-06,", "Value", "is not a number"),
        ("1,A,,Offer,5,101,2025-01-06,", "Odds", "is out of range"),
        ("1,,,Offer,5,,2025-01-06,", "Owner", "is empty but required"),
        (",A,,Offer,5,,2025-01-06,", "Id", "is empty but required"),
        ("1,A,,Nowhere,5,,2025-01-06,", "Stage", "is none of our words"),
        ("1,A,,Offer", "", "has 4 cells where the header has 8"),
    ],
)
def test_a_contradiction_is_rejected_by_name(
    ledger: Ledger, tmp_path: Path, row: str, column: str, reason: str
) -> None:
    """The row's line, the column at fault and what it contradicts; the sound row beside it goes in."""
    report = import_export(ledger, tmp_path, [write_file(tmp_path, "d.csv", DEALS, row, "2,A,,Offer,5,,2025-01-06,")])
    check_accounts(report)
    ((line, found, why),) = rejects_of(report)
    assert (line, found) == ("2", column)
    assert reason in why
    assert deal_of(ledger, "2").status == "open"
    with ledger.read() as session:
        kept = session.scalars(select(ImportReject)).one()
        assert (kept.line, kept.column or "", kept.reason, kept.import_id) == (2, column, why, report.import_id)


@pytest.mark.parametrize(
    ("stage", "closed", "history", "reason"),
    [
        ("Offer", "", ["New,2025-01-06", "Deal,2025-01-20"], "contradicts line 3 of the stage history"),
        (
            "Won",
            "2025-01-10",
            ["New,2025-01-06", "Deal,2025-01-20"],
            "lies before the move to negotiation on 2025-01-20",
        ),
        ("Offer", "", ["New,2025-01-06", "Won,2025-01-20"], "contradicts line 3"),
        ("Offer", "", ["Offer,2025-01-06", "Dropped,2025-01-20"], "line 3 gives the deal up"),
        ("Dropped", "2025-01-10", ["New,2025-01-06", "Deal,2025-01-20"], "contradicts the move to negotiation"),
    ],
)
def test_a_deal_that_its_history_contradicts_stays_out_with_it(
    ledger: Ledger, tmp_path: Path, stage: str, closed: str, history: list[str], reason: str
) -> None:
    """Which of the two is right is for people to say; the stage rows and commissions point at the deal's line."""
    files = [
        write_file(tmp_path, "d.csv", DEALS, f"1,A,,{stage},5,,2025-01-06,{closed}"),
        write_file(tmp_path, "h.csv", HISTORY, *[f"1,{move}" for move in history]),
        write_file(tmp_path, "c.csv", COMMISSIONS, "1,A,1000,2%,,2025-01-21,,,"),
    ]
    report = import_export(ledger, tmp_path, files)
    check_accounts(report)
    assert report.accepted == 0
    assert reason in rejects_of(report)[0][2]
    assert {why for _, _, why in rejects_of(report, 1) + rejects_of(report, 2)} == {
        "its deal was rejected: line 2 of d.csv"
    }


def test_a_bad_stage_row_does_not_take_its_deal_along(ledger: Ledger, tmp_path: Path) -> None:
    """A move before the deal was opened, in the future or without a date stays out alone."""
    files = [
        write_file(tmp_path, "d.csv", DEALS, "1,A,,Deal,5,,2025-01-06,"),
        write_file(
            tmp_path, "h.csv", HISTORY,
            "1,New,2025-01-06", "1,Offer,2025-01-01", "1,Offer,2199-01-01", "1,Offer,", "1,Deal,2025-02-01",
        ),
    ]  # fmt: skip
    report = import_export(ledger, tmp_path, files)
    assert [line for line, _, _ in rejects_of(report, 1)] == ["3", "4", "5"]
    assert "lies before the deal was opened ('Created' 2025-01-06, line 2)" in rejects_of(report, 1)[0][2]
    assert path_of(ledger, "1") == [("lead_captured", "2025-01-06 00:00"), ("negotiation", "2025-02-01 00:00")]


def test_reopened_cancelled_and_expected(ledger: Ledger, tmp_path: Path) -> None:
    """A lost deal that was opened again is open; a dropped one is cancelled; an open one may be due later."""
    files = [
        write_file(
            tmp_path, "d.csv", DEALS, "1,A,,Deal,5,,2025-01-06,2190-01-01", "2,A,,Dropped,5,,2025-01-06,2025-02-02"
        ),
        write_file(tmp_path, "h.csv", HISTORY, "1,New,2025-01-06", "1,Lost,2025-01-20", "1,Deal,2025-02-20"),
    ]
    assert import_export(ledger, tmp_path, files).rejected == 0
    deal = deal_of(ledger, "1")
    assert (deal.status, deal.actual_close_date, deal.expected_close_date) == ("open", None, date(2190, 1, 1))
    assert deal_of(ledger, "2").status == "cancelled"
    assert import_export(ledger, tmp_path, files).entries == 0


def test_a_second_row_with_an_id_is_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """Within a file and across files; the first one counts."""
    files = [
        write_file(tmp_path, "a.csv", DEALS, "1,A,,New,5,,2025-01-06,", "1,A,,New,5,,2025-01-06,"),
        write_file(tmp_path, "b.csv", DEALS, "1,A,,New,6,,2025-01-06,"),
    ]
    report = import_export(ledger, tmp_path, files)
    check_accounts(report)
    assert rejects_of(report) == [("3", "Id", "duplicate id of line 2")]
    assert rejects_of(report, 1) == [("2", "Id", "duplicate id of line 2 of a.csv")]
    assert deal_of(ledger, "1").estimated_value_amount == Decimal(5)


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("1,A,1000,2%,Paid,2025-01-21,2025-01-22,,2025-02-01", "Invoiced", "is empty although 'Paid' is given"),
        (
            "1,A,1000,2%,Paid,2025-01-21,2025-01-22,,",
            "Status",
            "contradicts the dates of the row, by which it is confirmed",
        ),
        ("1,A,1000,2%,,2025-01-21,2025-01-20,,", "Confirmed", "lies before 'Introduced' (2025-01-21)"),
        ("1,A,1000,200,,2025-01-21,,,", "Rate", "is out of range"),
        ("1,A,,2%,,2025-01-21,,,", "Basis", "is empty but required"),
        ("7,A,1000,2%,,2025-01-21,,,", "Id", "is no deal of these files or of the ledger"),
    ],
)
def test_a_commission_that_cannot_be_is_rejected(
    ledger: Ledger, tmp_path: Path, row: str, column: str, reason: str
) -> None:
    """Steps out of order, a status its dates deny, a deal that nobody has."""
    deals = write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,2025-01-06,")
    report = import_export(ledger, tmp_path, [deals, write_file(tmp_path, "c.csv", COMMISSIONS, row)])
    check_accounts(report)
    ((_, found, why),) = rejects_of(report, 1)
    assert found == column
    assert reason in why


def test_a_second_claim_for_the_same_share_is_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """A deal has one commission per agent and type, however the agent is spelled."""
    files = [
        write_file(tmp_path, "d.csv", DEALS, "1,Ayla Tarr,,New,5,,2025-01-06,"),
        write_file(
            tmp_path, "c.csv", COMMISSIONS, "1,Ayla Tarr,9,2%,,2025-01-21,,,", '1,"TARR, AYLA",8,2%,,2025-01-21,,,'
        ),
    ]
    report = import_export(ledger, tmp_path, files)
    assert report.agents_created == ["Ayla Tarr"]
    ((line, _, reason),) = rejects_of(report, 1)
    assert (line, reason) == ("3", "is this agent's second for the deal; the first is line 2")


def test_open_disputes_leave_a_commission_disputed(ledger: Ledger, tmp_path: Path) -> None:
    """A resolved one restores the status before it."""
    head = COMMISSIONS + ",Disputed,Contested,Resolved,Outcome"
    files = [
        write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,2025-01-06,", "2,A,,New,5,,2025-01-06,"),
        write_file(
            tmp_path, "c.csv", head,
            "1,A,1000,2%,disputed,2025-01-21,2025-01-22,,,2025-01-25,7,,",
            "2,A,1000,2%,confirmed,2025-01-21,2025-01-22,,,2025-01-25,7,2025-01-30,denied",
        ),
    ]  # fmt: skip
    assert import_export(ledger, tmp_path, files).rejected == 0
    with ledger.read() as session:
        found = session.execute(
            select(AgentDeal.external_ref, Commission.status).join(Commission, Commission.deal_id == AgentDeal.id)
        ).all()
    assert dict(found) == {"tiny:1": "disputed", "tiny:2": "confirmed"}


def test_strict_is_all_or_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """One bad row keeps every other out, and still has its line and reason in file and table."""
    path = write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,2025-01-06,", "2,A,,Nowhere,5,,2025-01-06,")
    entries = count_entries(ledger)
    report = import_export(ledger, tmp_path, [path], strict=True)
    check_accounts(report)
    assert (report.outcome, report.rejected, report.entries) == ("refused", 1, 0)
    assert count_entries(ledger) == entries
    assert len(rejects_of(report)) == 1
    with ledger.read() as session:
        assert session.scalar(select(func.count()).select_from(AgentDeal)) == 0
        assert session.scalars(select(ImportReject.line)).all() == [3]
        assert [(row.rows, row.accepted, row.rejected) for row in session.scalars(select(Import))] == [(2, 0, 2)]
    sound = write_file(tmp_path, "e.csv", DEALS, "1,A,,New,5,,2025-01-06,")
    assert import_export(ledger, tmp_path, [sound], strict=True).outcome == "imported"
    assert deal_of(ledger, "1").status == "open"


def test_a_dry_run_writes_nothing_but_the_rejects_file(ledger: Ledger, tmp_path: Path) -> None:
    """It says what an import would do, to the entry."""
    path = write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,2025-01-06,", "2,A,,Nowhere,5,,2025-01-06,")
    entries = count_entries(ledger)
    report = import_export(ledger, tmp_path, [path], dry_run=True)
    check_accounts(report)
    with ledger.read() as session:
        assert session.scalar(select(func.count()).select_from(AgentDeal)) == 0
        assert session.scalar(select(func.count()).select_from(Import)) == 0
    assert count_entries(ledger) == entries
    real = import_export(ledger, tmp_path, [path])
    assert (report.entries, report.accepted, report.rejected) == (real.entries, real.accepted, real.rejected)


def test_rows_without_a_date_take_the_mappings_and_are_counted(ledger: Ledger, tmp_path: Path) -> None:
    """Only rows without any date do."""
    mapping = write_mapping(tmp_path, MAPPING.replace("[dates]", "[dates]\nmissing = 2025-05-01", 1))
    path = write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,,", "2,A,,New,5,,2025-01-06,", "3,A,,Won,5,,,2025-06-01")
    report = import_export(ledger, tmp_path, [path], mapping=mapping)
    assert report.files[0].rows_dated_by_mapping == 1
    assert path_of(ledger, "1") == [("lead_captured", "2025-05-01 00:00")]
    assert [(line, column) for line, column, _ in rejects_of(report)] == [("4", "Created")]


def test_unknown_agents_can_be_refused(ledger: Ledger, tmp_path: Path) -> None:
    """`unknown = "reject"` keeps out what nobody answers for; an alias lets it in."""
    path = write_file(tmp_path, "d.csv", DEALS, "1,Bob,,New,5,,2025-01-06,")
    people = write_file(tmp_path, "p.csv", "Name,Mail", "Robert Quill,")
    closed = MAPPING.replace("[dates]", '[agents]\nunknown = "reject"\n\n[dates]', 1)
    report = import_export(ledger, tmp_path, [people, path], mapping=write_mapping(tmp_path, closed))
    assert "is nobody we know" in rejects_of(report, 1)[0][2]
    aliased = closed.replace('unknown = "reject"', 'unknown = "reject"\naliases = { bob = "Quill, Robert" }')
    assert import_export(ledger, tmp_path, [people, path], mapping=write_mapping(tmp_path, aliased)).rejected == 0


def test_parquet_and_gzip_give_the_same_deals(ledger: Ledger, tmp_path: Path) -> None:
    """The same rows from typed Parquet are known already after the CSV."""
    import_export(ledger, tmp_path, [write_file(tmp_path, "d.csv", DEALS, "1,A,X,Won,5.5,60,2025-01-06,2025-02-01")])
    path = tmp_path / "d.parquet"
    pl.DataFrame(
        {
            "Id": [1], "Owner": ["A"], "Client": ["X"], "Stage": ["Won"], "Value": [Decimal("5.50")], "Odds": [60],
            "Created": [date(2025, 1, 6)], "Closed": [date(2025, 2, 1)],
        }
    ).write_parquet(path)  # fmt: skip
    report = import_export(ledger, tmp_path, [path])
    assert (report.entries, report.files[0].unchanged) == (0, 1)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["Id,Owner", "1,A"], ["fits no section", "nearest to [deals]", "'Stage'"]),
        (["", ""], ["has no header"]),
    ],
)
def test_a_file_that_fits_nothing_stops_the_import(
    ledger: Ledger, tmp_path: Path, lines: list[str], told: list[str]
) -> None:
    """Before anything is written, saying what is missing."""
    path = write_file(tmp_path, "x.csv", *lines)
    with pytest.raises(FileInvalid) as caught:
        import_export(ledger, tmp_path, [path])
    for text in ("x.csv", *told):
        assert text in caught.value.detail


CELLS = st.one_of(
    st.sampled_from(
        ["1", "2", "A", "Won", "New", "Dropped", "2025-01-06", "2024-01-01", "5", "-1", "", '"', '"x\n', ","]
    ),
    st.text(max_size=8),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=9), max_size=12), junk=st.binary(max_size=30))
def test_whatever_the_file_every_row_is_accounted_for(
    ledger: Ledger, tmp_path: Path, rows: list[list[str]], junk: bytes
) -> None:
    """accepted + rejected = rows, and no file of any content ends in a crash."""
    lines = [",".join(row).encode("utf-8", "surrogatepass") for row in rows]
    path = tmp_path / "any.csv"
    path.write_bytes(b"\n".join([DEALS.encode(), *lines, junk]))
    check_accounts(import_export(ledger, tmp_path, [path]))


def test_the_report_is_plain_json(ledger: Ledger, tmp_path: Path) -> None:
    """For scripts: what render() says, as values."""
    report = import_export(ledger, tmp_path, [write_file(tmp_path, "d.csv", DEALS, "1,A,,New,5,,2025-01-06,")])
    values: dict[str, Any] = report.to_dict()
    assert (values["rows"], values["accepted"], values["rejected"], values["outcome"]) == (1, 1, 0, "imported")
    assert values["files"][0]["section"] == "deals"
