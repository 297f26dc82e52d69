"""The exports of HubSpot, Salesforce, Pipedrive and Zoho go in as they come, with the path that they tell."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from ingestion.crm_files import ImportReport, import_files
from ledger.actors import SYSTEM
from ledger.log.entry import decode_body
from ledger.settings import get_settings
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditLog, StageEvent
from tests.support.crm_export import rejects_of, write_table
from tests.support.ledger import build_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return build_ledger(tmp_path / "home")


def load(ledger: Ledger, tmp_path: Path, mapping: str, *files: Path) -> ImportReport:
    report = import_files(ledger, SYSTEM, files, mapping, rejects_dir=tmp_path / "rejects")
    for file in report.files:
        assert file.accepted + file.rejected == file.rows
    return report


def deal(ledger: Ledger, ref: str) -> AgentDeal:
    with ledger.read() as session:
        return session.scalars(select(AgentDeal).where(AgentDeal.external_ref == ref)).one()


def path(ledger: Ledger, ref: str) -> list[tuple[str, str]]:
    """Stages with their days and times in the business time zone."""
    with ledger.read() as session:
        rows = session.execute(
            select(StageEvent.to_stage, StageEvent.effective_at)
            .where(StageEvent.deal_id == deal(ledger, ref).id)
            .order_by(StageEvent.effective_at, StageEvent.audit_log_seq)
        ).all()
    zone = get_settings().time_zone
    return [(stage.value, at.astimezone(zone).strftime("%Y-%m-%d %H:%M")) for stage, at in rows]


def confidences(ledger: Ledger, ref: str) -> list[str]:
    """What the log states of a deal's confidence, in the order in which it was written."""
    with ledger.read() as session:
        chain = AuditLog.chain == f"deal:{deal(ledger, ref).id}"
        bodies = session.scalars(select(AuditLog.body).where(chain).order_by(AuditLog.seq)).all()
    said = [decode_body(body)["data"].get("set", {}).get("confidence") for body in bodies]
    return [confidence for confidence in said if confidence is not None]


HUBSPOT = [
    "Record ID", "Deal Name", "Deal Stage", "Pipeline", "Amount", "Deal owner", "Create Date", "Close Date",
    "Deal Type", "Associated Company", "Deal probability", 'Date entered "Appointment Scheduled (Sales Pipeline)"',
    'Date entered "Contract Sent (Sales Pipeline)"', 'Date entered "Closed Won (Sales Pipeline)"',
    'Date entered "Site visit (Rentals)"',
]  # fmt: skip


def hubspot_rows() -> list[list[str]]:
    return [
        ["901", "Riverside block", "Closed Won", "Sales Pipeline", "125000.50", "Mara Feld", "2025-01-06 09:10",
         "2025-03-03 16:00", "newbusiness", "Acme", "1.0", "2025-01-06 09:10", "2025-02-01 11:00", "2025-03-03 16:00",
         ""],
        ["902", "Quay lofts", "contractsent", "Sales Pipeline", "", "Jon Ahl", "2025-02-03 08:00", "2025-02-28 23:59",
         "", "", "0.9", "2025-02-03 08:00", "2025-02-10 10:30", "", ""],
        ["903", "Mill", "Appointment Scheduled (Sales Pipeline)", "Sales Pipeline", "7", "Jon Ahl", "2025-02-03 08:00",
         "", "", "", "", "", "", "", "2025-02-04 09:00"],
    ]  # fmt: skip


def test_hubspot_files_with_internal_names_are_read_too(ledger: Ledger, tmp_path: Path) -> None:
    """An export may carry the properties' internal names and ISO times; the path is in hs_v2_date_entered_…"""
    header = ["hs_object_id", "dealname", "dealstage", "amount", "hubspot_owner_id", "createdate", "closedate",
              "hs_v2_date_entered_appointmentscheduled", "hs_v2_date_entered_closedwon"]  # fmt: skip
    row = ["904", "Dock", "closedwon", "50", "Jon Ahl", "2025-01-06T01:10:00Z", "2025-03-03T08:00:00Z",
           "2025-01-06T01:10:00Z", "2025-03-03T08:00:00Z"]  # fmt: skip
    report = load(ledger, tmp_path, "hubspot", write_table(tmp_path / "internal.csv", header, [row]))
    assert (report.rows, report.accepted) == (1, 1)
    assert path(ledger, "hubspot:904") == [("lead_captured", "2025-01-06 09:10"), ("closed_won", "2025-03-03 16:00")]


