"""Files dropped into the inbox are taken in once they are whole, and none is lost: done or failed, with the reason."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import func, select

from ingestion.warehouse import open_warehouse
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AgentDeal
from orchestration import inbox
from orchestration.inbox import SETTLE_SECONDS, FilesNotTaken, list_drops, take_in
from orchestration.inbox_sensors import build_inbox_sensors
from orchestration.instance import open_instance
from orchestration.side_jobs import build_side_jobs
from tests.support.crm_export import DEALS, HISTORY, MAPPING, write_file
from tests.support.living_ledger import new_ledger

RATES = ("from_currency,to_currency,rate,effective_date,source", "USD,SGD,1.35,2024-01-01,survey")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    new_ledger(tmp_path / "home").close()
    return Settings(home=tmp_path / "home")


def drop(settings: Settings, folder: str, name: str, *lines: str) -> Path:
    directory = settings.home / "inbox" / folder
    directory.mkdir(parents=True, exist_ok=True)
    return write_file(directory, name, *lines)


def drop_export(settings: Settings) -> None:
    """An export of our own kind, in two files, with the mapping beside them."""
    drop(settings, "ours", "mapping.toml", MAPPING)
    drop(
        settings,
        "ours",
        "deals.csv",
        DEALS,
        "1,Ann,Acme,Offer,1000,50,2024-01-02,",
        "2,Ann,Bolt,Nowhere,5,5,2024-01-02,",
    )
    drop(settings, "ours", "history.csv", HISTORY, "1,New,2024-01-02", "1,Offer,2024-01-05")


def count_deals(settings: Settings) -> int:
    ledger = Ledger.open(settings=settings)
    try:
        with ledger.read() as session:
            return session.scalar(select(func.count()).select_from(AgentDeal)) or 0
    finally:
        ledger.close()


def settled(settings: Settings) -> list[inbox.Drop]:
    """The drops as they will look when the files have been left alone long enough."""
    moment = max(path.stat().st_ctime for path in (settings.home / "inbox").rglob("*")) + SETTLE_SECONDS
    return [found for found in list_drops(settings, now=moment) if found.is_settled]


def test_a_file_that_may_still_be_written_is_left_alone(settings: Settings) -> None:
    """Whatever times it claims: a file is whole when nothing of its drop has changed for a while."""
    assert list_drops(settings) == []
    first = drop(settings, "hubspot", "deals.csv", "id")
    os.utime(first, (0, 0))  # a copy that keeps the time of its original looks old while it is being written
    changed = first.stat().st_ctime
    assert [found.is_settled for found in list_drops(settings, now=changed + SETTLE_SECONDS - 1)] == [False]
    assert [found.is_settled for found in list_drops(settings, now=changed + SETTLE_SECONDS)] == [True]
    partial = drop(settings, "hubspot", "history.csv.part", "id")
    later = partial.stat().st_ctime + 10 * SETTLE_SECONDS
    assert [found.is_settled for found in list_drops(settings, now=later)] == [False]
    partial.rename(partial.with_suffix(""))
    [whole] = settled(settings)
    assert [path.name for path in whole.files] == ["deals.csv", "history.csv"]


def test_an_export_goes_into_the_ledger_and_its_files_to_done_with_a_report(settings: Settings) -> None:
    """Through the mapping beside it, all files of the folder together; dropped again, it adds nothing."""
    drop_export(settings)
    [export] = settled(settings)
    taken = take_in(settings, export)
    assert count_deals(settings) == 1
    assert taken.report["rejected"] >= 1
    assert taken.moved_to.parent == settings.home / "inbox" / "done"
    assert {path.name for path in taken.moved_to.iterdir()} == {"deals.csv", "history.csv", "report.txt", "report.json"}
    assert "is none of our words" in (taken.moved_to / "report.txt").read_text()
    assert [path.name for path in (settings.home / "inbox" / "ours").iterdir()] == ["mapping.toml"]
    drop_export(settings)
    again = take_in(settings, settled(settings)[0])
    assert count_deals(settings) == 1
    assert again.moved_to != taken.moved_to


def test_what_cannot_be_read_goes_to_failed_with_the_reason(settings: Settings) -> None:
    """The reason says what to do; nothing was written."""
    drop(settings, "nosuchcrm", "deals.csv", DEALS, "1,Ann,Acme,Offer,1000,50,2024-01-02,")
    with pytest.raises(FilesNotTaken, match="hubspot") as told:
        take_in(settings, settled(settings)[0])
    [place] = (settings.home / "inbox" / "failed").iterdir()
    assert {path.name for path in place.iterdir()} == {"deals.csv", "reason.txt"}
    assert (place / "reason.txt").read_text().strip() in str(told.value)
    assert count_deals(settings) == 0
    assert list_drops(settings) == []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wait for a file to settle: it is tried above."""
    monkeypatch.setattr(inbox, "SETTLE_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_the_reference_job_loads_what_it_can_and_fails_for_the_rest(settings: Settings) -> None:
    """A bad file does not keep a good one out; the graph shows what was loaded, and the log says both."""
    drop(settings, "reference", "broken.csv", "nonsense")
    drop(settings, "reference", "rates.csv", *RATES)
    job = build_side_jobs(settings, {})["reference"]
    with open_instance(settings) as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not result.success
        failure = result.failure_data_for_node("load_reference_files")
        assert failure is not None
        assert "broken.csv is no reference file" in str(failure.error)
        loaded = instance.get_latest_materialization_event(dg.AssetKey(["raw", "fx_rates"]))
        assert loaded is not None
        assert loaded.asset_materialization is not None
        assert loaded.asset_materialization.metadata["accepted_rows"].value == 1
        assert job.execute_in_process(instance=instance).success, "nothing is left"
    with open_warehouse(settings.warehouse_path) as warehouse:
        assert warehouse.execute("SELECT count(*) FROM raw.fx_rates").fetchall() == [(1,)]
    lines = [json.loads(line) for line in (settings.home / "logs" / "inbox.jsonl").read_text().splitlines()]
    assert [(line["event"], line["files"]) for line in lines] == [
        ("inbox.not_taken", ["broken.csv"]),
        ("inbox.taken", ["rates.csv"]),
    ]
    assert {line["run_id"] for line in lines} == {result.run_id}


@pytest.mark.usefixtures("at_once")
def test_a_bad_reference_file_does_not_delay_the_numbers_of_the_good_ones(settings: Settings) -> None:
    """The run fails for the bad one, and a refresh is asked for all the same."""
    jobs = build_side_jobs(settings, {})
    sensors = build_inbox_sensors(settings, jobs, jobs["reference"])
    sensor = next(sensor for sensor in sensors if sensor.name == "reference_partly_sensor")
    news = {"broken.csv": ("nonsense",), "rates.csv": RATES}
    with open_instance(settings) as instance:
        for name, lines in news.items():
            drop(settings, "reference", name, *lines)
        result = jobs["reference"].execute_in_process(instance=instance, raise_on_error=False)
        failed = next(event for event in result.all_events if event.is_run_failure)
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name, dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=failed
        )
        asked = sensor(context)
        assert isinstance(asked, dg.RunRequest)
        assert asked.run_key == result.run_id


