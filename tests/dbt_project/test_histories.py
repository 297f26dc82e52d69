"""Hand-written histories through the whole project: from raw facts to the numbers that people read."""

import re

from tests.support.dbt_runs import PROJECT, Warehouse
from tests.support.hand_written_agency import deal, snapshot


def test_assigning_a_deal_does_not_rewrite_history(hand_written: Warehouse) -> None:
    """Mei owns the deal that Cho won; the win stays Cho's."""
    passed_on = deal(hand_written, "passed-on")
    assert (passed_on["agent_id"], passed_on["credited_agent_id"]) == ("mei", "cho")
    assert snapshot(hand_written, "mei")["deals_closed_won"] == 0
    assert snapshot(hand_written, "cho")["deals_closed_won"] == 1


def test_a_late_entry_changes_past_days_and_not_the_present(hand_written: Warehouse) -> None:
    """The move written down last happened in February: the deal stays lost, and stood in that stage in between."""
    assert deal(hand_written, "late")["status"] == "closed_lost"
    visits = hand_written.rows(
        "SELECT stage, duration_seconds FROM marts.stage_visits WHERE deal_id = 'late' ORDER BY visit"
    )
    assert [visit["stage"] for visit in visits] == ["lead_captured", "proposal", "closed_lost"]
    assert visits[0]["duration_seconds"] == 31 * 86400


def test_an_undone_move_makes_no_visit_and_a_reentry_makes_one(hand_written: Warehouse) -> None:
    """The undone move makes no visit, the re-entry is the third, and the first stage is there."""
    visits = hand_written.rows("SELECT visit, stage FROM marts.stage_visits WHERE deal_id = 'mistake' ORDER BY visit")
    assert [visit["stage"] for visit in visits] == ["lead_captured", "qualification", "lead_captured"]
    entries = hand_written.row("SELECT count(*) AS n FROM marts.deal_revisions WHERE deal_id = 'mistake'")
    assert entries["n"] == 6


def test_a_cleared_value_is_no_value(hand_written: Warehouse) -> None:
    """Clearing a value is not the same as not touching it."""
    assert deal(hand_written, "mistake")["estimated_value_amount"] is None


def test_an_agent_stands_beside_the_benchmark_in_force(hand_written: Warehouse) -> None:
    """Ann won all of her two deals where the industry wins 40 %; her offices take 35 days, the benchmark 30."""
    rows = hand_written.rows(
        "SELECT metric_key, agent_value, benchmark_value, n FROM marts.benchmark_comparison"
        " WHERE agent_id = 'ann' AND asset_type = 'office' AND deal_type IS NULL ORDER BY ALL"
    )
    assert [tuple(row.values()) for row in rows] == [("avg_cycle_days", 35.0, 30.0, 2), ("win_rate_pct", 1.0, 0.4, 2)]


def test_the_queries_of_the_guide_run(hand_written: Warehouse) -> None:
    """What `docs/read-the-numbers.md` shows works on the tables as they are, and gives rows."""
    guide = (PROJECT.parent / "docs" / "read-the-numbers.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    assert len(queries) >= 4
    with hand_written.connect() as connection:
        connection.execute("SET search_path = 'marts'")
        for query in queries:
            assert connection.execute(query).fetchall(), query
