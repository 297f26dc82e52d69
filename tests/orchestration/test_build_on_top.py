"""A build rests on the last one where it may, and only there; what it publishes is what a build from nothing gives."""

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.build_mark import read_build_mark
from ingestion.landing import land_new_entries
from ingestion.reference_files import reference_digest
from ledger.actors import SYSTEM
from ledger.deals import advance_stage, assign_deal, change_deal
from ledger.settings import Settings
from ledger.vocabulary import PipelineStage
from orchestration.build_stamp import last_built
from orchestration.definition_version import definition_version
from orchestration.defs.transform import rows_tested
from orchestration.log_verification import LogVerification
from orchestration.refresh import refresh
from orchestration.replay import replay
from orchestration.resources import RefreshRun, Tally
from tests.orchestration.conftest import DAY, Office
from tests.support.living_ledger import append_deals, live, new_ledger


def next_run(office: Office, **changes: Any) -> RefreshRun:
    """The run that a refresh with nothing but new entries would be, with changes."""
    run = RefreshRun(
        settings=office.settings,
        run_id="next",
        as_of_date=DAY,
        full=False,
        verify_all=False,
        definition_version=definition_version(office.settings.dbt_project_dir),
        tally=Tally(log_size=office.first.log_size + 1),
        verification=LogVerification(office.settings),
        started_by="test",
        is_answered=False,
    )
    return dataclasses.replace(run, **changes)


def references(office: Office) -> str:
    return reference_digest(office.settings.warehouse_path)


def test_a_build_rests_on_the_last_one(office: Office) -> None:
    """Later entries and a later day are computed on top of what was built: from there on."""
    built = {"built_log_size": office.first.log_size, "built_as_of_date": DAY.isoformat()}
    assert last_built(next_run(office), references(office)) == built
    assert last_built(next_run(office, as_of_date=DAY + timedelta(days=1)), references(office)) == built


def test_the_nightly_and_the_full_run_judge_every_row(office: Office) -> None:
    """Other runs leave rows alone that were judged when they were written."""
    assert rows_tested(next_run(office)) == {}
    for run in (next_run(office, verify_all=True), next_run(office, full=True)):
        assert rows_tested(run) == {"test_every_row": True}


def _other_files(office: Office) -> dict[str, Any]:
    return last_built(next_run(office), "another digest")


def _a_settings_change(office: Office) -> dict[str, Any]:
    settings = office.settings.model_copy(update={"reporting_currency": "USD"})
    return last_built(next_run(office, settings=settings), references(office))


def _a_failed_build(office: Office) -> dict[str, Any]:
    append_deals(office.ledger, 1)
    office.add_dbt_test("never", "select 1 as one")
    assert office.refresh().outcome == "failed"
    return last_built(next_run(office), references(office))


def _another_warehouse(office: Office) -> dict[str, Any]:
    office.settings.warehouse_path.unlink()
    land_new_entries(office.ledger, office.settings.warehouse_path)
    return last_built(next_run(office), references(office))


def _raw_landed_anew(office: Office) -> dict[str, Any]:
    assert read_build_mark(office.settings.warehouse_path) is not None
    land_new_entries(office.ledger, office.settings.warehouse_path, full=True)
    assert read_build_mark(office.settings.warehouse_path) is None
    return last_built(next_run(office), references(office))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda office: last_built(next_run(office, full=True), references(office)),
        lambda office: last_built(next_run(office, definition_version="other"), references(office)),
        lambda office: last_built(next_run(office, as_of_date=DAY - timedelta(days=1)), references(office)),
        lambda office: last_built(next_run(office, tally=Tally(log_size=1)), references(office)),
        _other_files,
        _a_settings_change,
        _a_failed_build,
        _another_warehouse,
        _raw_landed_anew,
    ],
    ids=["full", "definitions", "day", "log", "references", "settings", "failed", "warehouse", "raw"],
)
def test_everything_is_computed_anew_where_tables_cannot_be_trusted(
    office: Office, attempt: Callable[[Office], dict[str, Any]]
) -> None:
    """Asked for; other rules, files or settings; a day or log that goes back; a build that failed; other tables."""
    assert attempt(office) == {}


def test_what_is_built_on_top_replays_to_the_same_digests(tmp_path: Path) -> None:
    """The real project: a late move, a change of owner and a new value, published on top, are what a replay builds from
    the log alone; so is the publication before them, of an earlier day.
    """
    settings = Settings(home=tmp_path / "home")
    ledger = new_ledger(settings.home)
    try:
        life = live(ledger)
        today = datetime.now(UTC).date()
        first = refresh(settings, as_of=today)
        with ledger.write() as session:
            late = datetime.now(UTC) - timedelta(days=20)
            advance_stage(session, SYSTEM, life.won_deal_id, PipelineStage.PROPOSAL, effective_at=late)
            assign_deal(session, SYSTEM, life.won_deal_id, agent_id=life.agent_id, note="Ana is back")
            change_deal(session, SYSTEM, life.won_deal_id, {"confidence": None})
        second = refresh(settings, as_of=today + timedelta(days=1))
    finally:
        ledger.close()
    assert (first.outcome, second.outcome) == ("published", "published"), (first.render(), second.render())
    compiled = settings.dbt_target_dir / "compiled/dealbook/models/intermediate/int_deals_touched.sql"
    assert f"n >= cast({first.log_size} as" in compiled.read_text(), "the second build was not on top of the first"
    for report in (first, second):
        again = replay(settings, report.log_size)
        assert (again.outcome, again.publication) == ("equal", report.publication), again.render()
    shutil.rmtree(settings.home)
