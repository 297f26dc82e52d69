"""Targets and costs of agents from files: told apart by columns, dated by their period unless they say otherwise."""

from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import duckdb
import polars as pl
import pytest

from ingestion.reference_files import FileReport, load_reference_files
from ingestion.warehouse import open_warehouse
from ledger.settings import PROJECT_DIR

TARGETS = "agent,quarter,amount,currency,effective_date,source\n"
DEAL_COMMISSIONS = "deal,item,amount,currency,effective_date,source\n"
COSTS = "agent_email,month,lead_source,amount,currency,effective_date,source\n"
FEED = "agent,month,lead_source,spend,currency,effective_date,source\n"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def _load(warehouse: Path, header: str, rows: str, name: str = "figures.csv") -> FileReport:
    path = warehouse.parent / name
    path.write_text(header + rows, encoding="utf-8")
    (report,) = load_reference_files([path], warehouse, warehouse.parent / "rejects").files
    assert report.rows == report.accepted + report.repeated + report.rejected
    return report


def _ask(warehouse: Path, query: str) -> list[tuple[object, ...]]:
    with open_warehouse(warehouse) as connection:
        return connection.execute(query).fetchall()


def test_a_target_is_of_an_agent_or_of_all_and_stands_from_the_first_day_of_its_quarter(warehouse: Path) -> None:
    rows = (
        "Ann@Agency.example,2024-Q2,1000000,sgd,,plan\n"
        "all,2024-q4,9000000.50,SGD,,plan\n"
        ",2025-Q1,1,SGD,2024-12-15,plan\n"
    )
    report = _load(warehouse, TARGETS, rows)
    assert (report.kind, report.accepted, report.rejected) == ("targets", 3, 0)
    columns = "agent_email, quarter, amount, currency, effective_date, source, file_name, line"
    assert _ask(warehouse, f"SELECT {columns} FROM raw.targets ORDER BY line") == [
        ("ann@agency.example", "2024-Q2", Decimal(1000000), "SGD", date(2024, 4, 1), "plan", "figures.csv", 2),
        (None, "2024-Q4", Decimal("9000000.50"), "SGD", date(2024, 10, 1), "plan", "figures.csv", 3),
        (None, "2025-Q1", Decimal(1), "SGD", date(2024, 12, 15), "plan", "figures.csv", 4),
    ]


def test_a_cost_is_of_an_agent_and_may_name_its_lead_source(warehouse: Path) -> None:
    rows = (
        "ann@agency.example,2024-02,Portal,500,SGD,,books\n"
        "ann@agency.example,2024-02,,20.00,SGD,,books\n"
        "ann@agency.example,2024-02,Portal,70,USD,,books\n"
        "ANN@agency.example,2024-02,Portal,500.00,SGD,,books\n"
    )
    report = _load(warehouse, COSTS, rows)
    assert (report.kind, report.accepted, report.repeated, report.rejected) == ("agent_costs", 3, 1, 0)
    found = _ask(warehouse, "SELECT lead_source, amount, currency, effective_date FROM raw.agent_costs ORDER BY line")
    day = date(2024, 2, 1)
    assert found == [
        ("Portal", Decimal(500), "SGD", day),
        (None, Decimal(20), "SGD", day),
        ("Portal", Decimal(70), "USD", day),
    ]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_an_roi_feed_tells_costs_of_lead_sources_with_where_each_came_from(warehouse: Path, form: str) -> None:
    """The same figures from each format, of an agent or of the whole agency, dated by their month, with provenance."""
    frame = pl.DataFrame(
        {
            "agent": ["Ann@agency.example", "all", None],
            "Month": ["2024-02", "2024-02", "2024-03"],
            "lead_source": ["Portal", "Portal", "Roadshow"],
            "spend": ["500.50", "9000", "1"],
            "currency": ["sgd", "SGD", "USD"],
            "roi": ["1.2", "0.4", None],
            "source": ["old system"] * 3,
        }
    )
    path = warehouse.parent / f"feed.{form}"
    {"csv": frame.write_csv, "json": frame.write_json, "parquet": frame.write_parquet}[form](path)
    before = datetime.now(UTC)
    (report,) = load_reference_files([path], warehouse, warehouse.parent / "rejects").files
    assert (report.kind, report.accepted, report.rejected) == ("roi_metrics", 3, 0)
    assert report.ignored_columns == ["roi"]  # what it earned, the log knows
    columns = "agent_email, month, lead_source, cost_amount, currency, effective_date"
    assert _ask(warehouse, f"SELECT {columns} FROM raw.roi_metrics ORDER BY line") == [
        ("ann@agency.example", "2024-02", "Portal", Decimal("500.50"), "SGD", date(2024, 2, 1)),
        (None, "2024-02", "Portal", Decimal(9000), "SGD", date(2024, 2, 1)),
        (None, "2024-03", "Roadshow", Decimal(1), "USD", date(2024, 3, 1)),
    ]
    provenance = "source, file_name, file_sha256, loaded_at"
    [(source, name, digest, loaded_at)] = _ask(warehouse, f"SELECT DISTINCT {provenance} FROM raw.roi_metrics")
    assert (source, name) == ("old system", path.name)
    assert digest == sha256(path.read_bytes()).hexdigest()
    assert isinstance(loaded_at, datetime)
    assert before <= loaded_at <= datetime.now(UTC)


