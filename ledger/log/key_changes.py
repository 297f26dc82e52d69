"""Changing the key that signs the log, and declaring one untrustworthy.

    pending       the new private key is written as `<key id>.pending`
    entry         `key.rotated`, signed by both keys, is committed: from here on the new key signs
    taking over   its public line is published, the file becomes `<key id>.pem`, the old private key is removed

Whoever signs next finishes what a crash has left half done (`load_current_key`): the log says which key is the newest.
"""

from typing import TYPE_CHECKING

from ledger.actors import Actor
from ledger.checks import check_text
from ledger.errors import Invalid, NothingToChange
from ledger.log.chain import append_entries
from ledger.log.checkpoint import make_checkpoint, read_origin, read_size
from ledger.log.entry import Draft
from ledger.log.key_history import KeyHistory, write_revocation, write_rotation
from ledger.log.keys import PublicKey, load_current_key, make_key
from ledger.log.notes import Checkpoint, sign_note
from ledger.log.signer_state import hold_signer
from ledger.log.texts import commit_text

if TYPE_CHECKING:
    from ledger.store import Ledger


def rotate_key(ledger: "Ledger", actor: Actor) -> tuple[PublicKey, Checkpoint]:
    """Let a new key take over; return its public half and the first checkpoint under it."""
    keys_dir = ledger.settings.keys_dir
    with hold_signer(ledger.settings):
        with ledger.read() as session:
            origin = read_origin(session)
            old = load_current_key(session, keys_dir, origin)
        new = make_key(keys_dir, origin, suffix=".pending")
        with ledger.write() as session:
            size = read_size(session)
            text = write_rotation(origin, size, old.public_key, new.public_key)
            data = {
                "key": new.public_key.vkey,
                "was": old.public_key.vkey,
                "size": size,
                "note": sign_note(text, [old, new]),
            }
            append_entries(session, actor, [Draft("sys", "key.rotated", "log", origin, data)])
        with ledger.read() as session:
            load_current_key(session, keys_dir, origin)
    return new.public_key, make_checkpoint(ledger)


def revoke_key(ledger: "Ledger", actor: Actor, key_id: str, trusted_size: int, reason: str) -> Checkpoint:
    """Declare that nothing under a former key counts beyond `trusted_size`; return the checkpoint that covers it.

    Raises `Invalid` for a key that the log does not name, `NothingToChange` for the one that signs now.
    """
    keys_dir = ledger.settings.keys_dir
    reason = check_text(reason, "reason", limit=2_000)
    with hold_signer(ledger.settings):
        with ledger.read() as session:
            origin = read_origin(session)
            current = load_current_key(session, keys_dir, origin)
            named = [PublicKey.parse(vkey) for vkey in KeyHistory.of(session).named]
        key = next((each for each in named if each.key_id.hex() == key_id.lower()), None)
        if key is None:
            known = ", ".join(each.key_id.hex() for each in named)
            raise Invalid(f"The log names no key {key_id[:40]}; it names {known}.", "key_id")
        if key == current.public_key:
            raise NothingToChange("This key signs now. Run `dealbook audit keys rotate` first, then revoke it.")
        with ledger.write() as session:
            if not 0 <= trusted_size <= read_size(session):
                raise Invalid("The last trusted size lies between 0 and the size of the log.", "trusted_size")
            texts: list[tuple[str, bytes, str]] = []
            data = {
                "key": key.vkey,
                "trusted_size": trusted_size,
                "note": sign_note(write_revocation(origin, key, trusted_size), [current]),
                "reason": commit_text(reason, texts, "reason"),
            }
            append_entries(session, actor, [Draft("sys", "key.revoked", "log", origin, data, texts=texts)])
    return make_checkpoint(ledger)
