"""Making checkpoints, and what happens when the log does not continue the last one.

The signer goes on from the subtree roots that it remembers, so that what it signs always contains what it signed
before, and a checkpoint costs only the entries since then. It refuses when the log is shorter than what was signed, or
holds another entry in the last signed place.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ledger.actors import Actor
from ledger.checks import check_text
from ledger.errors import LedgerNotInitialised, LogNotContinued, NothingToChange, WriteContended
from ledger.log.chain import append_entries, now_utc
from ledger.log.entry import Draft
from ledger.log.keys import SigningKey, load_current_key, load_key, read_introduced_keys, trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.signer_state import (
    RECOVER,
    SignerState,
    file_checkpoint,
    hold_signer,
    read_filed,
    read_latest,
    read_state,
    refuse_unless_continued,
    write_state,
)
from ledger.log.texts import commit_text
from ledger.log.tree import CompactRange
from ledger.settings import Settings
from ledger.tables.log import AuditCheckpoint, AuditLog, LogIdentity

_BATCH = 10_000
log = logging.getLogger(__name__)


class SignedLedger(Protocol):
    """What signing needs of a ledger (`ledger.store.Ledger`)."""

    settings: Settings

    def settle(self) -> None:
        """Give a leaf index to what is committed and has none."""

    def read(self) -> AbstractContextManager[Session]:
        """A snapshot."""

    def write(self) -> AbstractContextManager[Session]:
        """A write transaction."""


def make_checkpoint(ledger: SignedLedger) -> Checkpoint:
    """Sign the log as it stands, file the checkpoint and return it; the last one when nothing was added since.

    Raises `LogNotContinued` when the log lacks or contradicts what was signed before.
    """
    settings = ledger.settings
    ledger.settle()
    with hold_signer(settings):
        with ledger.read() as session:
            origin = read_origin(session)
            state = read_state(settings)
            key = load_current_key(session, settings.keys_dir, origin)
            last, tree = _continue_tree(session, settings, origin, state)
        if state is None or tree.size != state.size:
            state = _sign(settings, origin, tree, last, key)
        _file(ledger, state.checkpoint)
        return state.checkpoint


def recover_log(ledger: SignedLedger, actor: Actor, reason: str) -> Checkpoint:
    """Accept that signed entries are lost: say so in the log, and sign the log as it stands from here on.

    Raises `NothingToChange` when the log continues what was signed.
    """
    settings = ledger.settings
    reason = check_text(reason, "reason", limit=2_000)
    ledger.settle()
    with hold_signer(settings):
        with ledger.read() as session:
            origin = read_origin(session)
            try:
                _continue_tree(session, settings, origin, read_state(settings))
            except LogNotContinued:
                pass
            else:
                raise NothingToChange("The log continues what was signed; there is no loss to accept.")
            known = [checkpoint for _, checkpoint in read_filed(settings.checkpoints_dir) if checkpoint]
            state = read_state(settings)
            if state is not None:
                known.append(state.checkpoint)
            lost = max(known, key=lambda checkpoint: checkpoint.size)
            kept = _kept_size(session, known)
        with ledger.write() as session:
            texts: list[tuple[str, bytes, str]] = []
            data = {
                "kept_size": kept,
                "lost_size": lost.size,
                "lost_root": lost.root.hex(),
                "reason": commit_text(reason, texts, "reason"),
            }
            session.info["may_discontinue"] = True
            drafts = [Draft("sys", "log.recovered", "log", origin, data, texts=texts)]
            vkey = load_key(settings.keys_dir, origin).public_key.vkey
            if vkey not in read_introduced_keys(session):  # the entry of its rotation is among what is lost
                drafts.append(Draft("sys", "key.introduced", "log", origin, {"key": vkey}))
            append_entries(session, actor, drafts)
            session.execute(delete(AuditCheckpoint).where(AuditCheckpoint.size > kept))
        with ledger.read() as session:
            key = load_current_key(session, settings.keys_dir, origin)
            tree, last = CompactRange(), b""
            for last in read_leaves(session, 0):
                tree.append(last)
        state = _sign(settings, origin, tree, last, key)
        _file(ledger, state.checkpoint)
        return state.checkpoint


def read_origin(session: Session) -> str:
    """Return the log's name."""
    origin = session.scalar(select(LogIdentity.origin))
    if origin is None:
        raise LedgerNotInitialised("The log has no name yet. Run `dealbook init`.")
    return origin


