"""Roots and proofs are those of RFC 6962: the published vectors agree, and no altered proof is believed."""

import base64
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ProofInvalid
from ledger.log.tree import (
    EMPTY_ROOT,
    CompactRange,
    check_consistency,
    check_inclusion,
    prove_consistency,
    prove_inclusion,
    root_of,
)
from tests.support.commands import DATASETS

VECTORS = DATASETS / "rfc6962"
needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason=f"PUBLISHED VECTORS MISSING at {VECTORS}: proofs are compared with our own alone"
)


def read_vectors(kind: str) -> list[dict[str, Any]]:
    path = VECTORS / f"{kind}.json"
    return json.loads(path.read_text()) if path.exists() else []


def decode(text: str) -> bytes:
    return base64.b64decode(text or "")


def leaves_of(count: int) -> list[bytes]:
    return [sha256(b"\x00" + str(number).encode()).digest() for number in range(count)]


def reference_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + reference_root(leaves[:split]) + reference_root(leaves[split:])).digest()


@needs_vectors
def test_all_196_published_vectors_are_there() -> None:
    assert len(read_vectors("inclusion")) + len(read_vectors("consistency")) == 196


@pytest.mark.parametrize("vector", read_vectors("inclusion"), ids=lambda vector: vector["name"])
def test_published_inclusion_vector(vector: dict[str, Any]) -> None:
    proof = [decode(node) for node in vector["proof"] or []]
    arguments = (decode(vector["leafHash"]), vector["leafIdx"], vector["treeSize"], decode(vector["root"]), proof)
    if vector["wantErr"]:
        with pytest.raises(ProofInvalid):
            check_inclusion(*arguments)
    else:
        check_inclusion(*arguments)


@pytest.mark.parametrize("vector", read_vectors("consistency"), ids=lambda vector: vector["name"])
def test_published_consistency_vector(vector: dict[str, Any]) -> None:
    proof = [decode(node) for node in vector["proof"] or []]
    arguments = (vector["size1"], decode(vector["root1"]), vector["size2"], decode(vector["root2"]), proof)
    if vector["wantErr"]:
        with pytest.raises(ProofInvalid):
            check_consistency(*arguments)
    else:
        check_consistency(*arguments)


def test_the_root_is_that_of_the_definition() -> None:
    leaves = leaves_of(70)
    tree = CompactRange()
    assert tree.root() == EMPTY_ROOT == reference_root([])
    for size, leaf in enumerate(leaves, start=1):
        tree.append(leaf)
        assert tree.root() == reference_root(leaves[:size])
        assert len(tree.peaks) == size.bit_count()


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_range_goes_on_where_it_was_left(size: int, more: int) -> None:
    leaves = leaves_of(size + more)
    tree = CompactRange()
    tree.extend(leaves[:size])
    stored = CompactRange(tree.size, tree.peaks)
    stored.extend(leaves[size:])
    assert stored.root() == root_of(leaves)
    assert tree.root() == root_of(leaves[:size])


@given(st.data())
def test_every_entry_has_a_proof_and_an_altered_one_is_refused(data: st.DataObject) -> None:
    leaves = leaves_of(data.draw(st.integers(1, 130)))
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = prove_inclusion(leaves, index), root_of(leaves)
    check_inclusion(leaves[index], index, len(leaves), root, proof)
    other = data.draw(st.integers(0, len(leaves)))
    if other != index:
        with pytest.raises(ProofInvalid):
            check_inclusion(leaves[index], other, len(leaves), root, proof)
    for altered in altered_proofs(data, proof):
        with pytest.raises(ProofInvalid):
            check_inclusion(leaves[index], index, len(leaves), root, altered)


@given(st.data())
def test_every_beginning_has_a_proof_and_an_altered_one_is_refused(data: st.DataObject) -> None:
    leaves = leaves_of(data.draw(st.integers(1, 130)))
    old = data.draw(st.integers(1, len(leaves)))
    old_root, new_root = root_of(leaves[:old]), root_of(leaves)
    proof = prove_consistency(leaves, old)
    check_consistency(old, old_root, len(leaves), new_root, proof)
    with pytest.raises(ProofInvalid):
        check_consistency(old, sha256(old_root).digest(), len(leaves), new_root, proof)
    for altered in altered_proofs(data, proof):
        with pytest.raises(ProofInvalid):
            check_consistency(old, old_root, len(leaves), new_root, altered)


def altered_proofs(data: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    """Return the proof with a bit flipped, a node missing, a node too many."""
    altered = [[*proof, bytes(32)], [bytes(32), *proof]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        altered += [[*proof[:at], flipped, *proof[at + 1 :]], proof[:at] + proof[at + 1 :]]
    return altered


def test_subtree_roots_that_do_not_fit_the_size_are_refused() -> None:
    with pytest.raises(ProofInvalid):
        CompactRange(3, [bytes(32)])
    with pytest.raises(ProofInvalid):
        CompactRange(1, [bytes(31)])
