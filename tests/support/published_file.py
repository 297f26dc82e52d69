"""A small published file with the columns of the real one, for tests that need no pipeline."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
import yaml

from ingestion.mart_digests import MartDigest
from ingestion.publishing import Publication
from ledger.settings import get_settings

AS_OF = date(2025, 6, 30)
ANNA, BEN = "01890000-0000-7000-8000-00000000000a", "01890000-0000-7000-8000-00000000000b"

DATED = (
    "stage_conversion", "cycle_times", "calibration_scores", "payout_velocity", "lead_source_roi",
    "benchmark_comparison",
)  # fmt: skip
"""Marts that a file can also be asked about as of an earlier day; a sample says of each day what it says of its own."""
MARTS_DIR = get_settings().dbt_project_dir / "models" / "marts"
MANIFEST = """
    generation BIGINT, log_size BIGINT, log_last_hash VARCHAR, as_of_date DATE, definition_version VARCHAR,
    business_timezone VARCHAR, reporting_currency VARCHAR, dbt_invocation_id VARCHAR, dbt_version VARCHAR,
    run_id VARCHAR, reference_digest VARCHAR, published_at TIMESTAMPTZ, checkpoint VARCHAR"""
NOTHING = {
    "bigint": 0,
    "varchar": "",
    "double": 0.0,
    "boolean": False,
    "date": AS_OF,
    "timestamptz": datetime(2025, 1, 1, tzinfo=UTC),
}


@dataclass(frozen=True)
class Column:
    """A column as the contract of its mart has it."""

    name: str
    data_type: str
    is_required: bool

    @property
    def nothing(self) -> Any:
        """What stands in a required column of which a test says nothing."""
        if not self.is_required:
            return None
        return NOTHING.get(self.data_type, Decimal(0))


@lru_cache(maxsize=1)
def read_contracts() -> dict[str, list[Column]]:
    """Return the columns of every mart from its enforced dbt contract: what is tested here is what is published."""
    return {
        model["name"]: [
            Column(
                column["name"],
                column["data_type"].lower().replace("timestamp with time zone", "timestamptz"),
                any(constraint["type"] == "not_null" for constraint in column.get("constraints", [])),
            )
            for column in model["columns"]
        ]
        for path in sorted(MARTS_DIR.glob("*.yml"))
        for model in yaml.safe_load(path.read_text())["models"]
    }


def publish_sample(
    published_dir: Path,
    *,
    generation: int = 1,
    log_size: int = 100,
    published_at: datetime | None = None,
    agents: Mapping[str, str] | None = None,
    days: int = 60,
    extra: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> str:
    """Write a published file of two agents and some days and point `CURRENT` at it; return the file's name.

    Agent Anna wins a deal of 1,000.00 SGD every tenth day and loses one every fifteenth; Ben has nothing yet.
    Every amount of pipeline carries the generation, so that a reader can tell generations apart in any row.
    """
    published_dir.mkdir(parents=True, exist_ok=True)
    name = f"marts-{log_size:012d}-run{generation}.duckdb"
    agents = agents or {ANNA: "Anna Lim", BEN: "Ben Ong"}
    with duckdb.connect(str(published_dir / name)) as connection:
        create_marts(connection)
        connection.execute(f"CREATE TABLE manifest ({MANIFEST})")
        connection.execute("CREATE TABLE manifest_marts (mart VARCHAR, row_count BIGINT, digest VARCHAR)")
        for number, (agent_id, agent_name) in enumerate(agents.items()):
            _write_agent(connection, agent_id, agent_name, generation, log_size, days, is_active=number == 0)
        _insert(
            connection,
            "performance_benchmarks",
            [
                _benchmark("bm-1", "conversion_rate", None, None, "industry_avg", "0.300000"),
                _benchmark("bm-2", "conversion_rate", "office", "lease", "top_quartile", "0.450000"),
                _benchmark("bm-3", "avg_cycle_days", "retail", None, "industry_avg", "75.000000"),
            ],
        )
        for table, rows in (extra or {}).items():
            _insert(connection, table, rows)
        for mart in DATED:
            connection.execute(f"CREATE MACRO {mart}_as_of(day) AS TABLE FROM {mart}")
        _insert(
            connection,
            "manifest",
            [
                {
                    "generation": generation,
                    "log_size": log_size,
                    "log_last_hash": "ab" * 32,
                    "as_of_date": AS_OF,
                    "definition_version": "d" * 64,
                    "business_timezone": "Asia/Singapore",
                    "reporting_currency": "SGD",
                    "dbt_invocation_id": "invocation",
                    "dbt_version": "1.11.16",
                    "published_at": published_at or datetime.now(UTC),
                }
            ],
        )
        connection.execute("INSERT INTO manifest_marts VALUES ('deals', 6, repeat('e', 64))")
    pointer = published_dir / "CURRENT.next"
    pointer.write_text(name + "\n", encoding="utf-8")
    os.replace(pointer, published_dir / "CURRENT")  # noqa: PTH105 - the same call as the publisher's
    return name


def write_sidecar(published_dir: Path, name: str, generation: int = 1) -> None:
    """Lay beside a sample what a publisher says of its file, so that it can be listed and rolled back to."""
    said = Publication(
        name=name, generation=generation, log_size=100, log_last_hash="ab" * 32, as_of_date=AS_OF,
        definition_version="d" * 64, business_timezone="Asia/Singapore", reporting_currency="SGD",
        dbt_invocation_id="invocation", dbt_version="1.11.16", run_id=f"run{generation}", reference_digest="e" * 64,
        published_at=datetime.now(UTC), marts=[MartDigest("deals", 6, "e" * 64)],
    )  # fmt: skip
    (published_dir / name).with_suffix(".json").write_bytes(msgspec.json.encode(said))


def _write_agent(
    connection: duckdb.DuckDBPyConnection,
    agent_id: str,
    agent_name: str,
    generation: int,
    log_size: int,
    days: int,
    is_active: bool,
) -> None:
    stamp = {"log_size": log_size, "definition_version": "d" * 64}
    snapshots, currencies, deals = [], [], []
    won = lost = 0
    for offset in range(days):
        day = AS_OF - timedelta(days=days - 1 - offset)
        if is_active and offset % 10 == 0:
            won += 1
            opened = datetime(day.year, day.month, day.day, 2, tzinfo=UTC) - timedelta(days=10 * won)
            deals.append(
                {
                    "deal_id": f"deal-{won}",
                    "agent_id": agent_id,
                    "agent_name": agent_name,
                    "credited_agent_id": agent_id,
                    "asset_type": "office",
                    "deal_type": "lease",
                    "pipeline_stage": "closed_won",
                    "status": "closed_won",
                    "estimated_value_amount": Decimal("1000.00"),
                    "estimated_value_currency": "SGD",
                    "value_reporting": Decimal("1000.00"),
                    "opened_at": opened,
                    "closed_at": opened + timedelta(days=10 * won),
                    "closed_date": day,
                    "cycle_days": 10.0 * won,
                    **stamp,
                }
            )
        if is_active and offset % 15 == 14:
            lost += 1
        snapshot = _snapshot(agent_id, agent_name, day, won, lost, generation, is_active)
        snapshots.append(snapshot | {"open_days": 2 * (offset + 1) if is_active else 0} | stamp)
        if is_active:
            currencies.append(
                {
                    "agent_id": agent_id,
                    "snapshot_date": day,
                    "currency": "SGD",
                    "gross_pipeline_value": Decimal(generation),
                    "weighted_pipeline_value": Decimal(generation) / 2,
                    "deals_open": 2,
                    "deals_closed_won": won,
                    "won_value": Decimal(1000 * won),
                    "lost_value": Decimal(500 * lost),
                    "confirmed_commission_amount": Decimal(20 * won),
                    "disputed_commission_amount": Decimal(0),
                    **stamp,
                }
            )
    _insert(connection, "agent_performance_snapshots", snapshots)
    _insert(connection, "agent_currency_snapshots", currencies)
    _insert(connection, "deals", deals)
    _insert(connection, "deal_revisions", [_last_revision(deal) for deal in deals])
    if is_active:
        stage = {"agent_id": agent_id, "snapshot_date": AS_OF, "unconverted_count": 0, **stamp}
        money = {"gross_pipeline_value": Decimal("10.00"), "weighted_pipeline_value": Decimal("5.00")}
        _insert(
            connection,
            "pipeline_stage_daily",
            [{"stage": name, "deals_open": 1, **stage, **money} for name in ("proposal", "negotiation")],
        )
        _insert(
            connection,
            "benchmark_comparison",
            [
                {
                    "agent_id": agent_id,
                    "metric_key": "conversion_rate",
                    "cohort": "industry_avg",
                    "agent_value": 0.6,
                    "benchmark_value": Decimal("0.300000"),
                    "delta": 0.3,
                    "ratio": 2.0,
                    "source": "survey",
                    "effective_date": date(2025, 1, 1),
                    "n": won + lost,
                    "as_of_date": AS_OF,
                    **stamp,
                }
            ],
        )


def _last_revision(deal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the revision that closed a deal, which holds to this day."""
    kept = (
        "deal_id agent_id credited_agent_id asset_type deal_type pipeline_stage status estimated_value_amount"
        " estimated_value_currency opened_at closed_at closed_date log_size definition_version"
    )
    return {name: deal[name] for name in kept.split()} | {
        "revision": 2,
        "n": 1,
        "event_type": "deal.stage_changed",
        "valid_from": deal["closed_at"],
        "valid_from_date": deal["closed_date"],
        "recorded_at": deal["closed_at"],
        "as_of_date": AS_OF,
    }


