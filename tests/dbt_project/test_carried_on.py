"""A build on top of the last one leaves rows where they are, and its data tests still judge what it wrote."""

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ledger.settings import Settings
from orchestration.dbt_in_process import DbtRun, load_manifest, run_dbt
from tests.dbt_project.test_incremental import Step, Workshop
from tests.support.dbt_runs import PROJECT
from tests.support.random_histories import DAYS, KINDS, Event
from tests.support.raw_tables import History

OPEN_BY_THEN = "status = 'open' AND opened_date < DATE '2024-01-20'"
BUILT = Step(0, 30)  # of everything that is in the log by then


class _OwnProject(Settings):
    """Settings whose dbt project is one of a test's own."""

    project: Path

    @property
    def dbt_project_dir(self) -> Path:
        return self.project


@dataclass(frozen=True)
class Agency:
    """A warehouse with a whole build, and how much of the log that read."""

    workshop: Workshop
    built: Step

    def add(self, write: Any) -> Step:
        """Write further facts; return a step of the same day that reads them."""
        with duckdb.connect(self.workshop.settings.warehouse_path) as connection:
            history = History(connection, count(self.built.log_size))
            write(history)
            return Step(next(history.numbers), self.built.day)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.workshop.settings.warehouse_path) as connection:
            return connection.execute(sql).fetchall()

    def build(self, step: Step, **variables: Any) -> DbtRun:
        """Build on top, with data tests."""
        facts = {"log_size": step.log_size, "as_of_date": step.as_of_date, "definition_version": "test"}
        built = {"built_log_size": self.built.log_size, "built_as_of_date": self.built.as_of_date}
        settings, manifest = self.workshop.settings, self.workshop.manifest
        command = ["build", "--no-write-json", "--exclude-resource-type", "unit_test"]
        return run_dbt(settings, command, manifest=manifest, variables={**facts, **built, **variables})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agency]:
    """Four agents and twenty deals, of which much is known."""
    workshop = Workshop(tmp_path_factory.mktemp("whole"))
    chance = random.Random(5)
    # Without what a random hand does against the rules, as a clawback in another currency: the data tests would say so.
    kinds = [kind for kind in KINDS if kind not in ("adjust", "dispute", "resolve", "currency")]
    events = [
        Event(chance.choice(kinds), chance.randrange(20), day % DAYS, chance.randrange(1440), chance.randrange(12))
        for day in range(300)
    ]
    log_size = workshop.write(events)
    with duckdb.connect(workshop.settings.warehouse_path) as connection:
        history = History(connection, count(log_size))
        history.person("trainee", "Tom")
        built = Step(next(history.numbers), BUILT.day)
    workshop.build(built)
    yield Agency(workshop, built)
    shutil.rmtree(workshop.settings.home, ignore_errors=True)


@pytest.fixture
def agency(whole: Agency, tmp_path: Path) -> Agency:
    """A copy that a test may build on."""
    home = tmp_path / "home"
    shutil.copytree(whole.workshop.settings.home, home)
    return Agency(Workshop(home), whole.built)


def test_one_late_entry_writes_the_rows_of_one_deal_and_the_later_days_of_its_agents(agency: Agency) -> None:
    """All else stays as the last build wrote it, which its provenance says."""
    [(deal, agent)] = agency.rows(f"SELECT deal_id, agent_id FROM marts.deals WHERE {OPEN_BY_THEN} ORDER BY ALL LIMIT 1")
    owners = {owner for (owner,) in agency.rows(f"SELECT agent_id FROM marts.deal_revisions WHERE deal_id = '{deal}'")}
    step = agency.add(lambda history: history.changed(deal, "2024-01-20 09:00", estimated_value_amount=77))
    run = agency.build(step)
    assert run.is_success, run.failures
    written = f"log_size = {step.log_size}"
    stored = ("int_deals_standing", "int_stages_visited", "int_close_dates_moved")
    for table in ("marts.deal_revisions", *(f"intermediate.{name}" for name in stored)):
        assert set(agency.rows(f"SELECT deal_id FROM {table} WHERE {written}")) <= {(deal,)}, table
        assert agency.rows(f"SELECT count(*) > 5 FROM {table} WHERE NOT {written}") == [(True,)], table
    for mart in ("agent_performance_snapshots", "agent_currency_snapshots", "pipeline_stage_daily"):
        found = agency.rows(f"SELECT agent_id, min(snapshot_date)::VARCHAR FROM marts.{mart} WHERE {written} GROUP BY 1")
        assert {owner for owner, _ in found} <= owners, mart
        assert (agent, "2024-01-20") in found, mart
    assert agency.rows(f"SELECT count(*) FROM marts.commissions WHERE {written}") == [(0,)]


