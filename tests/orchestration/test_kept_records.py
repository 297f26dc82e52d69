"""Dagster's records through connections that stay open: nothing is lost, and other programs read the same files."""

import hashlib
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType, EngineEventData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy import Engine, event

from ledger.settings import Settings
from orchestration import instance as own
from orchestration.instance import open_instance, prepare_instance
from orchestration.kept_records import RUNS_KEPT, KeptEvents, KeptRuns


@dg.asset
def something() -> None:
    """Does nothing."""


def materialise(settings: Settings, times: int = 1) -> list[str]:
    with open_instance(settings) as instance:
        assert isinstance(instance.event_log_storage, KeptEvents)
        assert isinstance(instance.run_storage, KeptRuns)
        return [dg.materialize([something], instance=instance).run_id for _ in range(times)]


def test_dagsters_own_classes_read_what_was_written(tmp_path: Path) -> None:
    """The records of more runs than stay open at once are all there, for the web server of a plain Dagster too."""
    settings = Settings(home=tmp_path)
    made = materialise(settings, RUNS_KEPT + 2)
    history = settings.dagster_home / "history"
    events, runs = SqliteEventLogStorage(str(history / "runs")), SqliteRunStorage.from_local(str(history))
    assert {run.run_id for run in runs.get_runs()} == set(made)
    for run_id in made:
        seen = [entry.dagster_event_type for entry in events.get_logs_for_run(run_id)]
        assert seen.count(DagsterEventType.ASSET_MATERIALIZATION) == 1
        assert seen[-1] == DagsterEventType.RUN_SUCCESS
    [record] = events.get_asset_records([something.key])
    assert record.asset_entry.last_run_id == made[-1]


def test_a_file_is_opened_once(tmp_path: Path) -> None:
    """Events one after another share a connection: the method that is replaced is the one that Dagster calls."""
    opened: list[object] = []
    events = KeptEvents(str(tmp_path))
    events.store_event(_event("run-1", "first"))
    listener = ("connect", lambda connection, _record: opened.append(connection))
    event.listen(Engine, *listener)
    try:
        for turn in range(5):
            events.store_event(_event("run-1", f"turn {turn}"))
        assert opened == []
        events.store_event(_event("run-2", "another file"))
        assert opened  # or this listener would hear nothing
    finally:
        event.remove(Engine, *listener)
        events.dispose()


def test_a_run_whose_file_made_room_goes_on(tmp_path: Path) -> None:
    """Events of many runs that come in turns end up each with their run, in the order in which they came."""
    events = KeptEvents(str(tmp_path))
    runs = [f"run-{number}" for number in range(3 * RUNS_KEPT)]
    for turn in range(3):
        for run_id in runs:
            events.store_event(_event(run_id, f"turn {turn}"))
    assert len(events._engines) <= RUNS_KEPT + 1  # and the index
    for run_id in runs:
        assert [entry.user_message for entry in events.get_logs_for_run(run_id)] == ["turn 0", "turn 1", "turn 2"]
    events.dispose()


def test_wiped_runs_are_gone_and_new_ones_are_recorded(tmp_path: Path) -> None:
    """After everything was deleted, nothing is written into files that no longer exist."""
    events = KeptEvents(str(tmp_path))
    events.store_event(_event("run-1", "before"))
    events.wipe()
    assert not (tmp_path / "run-1.db").exists()
    events.store_event(_event("run-1", "after"))
    assert [entry.user_message for entry in events.get_logs_for_run("run-1")] == ["after"]
    assert (tmp_path / "run-1.db").exists()
    events.dispose()


def test_a_home_that_was_moved_keeps_its_records(tmp_path: Path) -> None:
    """The configuration names no place: the records are found where the folder is now, and written there."""
    before = Settings(home=tmp_path / "before")
    [first] = materialise(before)
    before.home.rename(tmp_path / "after")
    [second] = materialise(Settings(home=tmp_path / "after"))
    with open_instance(Settings(home=tmp_path / "after")) as instance:
        assert {run.run_id for run in instance.get_runs()} == {first, second}
    assert not before.home.exists()


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_configuration_that_nobody_edited_follows_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_edited: bool
) -> None:
    """What a former version wrote is written anew, what an operator changed is left alone."""
    former = "telemetry:\n  enabled: false\n"
    monkeypatch.setattr(own, "_WRITTEN_BEFORE", frozenset({hashlib.sha256(former.encode()).hexdigest()}))
    settings = Settings(home=tmp_path)
    configuration = settings.dagster_home / "dagster.yaml"
    configuration.parent.mkdir(parents=True)
    found = former + "# mine\n" if is_edited else former
    configuration.write_text(found)
    prepare_instance(settings)
    assert (configuration.read_text() == found) is is_edited
    assert ("KeptEvents" in configuration.read_text()) is not is_edited


def _event(run_id: str, message: str) -> EventLogEntry:
    told = DagsterEvent("ENGINE_EVENT", "job", event_specific_data=EngineEventData())
    return EventLogEntry(
        error_info=None, level=20, user_message=message, run_id=run_id, timestamp=0.0, dagster_event=told
    )