def _snapshot(
    agent_id: str, agent_name: str, day: date, won: int, lost: int, generation: int, is_active: bool
) -> dict[str, Any]:
    closed = won + lost
    return {
        "agent_id": agent_id,
        "agent_name": agent_name,
        "snapshot_date": day,
        "reporting_currency": "SGD",
        "deals_open": 2 if is_active else 0,
        "deals_closed_won": won,
        "deals_closed_lost": lost,
        "deals_cancelled": 0,
        "gross_pipeline_value": Decimal(generation),
        "weighted_pipeline_value": Decimal(generation) / 2,
        "value_without_confidence": Decimal(0),
        "unconverted_count": 0,
        "won_value": Decimal(1000 * won),
        "lost_value": Decimal(500 * lost),
        "won_value_n": won,
        "closed_unconverted_count": 0,
        "conversion_numerator": won,
        "conversion_denominator": closed,
        "conversion_rate": Decimal(won) / closed if closed else None,
        "conversion_value_numerator": Decimal(1000 * won),
        "conversion_value_denominator": Decimal(1000 * won + 500 * lost),
        "conversion_rate_value": Decimal(1000 * won) / (1000 * won + 500 * lost) if closed else None,
        "cycle_days_sum": float(sum(10 * n for n in range(1, won + 1))),
        "cycle_n": won,
        "avg_cycle_days": sum(10 * n for n in range(1, won + 1)) / won if won else None,
        "median_cycle_days": (won + 1) * 5.0 if won else None,
        "avg_won_value": Decimal("1000.00") if won else None,
        "sales_velocity_per_day": None,
        "confirmed_commission_amount": Decimal(20 * won),
        "disputed_commission_amount": Decimal(0),
        "commission_unconverted_count": 0,
        "commission_yield": Decimal("0.02") if won else None,
        "revenue_per_won_deal": Decimal("20.00") if won else None,
        "revenue_per_open_day": Decimal("1.00") if won else None,
        "as_of_date": AS_OF,
    }


def _benchmark(
    reference_id: str, metric_key: str, asset_type: str | None, deal_type: str | None, cohort: str, value: str
) -> dict[str, Any]:
    return {
        "reference_id": reference_id,
        "metric_key": metric_key,
        "asset_type": asset_type,
        "deal_type": deal_type,
        "cohort": cohort,
        "metric_value": Decimal(value),
        "unit": "ratio",
        "region": "SG",
        "effective_date": date(2025, 1, 1),
        "source": "survey",
    }


def create_marts(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every mart, empty, in the connection's current schema."""
    for mart, columns in read_contracts().items():
        shape = ", ".join(f"{c.name} {c.data_type}{' NOT NULL' if c.is_required else ''}" for c in columns)
        connection.execute(f"CREATE TABLE {mart} ({shape})")


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    nothing = {column.name: column.nothing for column in read_contracts().get(table, [])}
    connection.register("incoming", pl.DataFrame([nothing | row for row in rows], infer_schema_length=None).to_arrow())
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
    connection.unregister("incoming")
