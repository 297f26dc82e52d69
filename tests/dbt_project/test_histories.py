"""Hand-written histories through the whole project: from raw facts to the numbers that people read.

The names follow the errors found in other people's code for the same job: each is a test here.
"""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest

from tests.support.dbt_runs import PROJECT, Warehouse
from tests.support.raw_tables import History, create_raw_tables

AS_OF = "2024-06-30"


@pytest.fixture(scope="module")
def agency(warehouse: Warehouse) -> Iterator[Warehouse]:
    """Four agents, a manager, a viewer; every kind of history; built once up to the end of June."""
    with warehouse.connect(read_only=False) as connection:
        create_raw_tables(connection)
        history = History(connection)
        for user, role in {"ann": "agent", "ben": "agent", "cho": "agent", "mei": "manager", "vic": "viewer"}.items():
            history.person(user, user.title(), role)
        history.fx_rate("USD", "1.50000000", "2024-01-01")
        history.fx_rate("USD", "2.00000000", "2024-05-01")
        _write_wins(history)
        _write_pipeline(history)
        _write_corrections(history)
        _write_commissions(history)
        history.benchmark("win_rate_pct", 40, "2024-01-01")
        history.benchmark("avg_cycle_days", 30, "2024-01-01", asset_type="office")
    warehouse.build(AS_OF)
    return warehouse


def _write_wins(history: History) -> None:
    """Ann wins twice and loses nothing: cycles of 60 and 10 days."""
    history.opened("sixty", "ann", "2024-01-01", estimated_value_amount=1000, confidence="0.10")
    history.moved("sixty", "closed_won", "2024-03-01")
    history.opened("ten", "ann", "2024-02-01", estimated_value_amount=100, estimated_value_currency="USD")
    history.moved("ten", "closed_won", "2024-02-11")


def _write_pipeline(history: History) -> None:
    """Ben has one open deal, long overdue, one cancelled and one lost."""
    history.opened(
        "overdue", "ben", "2024-01-10", "proposal", estimated_value_amount=200, confidence="0.60",
        expected_close_date="2024-02-01",
    )  # fmt: skip
    history.opened("assumed", "ben", "2024-01-10", "negotiation", estimated_value_amount=100)
    history.opened("dollars", "ben", "2024-01-10", estimated_value_amount=10, estimated_value_currency="USD")
    history.opened("euros", "ben", "2024-01-10", estimated_value_amount=10, estimated_value_currency="EUR")
    history.opened("cancelled", "ben", "2024-01-10", estimated_value_amount=5000)
    history.cancelled("cancelled", "2024-04-01")
    history.opened("lost", "ben", "2024-01-10", estimated_value_amount=300)
    history.moved("lost", "closed_lost", "2024-04-01")


def _write_corrections(history: History) -> None:
    """Cho's deals come back, change hands, move late and by mistake."""
    history.opened("reopened", "cho", "2024-01-01", estimated_value_amount=50)
    history.moved("reopened", "closed_won", "2024-02-01")
    history.reopened("reopened", "negotiation", "2024-03-01")
    history.opened("passed-on", "cho", "2024-01-01", estimated_value_amount=70)
    history.moved("passed-on", "closed_won", "2024-02-15")
    history.assigned("passed-on", "mei", "2024-03-01")
    history.opened("late", "cho", "2024-01-01", estimated_value_amount=90)
    history.moved("late", "closed_lost", "2024-05-01")
    history.moved("late", "proposal", "2024-02-01", late=True)
    history.opened("mistake", "cho", "2024-01-01 09:00", estimated_value_amount=1)
    history.moved("mistake", "agreement", "2024-01-02 09:00")
    history.moved("mistake", "lead_captured", "2024-01-02 09:05")
    history.moved("mistake", "qualification", "2024-01-03 09:00")
    history.moved("mistake", "lead_captured", "2024-01-04 09:00")
    history.changed("mistake", "2024-01-05", estimated_value_amount=None)


def _write_commissions(history: History) -> None:
    """Ann's deal pays Ann and her co-agent Ben; Ben's line is disputed for a while, Ann's is clawed back in part."""
    history.commission("ann-line", "sixty", "ann", "2024-03-02", 30)
    history.commission_moved("ann-line", "sixty", "pending", "confirmed", "2024-03-10")
    history.commission_moved("ann-line", "sixty", "confirmed", "invoiced", "2024-03-20")
    history.adjusted("ann-line", "sixty", "clawback", 10, "2024-04-01")
    history.adjusted("ann-line", "sixty", "bonus", 1, "2024-04-02")
    history.commission("ben-line", "sixty", "ben", "2024-03-02", 20, commission_type="co_broke")
    history.commission_moved("ben-line", "sixty", "pending", "confirmed", "2024-03-10")
    history.disputed("dispute", "ben-line", "sixty", "confirmed", 15, "2024-05-01")
    history.resolved("dispute", "ben-line", "sixty", "confirmed", "2024-05-20")


