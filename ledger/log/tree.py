"""The Merkle tree of RFC 6962 over the log: one root that stands for every entry, and short proofs against it.

A leaf is an entry's hash as stored (it already is the leaf hash of RFC 6962); an inner node is SHA-256(0x01 || left ||
right). `CompactRange` keeps the roots of the perfect subtrees alone, so that appending costs O(1) and no entry is read
twice. Proofs are made from all leaves, and checked from nothing but sizes and roots (RFC 9162, 2.1.3 and 2.1.4).
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from ledger.errors import ProofInvalid

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of the inner node over two nodes."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange:
    """The first `size` leaves as the roots of their perfect subtrees, the largest first."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if size < 0 or len(self.peaks) != size.bit_count() or any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ProofInvalid(f"{len(self.peaks)} subtree roots cannot stand for {size} entries.")

    def append(self, leaf: bytes) -> None:
        """Add a leaf: as many joins as `size` ends in one-bits, one on average."""
        node, joins = leaf, self.size
        while joins & 1:
            node = sha256(b"\x01" + self.peaks.pop() + node).digest()
            joins >>= 1
        self.peaks.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = hash_children(peak, node)
        return node

    def copy(self) -> "CompactRange":
        """Return an independent range over the same leaves."""
        return CompactRange(self.size, self.peaks)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over `leaves`."""
    tree = CompactRange()
    tree.extend(leaves)
    return tree.root()


def _split(size: int) -> int:
    """Return the largest power of two below `size`: where the tree over `size` > 1 leaves parts."""
    return 1 << ((size - 1).bit_length() - 1)


def prove_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings on the way from leaf `index` to the root over `leaves`, lowest first."""
    if not 0 <= index < len(leaves):
        raise ProofInvalid(f"There is no entry {index} among {len(leaves)}.")
    start, end = 0, len(leaves)
    proof: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[start:middle]))
            start = middle
    return proof[::-1]


def prove_consistency(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree over the first `old_size` leaves is the beginning of that over all."""
    if not 1 <= old_size <= len(leaves):
        raise ProofInvalid(f"A log of {len(leaves)} entries has no beginning of {old_size} that a proof could show.")
    start, end, is_whole = 0, len(leaves), True
    proof: list[bytes] = []
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[start:middle]))
            start, is_whole = middle, False
    if not is_whole:
        proof.append(root_of(leaves[start:end]))
    return proof[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `ProofInvalid` unless `proof` shows that `leaf` is number `index` of the `size` leaves under `root`."""
    if not 0 <= index < size:
        raise ProofInvalid(f"There is no entry {index} among {size}.")
    _check_lengths([leaf, *proof])
    node, place, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("The proof is longer than the tree is high.")
        if place & 1 or place == last:
            node = hash_children(sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = hash_children(node, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofInvalid("The proof ends below the root.")
    if node != root:
        raise ProofInvalid("The proof leads to another root.")


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `ProofInvalid` unless `proof` shows that the log of `old_size` is the beginning of that of `new_size`."""
    if not 1 <= old_size <= new_size:
        raise ProofInvalid(f"A log of {new_size} entries has no beginning of {old_size} that a proof could show.")
    _check_lengths(proof)
    if old_size == new_size:
        if proof:
            raise ProofInvalid("Nothing is to be proved here, yet the proof is not empty.")
        if old_root != new_root:
            raise ProofInvalid("The roots differ.")
        return
    if not proof:
        raise ProofInvalid("The proof is empty.")
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("The proof is longer than the tree is high.")
        if place & 1 or place == last:
            old_node = hash_children(sibling, old_node)
            new_node = hash_children(sibling, new_node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_node = hash_children(new_node, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofInvalid("The proof ends below the root.")
    if old_node != old_root or new_node != new_root:
        raise ProofInvalid("The proof leads to other roots.")


def _check_lengths(hashes: Iterable[bytes]) -> None:
    if any(len(node) != HASH_BYTES for node in hashes):
        raise ProofInvalid("A hash in the proof is not 32 bytes long.")
