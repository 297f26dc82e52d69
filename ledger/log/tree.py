"""The Merkle tree of RFC 6962 over the log: one root that stands for every entry, and short proofs against it.

A leaf is an entry's hash as stored (it already is the leaf hash of RFC 6962); an inner node is SHA-256(0x01 || left ||
right). `CompactRange` keeps the roots of the perfect subtrees alone, so that appending costs O(1) and no entry is read
twice. `HashTree` keeps all of them and makes proofs, which are checked from nothing but sizes and roots (RFC 9162,
2.1.3 and 2.1.4).
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
        """Add leaves in order, level by level: one hash each on average, and few steps beside."""
        nodes = list(leaves)
        size, peaks = self.size + len(nodes), self.peaks
        rest: list[bytes] = []  # the peaks of the new tree, the smallest first
        below = self.size
        while nodes or below:
            if below & 1:
                nodes.insert(0, peaks.pop())
            if len(nodes) & 1:
                rest.append(nodes.pop())
            nodes = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=True)
            ]
            below >>= 1
        self.size, self.peaks = size, rest[::-1]

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


class HashTree:
    """All leaves with the hashes of every complete subtree: the root at any size, and proofs, cost a few look-ups.

    Takes 64 bytes an entry. Appending costs one hash on average; nothing that stands in it ever changes.
    """

    __slots__ = ("_levels",)

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        self.extend(leaves)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0]) // HASH_BYTES

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves in order."""
        self._levels[0] += b"".join(leaves)
        for height, below in enumerate(self._levels):
            is_top = height + 1 == len(self._levels)
            if is_top and len(below) < 2 * HASH_BYTES:
                break
            if is_top:
                self._levels.append(bytearray())  # the loop goes on with it
            above = self._levels[height + 1]
            pairs = range(2 * len(above), len(below) - 2 * HASH_BYTES + 1, 2 * HASH_BYTES)
            above += b"".join([sha256(b"\x01" + below[at : at + 2 * HASH_BYTES]).digest() for at in pairs])

    def leaf(self, index: int) -> bytes:
        """Return leaf number `index`."""
        return bytes(self._levels[0][index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, or over all."""
        return self._root_of(0, self.size if size is None else size)

    def _root_of(self, start: int, end: int) -> bytes:
        """Return the root over leaves `start` to `end`, a range that a tree's splitting leads to."""
        count = end - start
        if count == 0:
            return EMPTY_ROOT
        if count & (count - 1) == 0:
            at = start // count * HASH_BYTES
            return bytes(self._levels[count.bit_length() - 1][at : at + HASH_BYTES])
        middle = start + _split(count)
        return hash_children(self._root_of(start, middle), self._root_of(middle, end))

    def prove_inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the siblings on the way from leaf `index` to the root over the first `size`, lowest first."""
        start, end = 0, self.size if size is None else size
        if not 0 <= index < end <= self.size:
            raise ProofInvalid(f"There is no entry {index} among {end} of {self.size}.")
        proof: list[bytes] = []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._root_of(middle, end))
                end = middle
            else:
                proof.append(self._root_of(start, middle))
                start = middle
        return proof[::-1]

    def prove_consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the proof that the tree over the first `old_size` leaves is the beginning of that over `size`."""
        start, end, is_whole = 0, self.size if size is None else size, True
        if not 1 <= old_size <= end <= self.size:
            raise ProofInvalid(f"A log of {end} of {self.size} entries has no beginning of {old_size} to be proved.")
        proof: list[bytes] = []
        while old_size != end:
            middle = start + _split(end - start)
            if old_size <= middle:
                proof.append(self._root_of(middle, end))
                end = middle
            else:
                proof.append(self._root_of(start, middle))
                start, is_whole = middle, False
        if not is_whole:
            proof.append(self._root_of(start, end))
        return proof[::-1]


def prove_inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings on the way from leaf `index` to the root over `leaves`, lowest first."""
    return HashTree(leaves).prove_inclusion(index)


def prove_consistency(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree over the first `old_size` leaves is the beginning of that over all."""
    return HashTree(leaves).prove_consistency(old_size)


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
