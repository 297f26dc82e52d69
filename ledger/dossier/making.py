"""Making a dossier: the deal's entries as they were hashed, proofs against a fresh checkpoint, a page, a program.

An entry `heads.recorded` is written for it, which holds the root over the heads of all chains and the hashes of the
files that no proof covers otherwise; then the log is signed. Asked again with nothing new in the log, the same entry
serves and the bytes are the same. No dossier leaves that its own program does not find sound.
"""

import base64
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.access import Action, get_deal
from ledger.actors import SYSTEM, Actor
from ledger.dossier import verify
from ledger.dossier.timeline import OpenedText, render_timeline
from ledger.errors import LedgerNotAnswering, LogNotContinued, ProofInvalid
from ledger.fold import COMMITTED
from ledger.log.checkpoint import make_checkpoint, read_leaves, read_origin, read_size
from ledger.log.entry import Entry, encode_entry
from ledger.log.heads import HeadsEntry, find_heads, record_heads
from ledger.log.key_history import KeyHistory, Standing
from ledger.log.keys import PublicKey, trusted_keys
from ledger.log.notes import Checkpoint
from ledger.log.tree import HashTree
from ledger.rebuild import decode_entry
from ledger.store import settings_of
from ledger.tables import AuditCheckpoint, AuditLog, AuditText, User

if TYPE_CHECKING:
    from ledger.store import Ledger

_ATTEMPTS = 3
_FIXED = (1980, 1, 1, 0, 0, 0)
_CLOSED = {"contact": COMMITTED["contact"]} | {kind: frozenset({"metadata"}) for kind in ("deal", "document")}
"""Commitments that stay closed: personal data of contacts, and data that no reader can be told in words."""


@dataclass(frozen=True, slots=True)
class Dossier:
    """A finished dossier: the name of its file, its bytes, and the receipt of the entry that was written for it."""

    file_name: str
    content: bytes
    receipt: str
    entries: int


def make_dossier(ledger: "Ledger", actor: Actor, deal_id: str) -> Dossier:
    """Write the entry, sign the log, and return the dossier of a deal.

    Raises `DealNotFound` and `NotPermitted`, `LogNotContinued` where the log does not agree with what was signed, and
    `LedgerNotAnswering` where the database does not give the newest entries their place in time.
    """
    for _ in range(_ATTEMPTS):
        made = _try_to_make(ledger, actor, deal_id)
        if made is not None:
            return made
    raise LogNotContinued("The deal's record changes while its dossier is made. Ask for it again.")


def _try_to_make(ledger: "Ledger", actor: Actor, deal_id: str) -> Dossier | None:
    """Return the dossier; None when somebody wrote to the deal between its page and the entry over it."""
    ledger.settle()  # what a full disk kept from getting its place belongs to the evidence
    with ledger.write() as session:
        deal = get_deal(session, actor, deal_id, Action.EXPORT_EVIDENCE)
        bound = _describe_files(_make_bound_files(session, deal.id))
        seq, all_heads = record_heads(session, actor, {"deal_id": deal.id, "files": bound})
    checkpoint = make_checkpoint(ledger)
    with ledger.read() as session:
        heads = find_heads(session, seq)
        if heads.n >= checkpoint.size:  # not the log's fault: its database refused it a place until after the signing
            raise LedgerNotAnswering("The newest entries got their place in the log after it was signed. Try again.")
        size = int(heads.data["size"])
        files = _make_bound_files(session, deal_id, size)
        if _describe_files(files) != bound:
            return None
        rows = _read_chain(session, deal_id, size)
        files["entries.jsonl"] = b"".join(body + b"\n" for _, _, body in rows)
        member = all_heads.prove(f"deal:{deal_id}")
        try:
            files |= _make_proofs(session, member, rows[-1][0], heads, checkpoint)
        except ProofInvalid as error:
            raise LogNotContinued(f"{error.detail} Run `dealbook audit verify`.") from error
        _refuse_unsound(session, files)
    receipt = f"sys;{heads.seq};{heads.hash.hex()}"
    return Dossier(f"dossier-{deal_id}.zip", _pack(files), receipt, len(rows))


def _make_bound_files(session: Session, deal_id: str, size: int | None = None) -> dict[str, bytes]:
    """Return the files whose hashes are written into the log, as the first `size` entries have them."""
    rows = _read_chain(session, deal_id, read_size(session) if size is None else size)
    entries = [decode_entry(digest, body) for _, digest, body in rows]
    people = _read_people(session, entries)
    settings = settings_of(session)
    page = render_timeline(
        entries,
        _open_texts(session, entries),
        {SYSTEM.id: "The system itself"} | {person.id: person.name for person in people},
        {person.id: person.role.value for person in people},
        ZoneInfo(settings.business_timezone),
        read_origin(session),
    )
    return {
        "timeline.html": page.encode(),
        "vkeys.txt": KeyHistory.of(session).render().encode(),
        "verify.py": read_program(),
    }


