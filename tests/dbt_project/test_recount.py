"""The daily series against a recount that shares nothing with it: plain Python, deal by deal and day by day."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import pytest

from ledger.vocabulary import AdjustmentType, CommissionStatus, PipelineStage
from tests.support.dbt_runs import Warehouse
from tests.support.raw_tables import ZONE, create_raw_tables, synthesize

EARLIER_DAY = date(2022, 6, 30)


@pytest.fixture(scope="module")
def agency(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A made-up agency of 300 deals and 7 agents over most of a year, built up to its last day."""
    with warehouse.connect(read_only=False) as connection:
        create_raw_tables(connection)
        last_day = synthesize(connection, deals=300, agents=7, days=300)
    warehouse.build(last_day)
    return warehouse


@dataclass
class DayOfAgent:
    """What an agent's row must say, counted the slow way."""

    deals_open: int = 0
    deals_closed_won: int = 0
    deals_closed_lost: int = 0
    deals_cancelled: int = 0
    gross_pipeline_value: Decimal = Decimal(0)
    weighted_pipeline_value: Decimal = Decimal(0)
    won_value: Decimal = Decimal(0)
    lost_value: Decimal = Decimal(0)
    unconverted_count: int = 0
    closed_unconverted_count: int = 0
    confirmed_commission_amount: Decimal = Decimal(0)
    disputed_commission_amount: Decimal = Decimal(0)
    cycles: list[float] = field(default_factory=list)


class Recount:
    """The raw facts in memory, and the state of the agency at the end of any day."""

    def __init__(self, warehouse: Warehouse) -> None:
        def by_key(table: str, key: str) -> dict[str, list[dict[str, Any]]]:
            groups = defaultdict(list)
            for row in warehouse.rows(f"SELECT * FROM raw.{table} ORDER BY effective_at, n"):
                groups[row[key]].append(row)
            return groups

        self.deals = by_key("deal_events", "deal_id")
        self.stages = {row["n"]: row["to_stage"] for row in warehouse.rows("SELECT n, to_stage FROM raw.stage_events")}
        self.commissions = by_key("commission_events", "commission_id")
        self.adjustments = by_key("adjustments", "commission_id")
        self.disputes = by_key("disputes", "commission_id")
        self.rates = warehouse.rows("SELECT * FROM raw.fx_rates ORDER BY effective_date")
        defaults = warehouse.rows("SELECT stage, default_confidence FROM seeds.pipeline_stages")
        self.default_confidence = {row["stage"]: row["default_confidence"] for row in defaults}

    def rate(self, currency: str, day: date) -> Decimal | None:
        """The latest rate of a currency that is not later than a day."""
        if currency == "SGD":
            return Decimal(1)
        return next((row["rate"] for row in reversed(self.rates) if row["effective_date"] <= day), None)

    def day(self, day: date) -> dict[str, DayOfAgent]:
        """Fold every history up to the end of a day."""
        end = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE)
        agents: dict[str, DayOfAgent] = defaultdict(DayOfAgent)
        for events in self.deals.values():
            self._count_deal([event for event in events if event["effective_at"] < end], day, agents)
        for commission_id, events in self.commissions.items():
            self._count_commission(commission_id, [e for e in events if e["effective_at"] < end], end, day, agents)
        return agents

    def _count_deal(self, events: list[dict[str, Any]], day: date, agents: dict[str, DayOfAgent]) -> None:
        if not events:
            return
        state: dict[str, Any] = {"status": None}
        for event in events:
            state |= {name: value for name, value in event.items() if value is not None and name != "status"}
            state |= dict.fromkeys((event["cleared"] or "").split(","))
            stage = self.stages.get(event["n"])
            if event["event_type"] == "deal.cancelled":
                status = "cancelled"
            else:
                status = PipelineStage(stage).status.value if stage else state["status"]
            if status != state["status"]:
                state |= {"status": status, "since": event["effective_at"], "owner_then": state["agent_id"]}
            state["stage"] = stage or state["stage"]
        row = agents[state["agent_id"] if state["status"] == "open" else state["owner_then"]]
        count = "deals_open" if state["status"] == "open" else f"deals_{state['status']}"
        setattr(row, count, getattr(row, count) + 1)
        since = state["since"].astimezone(ZONE).date()
        rate = self.rate(state["estimated_value_currency"], day if state["status"] == "open" else since)
        value = state["estimated_value_amount"]
        if state["status"] == "open":
            row.unconverted_count += rate is None
            confidence = state.get("confidence")
            if confidence is None:
                confidence = self.default_confidence[state["stage"]]
            row.gross_pipeline_value += value * (rate or 0)
            row.weighted_pipeline_value += value * confidence * (rate or 0)
        elif state["status"] != "cancelled":
            row.closed_unconverted_count += rate is None
            total = state["status"].replace("closed_", "") + "_value"
            setattr(row, total, getattr(row, total) + value * (rate or 0))
        if state["status"] == "closed_won":
            row.cycles.append((state["since"] - events[0]["effective_at"]) / timedelta(days=1))

    def _count_commission(
        self, commission_id: str, events: list[dict[str, Any]], end: datetime, day: date, agents: dict[str, DayOfAgent]
    ) -> None:
        if not events:
            return
        first, last = events[0], events[-1]
        row, currency = agents[first["agent_id"]], first["basis_currency"]
        if CommissionStatus(last["to_status"]).is_confirmed:
            net = first["commission_amount"]
            for adjustment in self.adjustments[commission_id]:
                if adjustment["effective_at"] < end:
                    is_taken = adjustment["adjustment_type"] == AdjustmentType.CLAWBACK
                    net += -adjustment["amount"] if is_taken else adjustment["amount"]
            confirmed = next(event for event in events if CommissionStatus(event["to_status"]).is_confirmed)
            rate = self.rate(currency, confirmed["effective_at"].astimezone(ZONE).date())
            row.confirmed_commission_amount += net * (rate or 0)
        if last["event_type"] == "dispute.opened":
            amount = next(d["amount"] for d in self.disputes[commission_id] if d["n"] == last["n"])
            row.disputed_commission_amount += amount * (self.rate(currency, day) or 0)


