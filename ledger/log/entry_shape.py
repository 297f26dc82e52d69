"""Telling in few steps that an entry is as it was written: typed decoding and encoding, both outside Python.

Whatever can be said of an ordinary entry is said by its types: the keys of its head, integers in range, no floats. What
is left to Python are the keys within `data`, of which few combinations exist. `None` means no more than "look closer":
entries that nest deeper than ordinary ones do, and all that are wrong.
"""

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ledger.errors import EntryInvalid
from ledger.log.entry import MAX_BODY_BYTES, MAX_INTEGER, encode_entry

Integer = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Scalar = str | Integer | bool | None


# Fields in the order of their names, which is that of the canonical form.
class _Actor(Struct, forbid_unknown_fields=True, gc=False):
    id: str
    kind: str
    role: str
    token: str | UnsetType = UNSET


class _Request(Struct, forbid_unknown_fields=True, gc=False):
    id: str | UnsetType = UNSET
    idem: str | UnsetType = UNSET


class _Subject(Struct, forbid_unknown_fields=True, gc=False):
    id: str
    kind: str
    rev: Integer


class Shape(Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """An ordinary entry."""

    actor: _Actor
    at: str
    chain: str
    data: dict[str, Scalar | dict[str, Scalar]]
    effective_at: str
    id: str
    log: str
    prev: str
    req: _Request | UnsetType = UNSET
    seq: Integer
    subject: _Subject
    type: str
    v: Integer


_decode = msgspec.json.Decoder(Shape).decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_known_data: set[tuple[str, ...]] = set()  # combinations of keys that passed; their number is bounded below
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def read_shape(body: Any) -> Shape | None:
    """Return the entry that `body` holds in canonical form, where that can be told at once."""
    try:
        entry = _decode(body)
        if _encode(entry) != body or len(body) > MAX_BODY_BYTES:
            return None
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError):
        return None
    data = entry.data
    if tuple(data) not in _known_data and not _are_keys(data):
        return None
    for value in data.values():
        if type(value) is dict and tuple(value) not in _known_data and not _are_keys(value):
            return None
    return entry


def _are_keys(values: dict[str, Any]) -> bool:
    try:
        encode_entry(dict.fromkeys(values))
    except EntryInvalid:
        return False
    if len(_known_data) < 4096:
        _known_data.add(tuple(values))
    return True


@lru_cache(maxsize=100_000)
def is_canonical_time(text: str) -> bool:
    """Whether a text is an instant as entries write it: RFC 3339, UTC, six digits and `Z`."""
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