def read_size(session: Session) -> int:
    """Return how many entries the log holds."""
    return int(session.scalar(select(func.coalesce(func.max(AuditLog.n), -1))) or 0) + 1


def read_leaves(session: Session, since_n: int) -> Iterator[bytes]:
    """Return the leaf hashes from index `since_n` on; raise `LogNotContinued` where one is missing."""
    due = since_n
    while True:
        query = select(AuditLog.n, AuditLog.hash).where(AuditLog.n >= due).order_by(AuditLog.n).limit(_BATCH)
        rows = session.execute(query).all()
        for n, leaf in rows:
            if n != due or len(leaf) != 32:
                raise LogNotContinued(f"Entry {due} of the log is missing or damaged. Run `dealbook audit verify`.")
            yield leaf
            due += 1
        if not rows:
            return


def _continue_tree(
    session: Session, settings: Settings, origin: str, state: SignerState | None
) -> tuple[bytes, CompactRange]:
    """Return the last leaf and the tree of the log as it stands, or refuse."""
    refuse_unless_continued(settings, read_size(session))
    latest = read_latest(settings)
    if state is None:
        return _first_tree(session, latest)
    if state.origin != origin or (latest is not None and latest.origin != origin):
        raise LogNotContinued(f"What was signed last is of {state.origin}, this log is {origin}. {RECOVER}")
    if latest is not None and latest.size > state.size and latest.check_signature(trusted_keys(settings.keys_dir)):
        return _first_tree(session, latest)  # the folder of keys is the older one
    found = session.scalar(select(AuditLog.hash).where(AuditLog.n == state.size - 1))
    if found != state.last:
        raise LogNotContinued(
            f"Entry {state.size - 1:,} of the log is not the one that was signed. "
            f"Run `dealbook audit verify`. {RECOVER}"
        )
    tree, last = state.tree, state.last
    for last in read_leaves(session, state.size):
        tree.append(last)
    return last, tree


def _first_tree(session: Session, latest: Checkpoint | None) -> tuple[bytes, CompactRange]:
    """Read the whole log, because the signer remembers nothing; the last filed checkpoint must lie on the way."""
    tree, last = CompactRange(), b""
    for last in read_leaves(session, 0):
        tree.append(last)
        if latest is not None and tree.size == latest.size and tree.root() != latest.root:
            raise LogNotContinued(
                f"The first {latest.size:,} entries of the log are not those that were signed. "
                f"Run `dealbook audit verify`. {RECOVER}"
            )
    return last, tree


def _sign(settings: Settings, origin: str, tree: CompactRange, last: bytes, key: SigningKey) -> SignerState:
    checkpoint = Checkpoint.sign(origin, tree.size, tree.root(), key)
    state = SignerState(origin, tree.size, tree.peaks, last, checkpoint.note)
    write_state(settings, state)
    return state


def _file(ledger: SignedLedger, checkpoint: Checkpoint) -> None:
    file_checkpoint(ledger.settings, checkpoint)
    with ledger.read() as session:
        if session.scalar(select(AuditCheckpoint.note).where(AuditCheckpoint.size == checkpoint.size)):
            return
    row = {"size": checkpoint.size, "root": checkpoint.root, "note": checkpoint.note, "signed_at": now_utc()}
    try:
        with ledger.write() as session:
            session.execute(insert(AuditCheckpoint), [row])
    except (
        OperationalError,
        WriteContended,
    ) as error:  # a long import holds the ledger; the copies that count are filed
        log.warning("Checkpoint %s is not in the ledger's own table: %s", checkpoint.size, error)


def _kept_size(session: Session, known: list[Checkpoint]) -> int:
    """Return how much of the log is beyond doubt: all of it when it is merely too short."""
    size = read_size(session)
    if size < max(checkpoint.size for checkpoint in known):
        return size
    roots: dict[int, set[bytes]] = {}
    for checkpoint in known:
        roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
    tree, kept = CompactRange(), 0
    for leaf in read_leaves(session, 0):
        tree.append(leaf)
        if tree.size in roots and tree.root() in roots[tree.size]:
            kept = tree.size
    return kept
