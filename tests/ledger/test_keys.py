"""The log's key: made once, private to its owner, named in the log, written as C2SP has it."""

import base64
import shutil
from hashlib import sha256

import pytest

from ledger.errors import KeysExposed, LedgerNotInitialised, ProofInvalid
from ledger.log.keys import PublicKey, is_key_introduced, load_key, trusted_keys
from ledger.store import Ledger, initialise
from tests.support.ledger import read_log
from tests.support.living_ledger import tamper


def test_the_first_entry_names_the_key_and_the_folder_holds_it(ledger: Ledger) -> None:
    [opened] = read_log(ledger)
    key = load_key(ledger.settings.keys_dir, opened["data"]["origin"])
    assert opened["data"]["key"] == key.public_key.vkey
    assert trusted_keys(ledger.settings.keys_dir) == {key.public_key.key_id: key.public_key}
    [pem] = ledger.settings.keys_dir.glob("*.pem")
    assert pem.stem == key.public_key.key_id.hex()
    assert pem.stat().st_mode & 0o777 == 0o600
    assert is_key_introduced(ledger.settings.keys_dir)


def test_a_key_that_others_can_read_is_refused(ledger: Ledger) -> None:
    [pem] = ledger.settings.keys_dir.glob("*.pem")
    pem.chmod(0o640)
    with pytest.raises(KeysExposed, match="chmod 600"):
        initialise(ledger.settings)
    with pytest.raises(KeysExposed, match="chmod 600"):
        load_key(ledger.settings.keys_dir, "dealbook/x")


def test_a_ledger_that_began_without_a_key_gets_one_and_says_so(ledger: Ledger) -> None:
    """As a ledger made before there were keys: its first entry names none."""
    for path in ledger.settings.keys_dir.glob("*.*"):
        if path.suffix in (".pem", ".vkey"):
            path.unlink()
    tamper(ledger, "UPDATE audit_logs SET body = CAST(replace(body, '\"key\":', '\"kez\":') AS BLOB)")
    initialise(ledger.settings).close()
    entries = read_log(ledger)
    assert [entry["type"] for entry in entries] == ["log.opened", "key.introduced"]
    [key] = trusted_keys(ledger.settings.keys_dir).values()
    assert entries[1]["data"] == {"key": key.vkey}
    initialise(ledger.settings).close()
    assert read_log(ledger) == entries


def test_a_start_that_died_after_making_the_key_goes_on_with_it(ledger: Ledger) -> None:
    [vkey] = ledger.settings.keys_dir.glob("*.vkey")
    line = vkey.read_text()
    vkey.unlink()
    before = read_log(ledger)
    initialise(ledger.settings).close()
    assert vkey.read_text() == line
    assert read_log(ledger) == before


def test_a_lost_key_is_not_replaced_in_silence(ledger: Ledger) -> None:
    shutil.rmtree(ledger.settings.keys_dir)
    with pytest.raises(LedgerNotInitialised, match="Restore it from its backup"):
        initialise(ledger.settings)


def test_key_id_and_line_are_those_of_signed_notes() -> None:
    """The key of the example in the C2SP texts' form, computed here from the definition."""
    public = bytes(range(32))
    key = PublicKey("dealbook/log", public)
    key_id = sha256(b"dealbook/log\n\x01" + public).digest()[:4]
    assert key.vkey == f"dealbook/log+{key_id.hex()}+{base64.b64encode(bytes([1]) + public).decode()}"
    assert PublicKey.parse(key.vkey) == key


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace("+", " "),
        lambda line: line[:-4],
        lambda line: line.replace("dealbook/log", "dealbook/other"),
        lambda line: line.replace("+AQ", "+AA"),
        lambda line: "",
    ],
)
def test_a_line_that_is_no_key_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    line = PublicKey("dealbook/log", bytes(range(32))).vkey
    with pytest.raises(ProofInvalid):
        PublicKey.parse(change(line))


def test_a_signature_counts_for_its_message_alone(ledger: Ledger) -> None:
    key = load_key(ledger.settings.keys_dir, "dealbook/log")
    signature = key.sign(b"size 7")
    assert key.public_key.is_signature(signature, b"size 7")
    assert not key.public_key.is_signature(signature, b"size 8")
