"""The signing key can be changed and revoked; what a former key signs beyond its time is found."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dealbook import app
from ledger.actors import SYSTEM
from ledger.errors import Invalid, LedgerNotInitialised, NothingToChange
from ledger.log import key_changes
from ledger.log.audit import AuditReport, audit_log
from ledger.log.checkpoint import make_checkpoint, read_leaves, recover_log
from ledger.log.entry import Draft
from ledger.log.key_changes import revoke_key, rotate_key
from ledger.log.key_history import KeyHistory, write_revocation, write_rotation
from ledger.log.keys import PublicKey, SigningKey, list_private_keys, load_key, make_key, trusted_keys
from ledger.log.notes import Checkpoint, sign_note
from ledger.log.tree import root_of
from ledger.log.witnesses import Witness
from ledger.settings import Settings, get_settings
from ledger.store import Ledger, initialise
from tests.support.living_ledger import append, append_deals


def current(ledger: Ledger) -> SigningKey:
    with ledger.read() as session:
        [named] = [PublicKey.parse(KeyHistory.of(session).named[-1])]
    return load_key(ledger.settings.keys_dir, named.name)


def audit(ledger: Ledger, *outside: Checkpoint, **options: Any) -> AuditReport:
    witnesses = [Witness(f"outside {at}", found, is_outside=True) for at, found in enumerate(outside)]
    with ledger.read() as session:
        return audit_log(session, ledger.settings, outside=witnesses, **options)


def forge(ledger: Ledger, key: SigningKey, size: int, root: bytes | None = None) -> Checkpoint:
    """What somebody signs who has kept a key: true to the log, or with a root of their own."""
    if root is None:
        with ledger.read() as session:
            root = root_of(list(read_leaves(session, 0))[:size])
    return Checkpoint.sign(key.public_key.name, size, root, key)


def test_a_new_key_takes_over_and_the_old_private_key_is_gone(ledger: Ledger) -> None:
    """What the old key signed still counts; the log names both, and both have signed the change."""
    old = current(ledger)
    append_deals(ledger, 2)
    before = make_checkpoint(ledger)
    new, checkpoint = rotate_key(ledger, SYSTEM)
    assert [path.stem for path in list_private_keys(ledger.settings.keys_dir)] == [new.key_id.hex()]
    assert checkpoint.check_signature({new.key_id: new}) == new
    assert checkpoint.check_signature({old.public_key.key_id: old.public_key}) is None
    append_deals(ledger, 1)
    assert make_checkpoint(ledger).check_signature({new.key_id: new}) == new
    report = audit(ledger, before)
    assert (report.exit_code, report.findings, report.undecided) == (0, [], [])
    for given in (old.public_key, new):
        assert audit(ledger, vkeys=[given]).exit_code == 0, "either leads to the other"
    ledger.close()
    assert initialise(ledger.settings).settings.home == ledger.settings.home, "it starts as ever"


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_rotation_that_a_crash_interrupts_is_finished_or_forgotten(
    ledger: Ledger, is_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log decides: once it names the new key that one signs, before that the old one does."""
    old = current(ledger).public_key

    class Crash(Exception):  # noqa: N818 - no error, an end
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        if is_committed:
            real, calls = key_changes.load_current_key, []

            def crash_the_second_time(*arguments: Any) -> SigningKey:
                calls.append(1)
                if len(calls) == 2:
                    raise Crash
                return real(*arguments)

            patched.setattr(key_changes, "load_current_key", crash_the_second_time)
        else:
            patched.setattr(key_changes, "append_entries", crash)
        with pytest.raises(Crash):
            rotate_key(ledger, SYSTEM)
    assert len(list(ledger.settings.keys_dir.glob("*.pending"))) == 1
    append_deals(ledger, 1)
    checkpoint = make_checkpoint(ledger)
    assert not list(ledger.settings.keys_dir.glob("*.pending"))
    [path] = list_private_keys(ledger.settings.keys_dir)
    assert (path.stem == old.key_id.hex()) is not is_committed
    assert (checkpoint.check_signature({old.key_id: old}) is None) is is_committed
    assert audit(ledger).exit_code == 0
    assert rotate_key(ledger, SYSTEM)[1].size > checkpoint.size


def test_a_retired_key_signs_nothing_any_more(ledger: Ledger) -> None:
    """A checkpoint under it beyond its time is a finding, also one that states the truth: somebody has kept the key."""
    old = current(ledger)
    append_deals(ledger, 2)
    rotate_key(ledger, SYSTEM)
    append_deals(ledger, 2)
    size = make_checkpoint(ledger).size
    report = audit(ledger, forge(ledger, old, size))
    assert report.exit_code == 1
    assert "retired" in report.findings[0].problem
    assert audit(ledger, forge(ledger, old, 2)).exit_code == 0, "from its own time it counts"


def test_beyond_the_last_trusted_size_a_revoked_key_proves_nothing(ledger: Ledger) -> None:
    """What it signed then and the log bears out is no alarm and no proof; anything else is a finding."""
    stolen = current(ledger)
    append_deals(ledger, 3)
    trusted = make_checkpoint(ledger).size
    append_deals(ledger, 3)
    doubted = make_checkpoint(ledger)
    rotate_key(ledger, SYSTEM)
    key_id = stolen.public_key.key_id.hex()
    revoke_key(ledger, SYSTEM, key_id, trusted, "the laptop was stolen")
    report = audit(ledger)
    assert (report.exit_code, report.findings) == (0, [])
    assert any("do not count" in note for note in report.notes)
    forged = forge(ledger, stolen, doubted.size, bytes(32))
    report = audit(ledger, forged)
    assert report.exit_code == 1
    assert "states another log" in report.findings[0].problem
    assert audit(ledger, forge(ledger, stolen, doubted.size + 1)).exit_code == 1
    assert audit(ledger, vkeys=[stolen.public_key]).exit_code == 1, "the stolen key hands no trust on to another"
    assert audit(ledger, vkeys=[current(ledger).public_key]).exit_code == 0


