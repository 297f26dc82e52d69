"""Performance over REST: the published numbers, whose they are, and how fresh."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.settings import Settings
from tests.api.conftest import People, problem_of
from tests.support.published_file import AS_OF, publish_sample


@pytest.fixture
def settings(tmp_path: Path, template: tuple[Path, People]) -> Settings:
    """The published file is read here; where the ledger is does not matter."""
    shutil.copytree(template[0], tmp_path / "home")
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="module")
def people(template: tuple[Path, People]) -> People:
    return template[1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, template: tuple[Path, People]) -> Path:
    folder = tmp_path_factory.mktemp("published")
    people = template[1]
    publish_sample(folder, agents={people.anna.id: "Anna Lim", people.ben.id: "Ben Ong"})
    return folder


@pytest.fixture(autouse=True)
def published(settings: Settings, sample: Path) -> None:
    shutil.copytree(sample, settings.published_dir)


def read(client: TestClient, people: People, address: str, **parameters: Any) -> dict[str, Any]:
    response = client.get(f"/api/v1{address}", params=parameters, headers=people.viewer.auth)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize("address", ["/performance/summary", "/deals/performance/summary"])
def test_summary_holds_the_newest_snapshot_the_window_and_roi(client: TestClient, people: People, address: str) -> None:
    """Both addresses give the day's snapshot, the window's own numbers, the one before it, and every currency."""
    summary = read(client, people, address, agent_id=people.anna.id, period="30d")
    assert summary["agent"] == {"agent_id": people.anna.id, "agent_name": "Anna Lim"}
    assert summary["window"] == {"period": "30d", "from": "2025-06-01", "to": "2025-06-30"}
    assert summary["as_of"]["deals_closed_won"] == 6
    assert summary["as_of"]["won_value"] == "6000.00"
    assert summary["roi"] == {
        "commission_yield": 0.02,
        "revenue_per_won_deal": "20.00",
        "revenue_per_open_day": "1.00",
    }
    assert summary["in_window"]["deals_closed_won"] == 3
    assert summary["in_window"]["conversion_rate"] == 0.6
    assert summary["in_window"]["won_value"] == "3000.00"
    assert summary["in_window"]["roi"]["revenue_per_won_deal"] == "20.00"
    assert summary["in_window"]["by_currency"] == [
        {
            "currency": "SGD",
            "deals_closed_won": 3,
            "won_value": "3000.00",
            "lost_value": "1000.00",
            "confirmed_commission_amount": "60.00",
        }
    ]
    assert summary["previous_window"]["to"] == "2025-05-31"
    assert summary["by_currency"][0]["currency"] == "SGD"
    assert summary["by_currency"][0]["won_value"] == "6000.00"


def test_an_answer_that_is_kept_is_given_to_its_own_question_alone(client: TestClient, people: People) -> None:
    """Whatever was asked before, each agent, window and day gets its own figures, the same when it is asked again."""
    questions = [
        {"agent_id": agent.id, "period": period, "as_of": day}
        for agent in (people.anna, people.ben)
        for period in ("30d", "90d", "qtd")
        for day in ("2025-06-10", "2025-06-20", AS_OF.isoformat())
    ]
    answers = []
    for asked in [*questions, *reversed(questions)]:
        answer = read(client, people, "/performance/summary", **asked)
        del answer["freshness"]
        assert answer["agent"]["agent_id"] == asked["agent_id"]
        assert (answer["window"]["period"], answer["window"]["to"]) == (asked["period"], asked["as_of"])
        answers.append(answer)
    assert answers[: len(questions)] == answers[: len(questions) - 1 : -1]
    figures = {str(answer["in_window"] | answer["as_of"]) for answer in answers}
    assert len(figures) > 2  # or one answer would do for all


def test_a_window_of_ones_own_and_one_by_name_agree(client: TestClient, people: People) -> None:
    """30d is the thirty days that end on the published day."""
    named = read(client, people, "/performance/summary", agent_id=people.anna.id, period="30d")
    dated = read(
        client, people, "/performance/summary", agent_id=people.anna.id, **{"from": "2025-06-01", "to": "2025-06-30"}
    )
    assert named["in_window"] == dated["in_window"]


def test_as_of_reads_the_day_itself(client: TestClient, people: People) -> None:
    """A past day's summary is that day's snapshot, not today's with another label."""
    past = read(client, people, "/performance/summary", agent_id=people.anna.id, as_of="2025-06-10")
    assert past["as_of"]["snapshot_date"] == "2025-06-10"
    assert past["as_of"]["deals_closed_won"] == 4
    assert past["in_window"]["deals_closed_won"] == 4
    assert past["window"] == {"period": "as_of", "from": None, "to": "2025-06-10"}


