"""A backup is a sound ledger, made while others write; what is put back overwrites nothing, nor goes unnoticed."""

import os
import threading
from pathlib import Path

import pytest

from ledger import deals
from ledger.actors import SYSTEM
from ledger.backup import backup_ledger, read_backup, restore_ledger
from ledger.errors import BackupRefused, LogNotContinued
from ledger.log.audit import audit_log
from ledger.log.checkpoint import make_checkpoint, recover_log
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from tests.support.ledger import Staff, open_some_deal, read_log, run
from tests.support.postgresql import find_binaries
from tests.support.stores import Store


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own programs, of the server's version."""
    monkeypatch.setenv("PATH", f"{find_binaries()}{os.pathsep}{os.environ['PATH']}")


def is_sound(ledger: Ledger) -> bool:
    with ledger.read() as session:
        return audit_log(session, ledger.settings, with_state=True).exit_code == 0


def test_it_is_sound_and_holds_all_that_was_acknowledged(
    ledger: Ledger, staff: Staff, store: Store, tmp_path: Path
) -> None:
    """Four writers go on; every write acknowledged before the backup began is in it, and it opens as a ledger."""
    several = [open_some_deal(ledger, staff.agent).id for _ in range(4)]
    acknowledged: dict[str, int] = dict.fromkeys(several, 1)
    stopping, warm = threading.Event(), threading.Barrier(5)
    errors: list[Exception] = []

    def write(deal_id: str) -> None:
        try:
            turn = 0
            while not stopping.is_set():
                done = run(ledger, deals.change_deal, staff.agent, deal_id, {"lead_source": f"turn {turn}"})
                acknowledged[deal_id] = done.revision
                turn += 1
                if turn == 3:
                    warm.wait(60)
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=write, args=(deal_id,)) for deal_id in several]
    for writer in writers:
        writer.start()
    warm.wait(60)
    before = dict(acknowledged)
    try:
        report = backup_ledger(ledger.settings, tmp_path / "copies" / "first", with_keys=True)
    finally:
        stopping.set()
        for writer in writers:
            writer.join()
    assert errors == []
    assert report.verified == "the copy"
    settings = store.new(tmp_path / "elsewhere")
    ledger.close()
    restore_ledger(settings, tmp_path / "copies" / "first")
    restored = initialise(settings)
    assert is_sound(restored)
    with restored.read() as session:
        found = {deal_id: deals.get_deal(session, SYSTEM, deal_id).revision for deal_id in several}
    assert all(found[deal_id] >= before[deal_id] > 1 for deal_id in several), (found, before)
    assert (
        run(restored, deals.change_deal, staff.agent, several[0], {"lead_source": "after"}).revision > found[several[0]]
    )
    restored.close()


def test_nothing_is_overwritten_and_an_old_backup_is_noticed(ledger: Ledger, staff: Staff, tmp_path: Path) -> None:
    """Without force it is refused; with it the former ledger is kept; signed entries that lack are not passed over."""
    open_some_deal(ledger, staff.agent)
    copy = tmp_path / "copy"
    report = backup_ledger(ledger.settings, copy)
    assert not (copy / "keys").exists()
    with pytest.raises(BackupRefused, match="exists"):
        backup_ledger(ledger.settings, copy)
    known = read_log(ledger)
    open_some_deal(ledger, staff.agent)
    make_checkpoint(ledger)
    ledger.close()
    with pytest.raises(BackupRefused, match="--force"):
        restore_ledger(ledger.settings, copy)
    _, kept = restore_ledger(ledger.settings, copy, is_forced=True)
    assert kept
    restored = Ledger.open(settings=ledger.settings)
    assert read_log(restored) == known[: report.size]
    with pytest.raises(LogNotContinued):
        open_some_deal(restored, staff.agent)
    recover_log(restored, SYSTEM, "the disk failed")
    open_some_deal(restored, staff.agent)
    assert is_sound(restored)
    restored.close()


def test_a_backup_that_was_changed_is_not_put_back(ledger: Ledger, tmp_path: Path) -> None:
    """One byte is enough; and without keys there is no ledger."""
    copy = tmp_path / "copy"
    backup_ledger(ledger.settings, copy)
    with pytest.raises(BackupRefused, match="without keys"):
        restore_ledger(Settings(home=tmp_path / "new", ledger_url=ledger.settings.ledger_url), copy)
    [database] = copy.glob("ledger.*")
    content = bytearray(database.read_bytes())
    content[len(content) // 2] ^= 1
    database.write_bytes(bytes(content))
    with pytest.raises(BackupRefused, match="is not the file"):
        read_backup(copy)