def test_who_is_no_longer_an_agent_has_no_days_left(agency: Agency) -> None:
    """Nothing is written about somebody who was made a viewer and never had a deal, yet what stood goes."""
    days = "SELECT count(*) FROM marts.agent_performance_snapshots WHERE agent_id = 'trainee'"
    assert agency.rows(days) != [(0,)]
    step = agency.add(lambda history: history.person("trainee", "Tom", role="viewer"))
    on_top = agency.workshop.build(step, agency.built)
    assert agency.rows(days) == [(0,)]
    assert on_top == agency.workshop.build(step)


def test_who_is_an_agent_again_has_all_days_again(agency: Agency) -> None:
    """Days that went when somebody was made a viewer are computed anew, not taken to be there still."""
    days = "SELECT count(*) FROM marts.agent_performance_snapshots WHERE agent_id = 'trainee'"
    [(before,)] = agency.rows(days)
    for role, expected in (("viewer", 0), ("viewer", 0), ("agent", before)):
        step = agency.add(lambda history, role=role: history.person("trainee", "Tom", role=role))
        on_top = agency.workshop.build(step, agency.built)
        assert agency.rows(days) == [(expected,)]
        agency = Agency(agency.workshop, step)
    assert on_top == agency.workshop.build(step)


def test_everybody_has_the_earlier_days_when_somebody_enters_an_older_deal(agency: Agency) -> None:
    """The days of all begin with the first entry of all, however late it was written down."""
    step = agency.add(lambda history: history.opened("oldest", "agent-1", "2023-12-20"))
    on_top = agency.workshop.build(step, agency.built)
    firsts = "SELECT DISTINCT min(snapshot_date)::VARCHAR FROM marts.agent_performance_snapshots GROUP BY agent_id"
    assert agency.rows(firsts) == [("2023-12-20",)]
    assert on_top == agency.workshop.build(step)


def test_tables_that_are_missing_are_not_carried_on(agency: Agency) -> None:
    """A table that somebody dropped is not made of new rows alone: the build stops and says what to do."""
    agency.rows("DROP TABLE marts.deal_revisions")
    run = agency.build(agency.add(lambda history: history.opened("new", "agent-1", "2024-01-21")))
    assert any("marts.deal_revisions" in failure.message and "built_log_size" in failure.message for failure in run.failures)


def test_data_tests_judge_the_rows_that_were_written_and_all_of_them_on_request(agency: Agency) -> None:
    """A fault in a row that was kept is found where every row is judged; the next whole run does."""
    deals = "intermediate.int_deals_standing"
    agency.rows(f"UPDATE {deals} SET effective_confidence = 2 WHERE deal_id = (SELECT min(deal_id) FROM {deals})")
    step = agency.add(lambda history: history.opened("new", "agent-1", "2024-01-21"))
    kept = agency.workshop.settings.warehouse_path.with_suffix(".kept")
    shutil.copy(agency.workshop.settings.warehouse_path, kept)
    assert "deals_keep_their_rules" not in {failure.name for failure in agency.build(step).failures}
    shutil.copy(kept, agency.workshop.settings.warehouse_path)
    assert "deals_keep_their_rules" in {failure.name for failure in agency.build(step, test_every_row=True).failures}


@pytest.mark.parametrize(
    ("file", "right", "wrong", "test"),
    [
        ("macros/recomputed.sql", "        and not exists (", "        and false and not exists (", "pipeline_stage_daily_have_no_duplicates"),
        ("macros/recomputed.sql", "        where exists (", "        where false and exists (", "stage_conversion_have_no_duplicates"),
        ("macros/recomputed.sql", "where kept.{{ key }} in (", "where false and kept.{{ key }} in (", "deal_revisions_have_no_duplicates"),
        ("models/intermediate/int_deals_standing.sql", "as_of_now.confidence, pipeline_stages.default_confidence", "cast(2 as decimal(4, 2))", "deals_keep_their_rules"),
    ],
    ids=["days", "cohorts", "deals", "rules"],
)  # fmt: skip
def test_a_fault_in_what_is_written_is_found_on_top(
    agency: Agency, tmp_path: Path, file: str, right: str, wrong: str, test: str
) -> None:
    """Rows that should have gone and did not, and new rows that break a rule: the tests that guard publishing fail."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    text = (project / file).read_text()
    assert text.count(right) == 1
    (project / file).write_text(text.replace(right, wrong))
    agency.workshop.settings = _OwnProject(home=agency.workshop.settings.home, project=project)
    agency.workshop.manifest = load_manifest(agency.workshop.settings)
    [(deal,)] = agency.rows(f"SELECT deal_id FROM marts.deals WHERE {OPEN_BY_THEN} ORDER BY ALL LIMIT 1")
    step = agency.add(lambda history: history.changed(deal, "2024-01-20 09:00", confidence="0.30"))
    run = agency.build(step)
    assert test in {failure.name for failure in run.failures}, run.failures
