"""Two refreshes asked for at once: one does the work, the other says why there is none left for it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb

from api.published import PublishedMarts
from ingestion.log_position import log_size
from ingestion.publishing import list_flips, list_publications
from ingestion.refresh_lock import WAITING, hold_refresh_lock
from orchestration.defs.landing import ANSWERED
from orchestration.instance import open_instance
from orchestration.run_records import records_path
from tests.orchestration.conftest import DAY, Office
from tests.support.living_ledger import append_deals

LIMIT_SECONDS = 120
_BEGIN = """
import logging, sys
from datetime import date
from pathlib import Path
from tests.orchestration.conftest import SettingsWithProject
settings = SettingsWithProject(home=Path(sys.argv[1]))
say = lambda *words: print(*words, flush=True)
"""
COMMAND_LINE = f"""{_BEGIN}
from orchestration.refresh import refresh
say(refresh(settings, as_of=date.fromisoformat(sys.argv[2]), on_progress=lambda step, *_: say(step)).outcome)
"""
SCHEDULE = f"""{_BEGIN}
from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
job = build_definitions(settings).resolve_job_def("hourly")
config = {{"resources": {{"refresh_run": {{"config": {{"as_of_date": sys.argv[2]}}}}}}}}
with open_instance(settings) as instance:
    result = job.execute_in_process(
        run_config=config, instance=instance, tags={{"dagster/schedule_name": "hourly_schedule"}}, raise_on_error=False
    )
say(result.run_id, result.success)
"""


@contextmanager
def started(program: str, office: Office, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        arguments = [sys.executable, "-W", "ignore", "-c", program, str(office.settings.home), DAY.isoformat()]
        child = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_of_two_refreshes_asked_for_at_once_one_publishes(office: Office, tmp_path: Path) -> None:
    """A scheduled run and `dealbook refresh`, in processes of their own, while the service reads.

    Neither fails, one publishes every entry once, the other waits and then says that nothing is left; both are in the
    record of runs, with who asked for them, and readers never meet an error or go back.
    """
    append_deals(office.ledger, 5)
    programs = {"schedule": SCHEDULE, "command line": COMMAND_LINE}
    first, second = programs
    logs = {name: tmp_path / f"{name}.log" for name in programs}
    marts = PublishedMarts(office.settings.published_dir)
    seen = []
    with hold_refresh_lock(office.settings), started(programs[first], office, logs[first]) as one:
        wait_for(lambda: WAITING in logs[first].read_text() or one.poll() is not None, "the first did not wait")
        with started(programs[second], office, logs[second]) as other:
            wait_for(lambda: WAITING in logs[second].read_text() or other.poll() is not None, "the second did not wait")
            assert (one.poll(), other.poll()) == (None, None)
            with released(office):
                deadline = time.monotonic() + LIMIT_SECONDS
                while one.poll() is None or other.poll() is None:
                    assert time.monotonic() < deadline
                    with marts.read() as view:
                        seen.append(view.publication.generation)
                    time.sleep(0.01)
            assert (one.returncode, other.returncode) == (0, 0), [log.read_text() for log in logs.values()]
    marts.close()
    assert seen == sorted(seen)
    newest, before = list_publications(office.settings.published_dir)
    assert (newest.log_size, before.log_size) == (log_size(office.ledger), office.first.log_size)
    records = [json.loads(line) for line in records_path(office.settings).read_text().splitlines()][1:]
    assert sorted(record["outcome"] for record in records) == ["nothing_new", "published"]
    assert {record["started_by"].rpartition(", ")[2] for record in records} == {"hourly schedule", "command line"}
    published = next(record for record in records if record["outcome"] == "published")
    assert next(flip.by for flip in list_flips(office.settings.published_dir, 5)) == published["started_by"]
    assert published["entries_landed"] == newest.log_size - before.log_size
    with open_instance(office.settings) as instance:
        runs = instance.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    if published["started_by"] != "hourly schedule":
        assert ANSWERED in logs["schedule"].read_text()
    with duckdb.connect(str(office.settings.warehouse_path), read_only=True) as warehouse:
        twice = "SELECT n FROM raw.deal_events GROUP BY n HAVING count(*) > 1"
        assert warehouse.execute(twice).fetchall() == []


@contextmanager
def released(office: Office) -> Iterator[None]:
    """Let go of the lock that the test holds, and take it again at the end."""
    from filelock import FileLock

    lock = FileLock(office.settings.home / "refresh.lock", is_singleton=True)
    lock.release()
    yield
    lock.acquire()


def test_a_run_that_waited_in_the_queue_does_not_publish_again(office: Office) -> None:
    """Dagster lets the second begin when the first has ended: what it was asked for has been published meanwhile."""
    from orchestration.definitions import build_definitions

    append_deals(office.ledger, 2)
    job = build_definitions(office.settings).resolve_job_def("hourly")
    config = {"resources": {"refresh_run": {"config": {"as_of_date": DAY.isoformat()}}}}
    with open_instance(office.settings) as instance:
        run = instance.create_run_for_job(job, run_config=config, tags={"dagster/sensor_name": "new_entries_sensor"})
        assert office.refresh().outcome == "published"
        result = dg._core.execution.api.execute_run(dg._core.definitions.job_base.InMemoryJob(job), run, instance)
        assert result.success
        assert {event.step_key for event in result.all_events if event.is_step_skipped} >= {
            "dbt_build",
            "published_marts",
        }
    assert len(list_publications(office.settings.published_dir)) == 2
    last = json.loads(records_path(office.settings).read_text().splitlines()[-1])
    assert (last["outcome"], last["started_by"]) == ("nothing_new", "new entries sensor")
    assert office.refresh().outcome == "nothing_new"
