"""An entry of the log: its canonical bytes and its hash.

The canonical form is a strict subset of RFC 8785 (JCS) in which msgspec's deterministic encoder and the JCS rules
agree byte for byte: no floats, integers within 2^53-1, keys of `[a-z0-9_]{1,64}`, no lone surrogates, at most 64 KiB.
The leaf hash is that of RFC 6962: SHA-256(0x00 || body).
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from ledger.errors import EntryInvalid

MAX_BODY_BYTES = 65_536
MAX_INTEGER = 2**53 - 1
_KEY = re.compile(r"[a-z0-9_]{1,64}\Z")
_encoder = msgspec.json.Encoder(order="deterministic")
_known_keys: set[str] = set()  # keys that passed; their number is bounded below


@dataclass(slots=True)
class Draft:
    """An entry about to be appended. `effective_at` None means: when it is recorded.

    `revision` counts the entries about the subject; None means the entry's `seq` (right for the deal itself).
    `texts` holds (commitment, salt, text) for every commitment in `data`.
    """

    chain: str
    type: str
    subject_kind: str
    subject_id: str
    data: dict[str, Any]
    effective_at: datetime | None = None
    revision: int | None = None
    texts: list[tuple[str, bytes, str]] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """An entry as appended: the indexed columns, the decoded `data`, and the hash (32 bytes) of its body.

    It does not know its leaf index: on PostgreSQL that is given after the commit.
    """

    chain: str
    seq: int
    id: str
    type: str
    at: datetime
    effective_at: datetime
    actor_id: str
    subject_kind: str
    subject_id: str
    revision: int
    data: dict[str, Any]
    hash: bytes


class Subject(msgspec.Struct, gc=False):
    """What an entry is about, and how many entries there are about it."""

    id: str
    kind: str
    rev: int


class Document(msgspec.Struct, gc=False):
    """An entry to be written. Its fields stand in the order of their names, as the canonical form has them.

    `actor` and `req` are the same for all entries of a request, hence canonical bytes already.
    """

    actor: msgspec.Raw
    at: str
    chain: str
    data: dict[str, Any]
    effective_at: str
    id: str
    log: str
    prev: str
    req: msgspec.Raw | msgspec.UnsetType
    seq: int
    subject: Subject
    type: str
    v: int


def _check(value: Any) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is dict:
        for key, inner in value.items():
            if key not in _known_keys:
                if type(key) is not str or not _KEY.match(key):
                    raise EntryInvalid(f"Key {str(key)[:80]!r} of a log entry is not of [a-z0-9_]{{1,64}}.")
                if len(_known_keys) < 4096:
                    _known_keys.add(key)
            if type(inner) is not str:
                _check(inner)
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise EntryInvalid("An integer in a log entry exceeds 2^53-1.")
    elif kind is list:
        for inner in value:
            _check(inner)
    else:
        raise EntryInvalid(f"A log entry cannot hold a {kind.__name__}; write it as text.")


def encode_entry(document: dict[str, Any] | Document, given: dict[str, Any] | None = None) -> bytes:
    """Return the canonical bytes of `document`; raise `EntryInvalid` when it lies outside the subset.

    `given` is the part of it that did not come from the caller's own hands: then only that is walked.
    """
    try:
        _check(document if given is None else given)
        body = _encoder.encode(document)
    except RecursionError:
        raise EntryInvalid("A log entry is nested too deeply.") from None
    except UnicodeEncodeError:
        raise EntryInvalid("A text in a log entry holds a lone surrogate.") from None
    if len(body) > MAX_BODY_BYTES:
        raise EntryInvalid(f"A log entry of {len(body)} bytes exceeds {MAX_BODY_BYTES}.")
    return body


def hash_leaf(body: bytes) -> bytes:
    """Return SHA-256(0x00 || body), 32 bytes."""
    return sha256(b"\x00" + body).digest()


def decode_body(body: bytes) -> dict[str, Any]:
    """Return the document that an entry's body holds."""
    document: dict[str, Any] = msgspec.json.decode(body)
    return document
