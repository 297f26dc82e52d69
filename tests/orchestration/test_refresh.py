"""A refresh publishes whole, tested numbers or nothing; with nothing new it writes nothing, and says so quickly."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from filelock import FileLock

from ingestion.publishing import current_publication, rollback_publication
from ingestion.refresh_lock import WAITING
from ledger.log.entry import Draft
from orchestration.dbt_docs import docs_path
from orchestration.instance import open_instance
from tests.orchestration.conftest import DAY, Office
from tests.support.living_ledger import append, append_deals, tamper

ROOT = Path(__file__).resolve().parents[2]


def _deals(office: Office) -> int:
    """Number of deals that readers see."""
    publication = current_publication(office.settings.published_dir)
    assert publication is not None
    with duckdb.connect(str(office.settings.published_dir / publication.name), read_only=True) as connection:
        [(rows,)] = connection.execute("select count(*) from deals").fetchall()
        return int(rows)


def _written(home: Path) -> dict[str, tuple[int, int]]:
    """When each file was last written, and its size. Locks are not content."""
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name not in (".lock", "ledger.sqlite3-shm")
    }


def test_a_refresh_publishes_and_the_next_one_has_nothing_to_do(office: Office) -> None:
    """The second refresh writes no file at all, and says that nothing is new; one new deal makes it work again."""
    first = office.first
    assert (first.outcome, first.failed_checks) == ("published", ())
    assert first.entries_landed == first.log_size > 10
    assert _deals(office) == 2

    before = _written(office.settings.home)
    second = office.refresh()
    assert second.outcome == "nothing_new"
    assert second.publication == first.publication
    assert second.render().startswith("Nothing new")
    assert _written(office.settings.home) == before

    append_deals(office.ledger, 1)
    third = office.refresh()
    assert (third.outcome, third.entries_landed) == ("published", 1)
    assert third.publication != first.publication
    assert _deals(office) == 3


def test_nothing_new_is_answered_without_importing_dagster_or_dbt(office: Office) -> None:
    """Their imports take seconds, on every hourly tick; the answer needs neither."""
    code = (
        "import sys; from pathlib import Path; from tests.orchestration.conftest import DAY, SettingsWithProject as S\n"
        "from orchestration.refresh import refresh\n"
        f"report = refresh(S(home=Path({str(office.settings.home)!r})), as_of=DAY)\n"
        "assert report.outcome == 'nothing_new', report\n"
        "heavy = {'dagster', 'dbt', 'dagster_dbt'} & {name.split('.')[0] for name in sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("change", ["day", "definitions", "reporting_currency", "rollback", "full"])
def test_whatever_the_numbers_depend_on_makes_a_refresh(office: Office, change: str) -> None:
    """Equal log size alone does not mean that nothing is new."""
    first, settings = office.first, office.settings
    options: dict[str, Any] = {"as_of": DAY}
    if change == "day":
        options["as_of"] = DAY + timedelta(days=1)
    elif change == "definitions":
        office.add_dbt_test("deals_exist", "select 1 where (select count(*) from {{ ref('deals') }}) = 0")
    elif change == "reporting_currency":
        settings = type(settings)(home=settings.home, reporting_currency="USD")
    elif change == "rollback":
        append_deals(office.ledger, 1)
        office.refresh()
        rollback_publication(settings.published_dir)
    else:
        options["full"] = True
    report = Office(settings, office.ledger, first).refresh(**options)
    assert report.outcome == "published"
    assert report.publication != first.publication
    published = current_publication(settings.published_dir)
    assert published is not None
    assert published.name == report.publication
    assert published.as_of_date == options["as_of"]
    assert report.entries_landed == (report.log_size if change == "full" else 0)


def test_a_failing_dbt_test_leaves_readers_on_the_last_good_file(office: Office) -> None:
    """The report names the test, how many rows it objects to, and what to do; the next good refresh moves on."""
    good = office.first
    rule = office.add_dbt_test("deals_are_imaginary", "select deal_id from {{ ref('deals') }}")
    append_deals(office.ledger, 3)

    bad = office.refresh()
    assert bad.outcome == "failed"
    [failed] = bad.failed_checks
    assert (failed.name, failed.about, failed.rows) == ("deals_are_imaginary", "deals", 5)
    [query] = re.findall(r"< (\S+)", failed.what_to_do)
    with duckdb.connect(str(office.settings.warehouse_path), read_only=True) as warehouse:
        assert len(warehouse.execute(Path(query).read_text()).fetchall()) == 5, "the query that it names shows the rows"
    assert "5 rows" in bad.render()
    assert bad.publication == good.publication
    assert _deals(office) == 2

    again = office.refresh()
    assert again.outcome == "failed", "a failure is not taken for 'nothing new'"

    rule.unlink()
    assert office.refresh().outcome == "published"
    assert _deals(office) == 5


def test_publishing_alone_after_a_failed_build_is_refused(office: Office) -> None:
    """Checks guard only their own run: whoever starts `published_marts` by itself must not publish a failed build."""
    office.add_dbt_test("deals_are_imaginary", "select deal_id from {{ ref('deals') }}")
    office.refresh()
    before = current_publication(office.settings.published_dir)

    from orchestration.definitions import build_definitions
    from orchestration.defs.publish import PUBLISHED_KEY

    job = build_definitions(office.settings).resolve_implicit_global_asset_job_def()
    with open_instance(office.settings) as instance:
        result = job.get_subset(asset_selection={PUBLISHED_KEY}, asset_check_selection=set()).execute_in_process(
            instance=instance, raise_on_error=False
        )
    assert not result.success
    assert current_publication(office.settings.published_dir) == before


def test_a_broken_model_is_a_failure_that_names_it(office: Office) -> None:
    """Not only tests fail: a model that cannot be built leaves readers where they are, too."""
    good = office.first
    (office.settings.dbt_project_dir / "models" / "marts" / "agents.sql").write_text(
        "select no_such_column from nowhere"
    )
    bad = office.refresh()
    assert bad.outcome == "failed"
    assert [check.name for check in bad.failed_checks] == ["agents"]
    assert bad.publication == good.publication


def test_a_project_that_dbt_cannot_read_is_a_failure_that_says_so(office: Office) -> None:
    """Then not even the graph can be loaded; the refresh still answers in a sentence."""
    good = office.first
    (office.settings.dbt_project_dir / "models" / "marts" / "agents.sql").write_text("select {{ no_such_macro(")
    bad = office.refresh()
    assert bad.outcome == "failed"
    assert bad.error is not None
    assert "agents.sql" in bad.error
    assert bad.publication == good.publication


def test_a_log_that_was_tampered_with_stops_everything(office: Office) -> None:
    """A changed body no longer gives its hash: nothing of it is landed, built or published."""
    good = office.first
    append_deals(office.ledger, 1)
    tamper(
        office.ledger, "UPDATE audit_logs SET body = replace(body, 'office', 'retail') WHERE n = :n", n=good.log_size
    )
    bad = office.refresh()
    assert bad.outcome == "failed"
    assert bad.error is not None
    assert f"n={good.log_size}" in bad.error
    assert "dealbook audit verify" in bad.error
    assert bad.publication == good.publication


def test_a_chain_that_does_not_join_blocks_dbt(office: Office) -> None:
    """Every hash is right, yet an entry does not follow the one before it: found before a model is built."""
    good = office.first
    append_deals(office.ledger, 1)
    tamper(office.ledger, "UPDATE audit_logs SET prev = zeroblob(31) || x'01' WHERE n = :n", n=good.log_size)
    bad = office.refresh()
    assert bad.outcome == "failed"
    assert [check.name for check in bad.failed_checks] == ["chain_sound"]
    assert "dbt" not in bad.seconds
    assert bad.publication == good.publication


def test_facts_that_break_their_contract_block_dbt(office: Office) -> None:
    """A word that no enumeration has reaches neither raw nor the models."""
    good = office.first
    columns = {"agent_id": "a", "asset_type": "castle", "deal_type": "lease", "status": "open"}
    event = {"id": "e", "from": None, "to": "lead_captured"}
    append(office.ledger, Draft("deal:d", "deal.opened", "deal", "d", {"set": columns, "stage_event": event}))
    bad = office.refresh()
    assert bad.outcome == "failed"
    [failed] = bad.failed_checks
    assert (failed.name, failed.about, failed.rows) == ("contract", "raw.deal_events", 1)
    assert "dbt" not in bad.seconds
    assert bad.publication == good.publication


def test_a_row_lost_in_raw_blocks_dbt(office: Office) -> None:
    """The nightly and the full refresh count every entry; the hourly one those that it landed."""
    good = office.first
    with duckdb.connect(str(office.settings.warehouse_path)) as warehouse:
        warehouse.execute("delete from raw.deal_events where n = (select max(n) from raw.deal_events)")
    from orchestration.definitions import build_definitions

    job = build_definitions(office.settings).resolve_job_def("nightly")
    with open_instance(office.settings) as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    failed = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed == ["complete"]
    readers = current_publication(office.settings.published_dir)
    assert readers is not None
    assert readers.name == good.publication
    assert office.refresh(full=True).outcome == "published", "the remedy that the check names"


def test_a_refresh_waits_for_the_one_that_is_running(office: Office) -> None:
    """Command line, UI and schedules take the same lock; the second says that it waits."""
    append_deals(office.ledger, 1)
    lock = FileLock(office.settings.home / "refresh.lock")
    lock.acquire()
    said: list[str] = []

    def hear(step: str, _done: int, _total: int) -> None:
        said.append(step)
        if step == WAITING:
            lock.release()

    assert office.refresh(on_progress=hear).outcome == "published"
    assert said[0] == WAITING


@pytest.mark.parametrize("step", ["Building and testing models", "Publishing"])
def test_ctrl_c_stops_a_refresh_and_leaves_readers_where_they_were(office: Office, step: str) -> None:
    """Whoever stops it wants it stopped, not reported as a failure; the next refresh does the work."""
    append_deals(office.ledger, 1)
    pressed: list[str] = []

    def press(reached: str, _done: int, _total: int) -> None:
        """Once, as a person does: a step reports its progress many times, and a second Ctrl-C interrupts the first."""
        if reached == step and not pressed:
            pressed.append(step)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        office.refresh(on_progress=press)
    readers = current_publication(office.settings.published_dir)
    assert readers is not None
    assert readers.name == office.first.publication
    assert office.refresh().outcome == "published"


def test_each_run_leaves_a_line_that_says_how_long_and_how_much(office: Office) -> None:
    """The log line is for machines: duration, entries read, rows out, outcome."""
    append_deals(office.ledger, 2)
    report = office.refresh()
    lines = (office.settings.home / "logs" / "refresh.jsonl").read_text().splitlines()
    entry = json.loads(lines[-1])
    assert len(lines) == 2
    assert (entry["event"], entry["outcome"], entry["run_id"]) == ("refresh.run_ended", "published", report.run_id)
    assert (entry["entries_landed"], entry["deals_processed"], entry["rows_published"]) == (2, 2, 6)
    assert (entry["job"], entry["duration_seconds"] > 0) == ("hourly", True)
    assert entry["started_by"].endswith("command line"), "a test may run under an account without a name"
    with duckdb.connect(str(office.settings.published_dir / str(report.publication)), read_only=True) as published:
        told = published.execute("select run_id, entries_read, publication from jobs_registry").fetchall()
    assert told == [(office.first.run_id, office.first.entries_landed, office.first.publication)], "the runs before"


def test_the_docs_page_is_built_with_the_first_refresh_and_loads_nothing_from_anywhere(office: Office) -> None:
    """It follows the dbt project, not the data; its policy lets a browser ask nobody but its own server."""
    page = docs_path(office.settings)
    first = page.read_text()
    assert "One row per member of staff." in first
    assert "default-src 'self'" in first[:2000]
    assert "cloudfront.net" not in first
    written = page.stat().st_mtime_ns
    append_deals(office.ledger, 1)
    office.refresh()
    assert page.stat().st_mtime_ns == written
    marts = office.settings.dbt_project_dir / "models" / "marts" / "marts.yml"
    marts.write_text(marts.read_text().replace("member of staff.", "person who works here."))
    office.refresh()
    assert "One row per person who works here." in page.read_text()


def test_a_run_is_recorded_where_the_ui_shows_it_and_dead_runs_are_marked(office: Office) -> None:
    """`dealbook refresh` leaves what a run from the UI leaves; runs killed half-way do not stay 'started' for ever."""
    from orchestration.resources import LOCK_TAG

    with open_instance(office.settings) as instance:
        killed = instance.create_run_for_job(_empty_job(), status=dg.DagsterRunStatus.STARTED, tags={LOCK_TAG: "held"})
    append_deals(office.ledger, 1)
    report = office.refresh()
    with open_instance(office.settings) as instance:
        run = instance.get_run_by_id(report.run_id or "")
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.tags[LOCK_TAG] == "released"
        event = instance.get_latest_materialization_event(dg.AssetKey(["marts", "deals"]))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == 3
        assert "| deal_id |" in str(metadata["preview"].value)
        dead = instance.get_run_by_id(killed.run_id)
        assert dead is not None
        assert dead.status == dg.DagsterRunStatus.FAILURE


def _empty_job() -> dg.JobDefinition:
    @dg.job
    def empty() -> None: ...

    return empty


def test_the_hourly_schedule_skips_when_nothing_is_new(office: Office) -> None:
    """A tick that finds nothing starts no process; one that finds a new entry asks for a run."""
    from orchestration.definitions import build_definitions

    office.refresh(as_of=None)  # today, as the schedule asks
    schedule = build_definitions(office.settings).resolve_schedule_def("hourly_schedule")

    def tick() -> dg.RunRequest | dg.SkipReason:
        with open_instance(office.settings) as instance:
            answer = schedule.evaluate_tick(dg.build_schedule_context(instance=instance))
        return answer.run_requests[0] if answer.run_requests else dg.SkipReason(answer.skip_message)

    nothing = tick()
    assert isinstance(nothing, dg.SkipReason)
    assert nothing.skip_message == "Nothing new since the last publication."
    append_deals(office.ledger, 1)
    assert isinstance(tick(), dg.RunRequest)
    with FileLock(office.settings.home / "refresh.lock"):
        busy = tick()
    assert isinstance(busy, dg.SkipReason)
    assert busy.skip_message == "A refresh is running."