def test_two_costs_of_a_feed_for_one_source_and_month_are_an_error_that_names_both(warehouse: Path) -> None:
    """Neither is taken; a correction comes with a later day and stands beside the first."""
    rows = "all,2024-01,Portal,100,SGD,,S\n,2024-01,Portal,200,SGD,2024-01-01,S\nall,2024-01,Website,5,SGD,,S\n"
    report = _load(warehouse, FEED, rows)
    assert (report.accepted, report.rejected) == (1, 2)
    assert [reject.reason.split(" for ")[0] for reject in report.rejects] == [
        "contradicts 200.00 on line 3",
        "contradicts 100.00 on line 2",
    ]
    assert _load(warehouse, FEED, "all,2024-01,Website,7,SGD,2024-02-01,S\n", "corrected.csv").accepted == 1
    amounts = _ask(warehouse, "SELECT cost_amount FROM raw.roi_metrics ORDER BY effective_date")
    assert amounts == [(Decimal(5),), (Decimal(7),)]


@pytest.mark.parametrize(
    ("header", "row", "column", "reason"),
    [
        (TARGETS, "a@b.c,2024-Q5,1,SGD,,S", "quarter", "is no quarter of the form YYYY-Qn"),
        (TARGETS, "a@b.c,0000-Q1,1,SGD,,S", "quarter", "is no quarter of the form YYYY-Qn"),
        (TARGETS, "a@b.c,,1,SGD,,S", "quarter", "is missing"),
        (TARGETS, "Ann Lim,2024-Q1,1,SGD,,S", "agent_email", "is not of the form"),
        (TARGETS, "a@b.c,2024-Q1,-1,SGD,,S", "amount", "is less than 0"),
        (TARGETS, "a@b.c,2024-Q1,,SGD,,S", "amount", "is missing"),
        (TARGETS, "a@b.c,2024-Q1,1.005,SGD,,S", "amount", "has more than 2 decimal places"),
        (TARGETS, "a@b.c,2024-Q1,1,dollars,,S", "currency", "is not of the form"),
        (TARGETS, "a@b.c,2024-Q1,1,SGD,1.4.2024,S", "effective_date", "is no date"),
        (COSTS, "a@b.c,2024-13,,1,SGD,,S", "month", "is no month of the form YYYY-MM"),
        (COSTS, "all,2024-01,,1,SGD,,S", "agent_email", "is missing"),
        (COSTS, "a@b.c,2024-01,,NaN,SGD,,S", "amount", "is no number"),
        (FEED, "a@b.c,2024-01,,1,SGD,,S", "lead_source", "is missing"),
        (FEED, "a@b.c,2024-01,Portal,,SGD,,S", "cost_amount", "is missing"),
        (FEED, "a@b.c,2024-01,Portal,-1,SGD,,S", "cost_amount", "is less than 0"),
        (FEED, "Portal Ltd,2024-01,Portal,1,SGD,,S", "agent_email", "is not of the form"),
        (FEED, "a@b.c,2024-Q1,Portal,1,SGD,,S", "month", "is no month of the form YYYY-MM"),
    ],
)
def test_a_bad_row_is_turned_away_with_its_line_and_column(
    warehouse: Path, header: str, row: str, column: str, reason: str
) -> None:
    good = "a@b.c,2023-Q1,1,SGD,,S\n" if header == TARGETS else "a@b.c,2023-01,Portal,1,SGD,,S\n"
    report = _load(warehouse, header, f"{good}{row}\n")
    assert (report.accepted, report.rejected) == (1, 1)
    assert {(reject.line, reject.column) for reject in report.rejects} == {(3, column)}
    assert reason in report.rejects[0].reason


