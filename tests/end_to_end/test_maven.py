"""A real CRM export with known answers, from the file to REST, as its user would take it there.

The data set lies beside the checkout and is never part of it; without it these tests skip.
"""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.commands import DATASETS, Served, get_json, read_json, run_dealbook, serving

MAVEN = DATASETS / "maven_crm"
SETTINGS = {"DEALBOOK_REPORTING_CURRENCY": "USD", "DEALBOOK_PORT": "0"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MAVEN.exists(), reason=f"the Maven CRM data set is not at {MAVEN}"),
]


def _take_to_marts(home: Path, pipeline: str) -> dict[str, Any]:
    """Import one variant of the export and refresh as of its last day; return both reports."""
    files = [str(MAVEN / pipeline), str(MAVEN / "sales_teams.csv")]
    imported = read_json(home, "import", *files, "--mapping", "maven_crm", **SETTINGS)
    refreshed = read_json(home, "refresh", "--as-of", "2017-12-31", **SETTINGS)
    return {"imported": imported, "refreshed": refreshed}


@pytest.fixture(scope="module")
def maven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder after importing and refreshing the ISO-dated variant."""
    home = tmp_path_factory.mktemp("maven")
    reports = _take_to_marts(home, "sales_pipeline.csv")
    assert reports["refreshed"]["outcome"] == "published"
    return home


def _published(home: Path) -> Path:
    return home / "published" / (home / "published" / "CURRENT").read_text().strip()


def test_the_published_file_has_the_known_answers(maven: Path) -> None:
    """Won 4,238, lost 2,473, open 2,089, won value 10,005,534, mean cycle 51.78 days; 35 agents, 5 without a deal."""
    with duckdb.connect(str(_published(maven)), read_only=True) as connection:
        team = connection.execute(
            """
            select sum(deals_closed_won), sum(deals_closed_lost), sum(deals_open), sum(won_value),
                round(sum(cycle_days_sum) / sum(cycle_n), 2), count(*),
                count(*) filter (deals_closed_won + deals_closed_lost + deals_open = 0)
            from agent_performance_snapshots where snapshot_date = '2017-12-31'
            """
        ).fetchone()
        best = connection.execute(
            """
            select deals_closed_won, won_value from agent_performance_snapshots
            where snapshot_date = '2017-12-31' order by deals_closed_won desc limit 2
            """
        ).fetchall()
    assert team is not None
    assert [float(value) for value in team] == [4238, 2473, 2089, 10_005_534, 51.78, 35, 5]
    assert [(won, float(value)) for won, value in best] == [(349, 1_153_214), (221, 478_396)]


@pytest.fixture(scope="module")
def served(maven: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The API over that state."""
    with serving(maven, tmp_path_factory.mktemp("log") / "serve.log", "serve", **SETTINGS) as process:
        process.wait_for("Serving on")
        yield process


def test_rest_and_plain_duckdb_give_the_best_agent_the_same_numbers(maven: Path, served: Served) -> None:
    """349 won for 1,153,214: over REST, and in the published file opened by plain DuckDB while the API reads it."""
    address = served.address_of("Serving on")
    token = read_json(maven, "token", "create", "--role", "viewer", "--email", "v@example.com")["token"]
    with duckdb.connect(str(_published(maven)), read_only=True) as connection:
        row = connection.execute(
            "select agent_id, deals_closed_won, deals_closed_lost, won_value from agent_performance_snapshots"
            " where snapshot_date = '2017-12-31' order by deals_closed_won desc limit 1"
        ).fetchone()
    assert row is not None
    summary = get_json(f"{address}/api/v1/performance/summary?agent_id={row[0]}&period=as_of", token)
    assert summary["as_of"]["deals_closed_won"] == row[1] == 349
    assert summary["as_of"]["deals_closed_lost"] == row[2]
    assert summary["as_of"]["won_value"] == str(row[3]) == "1153214.00"
    assert summary["freshness"]["as_of_date"] == "2017-12-31"


