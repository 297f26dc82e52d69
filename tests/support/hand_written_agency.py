"""An agency written by hand, fact by fact: four agents, a manager, a viewer, and every kind of history.

What the numbers of this agency must be at the end of June can be counted on one's fingers; tests do.
"""

from datetime import date
from typing import Any

from tests.support.dbt_runs import Warehouse
from tests.support.raw_tables import History, create_raw_tables

AS_OF = "2024-06-30"
LAST_DAY = date.fromisoformat(AS_OF)


def write_agency(warehouse: Warehouse) -> None:
    """Fill a new warehouse file with the agency's raw facts; some of them happen after the end of June."""
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
        _write_the_days_after(history)
        history.benchmark("win_rate_pct", 40, "2024-01-01")
        history.benchmark("avg_cycle_days", 30, "2024-01-01", asset_type="office")


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


def _write_the_days_after(history: History) -> None:
    """Mei's deal is open at the end of June and won in July; another is opened in July."""
    history.opened("won-in-july", "mei", "2024-06-01", estimated_value_amount=40, confidence="0.50")
    history.moved("won-in-july", "closed_won", "2024-07-10")
    history.opened("opened-in-july", "mei", "2024-07-01", estimated_value_amount=7)


def snapshot(agency: Warehouse, agent: str, day: str = AS_OF) -> dict[str, Any]:
    """One row of the agent's daily series."""
    return agency.row(
        "SELECT * FROM marts.agent_performance_snapshots WHERE agent_id = ? AND snapshot_date = ?", agent, day
    )


def deal(agency: Warehouse, deal_id: str) -> dict[str, Any]:
    """One row of `deals`."""
    return agency.row("SELECT * FROM marts.deals WHERE deal_id = ?", deal_id)