def snapshot(agency: Warehouse, agent: str, day: str = AS_OF) -> dict:
    """One row of the agent's daily series."""
    return agency.row(
        "SELECT * FROM marts.agent_performance_snapshots WHERE agent_id = ? AND snapshot_date = ?", agent, day
    )


def deal(agency: Warehouse, deal_id: str) -> dict:
    """One row of `deals`."""
    return agency.row("SELECT * FROM marts.deals WHERE deal_id = ?", deal_id)


def test_cycle_with_the_arguments_of_datediff_reversed(agency: Warehouse) -> None:
    """Sixty days are sixty days, and the mean with the ten-day deal is 35."""
    assert deal(agency, "sixty")["cycle_days"] == 60.0
    assert (snapshot(agency, "ann")["avg_cycle_days"], snapshot(agency, "ann")["median_cycle_days"]) == (35.0, 35.0)


def test_owner_with_wins_and_no_losses(agency: Warehouse) -> None:
    """Two wins and no loss are a win rate of one; nobody's rate is above it."""
    assert snapshot(agency, "ann")["conversion_rate"] == 1.0
    assert agency.row("SELECT max(conversion_rate) AS r FROM marts.agent_performance_snapshots")["r"] == 1.0


def test_probability_read_as_a_percentage_in_one_place_and_as_a_share_in_another(agency: Warehouse) -> None:
    """Half of 100, six tenths of 200, a twentieth of ten dollars at two to one; all but the 200 rests on assumption."""
    ben = snapshot(agency, "ben")
    assert ben["weighted_pipeline_value"] == Decimal("171.00")
    assert ben["gross_pipeline_value"] == Decimal("320.00")
    assert ben["value_without_confidence"] == Decimal("120.00")


def test_incremental_daily_history(agency: Warehouse) -> None:
    """A deal that does not change counts on every later day, and an agent who never had one has rows all the same."""
    days = (date(2024, 6, 30) - date(2024, 1, 1)).days + 1
    rows = agency.rows(
        "SELECT agent_id, count(*) AS n FROM marts.agent_performance_snapshots GROUP BY ALL ORDER BY ALL"
    )
    assert rows == [{"agent_id": agent, "n": days} for agent in ("ann", "ben", "cho", "mei")]
    assert snapshot(agency, "ben", "2024-06-01")["deals_open"] == 4


def test_a_history_ended_on_the_expected_close_date(agency: Warehouse) -> None:
    """An overdue deal is still open."""
    assert deal(agency, "overdue")["status"] == "open"
    stages = agency.row(
        "SELECT * FROM marts.pipeline_stage_daily WHERE agent_id = 'ben' AND stage = 'proposal' AND snapshot_date = ?",
        AS_OF,
    )
    assert (stages["deals_open"], stages["gross_pipeline_value"]) == (1, Decimal("200.00"))


def test_lost_deals_in_the_forecast_and_won_deals_by_their_creation_date(agency: Warehouse) -> None:
    """A lost deal weighs nothing; a win counts from the day it closed, not from the day it was opened."""
    assert snapshot(agency, "ann", "2024-02-10")["deals_closed_won"] == 0
    assert snapshot(agency, "ann", "2024-02-11")["deals_closed_won"] == 1
    assert snapshot(agency, "ann")["weighted_pipeline_value"] == 0


def test_conversion_is_not_won_by_open_and_won_and_cancelled_is_not_open(agency: Warehouse) -> None:
    """Ben: no win, one loss, four open, one cancelled; a rate of 0 over one deal."""
    ben = snapshot(agency, "ben")
    assert (ben["conversion_rate"], ben["conversion_numerator"], ben["conversion_denominator"]) == (0.0, 0, 1)
    assert (ben["deals_open"], ben["deals_cancelled"], ben["deals_closed_lost"]) == (4, 1, 1)


def test_gross_and_weighted_value_summed_over_closed_deals_too(agency: Warehouse) -> None:
    """The cancelled 5000 and the lost 300 left the pipeline on the day they closed."""
    assert snapshot(agency, "ben", "2024-03-31")["gross_pipeline_value"] == Decimal("5615.00")
    assert snapshot(agency, "ben", "2024-04-01")["gross_pipeline_value"] == Decimal("315.00")


def test_amounts_of_different_currencies_are_never_added(agency: Warehouse) -> None:
    """Dollars count at the day's rate, or the close date's once closed; euros, without a rate, are counted apart."""
    assert snapshot(agency, "ben")["unconverted_count"] == 1
    euros = agency.row(
        "SELECT * FROM marts.agent_currency_snapshots WHERE currency = 'EUR' AND snapshot_date = ?", AS_OF
    )
    assert (euros["agent_id"], euros["deals_open"], euros["gross_pipeline_value"]) == ("ben", 1, Decimal("10.00"))
    assert snapshot(agency, "ann")["won_value"] == Decimal("1150.00")