def test_each_agents_totals_over_rest_are_those_of_the_file(maven: Path, served: Served) -> None:
    """Per agent, won, lost and won value counted by plain DuckDB from the CSV itself equal the REST leaderboard."""
    address = served.address_of("Serving on")
    token = read_json(maven, "token", "create", "--role", "viewer", "--email", "v@example.com")["token"]
    expected = duckdb.execute(
        """
        select sales_agent, count(*) filter (deal_stage = 'Won'),
            coalesce(sum(close_value) filter (deal_stage = 'Won'), 0)::decimal(16, 2)::varchar
        from read_csv(?) group by sales_agent
        """,
        [str(MAVEN / "sales_pipeline.csv")],
    ).fetchall()
    board = get_json(f"{address}/api/v1/performance/leaderboard?limit=200", token)["items"]
    found = {row["agent_name"]: (row["deals_closed_won"], row["won_value"]) for row in board}
    assert len(expected) == 30
    assert {name: found[name] for name, _, _ in expected} == {name: (won, value) for name, won, value in expected}


def test_a_second_refresh_with_nothing_new_writes_nothing(maven: Path) -> None:
    """Every database file is as it was, and the answer says that there was nothing to do."""
    read_json(maven, "refresh", "--as-of", "2017-12-31", **SETTINGS)  # takes in what other tests wrote, as tokens
    before = {path: path.stat().st_mtime_ns for path in maven.rglob("*") if path.is_file() and path.suffix == ".duckdb"}
    report = read_json(maven, "refresh", "--as-of", "2017-12-31", **SETTINGS)
    assert report["outcome"] == "nothing_new"
    assert before == {
        path: path.stat().st_mtime_ns for path in maven.rglob("*") if path.is_file() and path.suffix == ".duckdb"
    }


def test_importing_the_same_file_again_adds_nothing(maven: Path) -> None:
    """Every row is there already: not one log entry."""
    path = str(MAVEN / "sales_pipeline.csv")
    before = read_json(maven, "audit", "verify")["entries"]
    report = read_json(maven, "import", path, "--mapping", "maven_crm", **SETTINGS)
    assert report["files"][0]["unchanged"] == report["files"][0]["rows"] == 8_800
    assert read_json(maven, "audit", "verify")["entries"] == before


def test_both_date_variants_give_the_same_marts(maven: Path, tmp_path: Path) -> None:
    """M/D/YYYY or ISO: every mart has the same rows, keys made anew aside."""
    _take_to_marts(tmp_path, "sales_pipeline_mdY.csv")
    comparisons = {
        "deals": "external_ref, agent_name, pipeline_stage, status, estimated_value_amount, opened_at, closed_at",
        "agent_performance_snapshots": "* exclude (agent_id, log_size)",
        "cycle_times": "* exclude (agent_id, log_size)",
    }
    with duckdb.connect() as connection:
        connection.execute(
            f"attach '{_published(maven)}' as iso (read_only); attach '{_published(tmp_path)}' as mdy (read_only)"
        )
        for mart, columns in comparisons.items():
            counts = connection.execute(
                f"select (select count(*) from iso.{mart}), (select count(*) from mdy.{mart}),"
                f" (select count(*) from"
                f" (select {columns} from iso.{mart} except all select {columns} from mdy.{mart}))"
            ).fetchone()
            assert counts is not None
            assert counts[0] == counts[1] > 0, mart
            assert counts[2] == 0, mart


def test_the_report_accounts_for_every_row(tmp_path: Path) -> None:
    """accepted + rejected = rows; the 500 rows without any date are counted; a dry run writes nothing."""
    path = str(MAVEN / "sales_pipeline.csv")
    report = read_json(tmp_path, "import", path, "--mapping", "maven_crm", "--dry-run")
    file = report["files"][0]
    assert file["accepted"] + file["rejected"] == file["rows"] == 8_800
    assert file["rows_dated_by_mapping"] == 500
    assert read_json(tmp_path, "audit", "verify")["chains"] == 1
    assert run_dealbook(tmp_path, "publish", "list").stdout.startswith("Nothing is published yet")
