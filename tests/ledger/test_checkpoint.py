"""A checkpoint states size and root under a key; the signer never signs another history than the one it signed."""

import base64
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from ledger import deals
from ledger.actors import SYSTEM
from ledger.errors import KeysExposed, LogNotContinued, NothingToChange, ProofInvalid
from ledger.log.checkpoint import make_checkpoint, read_leaves, read_size, recover_log
from ledger.log.keys import PublicKey, trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.signer_state import read_filed, read_state
from ledger.log.tree import root_of
from ledger.store import Ledger, initialise
from ledger.tables import AuditCheckpoint
from tests.support.ledger import Staff, log_size, new_deal, open_some_deal, read_log, run
from tests.support.living_ledger import append_deals, tamper


def recomputed(ledger: Ledger) -> tuple[int, bytes]:
    with ledger.read() as session:
        return read_size(session), root_of(read_leaves(session, 0))


def filed(ledger: Ledger) -> list[int]:
    return [found.size for place, found in read_filed(ledger.settings.checkpoints_dir) if found and ":" in place]


def restore(ledger: Ledger, backup: Path) -> None:
    """Put an old copy of the database back, as an operator would."""
    ledger.close()
    for path in ledger.settings.home.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(backup, ledger.settings.home / "ledger.sqlite3")


@pytest.fixture
def backup(ledger: Ledger, staff: Staff, tmp_path: Path) -> Path:
    """A copy of the database with one deal in it."""
    open_some_deal(ledger, staff.agent)
    path = tmp_path / "backup.sqlite3"
    outsider = sqlite3.connect(ledger.settings.home / "ledger.sqlite3")
    outsider.execute(f"VACUUM INTO '{path}'")
    outsider.close()
    return path


def test_a_checkpoint_is_a_signed_note_over_the_whole_log(ledger: Ledger) -> None:
    append_deals(ledger, 7)
    made = make_checkpoint(ledger)
    assert (made.size, made.root) == recomputed(ledger)
    [opened, *_] = read_log(ledger)
    body, _, signature = made.note.rpartition("\n\n")
    assert body.split("\n") == [opened["data"]["origin"], "8", base64.b64encode(made.root).decode()]
    assert signature.startswith(f"— {opened['data']['origin']} ")
    key = PublicKey.parse(opened["data"]["key"])
    assert made.check_signature({key.key_id: key}) == key
    assert Checkpoint.parse(made.note) == made


def test_it_is_filed_where_an_edit_of_the_database_does_not_reach(ledger: Ledger) -> None:
    made = make_checkpoint(ledger)
    assert (ledger.settings.checkpoints_dir / "checkpoint").read_text() == made.note
    state = read_state(ledger.settings)
    assert state is not None
    assert state.note == made.note
    assert (ledger.settings.keys_dir / "signer.json").stat().st_mode & 0o777 == 0o600
    with ledger.read() as session:
        row = session.get_one(AuditCheckpoint, made.size)
        assert (row.root, row.note) == (made.root, made.note)


