"""Proofs about the log, made for clients from a tree that is kept in memory and only ever grows.

The tree takes 64 bytes an entry. It is extended from the ledger when a newer checkpoint is asked about, and nothing is
proved that does not lead to the root which was signed.
"""

import threading

from ledger.errors import Invalid, LogNotContinued
from ledger.log.checkpoint import read_leaves
from ledger.log.notes import Checkpoint
from ledger.log.signer_state import read_latest
from ledger.log.tree import HashTree
from ledger.store import Ledger


class LogProofs:
    """The newest checkpoint, and proofs up to its size."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tree = HashTree()
        self._lock = threading.Lock()

    def newest(self) -> Checkpoint:
        """Return the newest checkpoint as it was filed."""
        found = read_latest(self._ledger.settings)
        if found is None:
            raise LogNotContinued("There is no checkpoint of the log. Run `dealbook audit checkpoint`.")
        return found

    def tree_of(self, size: int | None = None) -> tuple[HashTree, int, Checkpoint]:
        """Return a tree that holds at least the first `size` entries, that size, and the newest checkpoint.

        Without a size it is that of the newest checkpoint; what is not signed yet cannot be proved.
        """
        newest = self.newest()
        if size is None:
            size = newest.size
        if not 1 <= size <= newest.size:
            raise Invalid(f"Proofs reach from size 1 to the newest checkpoint's, which is {newest.size:,} now.", "size")
        with self._lock:
            if self._tree.size < newest.size:
                with self._ledger.read() as session:
                    self._tree.extend(list(read_leaves(session, self._tree.size)))
            if self._tree.root(newest.size) != newest.root:
                self._tree = HashTree()  # a loss was accepted meanwhile, or the log was tampered with: look again
                with self._ledger.read() as session:
                    self._tree.extend(list(read_leaves(session, 0)))
            if self._tree.size < newest.size or self._tree.root(newest.size) != newest.root:
                raise LogNotContinued("The log does not agree with its newest checkpoint. Run `dealbook audit verify`.")
            return self._tree, size, newest
