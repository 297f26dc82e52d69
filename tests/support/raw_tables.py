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


_SYNTHETIC = """
CREATE OR REPLACE TEMP TABLE deal_plan AS
SELECT
    i,
    'deal-' || i AS deal_id,
    'agent-' || (hash(i, 1) % $agents) AS agent_id,
    TIMESTAMPTZ '2022-01-03 01:00:00+00' + to_minutes((hash(i, 2) % ($days * 1440))::INT) AS opened_at,
    (1 + hash(i, 3) % 6)::INT AS moves,
    (hash(i, 4) % 100)::INT AS fate,  -- under 45 won, under 70 lost, under 75 cancelled, else open
    (hash(i, 5) % 100)::INT AS chance,  -- 0-1 reopened, 2-6 assigned, 7-9 undone, 10-39 value changed
    CASE WHEN hash(i, 6) % 10 = 0 THEN 'USD' ELSE 'SGD' END AS currency,
    (10000 + hash(i, 7) % 5000000)::DECIMAL(16, 2) AS amount,
    CASE WHEN hash(i, 8) % 4 > 0 THEN ((hash(i, 9) % 101)::DECIMAL(6, 2) / 100)::DECIMAL(4, 2) END AS confidence
FROM range($deals) t(i);

CREATE OR REPLACE TEMP TABLE deal_facts AS
WITH stages AS (
    SELECT unnest(['lead_captured', 'qualification', 'needs_analysis', 'proposal', 'negotiation', 'agreement',
        'due_diligence', 'awaiting_closure', 'closed_won', 'closed_lost']) AS stage, unnest(range(1, 11)) AS o
),
steps AS (
    SELECT p.*, k, opened_at + to_minutes((k * 9 * 1440 + hash(i, k, 10) % 10000)::INT) AS moved_at
    FROM deal_plan p, unnest(range(1, p.moves + 1)) u(k)
),
ends AS (SELECT *, opened_at + to_minutes(((moves + 1) * 9 * 1440 + hash(i, 11) % 10000)::INT) AS end_at FROM deal_plan)
SELECT i, 0 AS seq, 'deal.opened' AS event_type, 'lead_captured' AS to_stage, opened_at AS moment, agent_id AS agent, 'open' AS status
FROM deal_plan
UNION ALL SELECT i, k, 'deal.stage_changed', stage, moved_at, NULL, 'open' FROM steps JOIN stages ON o = k + 1
UNION ALL SELECT i, 20, 'deal.stage_changed', CASE WHEN fate < 45 THEN 'closed_won' ELSE 'closed_lost' END, end_at, NULL,
    CASE WHEN fate < 45 THEN 'closed_won' ELSE 'closed_lost' END FROM ends WHERE fate < 70
UNION ALL SELECT i, 20, 'deal.cancelled', NULL, end_at, NULL, 'cancelled' FROM ends WHERE fate BETWEEN 70 AND 74
UNION ALL SELECT i, 21, 'deal.reopened', 'negotiation', end_at + INTERVAL 12 DAY, NULL, 'open' FROM ends
    WHERE fate < 70 AND chance < 2
UNION ALL SELECT i, 22, 'deal.stage_changed', 'closed_won', end_at + INTERVAL 25 DAY, NULL, 'closed_won' FROM ends
    WHERE fate < 45 AND chance < 2
UNION ALL SELECT i, 15, 'deal.assigned', NULL, opened_at + INTERVAL 5 DAY, 'agent-' || (hash(i, 12) % $agents), NULL
    FROM deal_plan WHERE chance BETWEEN 2 AND 6
UNION ALL SELECT i, 16, 'deal.stage_changed', 'agreement', opened_at + INTERVAL 1 HOUR, NULL, 'open'
    FROM deal_plan WHERE chance BETWEEN 7 AND 9
UNION ALL SELECT i, 17, 'deal.stage_changed', 'lead_captured', opened_at + INTERVAL 64 MINUTE, NULL, 'open'
    FROM deal_plan WHERE chance BETWEEN 7 AND 9
UNION ALL SELECT i, 18, 'deal.changed', NULL, opened_at + INTERVAL 7 DAY, NULL, NULL
    FROM deal_plan WHERE chance BETWEEN 10 AND 39;

CREATE OR REPLACE TEMP TABLE numbered AS
SELECT *, row_number() OVER (ORDER BY i, moment, seq) - 1 AS n FROM deal_facts
WHERE moment < TIMESTAMPTZ '2022-01-03 00:00:00+00' + to_days($days::INT);

INSERT INTO raw.deal_events
SELECT n, deal_id, event_type, agent, CASE WHEN event_type = 'deal.opened' THEN
        ['residential', 'office', 'retail', 'industrial'][(1 + hash(i, 13) % 4)::INT] END,
    CASE WHEN event_type = 'deal.opened' THEN ['buy_side', 'sell_side', 'lease'][(1 + hash(i, 14) % 3)::INT] END,
    status, CASE WHEN event_type = 'deal.opened' THEN ['portal', 'referral', 'walk_in'][(1 + hash(i, 15) % 3)::INT] END,
    CASE event_type WHEN 'deal.opened' THEN amount WHEN 'deal.changed' THEN (amount * 1.10)::DECIMAL(16, 2) END,
    CASE WHEN event_type = 'deal.opened' THEN currency END,
    CASE WHEN event_type = 'deal.opened' THEN (moment + INTERVAL 90 DAY)::DATE END,
    CASE WHEN status LIKE 'closed%' THEN moment::DATE END,
    CASE WHEN event_type = 'deal.opened' THEN confidence END,
    CASE WHEN event_type = 'deal.opened' THEN 'synthetic:' || i END, NULL, NULL,
    CASE WHEN event_type IN ('deal.reopened') THEN 'actual_close_date' END, 'importer', moment, moment
FROM numbered JOIN deal_plan USING (i) ORDER BY n;

INSERT INTO raw.stage_events
SELECT n, 'deal-' || i, 'se-' || n, event_type, NULL, to_stage, 'importer', moment, moment FROM numbered
WHERE to_stage IS NOT NULL ORDER BY n;

CREATE OR REPLACE TEMP TABLE commission_facts AS
WITH wins AS (
    SELECT i, agent_id, currency, amount, min(moment) AS won_at
    FROM numbered JOIN deal_plan USING (i) WHERE to_stage = 'closed_won' GROUP BY ALL
),
steps AS (
    SELECT *, unnest(['commission.recorded', 'commission.status_changed', 'commission.status_changed',
            'commission.status_changed', 'dispute.opened', 'dispute.resolved', 'adjustment']) AS event_type,
        unnest([NULL, 'pending', 'confirmed', 'invoiced', 'confirmed', 'disputed', NULL]) AS from_status,
        unnest(['pending', 'confirmed', 'invoiced', 'paid', 'disputed', 'confirmed', NULL]) AS to_status,
        unnest([1, 10, 24, 55, 14, 19, 60]) AS offset_days
    FROM wins
)
SELECT *, 10000000 + row_number() OVER (ORDER BY i, offset_days) AS n, won_at + to_days(offset_days::INT) AS moment FROM steps
WHERE won_at + to_days(offset_days::INT) < TIMESTAMPTZ '2022-01-03 00:00:00+00' + to_days($days::INT)
    AND (event_type NOT LIKE 'dispute.%' OR hash(i, 20) % 30 = 0) AND (event_type <> 'adjustment' OR hash(i, 21) % 30 = 1);

INSERT INTO raw.commission_events
SELECT n, 'commission-' || i, 'deal-' || i, event_type,
    CASE WHEN offset_days = 1 THEN agent_id END, CASE WHEN offset_days = 1 THEN 'exclusive' END,
    CASE WHEN offset_days = 1 THEN amount END, CASE WHEN offset_days = 1 THEN currency END,
    CASE WHEN offset_days = 1 THEN 0.02 END, CASE WHEN offset_days = 1 THEN (amount * 0.02)::DECIMAL(16, 2) END,
    from_status, to_status, NULL, 'importer', moment, moment
FROM commission_facts WHERE event_type <> 'adjustment' ORDER BY n;

INSERT INTO raw.disputes
SELECT n, 'dispute-' || i, 'commission-' || i, 'deal-' || i, event_type,
    CASE WHEN event_type = 'dispute.opened' THEN (amount * 0.01)::DECIMAL(16, 2) END, currency, TRUE,
    CASE WHEN event_type = 'dispute.resolved' THEN 'denied' END, to_status, 'importer', moment, moment
FROM commission_facts WHERE event_type LIKE 'dispute.%' ORDER BY n;

INSERT INTO raw.adjustments
SELECT n, 'adjustment-' || i, 'commission-' || i, 'deal-' || i, 'clawback', (amount * 0.005)::DECIMAL(16, 2), currency,
    'importer', moment, moment
FROM commission_facts WHERE event_type = 'adjustment' ORDER BY n;

INSERT INTO raw.people
SELECT 100000000 + a, 'agent-' || a, 'user.recorded', 'Agent ' || a, NULL, 'agent', TRUE, NULL, 'importer',
    TIMESTAMPTZ '2022-01-03 00:00:00+00', TIMESTAMPTZ '2022-01-03 00:00:00+00'
FROM range($agents) t(a);

INSERT INTO raw.fx_rates
SELECT 'fx-' || m, 'USD', 'SGD', (1.3 + (hash(m, 30) % 100)::INT / 1000)::DECIMAL(18, 8),
    (DATE '2022-02-01' + to_months(m::INT))::DATE, 'synthetic', 'fx.csv', 'f', m + 1, TIMESTAMPTZ '2022-01-03 00:00:00+00'
FROM range($days // 30) t(m);
"""


def synthesize(connection: duckdb.DuckDBPyConnection, *, deals: int, agents: int, days: int = 1095) -> str:
    """Fill empty raw tables with a made-up agency, the same for the same arguments; return its last day (ISO)."""
    for name, value in {"deals": deals, "agents": agents, "days": days}.items():
        connection.execute(f"SET VARIABLE {name} = {value}")
    sql = _SYNTHETIC
    for name in ("deals", "agents", "days"):
        sql = sql.replace(f"${name}", f"getvariable('{name}')")
    connection.execute(sql)
    row = connection.execute("SELECT (DATE '2022-01-02' + getvariable('days')::INT)::VARCHAR").fetchone()
    assert row is not None
    return str(row[0])