def test_hubspot_columns_of_stage_dates_become_the_path(ledger: Ledger, tmp_path: Path) -> None:
    """Each 'Date entered "…"' is a move; an open deal whose close date has passed keeps it as its expectation."""
    report = load(ledger, tmp_path, "hubspot", write_table(tmp_path / "hubspot.csv", HUBSPOT, hubspot_rows()))
    assert (report.rows, report.accepted) == (3, 2)
    assert path(ledger, "hubspot:901") == [
        ("lead_captured", "2025-01-06 09:10"),
        ("agreement", "2025-02-01 11:00"),
        ("closed_won", "2025-03-03 16:00"),
    ]
    won, late = deal(ledger, "hubspot:901"), deal(ledger, "hubspot:902")
    assert (won.actual_close_date, won.estimated_value_currency) == (
        date(2025, 3, 3),
        get_settings().reporting_currency,
    )
    assert (late.status, late.pipeline_stage, late.expected_close_date) == ("open", "agreement", date(2025, 2, 28))
    ((line, column, reason),) = rejects_of(report)
    assert (line, column) == ("4", 'Date entered "Site visit (Rentals)"')
    assert "'Site visit', which is none of our words; add it to [words.stage]" in reason
    again = load(ledger, tmp_path, "hubspot", tmp_path / "hubspot.csv")
    assert (again.entries, again.files[0].unchanged) == (0, 2)


SALESFORCE = [
    "Opportunity ID", "Opportunity Owner", "Account Name", "Opportunity Name", "Stage", "Fiscal Period", "Amount",
    "Probability (%)", "Age", "Close Date", "Created Date", "Next Step", "Lead Source", "Type",
]  # fmt: skip


def salesforce_rows() -> list[list[str]]:
    return [
        ["006Kd00001AbCdE", "Ines Roth", "Acme", "Harbour", "Closed Won", "Q1-2025", "$1,250,000.00", "100%", "56",
         "3/3/2025", "1/6/2025", "", "Web", "New Business"],
        ["006Kd00001AbCdF", "Ines Roth", "Borg", "Depot", "Proposal/Price Quote", "Q1-2025", "", "75%", "9", "2/1/2025",
         "1/7/2025", "", "", ""],
    ]  # fmt: skip