def test_every_agent_on_every_day_equals_a_recount_from_the_raw_facts(agency: Warehouse) -> None:
    """Counts are equal, money to the cent (converted amounts are rounded once more), cycles to the microsecond."""
    recount = Recount(agency)
    rows = agency.rows("SELECT * FROM marts.agent_performance_snapshots ORDER BY snapshot_date, agent_id")
    assert len(rows) == 7 * len({row["snapshot_date"] for row in rows}) > 2000
    expected: dict[str, DayOfAgent] = {}
    day = None
    for row in rows:
        if row["snapshot_date"] != day:
            day = row["snapshot_date"]
            expected = recount.day(day)
        agent = expected.get(row["agent_id"], DayOfAgent())
        where = f"{row['agent_id']} on {day}"
        for name, value in vars(agent).items():
            if isinstance(value, int):
                assert row[name] == value, f"{name} of {where}"
            elif isinstance(value, Decimal):
                assert abs(row[name] - value) <= Decimal("0.02"), f"{name} of {where}"
        assert row["cycle_days_sum"] == pytest.approx(sum(agent.cycles)), where
        assert row["median_cycle_days"] == (pytest.approx(median(agent.cycles)) if agent.cycles else None), where


def test_the_sample_holds_what_the_recount_is_about(agency: Warehouse) -> None:
    """A recount proves nothing about what does not occur: reopened wins, passed-on deals, dollars without a rate."""
    reopened_wins = "SELECT count(*) AS n FROM marts.deal_revisions WHERE event_type = 'deal.reopened'"
    assert agency.row(reopened_wins)["n"] > 0
    assert agency.row("SELECT count(*) AS n FROM marts.deals WHERE agent_id <> credited_agent_id")["n"] > 0
    for column in ("unconverted_count", "closed_unconverted_count", "disputed_commission_amount", "deals_cancelled"):
        assert agency.row(f"SELECT max({column}) AS n FROM marts.agent_performance_snapshots")["n"] > 0, column


