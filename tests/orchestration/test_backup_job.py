"""The nightly backup: a verified copy named by the moment, the oldest removed, and a failed run that says why."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from ledger.backup import MANIFEST, read_backup
from ledger.settings import Settings
from orchestration.instance import open_instance
from orchestration.side_jobs import BACKUP_AND_VERIFY, build_side_jobs
from tests.support.living_ledger import live, new_ledger, tamper


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ledger = new_ledger(tmp_path / "home")
    live(ledger)
    ledger.close()
    return Settings(home=tmp_path / "home", backups_home=tmp_path / "elsewhere", keep_backups=2)


def back_up(settings: Settings) -> dg.ExecuteInProcessResult:
    job = build_side_jobs(settings, {})[BACKUP_AND_VERIFY]
    with open_instance(settings) as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False)


def test_it_leaves_a_verified_copy_and_removes_the_oldest_of_its_own(settings: Settings) -> None:
    """Two are kept; a folder that somebody else put there stays, whatever its age."""
    other = settings.backups_dir / "before-the-move"
    assert back_up(settings).success
    [first] = settings.backups_dir.iterdir()
    report = read_backup(first)
    assert report.size > 10
    for earlier in ("ledger-20200101T000000.000000Z", "ledger-20200102T000000.000000Z"):
        shutil.copytree(first, settings.backups_dir / earlier)
    first.rename(other)
    assert back_up(settings).success
    names = sorted(folder.name for folder in settings.backups_dir.iterdir())
    assert names[:2] == ["before-the-move", "ledger-20200102T000000.000000Z"]
    assert len(names) == 3
    last = [json.loads(line) for line in (settings.home / "logs" / "backup.jsonl").read_text().splitlines()][-1]
    assert (last["event"], last["removed"]) == ("backup.made", ["ledger-20200101T000000.000000Z"])
    assert Path(last["folder"], MANIFEST).exists()


def test_a_log_that_was_tampered_with_is_not_taken_for_a_backup(settings: Settings) -> None:
    """The run fails and says why; no copy is left, and none of the older ones is removed."""
    assert back_up(settings).success
    before = sorted(folder.name for folder in settings.backups_dir.iterdir())
    ledger = new_ledger(settings.home)
    tamper(ledger, "UPDATE audit_logs SET body = replace(body, 'office', 'retail') WHERE n = :n", n=5)
    tamper(ledger, "UPDATE audit_logs SET prev = zeroblob(31) || x'01' WHERE n = :n", n=6)
    ledger.close()
    result = back_up(settings)
    assert not result.success
    assert "audit verify" in str(result.all_events[-2:]) + str(result.get_step_failure_events())
    assert sorted(folder.name for folder in settings.backups_dir.iterdir()) == before
    last = json.loads((settings.home / "logs" / "backup.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "backup.refused"
