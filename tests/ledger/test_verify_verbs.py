"""`dealbook audit`: exit codes that scripts can rely on, checkpoints kept elsewhere, and what it cannot show."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dealbook import app
from ledger.errors import DealbookError
from ledger.log.checkpoint import make_checkpoint
from ledger.log.keys import trusted_keys
from ledger.settings import get_settings
from ledger.store import Ledger, initialise
from tests.support.ledger import log_size
from tests.support.living_ledger import append_deals, tamper


@pytest.fixture
def cli(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `dealbook audit …` on the ledger; returns exit code and output."""
    monkeypatch.setenv("DEALBOOK_HOME", str(ledger.settings.home))
    monkeypatch.setenv("DEALBOOK_LEDGER_URL", ledger.settings.ledger_url)
    get_settings.cache_clear()

    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *words])
        if isinstance(done.exception, DealbookError):
            return 2, done.exception.detail  # as `dealbook.main` has it
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    yield call
    get_settings.cache_clear()


def forget(ledger: Ledger) -> None:
    """Remove every trace of checkpoints from the installation, as an intruder with all its files would."""
    shutil.rmtree(ledger.settings.checkpoints_dir)
    (ledger.settings.keys_dir / "signer.json").unlink()
    with ledger.write() as session:
        session.connection().exec_driver_sql("DELETE FROM audit_checkpoints")


def cut(ledger: Ledger, size: int) -> None:
    """Cut the log off so that its chains stay whole."""
    tamper(
        ledger,
        f"DELETE FROM audit_chains WHERE chain IN (SELECT chain FROM audit_logs WHERE n >= {size})",
        f"DELETE FROM audit_logs WHERE n >= {size}",
    )


def test_a_sound_log_exits_with_0_and_says_what_it_cannot_show(ledger: Ledger, cli: Any) -> None:
    append_deals(ledger, 3)
    make_checkpoint(ledger)
    append_deals(ledger, 2)
    code, output = cli("verify")
    assert code == 0
    assert "6 entries in 6 chains" in output
    assert "4 entries signed: sound" in output
    assert "note: 2 entries are newer than the newest checkpoint" in output
    assert "a false entry made by someone who was allowed to make it" in output
    code, output = cli("verify", "--since-last", "--json")
    assert code == 0
    assert json.loads(output)["entries"] == 2


def test_without_checkpoints_nothing_is_decided_and_one_kept_elsewhere_decides(
    ledger: Ledger, cli: Any, tmp_path: Path
) -> None:
    append_deals(ledger, 3)
    elsewhere = tmp_path / "elsewhere"
    code, note = cli("checkpoint")
    assert code == 0
    elsewhere.write_text(note)
    forget(ledger)
    assert cli("verify")[0] == 2
    assert cli("verify", "--against", str(elsewhere))[0] == 0
    cut(ledger, 3)
    assert cli("verify")[0] == 2, "what remains is whole in itself"
    code, output = cli("verify", "--against", str(elsewhere))
    assert code == 1
    assert "the log ends after 3 entries, but 4 were signed" in output


def test_published_files_and_folders_of_checkpoints_are_witnesses(ledger: Ledger, cli: Any, tmp_path: Path) -> None:
    import duckdb

    append_deals(ledger, 3)
    note = make_checkpoint(ledger).note
    folder = tmp_path / "published"
    folder.mkdir()
    with duckdb.connect(str(folder / "marts-1.duckdb")) as file:
        file.execute("CREATE TABLE manifest AS SELECT ? AS checkpoint", [note])
    (folder / "marts-1.json").write_text(json.dumps({"checkpoint": note}))
    copied = tmp_path / "copied"
    shutil.copytree(ledger.settings.checkpoints_dir, copied)
    forget(ledger)
    places = [folder, folder / "marts-1.duckdb", folder / "marts-1.json", copied, *copied.glob("*.jsonl")]
    for place in places:
        assert cli("verify", "--against", str(place))[0] == 0, place
    cut(ledger, 3)
    for place in places:
        assert cli("verify", "--against", str(place))[0] == 1, place


