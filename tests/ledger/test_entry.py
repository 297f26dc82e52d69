"""The bytes of an entry are canonical: msgspec and the RFC 8785 reference agree on the whole subset."""

import hashlib
import random
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import EntryInvalid
from ledger.log.entry import MAX_BODY_BYTES, MAX_INTEGER, encode_entry, hash_leaf
from ledger.log.texts import commit_text
from tests.support.campaigns import Campaign, rounds

KEYS = st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=8)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_bytes_are_those_of_rfc_8785(document: dict[str, Any]) -> None:
    assert encode_entry(document) == rfc8785.dumps(document)


def random_value(rng: random.Random, depth: int) -> Any:
    """A value of the subset; texts lean on what encoders disagree about: controls, quotes, surrogate pairs."""
    kind = rng.randrange(6 if depth else 4)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -1, MAX_INTEGER, -MAX_INTEGER, rng.randrange(-(10**9), 10**9)])
    if kind in (2, 3):
        alphabet = [*map(chr, range(160)), "\u2028", "\u2029", "\ud7ff", "\ue000", "\ufffd", "\uffff", "😀", "é"]
        return "".join(rng.choices(alphabet, k=rng.randrange(12)))
    if kind == 4:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return random_document(rng, depth - 1)


def random_document(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    keys = ["".join(rng.choices("abz_09", k=rng.randrange(1, 5))) for _ in range(rng.randrange(8))]
    return {key: random_value(rng, depth) for key in keys}


@pytest.mark.soak
def test_bytes_are_those_of_rfc_8785_over_thousands_of_documents(campaign: Campaign) -> None:
    """20,000 random documents of the subset (1,000,000 in the long form): not one byte differs from the reference."""
    for _ in campaign.each(rounds(20_000, 1_000_000), "documents"):
        document = random_document(campaign.rng)
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
