"""Checkpoints from wherever they were kept: the more places, the fewer that an intruder reaches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from ledger.errors import LedgerUnavailable, ProofInvalid
from ledger.log.notes import Checkpoint
from ledger.log.signer_state import read_filed, read_state
from ledger.settings import Settings
from ledger.tables.log import AuditCheckpoint


@dataclass(frozen=True, slots=True)
class Witness:
    """A checkpoint and where it was found; None where something stands that cannot be read as one.

    An outside witness comes from the verifier, not from this installation.
    """

    place: str
    checkpoint: Checkpoint | None
    is_outside: bool = False


def read_own_witnesses(session: Session, settings: Settings) -> Iterator[Witness]:
    """Return the checkpoints of the ledger's table, of the folder of checkpoints and of the signer's memory."""
    table = AuditCheckpoint.__table__
    for size, root, note in session.execute(select(table.c.size, table.c.root, table.c.note).order_by(table.c.size)):
        place = f"the ledger's table, size {size}"
        checkpoint = _parse(note)
        is_repeated = checkpoint is not None and (checkpoint.size, checkpoint.root) == (size, root)
        yield Witness(place, checkpoint if is_repeated else None)
    for place, checkpoint in read_filed(settings.checkpoints_dir):
        if checkpoint is not None or ":" not in place:  # a line cut short by a crash was written again
            yield Witness(f"checkpoints/{place}", checkpoint)
    try:
        state = read_state(settings)
    except LedgerUnavailable:
        yield Witness("keys/signer.json", None)
    else:
        if state is not None:
            yield Witness("keys/signer.json", _parse(state.note))


def read_outside_witnesses(path: Path) -> list[Witness]:
    """Return the checkpoints at `path`: a note, a folder of checkpoints, a published file or a folder of those."""
    if path.is_dir():
        found = [Witness(f"{path}/{place}", checkpoint, True) for place, checkpoint in read_filed(path)]
        return found + [witness for each in sorted(path.glob("marts-*.json")) for witness in _read_manifest(each)]
    if path.suffix == ".duckdb":
        return _read_published(path)
    if path.suffix == ".json":
        return _read_manifest(path)
    if path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines()
        return [Witness(f"{path}:{at}", _parse_line(line), True) for at, line in enumerate(lines, start=1)]
    return [Witness(str(path), _parse(path.read_bytes().decode(errors="replace")), True)]


def _parse(note: object) -> Checkpoint | None:
    try:
        return Checkpoint.parse(note) if isinstance(note, str) else None
    except ProofInvalid:
        return None


def _parse_line(line: bytes) -> Checkpoint | None:
    try:
        return _parse(msgspec.json.decode(line, type=dict[str, object]).get("note"))
    except msgspec.MsgspecError:
        return None


def _read_manifest(path: Path) -> list[Witness]:
    try:
        note = msgspec.json.decode(path.read_bytes(), type=dict[str, object]).get("checkpoint")
    except msgspec.MsgspecError:
        return [Witness(str(path), None, True)]
    return [] if note is None else [Witness(str(path), _parse(note), True)]


def _read_published(path: Path) -> list[Witness]:
    import duckdb

    try:
        with duckdb.connect(str(path), read_only=True) as published:
            rows = published.execute("SELECT checkpoint FROM manifest").fetchall()
    except duckdb.Error:
        return [Witness(str(path), None, True)]
    return [Witness(str(path), _parse(note), True) for (note,) in rows if note is not None]
