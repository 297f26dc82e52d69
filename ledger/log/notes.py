"""A checkpoint as text: what the log's signer states about its size and root (C2SP tlog-checkpoint in a signed note).

dealbook/0198…                                  the log's name
41233                                           its size
qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=    its root, base64
                                                an empty line, then a signature for each key
— dealbook/0198… Az3grlgt…                      the key's name, base64 of key id and signature
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.errors import ProofInvalid
from ledger.log.keys import PublicKey, SigningKey
from ledger.log.tree import HASH_BYTES

_SIGNATURE = re.compile("— (\\S+) ([A-Za-z0-9+/]+=*)\\Z")
_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: this log, of this size, has this root. `note` is the whole text with its signatures."""

    origin: str
    size: int
    root: bytes
    note: str

    @classmethod
    def sign(cls, origin: str, size: int, root: bytes, key: SigningKey) -> "Checkpoint":
        """Return the statement, signed."""
        text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        return cls(origin, size, root, sign_note(text, [key]))

    @classmethod
    def parse(cls, note: str) -> "Checkpoint":
        """Return what a note states, its signatures unchecked; raise `ProofInvalid` when it is no checkpoint."""
        text, gap, _ = note.rpartition("\n\n")
        lines = text.split("\n")
        if not gap or len(lines) < 3 or not lines[0] or not _SIZE.match(lines[1]):
            raise ProofInvalid("A text is no checkpoint: origin, size, root, an empty line and signatures are due.")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except (ValueError, binascii.Error):
            root = b""
        if len(root) != HASH_BYTES:
            raise ProofInvalid("The root of a checkpoint is not 32 bytes in base64.")
        return cls(lines[0], int(lines[1]), root, note)

    def check_signature(self, trusted: Mapping[bytes, PublicKey]) -> PublicKey | None:
        """Return the trusted key that signed; None when no signature is by a trusted key.

        Raises `ProofInvalid` when a signature names a trusted key and is not its own.
        """
        _, signers = check_note(self.note, list(trusted.values()))
        return signers[-1] if signers else None


def check_note(note: str, keys: Sequence[PublicKey]) -> tuple[str, list[PublicKey]]:
    """Return the text of a signed note and those of `keys` that signed it; others may have signed it, too.

    Raises `ProofInvalid` when a signature names one of `keys` and is not its own.
    """
    text, _, signatures = note.rpartition("\n\n")
    known = {key.key_id: key for key in keys}
    signers: list[PublicKey] = []
    for line in signatures.splitlines():
        match = _SIGNATURE.match(line)
        if match is None:
            raise ProofInvalid("A signature line of a checkpoint cannot be read.")
        try:
            raw = base64.b64decode(match[2], validate=True)
        except (ValueError, binascii.Error):
            raise ProofInvalid("A signature of a checkpoint is not base64.") from None
        key = known.get(raw[:4])
        if key is None or key.name != match[1]:
            continue  # another's signature; the note may carry any number of them
        if not key.is_signature(raw[4:], f"{text}\n".encode()):
            raise ProofInvalid(f"The signature by key {key.key_id.hex()} was not made over this text.")
        signers.append(key)
    return f"{text}\n", signers


def sign_note(text: str, keys: Sequence[SigningKey]) -> str:
    """Return a text that ends in a newline as a note signed by `keys`."""
    return f"{text}\n{''.join(sign_line(text, key) for key in keys)}"


def sign_line(text: str, key: SigningKey) -> str:
    """Return the line with which `key` signs `text`, which ends in a newline."""
    raw = key.public_key.key_id + key.sign(text.encode())
    return f"— {key.public_key.name} {base64.b64encode(raw).decode()}\n"