class Watcher:
    """The sensor on the inbox of a home, looked at tick by tick."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.jobs = build_side_jobs(settings, {})
        self.instance = instance
        sensors = build_inbox_sensors(settings, self.jobs, self.jobs["reference"])
        self.sensor = next(sensor for sensor in sensors if sensor.name == "inbox_sensor")

    def look(self) -> Any:
        """Return the jobs that are asked for, or the reason for which none is."""
        answer = self.sensor.evaluate_tick(dg.build_sensor_context(instance=self.instance))
        return [request.job_name for request in answer.run_requests or []] or answer.skip_message


@pytest.fixture
def watcher(settings: Settings) -> Iterator[Watcher]:
    with open_instance(settings) as instance:
        yield Watcher(settings, instance)


def test_the_sensor_asks_for_the_job_of_what_lies_there_once(
    settings: Settings, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing for an empty inbox, for a file being written, or while the job runs; strays are told where to go."""
    assert watcher.look() == "The inbox is empty."
    stray = drop(settings, ".", "deals.csv", DEALS)
    assert "move it into a folder" in watcher.look()
    stray.unlink()
    drop(settings, "reference", "rates.csv", *RATES)
    assert "may still be written" in watcher.look()
    monkeypatch.setattr(inbox, "SETTLE_SECONDS", 0.0)
    assert watcher.look() == ["reference"]
    drop_export(settings)
    assert watcher.look() == ["crm_import", "reference"]
    run = watcher.instance.create_run_for_job(watcher.jobs["reference"], status=dg.DagsterRunStatus.STARTED)
    assert watcher.look() == ["crm_import"]
    watcher.instance.report_run_failed(run)
    assert watcher.jobs["crm_import"].execute_in_process(instance=watcher.instance).success
    assert watcher.look() == ["reference"]
    assert count_deals(settings) == 1