def test_what_is_no_checkpoint_decides_nothing(ledger: Ledger, cli: Any, tmp_path: Path) -> None:
    make_checkpoint(ledger)
    (tmp_path / "letter").write_text("Dear Sir or Madam")
    assert cli("verify", "--against", str(tmp_path / "letter"))[0] == 2
    assert cli("verify", "--against", str(tmp_path / "nowhere"))[0] == 2
    (tmp_path / "empty").mkdir()
    assert cli("verify", "--against", str(tmp_path / "empty"))[0] == 2


def test_an_outsider_brings_the_public_key(ledger: Ledger, cli: Any) -> None:
    make_checkpoint(ledger)
    code, vkeys = cli("key")
    assert code == 0
    assert vkeys.split() == [key.vkey for key in trusted_keys(ledger.settings.keys_dir).values()]
    shutil.rmtree(ledger.settings.keys_dir)
    assert cli("verify")[0] == 2
    assert cli("verify", "--vkey", vkeys.strip())[0] == 0


def test_one_deal_is_verified_within_the_whole_tree(ledger: Ledger, cli: Any) -> None:
    append_deals(ledger, 3)
    make_checkpoint(ledger)
    with ledger.read() as session:
        query = "SELECT subject_id FROM audit_logs ORDER BY n DESC LIMIT 2"
        last, other = [row[0] for row in session.connection().exec_driver_sql(query)]
    code, output = cli("verify", "--deal", last)
    assert code == 0
    assert "1 entries in 1 chains" in output
    assert cli("verify", "--deal", "no-such-deal")[0] == 2
    cut(ledger, log_size(ledger) - 1)
    assert cli("verify", "--deal", other)[0] == 1, "another deal's entries are missing from the tree"


def test_edited_tables_show_with_state_alone(ledger: Ledger, staff: object, cli: Any) -> None:
    make_checkpoint(ledger)
    with ledger.write() as session:
        session.connection().exec_driver_sql("UPDATE users SET role = 'admin' WHERE role = 'viewer'")
    assert cli("verify")[0] == 0
    code, output = cli("verify", "--state")
    assert code == 1
    assert "column role: the log says viewer, the table admin" in output


def test_a_loss_is_accepted_only_in_so_many_words(ledger: Ledger, cli: Any) -> None:
    append_deals(ledger, 3)
    make_checkpoint(ledger)
    assert cli("recover", "--reason", "no need", "--accept-loss") == (
        2,
        "The log continues what was signed; there is no loss to accept.",
    )
    cut(ledger, 3)
    assert cli("verify")[0] == 1
    assert cli("recover", "--reason", "the disk failed")[0] == 2
    assert cli("verify")[0] == 1
    assert cli("recover", "--reason", "the disk failed", "--accept-loss")[0] == 0
    code, output = cli("verify")
    assert code == 0
    assert "a loss was accepted; 4 entries had been signed, 3 kept" in output
    append_deals(ledger, 1)
    initialise(ledger.settings).close()


def test_a_forged_acceptance_is_not_believed(ledger: Ledger, cli: Any) -> None:
    """Cutting the log and writing into it that the loss was accepted takes the signer's key."""
    from ledger.actors import SYSTEM
    from ledger.log.chain import append_entries
    from ledger.log.entry import Draft

    append_deals(ledger, 3)
    made = make_checkpoint(ledger)
    cut(ledger, 3)
    with ledger.write() as session:
        session.info["may_discontinue"] = True
        data = {"kept_size": 3, "lost_size": made.size, "lost_root": made.root.hex(), "reason": "0" * 64}
        append_entries(session, SYSTEM, [Draft("sys", "log.recovered", "log", made.origin, data)])
    code, output = cli("verify")
    assert code == 1
    assert "are not those that were signed" in output