def test_a_deals_commission_and_what_is_passed_on_are_two_amounts_of_one_deal(warehouse: Path) -> None:
    """Each item has its own row and day; another word, two values for one day, and an undated amount are not taken."""
    rows = (
        "crm:D-7,Commission,30000,sgd,2024-05-01,accounts\n"
        "crm:D-7,external co-broke,7500.00,SGD,2024-05-01,accounts\n"
        "crm:D-7,commission,31000,SGD,2024-06-01,accounts\n"
        "crm:D-8,fees,10,SGD,2024-05-01,accounts\n"
        "crm:D-9,commission,10,SGD,,accounts\n"
        "crm:D-7,commission,29000,SGD,2024-06-02,accounts\n"
        "crm:D-7,commission,28000,SGD,2024-06-02,accounts\n"
    )
    report = _load(warehouse, DEAL_COMMISSIONS, rows)
    assert (report.kind, report.accepted, report.rejected) == ("deal_commissions", 3, 4)
    assert _ask(warehouse, "SELECT deal, item, amount, currency FROM raw.deal_commissions ORDER BY line") == [
        ("crm:D-7", "commission", Decimal(30000), "SGD"),
        ("crm:D-7", "external_co_broke", Decimal(7500), "SGD"),
        ("crm:D-7", "commission", Decimal(31000), "SGD"),
    ]
    reasons = {reject.line: reject.reason for reject in report.rejects}
    assert "not one of: commission, external_co_broke" in reasons[5]
    assert "is missing" in reasons[6]
    assert "contradicts" in reasons[7] and "contradicts" in reasons[8]


def test_a_target_is_revised_by_a_later_day_and_never_replaced(warehouse: Path) -> None:
    """Two values for one key and day are an error that names both; a later day is another figure."""
    _load(warehouse, TARGETS, "all,2024-Q1,100,SGD,,S\n", "first.csv")
    rows = "all,2024-Q1,200,SGD,2024-01-01,S\nall,2024-Q1,300,SGD,2024-02-15,S\n"
    report = _load(warehouse, TARGETS, rows, "second.csv")
    assert (report.accepted, report.rejected) == (1, 1)
    assert "contradicts 100.00 from first.csv line 2" in report.rejects[0].reason
    amounts = _ask(warehouse, "SELECT amount FROM raw.targets ORDER BY effective_date")
    assert amounts == [(Decimal(100),), (Decimal(300),)]


def test_a_warehouse_of_an_earlier_version_gets_the_new_tables_and_keeps_its_own(warehouse: Path) -> None:
    with open_warehouse(warehouse) as connection:
        connection.execute("UPDATE raw.watermark SET log_size = 7")
        connection.execute("DROP TABLE raw.targets")
        connection.execute("DROP TABLE raw.agent_costs")
        connection.execute("DROP TABLE raw.roi_metrics")
        connection.execute("DROP TABLE raw.deal_commissions")
    assert _load(warehouse, TARGETS, "all,2024-Q1,100,SGD,,S\n").accepted == 1
    assert _ask(warehouse, "SELECT log_size FROM raw.watermark") == [(7,)]
    for table in ("agent_costs", "deal_commissions"):
        assert _ask(warehouse, f"SELECT count(*) FROM raw.{table}") == [(0,)]
    assert _load(warehouse, FEED, "all,2024-01,Portal,100,SGD,,S\n", "feed.csv").accepted == 1


@pytest.mark.parametrize(
    ("name", "kind"),
    [("targets.csv", "targets"), ("agent_costs.csv", "agent_costs"), ("roi_metrics.csv", "roi_metrics")],
)
def test_the_examples_that_come_with_the_product_are_accepted_whole(warehouse: Path, name: str, kind: str) -> None:
    path = PROJECT_DIR / "data" / "reference" / name
    (report,) = load_reference_files([path], warehouse, warehouse.parent / "rejects").files
    assert (report.kind, report.rejected, report.repeated) == (kind, 0, 0)
    with duckdb.connect(warehouse, read_only=True) as connection:
        sources = connection.execute(f"SELECT DISTINCT source FROM raw.{kind}").fetchall()
    assert sources == [("illustrative",)]