def test_internal_benchmarks_are_those_of_all_other_agents(agency: Warehouse) -> None:
    """Nobody is compared with himself: mean and best quartile of the peers, and nothing where they are fewer than five.

    Every agent has a conversion rate over all deals; by kind of deal some have none.
    """
    slices: dict[tuple[Any, ...], dict[str, list[tuple[str, Any]]]] = defaultdict(dict)
    for agent, asset_type, deal_type, status, days in (
        tuple(row.values())
        for row in agency.rows(
            "SELECT credited_agent_id, asset_type, deal_type, status, cycle_days FROM marts.deals "
            "WHERE status IN ('closed_won', 'closed_lost')"
        )
    ):
        for kind in ((None, None), (asset_type, None), (None, deal_type), (asset_type, deal_type)):
            slices[kind].setdefault(agent, []).append((status, days))
    expected = {}
    for kind, agents in slices.items():
        cycles = {agent: [days for _, days in deals if days is not None] for agent, deals in agents.items()}
        metrics = {
            "avg_cycle_days": {agent: mean(days) for agent, days in cycles.items() if days},
            "conversion_rate": {agent: len(cycles[agent]) / len(deals) for agent, deals in agents.items()},
        }
        for metric, values in metrics.items():
            for agent in values:
                peers = [value for other, value in values.items() if other != agent]
                if len(peers) >= 5:
                    quartiles = quantiles(peers, n=4, method="inclusive")
                    best = quartiles[0] if metric == "avg_cycle_days" else quartiles[2]
                    expected[agent, metric, *kind, "internal_avg"] = (mean(peers), len(peers))
                    expected[agent, metric, *kind, "top_quartile"] = (best, len(peers))
    found = {
        tuple(row.values())[:5]: (row["benchmark_value"], row["peers_n"])
        for row in agency.rows(
            "SELECT agent_id, agent_metric, asset_type, deal_type, cohort, benchmark_value, peers_n "
            "FROM marts.benchmark_comparison "
            "WHERE is_internal AND agent_metric IN ('avg_cycle_days', 'conversion_rate')"
        )
    }
    assert found.keys() == expected.keys()
    assert len(found) < 4 * sum(len(agents) for agents in slices.values())  # some are hidden
    for key, (value, peers_n) in expected.items():
        assert found[key] == (pytest.approx(value, abs=1e-8), peers_n), key


def test_the_as_of_date_does_not_only_label_the_row(agency: Warehouse, tmp_path: Path) -> None:
    """Asking about an earlier day gives what the series says of that day; asking twice gives the same rows."""
    earlier = agency.copy_to(tmp_path)
    earlier.build(EARLIER_DAY.isoformat())
    assert earlier.row("SELECT max(snapshot_date) AS day FROM marts.agent_performance_snapshots")["day"] == EARLIER_DAY
    assert earlier.row("SELECT max(closed_date) AS day FROM marts.deals")["day"] <= EARLIER_DAY
    snapshots = (
        "SELECT * EXCLUDE as_of_date FROM marts.agent_performance_snapshots WHERE snapshot_date <= ? ORDER BY ALL"
    )
    assert earlier.rows(snapshots, EARLIER_DAY) == agency.rows(snapshots, EARLIER_DAY)
    marts = [f"SELECT * FROM marts.{mart} ORDER BY ALL" for mart in ("stage_visits", "deals", "cycle_times")]
    first = [earlier.rows(mart) for mart in marts]
    earlier.build(EARLIER_DAY.isoformat())
    assert [earlier.rows(mart) for mart in marts] == first


def test_entries_from_the_log_size_on_are_not_read(agency: Warehouse, tmp_path: Path) -> None:
    """A run that read half of the deals' entries knows half of them, and says how many entries it read."""
    half = agency.row("SELECT count(*) // 2 AS n FROM raw.deal_events")["n"]
    partial = agency.copy_to(tmp_path)
    partial.build(EARLIER_DAY.isoformat(), log_size=half)
    assert partial.row("SELECT max(n) < ? AS is_within FROM marts.deal_revisions", half)["is_within"]
    assert partial.rows("SELECT DISTINCT log_size FROM marts.deals") == [{"log_size": half}]
    assert partial.row("SELECT count(*) AS n FROM marts.commissions")["n"] == 0