@lru_cache(maxsize=1)
def read_program() -> bytes:
    """Return the program that travels in every dossier."""
    return Path(str(verify.__file__)).read_bytes()


def _describe_files(files: dict[str, bytes]) -> list[dict[str, str]]:
    return [{"name": name, "sha256": sha256(files[name]).hexdigest()} for name in verify.BOUND]


def _read_chain(session: Session, deal_id: str, size: int) -> list[Any]:
    columns = (AuditLog.n, AuditLog.hash, AuditLog.body)
    query = select(*columns).where(AuditLog.chain == f"deal:{deal_id}", AuditLog.n < size)
    return [(n, digest, body) for n, digest, body in session.execute(query.order_by(AuditLog.seq))]


def _read_people(session: Session, entries: Sequence[Entry]) -> Sequence[User]:
    wanted = {entry.actor_id for entry in entries}
    for entry in entries:
        for columns in (entry.data.get("set", {}), entry.data.get("was", {})):
            wanted |= {columns["agent_id"]} if columns.get("agent_id") else set()
    return session.scalars(select(User).where(User.id.in_(sorted(wanted))).order_by(User.id)).all()


def _open_texts(session: Session, entries: Iterable[Entry]) -> list[OpenedText]:
    """Return what may be shown of the texts that entries commit to."""
    wanted: set[str] = set()
    for entry in entries:
        columns = entry.data.get("set", {})
        shown = COMMITTED.get(entry.subject_kind, frozenset()) - _CLOSED.get(entry.subject_kind, frozenset())
        wanted |= {columns[column] for column in shown if columns.get(column)}
        for holder in (entry.data, entry.data.get("stage_event", {})):
            wanted |= {holder[column] for column in ("note", "reason") if holder.get(column)}
    found = []
    for start in range(0, len(wanted), 5_000):
        some = sorted(wanted)[start : start + 5_000]
        query = select(AuditText.commitment, AuditText.salt, AuditText.text).where(AuditText.commitment.in_(some))
        found += [OpenedText(*row) for row in session.execute(query)]
    return found


def _make_proofs(
    session: Session, member: tuple[int, list[bytes]], head_n: int, heads: HeadsEntry, checkpoint: Checkpoint
) -> dict[str, bytes]:
    tree = HashTree(read_leaves(session, 0))
    if tree.root(checkpoint.size) != checkpoint.root:
        raise ProofInvalid("The entries are not those that were signed.")
    place, path = member
    extra = {"entry": heads.body.decode(), "place": place, "path": [_encode(node) for node in path]}
    older = _find_older(session, tree, heads.n) or checkpoint
    step = tree.prove_consistency(older.size, checkpoint.size)
    return {
        "head.tlog-proof": write_proof(tree, head_n, checkpoint),
        "heads.tlog-proof": write_proof(tree, heads.n, checkpoint, encode_entry(extra)),
        "checkpoint": older.note.encode(),
        "consistency": "\n".join([f"old {older.size}", *map(_encode, step), "", checkpoint.note]).encode(),
    }


def write_proof(tree: HashTree, n: int, checkpoint: Checkpoint, extra: bytes = b"") -> bytes:
    """Return the proof that entry `n` is in the log under `checkpoint` (C2SP tlog-proof)."""
    lines = ["c2sp.org/tlog-proof@v1"]
    if extra:
        lines.append(f"extra {_encode(extra)}")
    lines += [f"index {n}", *map(_encode, tree.prove_inclusion(n, checkpoint.size)), "", checkpoint.note]
    return "\n".join(lines).encode()


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _find_older(session: Session, tree: HashTree, size: int) -> Checkpoint | None:
    """Return the newest checkpoint up to `size` that others may have a copy of: signed, and of this very log."""
    trusted = trusted_keys(settings_of(session).keys_dir)
    history = KeyHistory.of(session)
    query = select(AuditCheckpoint.note).where(AuditCheckpoint.size <= size).order_by(AuditCheckpoint.size.desc())
    for note in session.scalars(query.limit(100)):
        found = Checkpoint.parse(note)
        if found.size == 0 or tree.root(found.size) != found.root:
            continue  # of entries that were given up
        signer = found.check_signature(trusted)
        if signer is not None and history.judge(signer, found.size) is Standing.GOOD:
            return found
    return None


def _refuse_unsound(session: Session, files: dict[str, bytes]) -> None:
    key = PublicKey.parse(KeyHistory.of(session).named[-1])
    given = [verify.Key(key.name, key.key_id, key.public)]
    report = verify.verify(files, given, verify.check_with_cryptography, [])
    if report.exit_code:
        wrong = "; ".join(words for verdict, words in report.lines if verdict != "ok")
        raise LogNotContinued(f"The log does not prove what it should: {wrong}. Run `dealbook audit verify`.")


def _pack(files: dict[str, bytes]) -> bytes:
    """Return the files as one .zip: in their order, uncompressed, without the time or the machine."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in verify.FILES:
            info = zipfile.ZipInfo(name, _FIXED)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, files[name])
    return packed.getvalue()
