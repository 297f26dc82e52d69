"""Reference files -> raw: every row accounted for, nothing replaced in silence, and the same again after a loss."""

import csv
import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion.errors import ReferenceFileUnread
from ingestion.landing import land_new_entries
from ingestion.reference_files import (
    FileReport,
    ReferenceReport,
    load_reference_files,
    reference_digest,
    restore_reference_files,
)
from ingestion.warehouse import open_warehouse
from ledger.settings import PROJECT_DIR
from tests.support.living_ledger import new_ledger

COMPILED = PROJECT_DIR.parent / "shared/datasets/benchmarks/compiled_performance_benchmarks.csv"
HEADER = "metric_key,asset_type,deal_type,cohort,metric_value,effective_date,region,source\n"
FX_HEADER = "from_currency,to_currency,rate,effective_date,source\n"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content, encoding="utf-8")
    return path


def _load(warehouse: Path, *paths: Path) -> ReferenceReport:
    report = load_reference_files(paths, warehouse, warehouse.parent / "rejects")
    for file in report.files:
        assert file.rows == file.accepted + file.repeated + file.rejected or file.was_loaded
    return report


def _load_text(warehouse: Path, rows: str, header: str = HEADER, name: str = "figures.csv") -> FileReport:
    return _load(warehouse, _write(warehouse.parent / "in" / name, header + rows)).files[0]


def _ask(warehouse: Path, query: str) -> list[tuple[Any, ...]]:
    with open_warehouse(warehouse) as connection:
        return connection.execute(query).fetchall()


def test_the_compiled_benchmarks_are_accounted_for_row_by_row(warehouse: Path) -> None:
    """118 second-hand figures with every trap: contradictions, dates missing, words not ours, text for numbers."""
    if not COMPILED.exists():
        pytest.skip(f"the data set is not on this machine: {COMPILED}")
    with COMPILED.open(newline="") as file:
        lines = dict(enumerate(csv.DictReader(file), start=2))
    report = _load(warehouse, COMPILED).files[0]
    assert (report.rows, report.accepted, report.repeated, report.rejected) == (118, 51, 0, 67)
    rejected = {reject.line for reject in report.rejects}
    loaded = {row[0]: row[1:] for row in _ask(warehouse, "SELECT line, metric_value FROM raw.performance_benchmarks")}
    assert rejected | loaded.keys() == lines.keys()
    assert not rejected & loaded.keys()
    assert all(Decimal(lines[line]["value_numeric"]) == value for line, (value,) in loaded.items())
    assert {line for line in lines if not lines[line]["effective_date"] or not lines[line]["value_numeric"]} <= rejected
    contradictions = [reject for reject in report.rejects if "contradicts" in reject.reason]
    assert [(reject.line, reject.reason.split(" for ")[0]) for reject in contradictions] == [
        (46, "contradicts 2.660000 on line 48"),
        (48, "contradicts 2.700000 on line 46"),
    ]
    hotels = _ask(
        warehouse, "SELECT line FROM raw.performance_benchmarks WHERE asset_type = 'hospitality' ORDER BY line"
    )
    assert hotels == [(9,), (14,)]
    assert report.rejects_file is not None
    with Path(report.rejects_file).open(newline="") as file:
        kept = list(csv.DictReader(file))
    assert {int(row["line"]) for row in kept} == rejected
    assert json.loads(kept[0]["row"])["asset_type"] == kept[0]["value"] == "logistics"


def test_the_figures_shipped_for_the_demonstration_load_without_a_fault(warehouse: Path) -> None:
    """And say of themselves that they are made up."""
    report = _load(warehouse, *sorted((PROJECT_DIR / "data/reference").glob("*.csv")))
    kinds = {"performance_benchmarks", "fx_rates", "targets", "agent_costs", "roi_metrics"}
    assert {file.kind for file in report.files} == kinds
    assert all(file.accepted == file.rows > 0 for file in report.files)
    for table in sorted(kinds):
        assert _ask(warehouse, f"SELECT DISTINCT source FROM raw.{table}") == [("illustrative",)]


