"""The bytes of an entry are canonical: msgspec and the RFC 8785 reference agree on the whole subset."""

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import EntryInvalid
from ledger.log.entry import MAX_BODY_BYTES, MAX_INTEGER, encode_entry, hash_leaf
from ledger.log.texts import commit_text

KEYS = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=8)


@settings(max_examples=3000, deadline=None)
@given(DOCUMENTS)
def test_bytes_are_those_of_rfc_8785(document: dict[str, Any]) -> None:
    assert encode_entry(document) == rfc8785.dumps(document)


@pytest.mark.parametrize(
    "document",
    [
        {"amount": 0.1},
        {"amount": 12.0},
        {"n": MAX_INTEGER + 1},
        {"n": -MAX_INTEGER - 1},
        {"Key": 1},
        {"a-b": 1},
        {"": 1},
        {"a" * 65: 1},
        {"a\n": 1},
        {1: 1},
        {"a": {"B": 1}},
        {"a": [{"b": 1.5}]},
        {"a": "\ud800"},
        {"a": b"bytes"},
        {"a": (1, 2)},
        {"a": {1, 2}},
        {"a": "x" * MAX_BODY_BYTES},
    ],
    ids=lambda document: repr(document)[:30],
)
def test_what_lies_outside_the_subset_is_refused(document: dict[Any, Any]) -> None:
    with pytest.raises(EntryInvalid):
        encode_entry(document)


def test_a_body_of_exactly_64_kib_is_accepted() -> None:
    assert len(encode_entry({"a": "x" * (MAX_BODY_BYTES - 8)})) == MAX_BODY_BYTES


def test_the_hash_is_the_leaf_hash_of_rfc_6962() -> None:
    assert hash_leaf(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert hash_leaf(b"abc") == hashlib.sha256(b"\x00abc").digest()


def test_a_commitment_opens_with_its_salt_and_hides_equal_texts() -> None:
    texts: list[tuple[str, bytes, str]] = []
    first, second = commit_text("Mr Tan", texts), commit_text("Mr Tan", texts)
    assert first != second
    for commitment, salt, text in texts:
        assert commitment == hashlib.sha256(salt + text.encode()).hexdigest()
