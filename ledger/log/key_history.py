"""Which keys have signed the log, and up to which size each counts: told by entries of the log itself.

A rotation is a signed note under both keys: the old one names its successor, and signs nothing beyond `size`. A
revocation is a signed note under a later key and names the last size at which the revoked key is still to be trusted.
Both stand in entries of `sys`, and, for verifiers outside, in the `vkeys.txt` of every dossier.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.errors import ProofInvalid
from ledger.log.entry import decode_body
from ledger.log.keys import PublicKey
from ledger.log.notes import check_note
from ledger.tables.log import AuditLog

TYPES = ("log.opened", "key.introduced", "key.rotated", "key.revoked")
ROTATION, REVOCATION = "dealbook key rotation", "dealbook key revocation"


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """What an entry says about keys. `key` is what it is about, `was` its predecessor, `size` the last one that counts.

    `note` is the signed statement; keys that were introduced without a predecessor have none.
    """

    n: int
    type: str
    at: str
    key: str
    was: str | None = None
    size: int | None = None
    note: str | None = None


class Standing(Enum):
    """What a checkpoint under a key is worth."""

    GOOD = auto()
    DOUBTED = auto()  # under a key that was revoked later, from the time that is not trusted
    RETIRED = auto()  # from when its key had no business signing any more


def write_rotation(origin: str, size: int, old: PublicKey, new: PublicKey) -> str:
    """Return the text that both keys sign when the new one takes over from a log of `size` entries."""
    return f"{ROTATION}\n{origin}\nsize {size}\nold {old.vkey}\nnew {new.vkey}\n"


def write_revocation(origin: str, key: PublicKey, trusted_size: int) -> str:
    """Return the text that a later key signs to revoke one beyond `trusted_size`."""
    return f"{REVOCATION}\n{origin}\ntrusted {trusted_size}\nkey {key.vkey}\n"


def read_key_events(session: Session) -> list[KeyEvent]:
    """Return what the log says about its keys, in order; bodies that cannot be read are left to the chains' check."""
    query = select(AuditLog.n, AuditLog.body).where(AuditLog.chain == "sys", AuditLog.type.in_(TYPES))
    events = []
    for n, body in session.execute(query.order_by(AuditLog.seq)):
        try:
            document: dict[str, Any] = decode_body(body)
            data = document["data"]
            size = data.get("trusted_size", data.get("size"))
            key = data.get("key")
            if key:
                events.append(
                    KeyEvent(n, document["type"], document["at"], key, data.get("was"), size, data.get("note"))
                )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return events


class KeyHistory:
    """The keys of a log as its entries have them."""

    def __init__(self, events: Iterable[KeyEvent]) -> None:
        self.events = list(events)
        self.named = [event.key for event in self.events if event.type != "key.revoked"]
        self.problems: list[tuple[int, str]] = []
        self._retired: dict[str, int] = {}
        self._revoked: dict[str, int] = {}
        for event in self.events:
            if event.note is None:
                if event.type in ("key.rotated", "key.revoked"):
                    self.problems.append((event.n, f"{event.type} without a signed statement"))
                continue
            problem = self._read_statement(event, event.note)
            if problem:
                self.problems.append((event.n, problem))

    @classmethod
    def of(cls, session: Session) -> "KeyHistory":
        """Return the history that the log tells."""
        return cls(read_key_events(session))

    def _read_statement(self, event: KeyEvent, note: str) -> str | None:
        try:
            key = PublicKey.parse(event.key)
            if event.type == "key.rotated":
                was = PublicKey.parse(event.was or "")
                text, signers = check_note(note, [was, key])
                if text != write_rotation(key.name, event.size or 0, was, key) or len(signers) != 2:
                    return "the rotation of the key is not signed by the old key and the new"
                self._retired[was.vkey] = event.size or 0
            else:
                others = [PublicKey.parse(vkey) for vkey in self.named if vkey != event.key]
                text, signers = check_note(note, others)
                if text != write_revocation(key.name, key, event.size or 0) or not signers:
                    return "the revocation of the key is not signed by another key of the log"
                self._revoked[key.vkey] = min(event.size or 0, self._revoked.get(key.vkey, event.size or 0))
        except ProofInvalid as error:
            return error.detail
        return None

    @property
    def statements(self) -> list[str]:
        """The signed notes about rotations and revocations, in order."""
        return [event.note for event in self.events if event.note]

    def judge(self, key: PublicKey, size: int) -> Standing:
        """Say what a checkpoint of `size` under `key` is worth, its signature being right."""
        retired, revoked = self._retired.get(key.vkey), self._revoked.get(key.vkey)
        if retired is not None and size > retired:
            return Standing.RETIRED
        return Standing.DOUBTED if revoked is not None and size > revoked else Standing.GOOD

    def describe(self, vkey: str) -> str:
        """Say how a key stands: `signs now`, `retired at size …`, `revoked, trusted up to size …`."""
        if vkey in self._revoked:
            return f"revoked, trusted up to size {self._revoked[vkey]:,}"
        if vkey in self._retired:
            return f"retired at size {self._retired[vkey]:,}"
        return "signs now" if vkey == self.named[-1] else "named by the log"

    def extend_trust(self, given: Mapping[bytes, PublicKey]) -> dict[bytes, PublicKey]:
        """Return the keys to be trusted for who trusts those `given`: also their successors and predecessors.

        A key that was revoked for the time of its rotation hands no trust on.
        """
        trusted = {key.vkey: key for key in given.values()}
        for _ in self.events:
            for event in self.events:
                if event.type != "key.rotated" or self._retired.get(event.was or "") != event.size:
                    continue
                was = str(event.was)
                if was in trusted and self._revoked.get(was, event.size or 0) >= (event.size or 0):
                    trusted.setdefault(event.key, PublicKey.parse(event.key))
                if event.key in trusted:
                    trusted.setdefault(was, PublicKey.parse(was))
        return {key.key_id: key for key in trusted.values()}

    def render(self) -> str:
        """Return `vkeys.txt`: the keys, one a line, then an empty line before each signed statement."""
        return "\n".join(["\n".join(dict.fromkeys(self.named)) + "\n", *self.statements])