def test_a_figure_carries_where_it_came_from(warehouse: Path) -> None:
    report = _load_text(warehouse, "win_rate_pct,Mixed Use,,Industry_Avg,27.5,2026-01-01,SG,Survey\n")
    [row] = _ask(
        warehouse,
        """SELECT metric_key, asset_type, deal_type, cohort, metric_value, effective_date, region, source, file_name,
        file_sha256, line, valid FROM raw.performance_benchmarks""",
    )
    expected = (
        "win_rate_pct",
        "mixed_use",
        None,
        "industry_avg",
        Decimal("27.500000"),
        date(2026, 1, 1),
        "SG",
        "Survey",
    )
    assert row == (*expected, "figures.csv", report.file_sha256, 2, True)


FIGURE = {
    "metric_key": "avg_cycle_days",
    "asset_type": "office",
    "deal_type": None,
    "cohort": "industry_avg",
    "metric_value": "51.78",
    "effective_date": "2026-01-01",
    "source": "Survey",
}


def _as_json(path: Path) -> None:
    path.write_text(json.dumps([{**FIGURE, "metric_value": 51.78}]))


def _as_wrapped_json(path: Path) -> None:
    path.write_text(json.dumps({"title": "x", "benchmarks": [FIGURE]}))


def _as_lines(path: Path) -> None:
    path.write_text(json.dumps(FIGURE) + "\n")


def _as_csv(path: Path) -> None:
    path.write_text("\ufeff" + ",".join(FIGURE) + "\r\n" + ",".join(value or "" for value in FIGURE.values()) + "\r\n")


def _as_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(json.dumps([FIGURE]).encode()))


def _as_parquet(path: Path) -> None:
    row = {**FIGURE, "metric_value": Decimal("51.78"), "effective_date": date(2026, 1, 1)}
    pl.DataFrame([row], schema_overrides={"deal_type": pl.String}).write_parquet(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("f.json", _as_json),
        ("g.json", _as_wrapped_json),
        ("f.jsonl", _as_lines),
        ("f.csv", _as_csv),
        ("f.json.gz", _as_gz),
        ("f.parquet", _as_parquet),
    ],
)
def test_every_format_gives_the_same_figure(warehouse: Path, tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    assert _load(warehouse, tmp_path / name).files[0].accepted == 1
    assert _ask(
        warehouse, "SELECT asset_type, metric_value, effective_date, source FROM raw.performance_benchmarks"
    ) == [("office", Decimal("51.780000"), date(2026, 1, 1), "Survey")]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("x_pct,office,,industry_avg,,2026-01-01,SG,S", "metric_value", "is missing"),
        ("x_pct,office,,industry_avg,high,2026-01-01,SG,S", "metric_value", "is no number"),
        ("x_pct,office,,industry_avg,NaN,2026-01-01,SG,S", "metric_value", "is no number"),
        ("x_pct,office,,industry_avg,1.2345678,2026-01-01,SG,S", "metric_value", "more than 6 decimal places"),
        ("x_pct,office,,industry_avg,1e12,2026-01-01,SG,S", "metric_value", "is too large"),
        ("x_pct,office,,industry_avg,1,,SG,S", "effective_date", "is missing"),
        ("x_pct,office,,industry_avg,1,2026-02-30,SG,S", "effective_date", "YYYY-MM-DD"),
        ("x_pct,office,,industry_avg,1,01/02/2026,SG,S", "effective_date", "YYYY-MM-DD"),
        ("x_pct,condo,,industry_avg,1,2026-01-01,SG,S", "asset_type", "is not one of: residential, office"),
        ("x_pct,office,total,industry_avg,1,2026-01-01,SG,S", "deal_type", "is not one of: buy_side"),
        ("x_pct,office,,best,1,2026-01-01,SG,S", "cohort", "is not one of: industry_avg"),
        ("x_pct,office,,industry_avg,1,2026-01-01,SG,", "source", "is missing"),
        (",office,,industry_avg,1,2026-01-01,SG,S", "metric_key", "is missing"),
        ("x_pct,office,,industry_avg,1,2026-01-01,SG", None, "has 7 cells where the header has 8"),
        ("x_pct,office,,industry_avg,1,2026-01-01,SG,S,T", None, "has 9 cells where the header has 8"),
    ],
)
def test_a_bad_row_is_turned_away_with_its_reason_and_the_rest_goes_in(
    warehouse: Path, row: str, column: str | None, reason: str
) -> None:
    report = _load_text(warehouse, f"good_pct,,,industry_avg,1,2026-01-01,SG,S\n{row}\n")
    assert (report.accepted, report.rejected) == (1, 1)
    [reject] = report.rejects
    assert (reject.line, reject.column) == (3, column)
    assert reason in reject.reason