HISTORY_BY_STAGE = (
    ["Opportunity ID", "Opportunity Name", "Stage", "Close Date", "Created Date", "Opportunity Owner", "From Stage",
     "To Stage", "Probability (%)", "Last Modified", "Last Modified By"],
    [
        ["006Kd00001AbCdE", "Harbour", "Closed Won", "3/3/2025", "1/6/2025", "Ines Roth", "Prospecting",
         "Negotiation/Review", "90%", "2/1/2025 9:05 AM", "Ines Roth"],
        ["006Kd00001AbCdE", "Harbour", "Closed Won", "3/3/2025", "1/6/2025", "Ines Roth", "Negotiation/Review",
         "Closed Won", "100%", "3/3/2025 4:00 PM", "Ines Roth"],
        ["006Kd00001AbCdF", "Depot", "Proposal/Price Quote", "2/1/2025", "1/7/2025", "Ines Roth", "Prospecting",
         "Proposal/Price Quote", "65%", "1/20/2025 12:30 PM", "Ines Roth"],
    ],
)  # fmt: skip
HISTORY_BY_FIELD = (
    ["Opportunity ID", "Opportunity Name", "Edited By", "Field / Event", "Old Value", "New Value", "Edit Date"],
    [
        ["006Kd00001AbCdE", "Harbour", "Ines Roth", "Stage", "Negotiation/Review", "Closed Won", "3/3/2025 4:00 PM"],
        ["006Kd00001AbCdE", "Harbour", "Ines Roth", "Amount", "10", "1250000", "2/2/2025 4:00 PM"],
        ["006Kd00001AbCdE", "Harbour", "Ines Roth", "Stage", "Prospecting", "Negotiation/Review", "2/1/2025 9:05 AM"],
        ["006Kd00001AbCdF", "Depot", "Ines Roth", "Created.", "", "", "1/7/2025 10:00 AM"],
        ["006Kd00001AbCdF", "Depot", "Ines Roth", "Stage", "Prospecting", "Proposal/Price Quote", "1/20/2025 12:30 PM"],
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("history", "passed_over", "stated"), [(HISTORY_BY_STAGE, 0, ["0.90"]), (HISTORY_BY_FIELD, 2, [])]
)
def test_salesforce_with_either_history_report(
    ledger: Ledger, tmp_path: Path, history: tuple[list[str], list[list[str]]], passed_over: int, stated: list[str]
) -> None:
    """Both reports tell the same path; rows of other fields are passed over and counted. The one has the probability at
    each move; that of a closed deal is its outcome, in history and row, and is nobody's."""
    report = load(
        ledger, tmp_path, "salesforce",
        write_table(tmp_path / "opportunities.csv", SALESFORCE, salesforce_rows()),
        write_table(tmp_path / "history.csv", *history),
    )  # fmt: skip
    assert [(file.section, file.rows, file.created) for file in report.files] == [
        ("deals", 2, 2),
        ("stage_events", 3, 3),
    ]
    assert report.files[1].passed_over == passed_over
    assert path(ledger, "salesforce:006Kd00001AbCdE") == [
        ("lead_captured", "2025-01-06 00:00"),
        ("negotiation", "2025-02-01 09:05"),
        ("closed_won", "2025-03-03 16:00"),
    ]
    assert deal(ledger, "salesforce:006Kd00001AbCdE").estimated_value_amount == 1_250_000
    assert deal(ledger, "salesforce:006Kd00001AbCdF").expected_close_date == date(2025, 2, 1)
    assert confidences(ledger, "salesforce:006Kd00001AbCdE") == stated
    assert confidences(ledger, "salesforce:006Kd00001AbCdF")[-1] == "0.75"  # what its row says


PIPEDRIVE = [
    "ID", "Title", "Value", "Currency", "Organization", "Contact person", "Pipeline", "Stage", "Status", "Owner",
    "Probability", "Expected close date", "Deal created", "Last stage change", "Won time", "Lost time", "Lost reason",
]  # fmt: skip


PIPEDRIVE_RENAMED = {
    "Currency": "Currency of value", "Stage": "Stage (pipeline)", "Deal created": "Creation date",
    "Last stage change": "Stage change time", "Won time": "Closed on",
}  # fmt: skip


def pipedrive_rows() -> list[list[str]]:
    return [
        ["11", "Tower", "980000", "SGD", "Acme", "Lea Vogt", "Pipeline", "Negotiations Started", "Won", "Tom Ris", "",
         "2025-03-01", "2025-01-06 09:00:00", "2025-02-01 10:00:00", "2025-03-03 16:00:00", "", ""],
        ["12", "Barn", "5", "SGD", "", "", "Pipeline", "Proposal Made", "Lost", "Tom Ris", "", "",
         "2025-01-06 09:00:00", "2025-02-01 10:00:00", "", "2025-02-02 08:30:00", "Price"],
        ["13", "Yard", "5", "SGD", "", "", "Pipeline", "Proposal Made", "Open", "Tom Ris", "40", "2025-02-02",
         "2025-01-06 09:00:00", "2025-01-20 10:00:00", "", "", ""],
        ["14", "Gone", "5", "SGD", "", "", "Pipeline", "Qualified", "Open", "Tom Ris", "", "", "2025-01-06 09:00:00",
         "2025-01-05 10:00:00", "", "", ""],
    ]  # fmt: skip


@pytest.mark.parametrize("renamed", [{}, PIPEDRIVE_RENAMED], ids=["names", "other names"])
@pytest.mark.parametrize("prefix", ["", "Deal - "])
def test_pipedrive_keeps_the_last_stage_of_a_closed_deal(
    ledger: Ledger, tmp_path: Path, prefix: str, renamed: dict[str, str]
) -> None:
    """Status says how it ended, Stage where it stood before; headers come with and without 'Deal - ', and renamed."""
    header = [prefix + renamed.get(name, name) for name in PIPEDRIVE]
    report = load(ledger, tmp_path, "pipedrive", write_table(tmp_path / "deals.csv", header, pipedrive_rows()))
    assert path(ledger, "pipedrive:11") == [
        ("lead_captured", "2025-01-06 09:00"),
        ("negotiation", "2025-02-01 10:00"),
        ("closed_won", "2025-03-03 16:00"),
    ]
    assert path(ledger, "pipedrive:12")[1:] == [("proposal", "2025-02-01 10:00"), ("closed_lost", "2025-02-02 08:30")]
    assert path(ledger, "pipedrive:13")[1:] == [("proposal", "2025-01-20 10:00")]
    assert deal(ledger, "pipedrive:13").expected_close_date == date(2025, 2, 2)
    ((line, column, _),) = rejects_of(report)
    assert (line, column) == ("5", prefix + renamed.get("Last stage change", "Last stage change"))


ZOHO = [
    "Record Id", "Deal Owner.id", "Deal Owner", "Amount", "Deal Name", "Closing Date", "Account Name.id",
    "Account Name", "Stage", "Type", "Probability (%)", "Lead Source", "Contact Name", "Created Time", "Currency",
]  # fmt: skip
ZOHO_HISTORY = [
    "Record Id", "Deal Name.id", "Deal Name", "Stage", "Amount", "Probability (%)", "Expected Revenue", "Closing Date",
    "Stage Duration (Calendar Days)", "Moved To", "Modified By", "Modified Time",
]  # fmt: skip


@pytest.mark.parametrize("word", ["Deal", "Potential"])
def test_zoho_deals_and_potentials_with_their_stage_history(ledger: Ledger, tmp_path: Path, word: str) -> None:
    """The history is found by the deal's id; a closing date yet ahead gives way to the day the history tells."""
    ahead = str(datetime.now(UTC).year + 1)
    deals = write_table(
        tmp_path / "deals.csv",
        [name.replace("Deal", word) for name in ZOHO],
        [
            ["zcrm_41", "zcrm_1", "Ana Lund", "2500", "Pier", f"{ahead}-01-31", "zcrm_8", "Acme",
             "Closed Lost to Competition", "", "0", "", "", "2025-01-06 09:00:00", "USD"],
            ["zcrm_42", "zcrm_1", "Ana Lund", "2500", "Park", "2025-01-31", "zcrm_8", "Acme", "Value Proposition", "",
             "40", "", "", "2025-01-06 09:00:00", "USD"],
        ],
    )  # fmt: skip
    history = write_table(
        tmp_path / "stages.csv",
        [name.replace("Deal", word) for name in ZOHO_HISTORY],
        [
            ["zcrm_77", "zcrm_41", "Pier", "Closed Lost to Competition", "2500", "0", "0", "2025-01-31", "", "", "Ana",
             "2025-02-01 10:00:00"],
            ["zcrm_76", "zcrm_41", "Pier", "Qualification", "2500", "10", "0", "2025-01-31", "26", "Closed Lost", "Ana",
             "2025-01-06 09:00:00"],
        ],
    )  # fmt: skip
    report = load(ledger, tmp_path, "zoho", deals, history)
    assert [(file.section, file.rejected) for file in report.files] == [("deals", 0), ("stage_events", 0)]
    assert path(ledger, "zoho:zcrm_41") == [("qualification", "2025-01-06 09:00"), ("closed_lost", "2025-02-01 10:00")]
    lost = deal(ledger, "zoho:zcrm_41")
    assert (lost.status, lost.actual_close_date) == ("closed_lost", date(2025, 2, 1))
    assert confidences(ledger, "zoho:zcrm_41") == ["0.10"]
    assert deal(ledger, "zoho:zcrm_42").pipeline_stage == "needs_analysis"
