"""A published file answers for any past day what a build for that day would say, to the byte; so do its readers."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api import analyses, summaries
from api.figures import TEAM, Agent, Period, Whose, Window
from api.main import create_app
from api.published import Marts, PublishedMarts
from api.team_figures import EVERYONE
from ingestion.mart_digests import MartDigest, digest_mart
from ingestion.publishing import publish_marts
from ledger.settings import Settings
from orchestration.dated_marts import MARTS, dated_marts
from tests.api.conftest import Client, make_people, problem_of
from tests.dbt_project.test_incremental import Step, Workshop
from tests.support.campaigns import is_soak, rounds
from tests.support.random_histories import DAYS, EVENTS, FIRST_DAY, KINDS, Event
from tests.support.raw_tables import History

PAST = 36
ANN = Agent(agent_id="agent-0", agent_name="Ann")


@dataclass(frozen=True)
class Published:
    """Builds of one log for several days, each published in a folder of its own, with the digests of its marts."""

    steps: list[Step]
    folders: list[Path]
    marts: list[list[MartDigest]]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    home = tmp_path_factory.mktemp("workshop")
    yield Workshop(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def two_days(workshop: Workshop) -> Published:
    """A past day and the newest one of an agency in which much happened in between."""
    chance = random.Random(11)
    events = [
        Event(chance.choice(KINDS), chance.randrange(20), day % DAYS, chance.randrange(1440), chance.randrange(12))
        for day in range(400)
    ]
    return publish_days(workshop, events, [PAST, DAYS])


def publish_days(workshop: Workshop, events: list[Event], days: list[int]) -> Published:
    """Build and publish each day; the functions of past days are in every file."""
    log_size = add_what_counts(workshop.settings.warehouse_path, workshop.write(events))
    steps = [Step(log_size, day) for day in days]
    folders = [workshop.settings.home / f"published-{number}" for number in range(len(days))]
    built = []
    for step, folder in zip(steps, folders, strict=True):
        built.append(workshop.build(step))
        shutil.rmtree(folder, ignore_errors=True)
        publish_marts(
            workshop.settings.warehouse_path,
            folder,
            log_size=step.log_size,
            last_hash=None,
            as_of_date=step.as_of_date,
            definition_version="test",
            business_timezone="Asia/Singapore",
            reporting_currency="SGD",
            dbt_invocation_id=None,
            dbt_version=None,
            run_id="run",
            reference_digest="none",
            dated_marts=dated_marts(workshop.settings, definition_version="test"),
        )
    return Published(steps, folders, built)


def add_what_counts(warehouse: Path, log_size: int) -> int:
    """Add confidences old enough to be judged, and benchmarks and costs that hold from days within the history on."""
    with duckdb.connect(warehouse) as connection:
        history = History(connection, count(log_size))
        for number, closed in enumerate(("2024-02-03", "2024-02-04", "2024-02-08")):
            history.opened(f"old-{number}", "agent-0", "2024-01-01", confidence="0.50")
            history.moved(f"old-{number}", "closed_won", closed)
        history.commission("old-line", "old-0", "agent-0", "2024-02-03", 10)
        history.commission_moved("old-line", "old-0", "pending", "confirmed", "2024-02-04")
        history.commission_moved("old-line", "old-0", "confirmed", "invoiced", "2024-02-08")
        for day in (5, 38):
            history.benchmark("conversion_rate", f"0.{30 + day}", (FIRST_DAY + timedelta(days=day)).isoformat())
            connection.execute(
                "INSERT INTO raw.agent_costs BY NAME SELECT ? AS reference_id, 'ann@example.com' AS agent_email,"
                " '2024-01' AS month, 'portal' AS lead_source, ? AS amount, 'SGD' AS currency, ? AS effective_date,"
                " 'books' AS source, 'costs.csv' AS file_name, 'f' AS file_sha256, 2 AS line, now() AS loaded_at",
                [f"cost-{day}", 10 + day, FIRST_DAY + timedelta(days=day)],
            )
        connection.execute("UPDATE raw.people SET email = 'Ann@example.com' WHERE user_id = 'agent-0'")
        return next(history.numbers)


def asked_of(folder: Path, day: str) -> dict[str, MartDigest]:
    """Ask a published file for every mart of a day and digest what it answers."""
    (file,) = folder.glob("*.duckdb")
    answers = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{file}' AS published (READ_ONLY)")
        for mart in MARTS:
            connection.execute("USE published")
            connection.execute(f"CREATE TABLE memory.main.{mart} AS FROM {mart}_as_of(DATE '{day}')")
            connection.execute("USE memory")
            answers[mart] = digest_mart(connection, "main", mart)
    return answers


def test_a_published_file_says_of_a_past_day_what_a_build_for_that_day_said(two_days: Published) -> None:
    """Every mart that has one state, by the digest that a replay prints; and of its own day what its tables say."""
    past, newest = two_days.steps
    for step, marts in zip((past, newest), two_days.marts, strict=True):
        assert asked_of(two_days.folders[1], step.as_of_date) == {m.mart: m for m in marts if m.mart in MARTS}
    assert asked_of(two_days.folders[1], past.as_of_date) != asked_of(two_days.folders[1], newest.as_of_date)


def test_the_published_file_holds_nobodys_address(two_days: Published) -> None:
    """Costs are told apart by digests of addresses."""
    (file,) = two_days.folders[1].glob("*.duckdb")
    with duckdb.connect(str(file), read_only=True) as connection:
        [(costs,)] = connection.execute("SELECT count(*) FROM inputs.agent_costs").fetchall()
        texts = connection.execute("SELECT email FROM inputs.people UNION ALL SELECT agent_email FROM inputs.agent_costs")
        assert costs
        assert not [text for (text,) in texts.fetchall() if text and "@" in text]


def ask(marts: Marts, day: date) -> dict[str, Any]:
    """Put every question of the pages and of REST that may be asked of a past day."""
    answers: dict[str, Any] = {}
    window = Window(last=day, first=Period.MONTH_TO_DATE.first_day(day))
    for name, whose in {"team": TEAM, "ann": Whose(ANN), "each": Whose(is_each=True)}.items():
        answers[f"funnel of {name}"] = analyses.list_funnel(marts, whose, as_of=day)
        answers[f"cycle times of {name}"] = analyses.list_cycle_times(marts, whose, as_of=day)
        answers[f"calibration of {name}"] = analyses.list_calibration(marts, whose, as_of=day)
        answers[f"payouts of {name}"] = analyses.list_payout_velocity(marts, whose, as_of=day)
        answers[f"sources of {name}"] = analyses.list_lead_sources(marts, whose, as_of=day)
    for agent in (ANN, EVERYONE):
        summary = summaries.summarise(marts, agent, window)
        answers[f"figures of {agent.agent_name}"] = (summary.as_of, summary.in_window, summary.previous_window)
    answers["comparison"] = summaries.list_comparison(marts, ANN.agent_id, as_of=day)
    return answers


def test_readers_of_a_later_file_get_what_that_days_file_said(two_days: Published) -> None:
    """The funnel, days to win, calibration, payouts, lead sources, comparisons, and medians of windows."""
    day = date.fromisoformat(two_days.steps[0].as_of_date)
    then, now = (PublishedMarts(folder) for folder in two_days.folders)
    with then.read() as of_then, now.read() as of_now:
        asked, said = ask(of_now, day), ask(of_then, day)
        newest = ask(of_now, of_now.publication.as_of_date)
    assert asked == said
    assert [question for question, answer in said.items() if not answer] == []
    changed = {question.split(" of ")[0] for question in asked if asked[question] != newest[question]}
    assert changed == {question.split(" of ")[0] for question in asked}, "nothing happened since"
    then.close()
    now.close()


def test_rest_answers_for_a_past_day(two_days: Published, tmp_path: Path) -> None:
    """`as_of` on every list gives that day's numbers and says so; a day that is not published yet is refused."""
    settings = Settings(home=tmp_path)
    people = make_people(settings)
    settings.published_dir.symlink_to(two_days.folders[1])
    day = two_days.steps[0].as_of_date
    with PublishedMarts(two_days.folders[0]).read() as marts:
        expected = {
            "funnel": [row.entered_n for row in analyses.list_funnel(marts)],
            "cycle-times": [row.won_n for row in analyses.list_cycle_times(marts)],
            "calibration": [row.n for row in analyses.list_calibration(marts)],
            "velocity": [row.n for row in analyses.list_payout_velocity(marts)],
            "lead-sources": [row.cost_n for row in analyses.list_lead_sources(marts)],
            "comparison?agent_id=agent-0": [row.n for row in summaries.list_comparison(marts, ANN.agent_id)],
        }
    figures = {"funnel": "entered_n", "cycle-times": "won_n", "lead-sources": "cost_n"}
    with Client(create_app(settings, with_workspace=False)) as client:

        def get(route: str, as_of: str) -> Any:
            address = f"/api/v1/performance/{route}{'&' if '?' in route else '?'}as_of={as_of}"
            return client.get(address, headers=people.manager.auth)

        for route, rows in expected.items():
            answer = get(route, day).json()
            assert answer["as_of"] == day
            assert [row[figures.get(route, "n")] for row in answer["items"]] == rows, route
            assert problem_of(get(route, "2024-03-01")) == "request-invalid"
        held = [row["effective_date"] for row in get("benchmarks", day).json()["items"]]
        assert held == ["2024-01-06"]


@pytest.mark.soak
@pytest.mark.skipif(not is_soak(), reason="builds the project for each day of each history: make soak")
@given(
    st.lists(EVENTS, min_size=140, max_size=180),
    st.lists(st.integers(0, DAYS - 2), min_size=1, max_size=3),
)
@settings(max_examples=rounds(1, 60), deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_any_past_day_of_any_history(workshop: Workshop, events: list[Event], days: list[int]) -> None:
    """Whatever happened later, however late it was written down."""
    assume(len({event.kind for event in events}) > 10 and len({event.deal for event in events}) > 15)
    published = publish_days(workshop, events, [*days, DAYS])
    for step, marts in zip(published.steps, published.marts, strict=True):
        expected = {mart.mart: mart for mart in marts if mart.mart in MARTS}
        assert asked_of(published.folders[-1], step.as_of_date) == expected, step.as_of_date