def test_line_numbers_are_those_of_an_editor(warehouse: Path) -> None:
    """Also after a cell that spans lines, and after empty lines."""
    report = _load_text(
        warehouse, 'a,,,industry_avg,1,2026-01-01,SG,"two\nlines"\n\nb,,,industry_avg,x,2026-01-01,SG,S\n'
    )
    assert [reject.line for reject in report.rejects] == [5]


def test_the_same_file_again_adds_nothing(warehouse: Path) -> None:
    rows = "a_pct,,,industry_avg,1,2026-01-01,SG,S\nb_pct,,,industry_avg,x,2026-01-01,SG,S\n"
    _load_text(warehouse, rows)
    digest, before = reference_digest(warehouse), warehouse.stat().st_mtime_ns
    again = _load_text(warehouse, rows, name="renamed.csv")
    assert (again.was_loaded, again.accepted, again.rejected) == (True, 1, 1)
    assert reference_digest(warehouse) == digest
    assert warehouse.stat().st_mtime_ns == before


def test_two_values_for_one_key_and_date_are_an_error_that_names_both(warehouse: Path) -> None:
    rows = (
        "a_pct,office,,industry_avg,1,2026-01-01,SG,S\n"
        "a_pct,office,,industry_avg,2,2026-01-01,SG,T\n"
        "a_pct,office,,industry_avg,2,2026-01-01,US,T\n"
        "a_pct,office,,industry_avg,3,2026-02-01,SG,T\n"
        "a_pct,office,,industry_avg,3.0,2026-02-01,SG,T\n"
    )
    report = _load_text(warehouse, rows)
    assert (report.accepted, report.repeated, report.rejected) == (2, 1, 2)
    assert [(reject.line, reject.value) for reject in report.rejects] == [(2, "1.000000"), (3, "2.000000")]
    assert "2.000000 on line 3" in report.rejects[0].reason
    assert "1.000000 on line 2" in report.rejects[1].reason


