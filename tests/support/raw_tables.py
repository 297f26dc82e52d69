"""Raw warehouse tables for tests: made from ingestion's own DDL, filled by hand or with a synthetic agency.

`create_raw_tables` makes the empty schema; `History` writes single facts in few words; `synthesize` writes an agency
of any size in bare SQL, for measuring.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from ingestion.contracts import LOG_TABLES, REFERENCE_TABLES, create_table
from ledger.settings import PROJECT_DIR

ZONE = ZoneInfo("Asia/Singapore")


def create_raw_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make schema `raw` with every table that dbt reads, all empty."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name, model in (LOG_TABLES | REFERENCE_TABLES).items():
        connection.execute(create_table(name, model))


def at(text: str) -> datetime:
    """Read '2024-01-02 09:00' (or a bare date: noon) as a moment in the business time zone."""
    return datetime.fromisoformat(text if " " in text else f"{text} 12:00").replace(tzinfo=ZONE)


@dataclass
class History:
    """Facts written one by one, as the log would hand them over; `n` counts up by itself."""

    connection: duckdb.DuckDBPyConnection
    numbers: count = field(default_factory=count)

    def _insert(self, table: str, when: str, columns: dict[str, Any]) -> int:
        n = next(self.numbers)
        moment = at(when)
        row = {"n": n, "actor_id": "tester", "recorded_at": moment, "effective_at": moment} | columns
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        self.connection.execute(f"INSERT INTO raw.{table} ({names}) VALUES ({marks})", list(row.values()))
        return n

    def person(self, user_id: str, name: str, role: str = "agent", when: str = "2024-01-01") -> None:
        """Record a member of staff."""
        columns = {"user_id": user_id, "event_type": "user.recorded", "name": name, "role": role, "active": True}
        self._insert("people", when, columns)

    def opened(self, deal: str, agent: str, when: str, stage: str = "lead_captured", **columns: Any) -> None:
        """Open a deal; amounts default to none, the currency to SGD."""
        defaults = {
            "asset_type": "office",
            "deal_type": "lease",
            "status": stage if stage.startswith("closed") else "open",
            "estimated_value_currency": "SGD",
        }
        row = {"deal_id": deal, "event_type": "deal.opened", "agent_id": agent} | defaults | columns
        n = self._insert("deal_events", when, row)
        self._stage(n, deal, "deal.opened", None, stage, when)

    def _stage(self, n: int, deal: str, event_type: str, from_stage: str | None, to_stage: str, when: str) -> None:
        moment = at(when)
        self.connection.execute(
            "INSERT INTO raw.stage_events VALUES (?, ?, ?, ?, ?, ?, 'tester', ?, ?)",
            [n, deal, f"se-{n}", event_type, from_stage, to_stage, moment, moment],
        )

    def moved(self, deal: str, to_stage: str, when: str, *, late: bool = False, event: str = "stage_changed") -> None:
        """Move a deal to a stage. A `late` move is a past one: its entry sets nothing but the stage event."""
        columns: dict[str, Any] = {"deal_id": deal, "event_type": f"deal.{event}"}
        if not late:
            is_closed = to_stage.startswith("closed")
            columns |= {
                "status": to_stage if is_closed else "open",
                "actual_close_date": at(when).date() if is_closed else None,
                "cleared": None if is_closed else "actual_close_date",
            }
        n = self._insert("deal_events", when, columns)
        self._stage(n, deal, f"deal.{event}", None, to_stage, when)

    def reopened(self, deal: str, to_stage: str, when: str) -> None:
        """Reopen a closed or cancelled deal."""
        self.moved(deal, to_stage, when, event="reopened")

    def cancelled(self, deal: str, when: str) -> None:
        """Cancel a deal."""
        self._insert("deal_events", when, {"deal_id": deal, "event_type": "deal.cancelled", "status": "cancelled"})

    def assigned(self, deal: str, agent: str, when: str) -> None:
        """Give a deal to another agent."""
        self._insert("deal_events", when, {"deal_id": deal, "event_type": "deal.assigned", "agent_id": agent})

    def changed(self, deal: str, when: str, **columns: Any) -> None:
        """Change columns of a deal; a column given as None is cleared."""
        cleared = ",".join(name for name, value in columns.items() if value is None) or None
        row = {"deal_id": deal, "event_type": "deal.changed", "cleared": cleared} | columns
        self._insert("deal_events", when, row)

    def commission(self, commission: str, deal: str, agent: str, when: str, amount: Any, **columns: Any) -> None:
        """Record a commission; the basis is the amount at a rate of 1 unless given."""
        row = {
            "commission_id": commission,
            "deal_id": deal,
            "event_type": "commission.recorded",
            "agent_id": agent,
            "commission_type": "introducer",
            "basis_amount": amount or 0,
            "basis_currency": "SGD",
            "commission_rate": 1,
            "commission_amount": amount,
            "to_status": "pending",
        } | columns
        self._insert("commission_events", when, row)

    def commission_moved(self, commission: str, deal: str, from_status: str, to_status: str, when: str) -> None:
        """Move a commission to a status."""
        row = {"commission_id": commission, "deal_id": deal, "from_status": from_status, "to_status": to_status}
        self._insert("commission_events", when, row | {"event_type": "commission.status_changed"})

    def adjusted(self, commission: str, deal: str, kind: str, amount: Any, when: str, currency: str = "SGD") -> None:
        """Adjust a commission by a clawback, bonus or correction."""
        row = {"commission_id": commission, "deal_id": deal, "adjustment_type": kind, "amount": amount}
        row |= {"currency": currency, "adjustment_id": f"adj-{commission}-{when}-{kind}"}
        self._insert("adjustments", when, row)

    def disputed(self, dispute: str, commission: str, deal: str, from_status: str, amount: Any, when: str) -> None:
        """Open a dispute; the commission becomes disputed by the same entry."""
        row = {"commission_id": commission, "deal_id": deal, "event_type": "dispute.opened", "to_status": "disputed"}
        money = {"amount": amount, "currency": "SGD", "hold": True, "dispute_id": dispute}
        n = self._insert("disputes", when, row | money)
        self._insert("commission_events", when, row | {"n": n, "from_status": from_status})

    def resolved(self, dispute: str, commission: str, deal: str, to_status: str, when: str) -> None:
        """Resolve a dispute; the commission returns to the status before it."""
        row = {"commission_id": commission, "deal_id": deal, "event_type": "dispute.resolved", "to_status": to_status}
        n = self._insert("disputes", when, row | {"outcome": "denied", "dispute_id": dispute})
        self._insert("commission_events", when, row | {"n": n, "from_status": "disputed"})

    def fx_rate(self, from_currency: str, rate: Any, effective_date: str, to_currency: str = "SGD") -> None:
        """Load a rate of exchange."""
        key = f"{from_currency}-{to_currency}-{effective_date}"
        self.connection.execute(
            "INSERT INTO raw.fx_rates VALUES (?, ?, ?, ?, ?, 'test', 'fx.csv', 'f', 1, ?)",
            [key, from_currency, to_currency, rate, effective_date, at(effective_date)],
        )

    def benchmark(self, metric_key: str, value: Any, effective_date: str, **columns: Any) -> None:
        """Load a benchmark figure; asset type, deal type and region default to all."""
        number = next(self.numbers)
        row = {
            "reference_id": f"ref-{number}",
            "metric_key": metric_key,
            "cohort": "industry_avg",
            "metric_value": value,
            "effective_date": effective_date,
            "source": "test",
            "file_name": "benchmarks.csv",
            "file_sha256": "f",
            "line": number + 1,
            "loaded_at": at("2024-01-01"),
            "valid": True,
        } | columns
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        self.connection.execute(
            f"INSERT INTO raw.performance_benchmarks ({names}) VALUES ({marks})", list(row.values())
        )


def synthesize(connection: duckdb.DuckDBPyConnection, *, deals: int, agents: int, days: int = 1095) -> str:
    """Fill empty raw tables with a made-up agency, the same for the same arguments; return its last day (ISO)."""
    for name, value in {"deals": deals, "agents": agents, "days": days}.items():
        connection.execute(f"SET VARIABLE {name} = {value}")
    connection.execute((PROJECT_DIR / "orchestration" / "synthetic_agency.sql").read_text())
    row = connection.execute("SELECT (DATE '2022-01-02' + getvariable('days')::INT)::VARCHAR").fetchone()
    assert row is not None
    return str(row[0])
