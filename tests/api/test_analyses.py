"""The lists of marts over REST: whose rows, which filters, pages that never mix two publications."""

import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api import analyses
from api.figures import Agent, Whose
from api.main import create_app
from api.published import PublishedMarts
from ledger.settings import Settings
from ledger.vocabulary import PipelineStage
from tests.api.conftest import Client, People, problem_of
from tests.support.published_file import ANNA, BEN, publish_sample

ROUTES = ("funnel", "cycle-times", "calibration", "velocity", "lead-sources")
STAMP = {"log_size": 100, "definition_version": "d" * 64}


def cohort(
    agent_id: str, stage: PipelineStage, month: int, counts: tuple[int, int, int], **more: Any
) -> dict[str, Any]:
    entered, reached, pending = counts
    kind = {"asset_type": "office", "deal_type": "lease", "window_days": 180, "rules": "once"} | more
    figures = {"entered_n": entered, "reached_n": reached, "pending_n": pending, "conversion_rate": reached / entered}
    place = {"agent_id": agent_id, "stage": stage, "stage_order": stage.order, "cohort_month": date(2025, month, 1)}
    return kind | figures | place | STAMP


def analysed(anna: str, ben: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of the marts that the routes read, as the models would write them: agents apart, and the team."""
    proposal, negotiation = PipelineStage.PROPOSAL, PipelineStage.NEGOTIATION
    people = [(anna, "Anna Lim"), (ben, "Ben Ong"), (None, None)]
    cycles, steps, sources, scores = [], [], [], []
    for number, (agent_id, name) in enumerate(people):
        who = {"agent_id": agent_id, "agent_name": name, **STAMP}
        days = {"won_n": 3, "open_n": 2, "avg_cycle_days": 30.0 + number, "median_cycle_days": 29.5}
        kinds = [{"asset_type": kind, "deal_type": "lease" if kind else None} for kind in (None, "office", "retail")]
        cycles += [who | kind | days for kind in kinds]
        for order, step in enumerate(("introduced_to_confirmed", "confirmed_to_invoiced"), 1):
            steps.append(who | {"step": step, "step_order": order, "n": 4, "avg_days": 2.5, "median_days": 2.0})
        of_all, of_source = ("agent", "agent_and_source") if agent_id else ("team", "source")
        for scope, source, value in ((of_all, None, 300), (of_source, "Referral", 200), (of_source, None, 100)):
            money = {"won_value": Decimal(value), "cost_amount": Decimal(50), "roi": 1.5, "reporting_currency": "SGD"}
            sources.append(who | money | {"scope": scope, "lead_source": source})
        for scope in ("agent",) if agent_id else ("team", "stage", "stage_default"):
            score = {"scope": scope, "stage": proposal if scope.startswith("stage") else None, "n": 30}
            scores += [who | score | {"confidence_bin": low, "brier_score": 0.2} for low in (None, Decimal("0.40"))]
    return {
        "stage_conversion": [
            cohort(anna, proposal, 4, (4, 2, 0)),
            cohort(anna, proposal, 5, (6, 1, 2)),
            cohort(anna, negotiation, 5, (2, 2, 0), asset_type="retail"),
            cohort(ben, proposal, 5, (10, 5, 0)),
        ],
        "cycle_times": cycles,
        "payout_velocity": steps,
        "lead_source_roi": sources,
        "calibration_scores": scores,
    }


@pytest.fixture(scope="module")
def people(template: tuple[Path, People]) -> People:
    return template[1]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, People]) -> Settings:
    """One home for all tests here: they only read, but for the last, which publishes anew."""
    home = tmp_path_factory.mktemp("analysed") / "home"
    shutil.copytree(template[0], home)
    settings = Settings(home=home)
    publish(settings, template[1], generation=1)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[TestClient]:
    with Client(create_app(settings, with_workspace=False), raise_server_exceptions=False) as made:
        yield made


def publish(settings: Settings, people: People, generation: int) -> None:
    anna, ben = people.anna.id, people.ben.id
    agents = {anna: "Anna Lim", ben: "Ben Ong"}
    publish_sample(settings.published_dir, generation=generation, agents=agents, days=3, extra=analysed(anna, ben))


def read(client: TestClient, people: People, route: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/api/v1/performance/{route}", params=parameters, headers=people.manager.auth)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_funnel_adds_up_cohorts_and_divides_the_sums(client: TestClient, people: People) -> None:
    """A rate over several cohorts is reached / entered of them all, not a mean of rates; every stage has its row."""
    funnel = read(client, people, "funnel", agent_id=people.anna.id)["items"]
    assert [row["stage"] for row in funnel] == [stage.value for stage in PipelineStage if stage.is_open]
    proposal = next(row for row in funnel if row["stage"] == "proposal")
    assert (proposal["entered_n"], proposal["reached_n"], proposal["pending_n"]) == (10, 3, 2)
    assert (proposal["conversion_rate"], proposal["maturity"]) == (0.3, 0.8)
    empty = next(row for row in funnel if row["stage"] == "agreement")
    assert (empty["entered_n"], empty["conversion_rate"], empty["maturity"]) == (0, None, None)
    assert {row["agent_name"] for row in funnel} == {"Anna Lim"}
    team = read(client, people, "funnel")["items"]
    assert [(row["entered_n"], row["conversion_rate"]) for row in team if row["stage"] == "proposal"] == [(20, 0.4)]


@pytest.mark.parametrize(
    ("parameters", "entered"),
    [
        ({"asset_type": "retail"}, {"negotiation": 2}),
        ({"deal_type": "sell_side"}, {}),
        ({"from": "2025-05-20"}, {"proposal": 16, "negotiation": 2}),
        ({"to": "2025-04-02"}, {"proposal": 4}),
        ({"from": "2025-05-01", "to": "2025-05-01", "asset_type": "office"}, {"proposal": 16}),
    ],
)
def test_a_funnel_is_of_the_deals_asked_for(
    client: TestClient, people: People, parameters: dict[str, str], entered: dict[str, int]
) -> None:
    """Types are exact; a day chooses the whole month in which it lies."""
    rows = read(client, people, "funnel", **parameters)["items"]
    assert {row["stage"]: row["entered_n"] for row in rows if row["entered_n"]} == entered


def test_a_funnel_by_month_has_a_row_for_each_cohort(client: TestClient, people: People) -> None:
    """The grain of the mart, added up over types, in order of time."""
    rows = read(client, people, "funnel", by="month", per="agent")["items"]
    assert [(row["agent_name"], row["cohort_month"], row["stage"], row["entered_n"]) for row in rows] == [
        ("Anna Lim", "2025-04-01", "proposal", 4),
        ("Anna Lim", "2025-05-01", "proposal", 6),
        ("Anna Lim", "2025-05-01", "negotiation", 2),
        ("Ben Ong", "2025-05-01", "proposal", 10),
    ]


def test_cycle_times_are_of_all_deals_or_of_a_kind(client: TestClient, people: People) -> None:
    """The row of all deals comes first; a filter leaves the kind alone."""
    rows = read(client, people, "cycle-times")["items"]
    assert [(row["agent_id"], row["asset_type"]) for row in rows] == [(None, None), (None, "office"), (None, "retail")]
    assert (rows[0]["avg_cycle_days"], rows[0]["km_median_cycle_days"]) == (32.0, None)
    [office] = read(client, people, "cycle-times", asset_type="office", agent_id=people.ben.id)["items"]
    assert (office["agent_name"], office["avg_cycle_days"], office["won_n"]) == ("Ben Ong", 31.0, 3)


def test_calibration_shows_each_scope_total_before_its_bins(client: TestClient, people: People) -> None:
    """Team, stages and defaults for the whole; an agent has the one scope."""
    rows = read(client, people, "calibration")["items"]
    assert [(row["scope"], row["confidence_bin"]) for row in rows] == [
        (scope, bin_) for scope in ("team", "stage", "stage_default") for bin_ in (None, 0.4)
    ]
    assert [row["scope"] for row in read(client, people, "calibration", scope="stage")["items"]] == ["stage"] * 2
    anna = read(client, people, "calibration", agent_id=people.anna.id)["items"]
    assert {(row["scope"], row["agent_name"], row["brier_score"]) for row in anna} == {("agent", "Anna Lim", 0.2)}


def test_payout_steps_come_in_their_order(client: TestClient, people: People) -> None:
    """As the money flows."""
    rows = read(client, people, "velocity", agent_id=people.ben.id)["items"]
    assert [(row["step"], row["n"], row["avg_days"]) for row in rows] == [
        ("introduced_to_confirmed", 4, 2.5),
        ("confirmed_to_invoiced", 4, 2.5),
    ]


def test_lead_sources_begin_with_their_total(client: TestClient, people: People) -> None:
    """The total is marked by its scope: a null source beside it is one that nobody stated."""
    rows = read(client, people, "lead-sources")["items"]
    assert [(row["scope"], row["lead_source"], row["won_value"]) for row in rows] == [
        ("team", None, "300.00"),
        ("source", "Referral", "200.00"),
        ("source", None, "100.00"),
    ]
    [referral] = read(client, people, "lead-sources", lead_source="Referral", agent_id=people.anna.id)["items"]
    assert (referral["scope"], referral["roi"], referral["cost_amount"]) == ("agent_and_source", 1.5, "50.00")


@pytest.mark.parametrize("route", ROUTES)
def test_agents_get_their_own_rows_whatever_they_leave_out(client: TestClient, people: People, route: str) -> None:
    """Not the team's and not each agent's: the table of rights gives an agent their own numbers."""
    for parameters in ({}, {"per": "agent"}):
        response = client.get(f"/api/v1/performance/{route}", params=parameters, headers=people.anna.auth)
        assert response.status_code == 200, response.text
        assert {row["agent_id"] for row in response.json()["items"]} == {people.anna.id}
    each = read(client, people, route, per="agent")["items"]
    assert {row["agent_id"] for row in each} == {people.anna.id, people.ben.id}


@pytest.mark.parametrize("route", ROUTES)
def test_every_list_says_how_fresh_it_is_and_refuses_what_it_does_not_know(
    client: TestClient, people: People, route: str
) -> None:
    """Log size, day, definitions and age stand beside the rows; a misspelt filter is an error."""
    freshness = read(client, people, route)["freshness"]
    assert (freshness["log_size"], freshness["as_of_date"], freshness["stale"]) == (100, "2025-06-30", False)
    assert freshness["definition_version"] == "d" * 64
    for parameters in ({"asset": "office"}, {"per": "agent", "agent_id": people.anna.id}, {"limit": 0}):
        response = client.get(f"/api/v1/performance/{route}", params=parameters, headers=people.manager.auth)
        assert (response.status_code, problem_of(response)) == (422, "request-invalid"), parameters


PAGED = [*((route, {"per": "agent"}) for route in ROUTES), ("benchmarks", {}), ("leaderboard", {}), ("comparison", {})]


@pytest.mark.parametrize(("route", "parameters"), PAGED)
def test_pages_joined_are_the_list(client: TestClient, people: People, route: str, parameters: dict[str, str]) -> None:
    """No row is missing or there twice, whatever the size of a page."""
    parameters = parameters | ({"agent_id": people.anna.id} if route == "comparison" else {})
    whole = read(client, people, route, **parameters)
    assert whole["next_cursor"] is None
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = read(client, people, route, **parameters, **cursor, limit=1)
        assert len(page["items"]) == 1
        rows += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert rows == whole["items"]


def test_a_page_of_an_older_publication_is_refused(client: TestClient, people: People, settings: Settings) -> None:
    """Two publications are never joined to one list: the client is told to begin again."""
    page = read(client, people, "cycle-times", limit=1)
    publish(settings, people, generation=2)
    response = client.get(
        "/api/v1/performance/cycle-times", params={"cursor": page["next_cursor"]}, headers=people.manager.auth
    )
    assert (response.status_code, problem_of(response)) == (422, "cursor-invalid")
    assert "Begin again" in response.json()["detail"]
    for cursor in ("x", "bWFydHM", "bWFydHN8LTE", "é"):
        response = client.get("/api/v1/performance/cycle-times", params={"cursor": cursor}, headers=people.manager.auth)
        assert (response.status_code, problem_of(response)) == (422, "cursor-invalid"), cursor


def test_pages_and_rest_read_through_the_same_functions(tmp_path: Path) -> None:
    """A page of the workspace gets typed rows, all of them unless it asks for less."""
    publish_sample(tmp_path, days=3, extra=analysed(ANNA, BEN))
    with PublishedMarts(tmp_path).read() as marts:
        anna = Whose(Agent(ANNA, "Anna Lim"))
        assert sum(row.entered_n for row in analyses.list_funnel(marts)) == 22
        assert [row.won_value for row in analyses.list_lead_sources(marts, anna)] == [
            Decimal(n) for n in (300, 200, 100)
        ]
        assert {row.agent_id for row in analyses.list_cycle_times(marts, Whose(is_each=True))} == {ANNA, BEN}
        assert len(analyses.list_calibration(marts)) == 6
        assert [row.step_order for row in analyses.list_payout_velocity(marts)] == [1, 2]