def test_a_day_before_the_first_deal_is_empty_and_its_rates_are_null(client: TestClient, people: People) -> None:
    """Nothing happened yet: counts are zero and rates unknown."""
    past = read(client, people, "/performance/summary", agent_id=people.anna.id, as_of="2020-01-01")
    assert past["as_of"]["deals_closed_won"] == 0
    assert past["as_of"]["conversion_rate"] is None
    assert past["by_currency"] == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"period": "yesterday"},
        {"from": "2025-06-01", "period": "30d"},
        {"from": "2025-06-20", "to": "2025-06-01"},
        {"to": "2025-07-01"},
        {"as_of": "2025-07-01"},
        {"as_of": "soon"},
        {"agent": "x"},
        {"period": ["30d", "90d"]},
    ],
)
def test_windows_that_make_no_sense_are_refused(client: TestClient, people: People, parameters: dict[str, Any]) -> None:
    """A misspelt, contradictory or unpublished window is an error that names the parameter, never another window."""
    response = client.get(
        "/api/v1/performance/summary", params={"agent_id": people.anna.id, **parameters}, headers=people.viewer.auth
    )
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")
    assert response.json()["errors"][0]["location"].startswith("query.")


def test_the_series_comes_in_pages_without_gap_or_overlap(client: TestClient, people: People) -> None:
    """Pages joined are the whole series, in order."""
    days: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"agent_id": people.anna.id, "limit": 25} | ({"cursor": cursor} if cursor else {})
        page = read(client, people, "/performance/snapshots", **parameters)
        days += [row["snapshot_date"] for row in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert days == [(AS_OF - timedelta(days=59 - number)).isoformat() for number in range(60)]
    part = read(
        client, people, "/performance/snapshots", agent_id=people.anna.id, **{"from": "2025-06-01", "to": "2025-06-03"}
    )
    assert [row["snapshot_date"] for row in part["items"]] == ["2025-06-01", "2025-06-02", "2025-06-03"]


@pytest.mark.parametrize("address", ["/performance/benchmarks", "/deals/performance/benchmarks"])
def test_benchmarks_are_filtered_and_general_rows_fit_any_type(
    client: TestClient, people: People, address: str
) -> None:
    """A row for all asset types answers a question about offices; one for retail does not."""
    rows = read(client, people, address, asset_type="office")["items"]
    assert [(row["metric_key"], row["asset_type"]) for row in rows] == [
        ("conversion_rate", None),
        ("conversion_rate", "office"),
    ]
    rows = read(client, people, address, cohort="top_quartile", deal_type="lease", metric_key="conversion_rate")[
        "items"
    ]
    assert [row["metric_value"] for row in rows] == ["0.450000"]


def test_comparison_says_source_and_n(client: TestClient, people: People) -> None:
    """A figure without its source and the number of deals behind it is not comparable."""
    rows = read(client, people, "/performance/comparison", agent_id=people.anna.id, metric_key="conversion_rate")[
        "items"
    ]
    assert (rows[0]["agent_value"], rows[0]["benchmark_value"], rows[0]["n"]) == (0.6, 0.3, 10)
    assert rows[0]["source"] == "survey"


def test_leaderboard_ranks_by_what_was_won(client: TestClient, people: People) -> None:
    """Best first, with names; an agent sees only their own row, with its true rank."""
    rows = read(client, people, "/performance/leaderboard", by="won_count")["items"]
    assert [(row["rank"], row["agent_name"], row["deals_closed_won"]) for row in rows] == [
        (1, "Anna Lim", 6),
        (2, "Ben Ong", 0),
    ]
    response = client.get("/api/v1/performance/leaderboard", headers=people.ben.auth)
    assert [(row["rank"], row["agent_name"]) for row in response.json()["items"]] == [(2, "Ben Ong")]


@pytest.mark.parametrize(
    "address",
    [
        "/performance/summary",
        "/performance/snapshots",
        "/performance/benchmarks",
        "/performance/comparison",
        "/performance/leaderboard",
    ],
)
def test_every_answer_says_how_fresh_it_is(
    client: TestClient, people: People, settings: Settings, address: str
) -> None:
    """Log size, day, definitions and age stand beside the numbers, and old numbers are called stale."""
    agent = {} if address.endswith(("benchmarks", "leaderboard")) else {"agent_id": people.anna.id}
    freshness = read(client, people, address, **agent)["freshness"]
    assert (freshness["log_size"], freshness["as_of_date"], freshness["stale"]) == (100, "2025-06-30", False)
    assert freshness["definition_version"] == "d" * 64
    assert freshness["published_at"].endswith("Z")
    old = datetime.now(UTC) - timedelta(hours=27)
    publish_sample(
        settings.published_dir, generation=2, log_size=101, published_at=old, agents={people.anna.id: "Anna Lim"}
    )
    assert read(client, people, address, **agent)["freshness"]["stale"] is True


def test_agents_see_their_own_summary_and_no_other(client: TestClient, people: People) -> None:
    """Another agent's numbers look exactly like an agent who does not exist."""
    own = client.get("/api/v1/performance/summary", headers=people.anna.auth)
    assert own.json()["agent"]["agent_id"] == people.anna.id
    hidden = client.get("/api/v1/performance/summary", params={"agent_id": people.ben.id}, headers=people.anna.auth)
    missing = client.get("/api/v1/performance/summary", params={"agent_id": "nobody"}, headers=people.anna.auth)
    assert (hidden.status_code, problem_of(hidden)) == (404, "agent-not-published")
    assert hidden.content == missing.content


def test_others_must_say_whose_numbers(client: TestClient, people: People) -> None:
    """A manager has no numbers of their own: leaving the agent out is an error, not an empty summary."""
    response = client.get("/api/v1/performance/summary", headers=people.manager.auth)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")


def test_publication_shows_the_manifest(client: TestClient, people: People) -> None:
    """What is published can be checked: file, log, definitions, a digest a mart."""
    publication = read(client, people, "/publication")
    assert publication["file_name"].startswith("marts-000000000100-")
    assert publication["marts"] == [{"mart": "deals", "row_count": 6, "digest": "e" * 64}]
    assert publication["stale"] is False


def test_nothing_published_is_a_503_that_says_what_to_do(
    client: TestClient, people: People, settings: Settings
) -> None:
    """Before the first refresh the deals work and the numbers say how to make them."""
    (settings.published_dir / "CURRENT").unlink()
    response = client.get("/api/v1/performance/benchmarks", headers=people.viewer.auth)
    assert (response.status_code, problem_of(response)) == (503, "nothing-published")
    assert "dealbook refresh" in response.json()["detail"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"from": "0762-07-24", "to": "2025-06-30"},
        {"from": "0001-01-01"},
        {"as_of": "0001-01-05", "period": "365d"},
        {"to": "1899-12-31"},
    ],
)
def test_days_before_all_knowledge_are_refused(client: TestClient, people: People, parameters: dict[str, str]) -> None:
    """The window before them would lie before the calendar: 422 with the parameter's name, never an error of ours."""
    parameters["agent_id"] = people.anna.id
    response = client.get("/api/v1/performance/summary", params=parameters, headers=people.viewer.auth)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")
    assert response.json()["errors"][0]["location"].removeprefix("query.") in parameters


def test_a_number_is_no_day(client: TestClient, people: People) -> None:
    """0 would be read as 1 January 1970."""
    for address, name in (("/summary", "to"), ("/summary", "from"), ("/summary", "as_of"), ("/snapshots", "cursor")):
        response = client.get(f"/api/v1/performance{address}", params={name: "0"}, headers=people.anna.auth)
        assert (response.status_code, problem_of(response)) == (422, "request-invalid")