def test_a_value_that_contradicts_a_loaded_one_is_an_error_that_names_its_file(warehouse: Path) -> None:
    _load_text(warehouse, "a_pct,office,,industry_avg,1,2026-01-01,SG,S\n", name="first.csv")
    report = _load_text(
        warehouse,
        "a_pct,office,,industry_avg,2,2026-01-01,SG,S\na_pct,office,,industry_avg,1.00,2026-01-01,SG,T\n"
        "a_pct,office,,industry_avg,2,2026-06-01,SG,S\n",
        name="second.csv",
    )
    assert (report.accepted, report.repeated, report.rejected) == (1, 1, 1)
    assert "contradicts 1.000000 from first.csv line 2" in report.rejects[0].reason
    values = _ask(warehouse, "SELECT effective_date, metric_value FROM raw.performance_benchmarks ORDER BY 1")
    assert values == [(date(2026, 1, 1), Decimal(1)), (date(2026, 6, 1), Decimal(2))]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("USD,SGD,0,2026-01-01,S", "is not greater than 0"),
        ("USD,SGD,-1.2,2026-01-01,S", "is not greater than 0"),
        ("SGD,SGD,1,2026-01-01,S", "between two different currencies"),
        ("US Dollar,SGD,1.35,2026-01-01,S", "is not of the form"),
        ("USD,SGD,1.35,,S", "is missing"),
    ],
)
def test_a_bad_exchange_rate_is_turned_away(warehouse: Path, row: str, reason: str) -> None:
    report = _load_text(warehouse, f"usd,SGD,1.35,2025-01-01,S\n{row}\n", FX_HEADER)
    assert (report.kind, report.accepted, report.rejected) == ("fx_rates", 1, 1)
    assert reason in report.rejects[0].reason
    assert _ask(warehouse, "SELECT from_currency, rate FROM raw.fx_rates") == [("USD", Decimal("1.35"))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("deals.csv", "deal,amount\n1,2\n", "is no reference file: its columns are deal, amount"),
        ("empty.csv", "", "has no header"),
        ("twice.csv", "metric_key,metric_key\na,b\n", "names a column twice"),
        ("broken.json", '[{"metric_key": ', "cannot be read as json"),
        ("scalar.json", '"x"', "a list of objects is needed"),
        ("broken.csv.gz", "no gzip", "cannot be read as csv"),
        ("broken.parquet", "no parquet", "cannot be read as parquet"),
        ("figures.xlsx", "x", "is none of .csv"),
        ("quotes.csv", 'metric_key,cohort,metric_value\n"a,b,c\n', "cannot be read as csv"),
    ],
)
def test_a_file_that_is_none_is_refused_and_says_why(
    warehouse: Path, tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(ReferenceFileUnread) as caught:
        _load(warehouse, _write(tmp_path / name, content))
    assert said in str(caught.value)
    assert _ask(warehouse, "SELECT count(*) FROM raw.reference_files") == [(0,)]


def test_a_missing_file_says_so(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(ReferenceFileUnread, match="No such file"):
        _load(warehouse, tmp_path / "missing.csv")


def test_the_digest_changes_with_the_files_loaded(warehouse: Path) -> None:
    digests = [reference_digest(warehouse)]
    assert not warehouse.exists()
    for value in (1, 2):
        _load_text(warehouse, f"a_pct,,,industry_avg,{value},2026-0{value}-01,SG,S\n")
        digests.append(reference_digest(warehouse))
    assert len(set(digests)) == 3


def test_a_warehouse_made_from_nothing_gets_the_same_figures(warehouse: Path, tmp_path: Path) -> None:
    """In the order in which they came, so that the same of two contradicting files wins; from the same moments."""
    _load_text(warehouse, "a_pct,,,industry_avg,1,2026-01-01,SG,S\n", name="z.csv")
    _load_text(
        warehouse, "a_pct,,,industry_avg,2,2026-01-01,SG,S\nb_pct,,,industry_avg,2,2026-01-01,SG,S\n", name="a.csv"
    )
    _load_text(warehouse, "USD,SGD,1.35,2025-01-01,S\n", FX_HEADER, name="fx.csv")
    everything = "SELECT * FROM raw.performance_benchmarks ORDER BY reference_id"
    before, digest = _ask(warehouse, everything), reference_digest(warehouse)
    assert len(before) == 2

    warehouse.unlink()
    restored = restore_reference_files(warehouse, tmp_path / "rejects")
    assert [file.file_name for file in restored.files] == ["z.csv", "a.csv", "fx.csv"]
    assert (_ask(warehouse, everything), reference_digest(warehouse)) == (before, digest)
    assert restore_reference_files(warehouse, tmp_path / "rejects").files == []

    warehouse.unlink()
    ledger = new_ledger(tmp_path)
    land_new_entries(ledger, warehouse)
    ledger.close()
    assert (_ask(warehouse, everything), reference_digest(warehouse)) == (before, digest)


def test_the_report_says_it_in_words(warehouse: Path) -> None:
    report = _load_text(
        warehouse,
        "a_pct,,,industry_avg,1,2026-01-01,S,x\nb_pct,castle,,industry_avg,1,2026-01-01,S,x\n",
        HEADER.replace("region", "colour"),
    )
    text = report.render()
    assert "2 rows of performance_benchmarks: 1 accepted, 0 repeated, 1 rejected" in text
    assert "leave it empty to mean all (line 3)" in text
    assert "Columns not used: colour" in text
    assert str(report.rejects_file) in text
    assert ReferenceReport([report]).to_dict()["files"][0]["rejects"][0]["value"] == "castle"