def test_only_former_keys_of_this_log_are_revoked(ledger: Ledger) -> None:
    """The one that signs now is rotated first; an unknown one, or a size that never was, is refused."""
    key_id = current(ledger).public_key.key_id.hex()
    with pytest.raises(NothingToChange, match="rotate"):
        revoke_key(ledger, SYSTEM, key_id, 0, "lost")
    rotate_key(ledger, SYSTEM)
    with pytest.raises(Invalid, match="names"):
        revoke_key(ledger, SYSTEM, "00000000", 0, "lost")
    with pytest.raises(Invalid, match="size"):
        revoke_key(ledger, SYSTEM, key_id, 99, "lost")


@pytest.mark.parametrize("kind", ["rotation by the new key alone", "revocation by a stranger", "no statement"])
def test_entries_about_keys_without_the_right_signatures_are_found(ledger: Ledger, kind: str, tmp_path: Path) -> None:
    """Whoever can write entries cannot change which keys count."""
    old = current(ledger)
    name = old.public_key.name
    strange = make_key(tmp_path, name)
    if kind.startswith("rotation"):
        note = sign_note(write_rotation(name, 1, old.public_key, strange.public_key), [strange])
        data = {"key": strange.public_key.vkey, "was": old.public_key.vkey, "size": 1, "note": note}
        append(ledger, Draft("sys", "key.rotated", "log", name, data))
    else:
        note = sign_note(write_revocation(name, old.public_key, 0), [strange])
        data = {"key": old.public_key.vkey, "trusted_size": 0, "note": note}
        append(ledger, Draft("sys", "key.revoked", "log", name, data if kind != "no statement" else {"key": name}))
    report = audit(ledger)
    assert report.exit_code == 1
    assert {finding.chain for finding in report.findings} == {"sys"}


@pytest.mark.only_on("sqlite")  # there a backup is a copied file
def test_a_backup_from_before_the_rotation_is_recovered_under_the_new_key(ledger: Ledger, tmp_path: Path) -> None:
    """The rotation's entry is lost with the rest; the recovery names the key that signs."""
    append_deals(ledger, 1)
    db = sqlite3.connect(ledger.settings.home / "ledger.sqlite3")
    db.execute(f"VACUUM INTO '{tmp_path / 'early'}'")
    db.close()
    new, _ = rotate_key(ledger, SYSTEM)
    ledger.close()
    for path in ledger.settings.home.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(tmp_path / "early", ledger.settings.home / "ledger.sqlite3")
    old = Ledger.open(settings=ledger.settings)
    assert recover_log(old, SYSTEM, "the disk failed").check_signature({new.key_id: new}) == new
    assert audit(old).exit_code == 0
    old.close()


@pytest.mark.only_on("sqlite")  # there a backup is a copied file
def test_a_rotation_after_an_accepted_loss_raises_no_alarm(ledger: Ledger, tmp_path: Path) -> None:
    """The lost entries were signed under the present key at sizes beyond the one at which it now retires."""
    append_deals(ledger, 1)
    db = sqlite3.connect(ledger.settings.home / "ledger.sqlite3")
    db.execute(f"VACUUM INTO '{tmp_path / 'early'}'")
    db.close()
    append_deals(ledger, 20)
    make_checkpoint(ledger)
    ledger.close()
    for path in ledger.settings.home.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(tmp_path / "early", ledger.settings.home / "ledger.sqlite3")
    old = Ledger.open(settings=ledger.settings)
    recover_log(old, SYSTEM, "the disk failed")
    rotate_key(old, SYSTEM)
    report = audit(old)
    assert (report.exit_code, report.findings) == (0, [])
    old.close()


def test_an_old_private_key_put_back_signs_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """A restored folder of keys could otherwise go on under the retired key."""
    shutil.copytree(ledger.settings.keys_dir, tmp_path / "keys")
    rotate_key(ledger, SYSTEM)
    for path in ledger.settings.keys_dir.glob("*.pem"):
        path.unlink()
    for path in (tmp_path / "keys").glob("*.pem"):
        shutil.copy(path, ledger.settings.keys_dir)
    append_deals(ledger, 1)
    with pytest.raises(LedgerNotInitialised, match="private key"):
        make_checkpoint(ledger)


def test_the_verbs_rotate_list_and_revoke(settings_home: Settings) -> None:
    """As an operator does it, from the first key to the revoked one."""

    def call(*words: str) -> str:
        done = CliRunner().invoke(app, ["audit", "keys", *words])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    [first] = trusted_keys(settings_home.keys_dir).values()
    assert "signs now" in call("list")
    assert "from now on" in call("rotate")
    listed = call("list")
    assert (listed.count("signs now"), listed.count("retired at size")) == (1, 1)
    call("revoke", first.key_id.hex(), "--last-trusted-size", "1", "--reason", "stolen")
    assert "revoked, trusted up to size 1" in call("list")
    assert first.vkey in call("list", "--json")


@pytest.fixture
def settings_home(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of the command line point to the test's ledger."""
    monkeypatch.setenv("DEALBOOK_HOME", str(ledger.settings.home))
    monkeypatch.setenv("DEALBOOK_LEDGER_URL", ledger.settings.ledger_url or "")
    get_settings.cache_clear()
    yield ledger.settings
    get_settings.cache_clear()