def test_checkpoints_of_a_growing_log_go_on_from_the_last(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only entries since the last one are read, and the root is still that of all."""
    read: list[int] = []

    def counted(session: object, since_n: int) -> Iterator[bytes]:
        read.append(since_n)
        return read_leaves(session, since_n)  # type: ignore[arg-type]

    monkeypatch.setattr("ledger.log.checkpoint.read_leaves", counted)
    for count in (1, 5, 0, 13):
        append_deals(ledger, count)
        made = make_checkpoint(ledger)
        assert (made.size, made.root) == recomputed(ledger)
    assert read == [1, 2, 7, 7]
    assert filed(ledger) == [1, 2, 7, 20]


def test_a_crash_between_signing_and_filing_is_made_good(ledger: Ledger) -> None:
    made = make_checkpoint(ledger)
    shutil.rmtree(ledger.settings.checkpoints_dir)
    with ledger.write() as session:
        session.execute(text("DELETE FROM audit_checkpoints"))
    assert make_checkpoint(ledger) == made
    assert filed(ledger) == [made.size]
    with ledger.read() as session:
        assert session.scalars(select(AuditCheckpoint.note)).all() == [made.note]


def test_a_line_cut_short_by_a_crash_spoils_no_other(ledger: Ledger) -> None:
    make_checkpoint(ledger)
    [day] = ledger.settings.checkpoints_dir.glob("*.jsonl")
    with day.open("ab") as file:
        file.write(b'{"size": 99, "no')
    append_deals(ledger, 1)
    make_checkpoint(ledger)
    assert filed(ledger) == [1, 2]


def test_many_signers_at_once_sign_one_history(ledger: Ledger) -> None:
    made: list[Checkpoint] = []

    def sign() -> None:
        for _ in range(5):
            append_deals(ledger, 1)
            made.append(make_checkpoint(ledger))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 20
    with ledger.read() as session:
        leaves = list(read_leaves(session, 0))
    assert all(checkpoint.root == root_of(leaves[: checkpoint.size]) for checkpoint in made)
    assert filed(ledger) == sorted(filed(ledger))


@pytest.mark.parametrize("statement", ["DELETE FROM audit_logs WHERE n = 3", "DELETE FROM audit_logs WHERE n >= 5"])
def test_a_log_with_missing_entries_is_not_signed(ledger: Ledger, statement: str) -> None:
    append_deals(ledger, 3)
    make_checkpoint(ledger)
    append_deals(ledger, 3)
    make_checkpoint(ledger)
    (ledger.settings.keys_dir / "signer.json").unlink()
    tamper(ledger, statement)
    with pytest.raises(LogNotContinued):
        make_checkpoint(ledger)


def test_another_entry_in_the_last_signed_place_is_not_signed(ledger: Ledger) -> None:
    append_deals(ledger, 3)
    made = make_checkpoint(ledger)
    append_deals(ledger, 3)
    tamper(ledger, f"UPDATE audit_logs SET hash = zeroblob(32) WHERE n = {made.size - 1}")
    with pytest.raises(LogNotContinued, match="not the one that was signed"):
        make_checkpoint(ledger)


def test_without_the_signers_memory_the_filed_checkpoint_binds_it(ledger: Ledger) -> None:
    append_deals(ledger, 3)
    made = make_checkpoint(ledger)
    (ledger.settings.keys_dir / "signer.json").unlink()
    assert make_checkpoint(ledger).root == made.root
    (ledger.settings.keys_dir / "signer.json").unlink()
    tamper(ledger, "UPDATE audit_logs SET hash = zeroblob(32) WHERE n = 1")
    with pytest.raises(LogNotContinued, match="not those that were signed"):
        make_checkpoint(ledger)


def test_a_key_that_others_can_read_signs_nothing(ledger: Ledger) -> None:
    [pem] = ledger.settings.keys_dir.glob("*.pem")
    pem.chmod(0o604)
    with pytest.raises(KeysExposed):
        make_checkpoint(ledger)
    assert filed(ledger) == [1]


@pytest.mark.only_on("sqlite")  # there a backup is a copied file; test_backup.py has both
def test_an_old_backup_can_be_read_but_not_written(ledger: Ledger, staff: Staff, backup: Path) -> None:
    open_some_deal(ledger, staff.agent)
    make_checkpoint(ledger)
    restore(ledger, backup)
    old = initialise(ledger.settings)
    assert len(read_log(old)) == log_size(old)
    with pytest.raises(LogNotContinued, match="dealbook audit recover"):
        open_some_deal(old, staff.agent)
    with pytest.raises(LogNotContinued, match="dealbook audit recover"):
        make_checkpoint(old)
    (ledger.settings.keys_dir / "signer.json").unlink()  # the folder of checkpoints alone still knows
    with pytest.raises(LogNotContinued, match="dealbook audit recover"):
        open_some_deal(old, staff.agent)
    old.close()


@pytest.mark.only_on("sqlite")  # there a backup is a copied file; test_backup.py has both
def test_an_accepted_loss_is_written_down_and_work_goes_on(ledger: Ledger, staff: Staff, backup: Path) -> None:
    open_some_deal(ledger, staff.agent)
    lost = make_checkpoint(ledger)
    restore(ledger, backup)
    old = initialise(ledger.settings)
    kept = log_size(old)
    made = recover_log(old, SYSTEM, "the disk failed on Sunday")
    entry = read_log(old)[-1]
    assert entry["type"] == "log.recovered"
    assert entry["data"] | {"reason": ""} == {
        "kept_size": kept,
        "lost_size": lost.size,
        "lost_root": lost.root.hex(),
        "reason": "",
    }
    assert made.size == kept + 1
    open_some_deal(old, staff.agent)
    after = make_checkpoint(old)
    assert (after.size, after.root) == recomputed(old)
    old.close()


def test_a_loss_that_there_is_not_cannot_be_accepted(ledger: Ledger, staff: Staff) -> None:
    run(ledger, deals.open_deal, staff.agent, new_deal(staff.agent))
    make_checkpoint(ledger)
    with pytest.raises(NothingToChange):
        recover_log(ledger, SYSTEM, "why not")


def test_an_altered_note_is_not_believed(ledger: Ledger) -> None:
    append_deals(ledger, 1)
    note = make_checkpoint(ledger).note
    trusted = trusted_keys(ledger.settings.keys_dir)
    lines = note.split("\n")
    with pytest.raises(ProofInvalid, match="not made over"):
        Checkpoint.parse("\n".join([lines[0], "3", *lines[2:]])).check_signature(trusted)
    stranger = PublicKey(lines[0], bytes(32))
    assert Checkpoint.parse(note).check_signature({stranger.key_id: stranger}) is None
    for wrong in ("", "x", note.replace("\n\n", "\n"), note.replace("\n2\n", "\n02\n"), note.replace("=\n", "\n", 1)):
        with pytest.raises(ProofInvalid):
            Checkpoint.parse(wrong)


def test_the_filed_lines_are_json_with_the_note_in_them(ledger: Ledger) -> None:
    made = make_checkpoint(ledger)
    [day] = ledger.settings.checkpoints_dir.glob("*.jsonl")
    [line] = day.read_text().splitlines()
    assert json.loads(line)["note"] == made.note