def test_a_co_agents_commission_credited_to_the_deals_agent_and_adjustments_ignored(agency: Warehouse) -> None:
    """Ben's line is Ben's; Ann's is 30 - 10 + 1."""
    assert snapshot(agency, "ann")["confirmed_commission_amount"] == Decimal("21.00")
    assert snapshot(agency, "ann", "2024-03-31")["confirmed_commission_amount"] == Decimal("30.00")
    assert snapshot(agency, "ben")["confirmed_commission_amount"] == Decimal("20.00")


def test_leaving_disputed_lost_the_status_before_it(agency: Warehouse) -> None:
    """While disputed the line is not confirmed and its disputed amount shows; afterwards it is confirmed again."""
    during, after = snapshot(agency, "ben", "2024-05-10"), snapshot(agency, "ben")
    assert (during["confirmed_commission_amount"], during["disputed_commission_amount"]) == (0, Decimal("15.00"))
    assert (after["confirmed_commission_amount"], after["disputed_commission_amount"]) == (Decimal("20.00"), 0)
    line = agency.row("SELECT * FROM marts.commissions WHERE commission_id = 'ben-line'")
    assert (line["status"], line["open_dispute_amount"]) == ("confirmed", 0)


def test_reopening_kept_the_old_close_date(agency: Warehouse) -> None:
    """An open deal has no close date, and left the won deals on the day it was reopened."""
    reopened = deal(agency, "reopened")
    assert (reopened["status"], reopened["closed_at"], reopened["actual_close_date"]) == ("open", None, None)
    assert [snapshot(agency, "cho", day)["deals_closed_won"] for day in ("2024-02-20", "2024-03-01")] == [2, 1]
    assert [snapshot(agency, "cho", day)["median_cycle_days"] for day in ("2024-02-20", "2024-03-01")] == [38.0, 45.0]


def test_assigning_a_deal_does_not_rewrite_history(agency: Warehouse) -> None:
    """Mei owns the deal that Cho won; the win stays Cho's."""
    passed_on = deal(agency, "passed-on")
    assert (passed_on["agent_id"], passed_on["credited_agent_id"]) == ("mei", "cho")
    assert snapshot(agency, "mei")["deals_closed_won"] == 0
    assert snapshot(agency, "cho")["deals_closed_won"] == 1


def test_a_late_entry_changes_past_days_and_not_the_present(agency: Warehouse) -> None:
    """The move written down last happened in February: the deal stays lost, and stood in that stage in between."""
    assert deal(agency, "late")["status"] == "closed_lost"
    visits = agency.rows("SELECT stage, duration_seconds FROM marts.stage_visits WHERE deal_id = 'late' ORDER BY visit")
    assert [visit["stage"] for visit in visits] == ["lead_captured", "proposal", "closed_lost"]
    assert visits[0]["duration_seconds"] == 31 * 86400


def test_funnel_counted_transition_rows(agency: Warehouse) -> None:
    """The undone move makes no visit, the re-entry is the third, and the first stage is there."""
    visits = agency.rows("SELECT visit, stage FROM marts.stage_visits WHERE deal_id = 'mistake' ORDER BY visit")
    assert [visit["stage"] for visit in visits] == ["lead_captured", "qualification", "lead_captured"]
    entries = agency.row("SELECT count(*) AS n FROM marts.deal_revisions WHERE deal_id = 'mistake'")
    assert entries["n"] == 6


def test_a_cleared_value_is_no_value(agency: Warehouse) -> None:
    """Clearing a value is not the same as not touching it."""
    assert deal(agency, "mistake")["estimated_value_amount"] is None


def test_an_agent_stands_beside_the_benchmark_in_force(agency: Warehouse) -> None:
    """Ann won all of her two deals where the industry wins 40 %; her offices take 35 days, the benchmark 30."""
    rows = agency.rows(
        "SELECT metric_key, agent_value, benchmark_value, n FROM marts.benchmark_comparison"
        " WHERE agent_id = 'ann' AND asset_type = 'office' AND deal_type IS NULL ORDER BY ALL"
    )
    assert [tuple(row.values()) for row in rows] == [("avg_cycle_days", 35.0, 30.0, 2), ("win_rate_pct", 1.0, 0.4, 2)]


def test_the_queries_of_the_guide_run(agency: Warehouse) -> None:
    """What `docs/read-the-numbers.md` shows works on the tables as they are, and gives rows."""
    guide = (PROJECT.parent / "docs" / "read-the-numbers.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    assert len(queries) >= 4
    with agency.connect() as connection:
        connection.execute("SET search_path = 'marts'")
        for query in queries:
            assert connection.execute(query).fetchall(), query
