"""What the signer remembers outside the database: the tree it signed last, so that it never signs another history.

    keys/signer.json            size, subtree roots, last leaf and note of the last checkpoint
    checkpoints/checkpoint      the last checkpoint as a signed note
    checkpoints/<day>.jsonl     every checkpoint of a day, one a line, only ever appended to

The ledger's database may be edited or replaced by an old backup; these files then still know better.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from ledger.errors import LogNotContinued, ProofInvalid
from ledger.log.keys import write_private
from ledger.log.notes import Checkpoint
from ledger.log.tree import CompactRange
from ledger.settings import Settings

STATE_NAME = "signer.json"
LATEST_NAME = "checkpoint"
RECOVER = (
    "Put the newest copy of the ledger back. If what is missing is lost for good, "
    "`dealbook audit recover --accept-loss --reason …` writes the loss into the log; "
    "to begin a new log, move the folders `keys` and `checkpoints` away as well."
)


class SignerState(msgspec.Struct, frozen=True):
    """The tree of the last checkpoint: its subtree roots, its last leaf, and the note that was signed."""

    origin: str
    size: int
    peaks: list[bytes]
    last: bytes
    note: str

    @property
    def tree(self) -> CompactRange:
        """The tree, to be extended."""
        return CompactRange(self.size, self.peaks)

    @property
    def checkpoint(self) -> Checkpoint:
        """The last checkpoint."""
        return Checkpoint.parse(self.note)


@contextmanager
def hold_signer(settings: Settings) -> Iterator[None]:
    """One signer at a time; the operating system frees the lock of a process that dies."""
    settings.keys_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(settings.keys_dir / ".signer.lock", os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_state(settings: Settings) -> SignerState | None:
    """Return what was signed last; None before the first checkpoint."""
    path = settings.keys_dir / STATE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=SignerState)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LogNotContinued(
            f"{path} cannot be read, so nobody knows what was signed last. Restore it, or remove it: "
            "the last checkpoint in the folder of checkpoints then says it."
        ) from error


def write_state(settings: Settings, state: SignerState) -> None:
    """Remember what was signed, durably, before anybody is shown it."""
    write_private(settings.keys_dir / STATE_NAME, msgspec.json.encode(state))


def read_latest(settings: Settings) -> Checkpoint | None:
    """Return the checkpoint in the folder, its signature unchecked; None where there is none."""
    try:
        return Checkpoint.parse((settings.checkpoints_dir / LATEST_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def file_checkpoint(settings: Settings, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into the folder, unless it is the last one there."""
    folder = settings.checkpoints_dir
    folder.mkdir(parents=True, exist_ok=True)
    latest = folder / LATEST_NAME
    if latest.exists() and latest.read_text(encoding="utf-8") == checkpoint.note:
        return
    signed_at = datetime.now(UTC)
    line = msgspec.json.encode({"size": checkpoint.size, "signed_at": signed_at, "note": checkpoint.note})
    with (folder / f"{signed_at:%Y-%m-%d}.jsonl").open("ab") as day:
        if day.tell() and not _ends_in_newline(Path(day.name)):
            line = b"\n" + line  # the line before was cut short by a crash
        day.write(line + b"\n")
        day.flush()
        os.fsync(day.fileno())
    write_private(latest, checkpoint.note.encode())


def read_filed(folder: Path) -> Iterator[tuple[str, Checkpoint | None]]:
    """Return (where it stands, checkpoint) for all in a folder of checkpoints; None where a line cannot be read."""
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                yield f"{path.name}:{number}", Checkpoint.parse(msgspec.json.decode(line)["note"])
            except (msgspec.DecodeError, ProofInvalid, KeyError, TypeError, AttributeError):
                yield f"{path.name}:{number}", None
    latest = folder / LATEST_NAME
    if latest.exists():
        try:
            yield latest.name, Checkpoint.parse(latest.read_text(encoding="utf-8"))
        except (ProofInvalid, UnicodeDecodeError):
            yield latest.name, None


def _ends_in_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


_sizes: dict[Path, tuple[tuple[int, int, int], int]] = {}


def signed_size(settings: Settings) -> int:
    """Return the size of the log when it was signed last, as the files outside the database have it; 0 for never."""
    state, latest = _files_below(settings.home)
    return max(_size_in(state), _size_in(latest))


@lru_cache(maxsize=64)
def _files_below(home: Path) -> tuple[Path, Path]:
    """Return the two files that know the size; every write asks, and joining their paths took longer than asking."""
    settings = Settings(home=home)
    return settings.keys_dir / STATE_NAME, settings.checkpoints_dir / LATEST_NAME


def _size_in(path: Path) -> int:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return 0
    mark = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
    known = _sizes.get(path)
    if known is None or known[0] != mark:
        content = path.read_bytes()
        try:
            if path.name == STATE_NAME:
                size = msgspec.json.decode(content, type=SignerState).size
            else:
                size = Checkpoint.parse(content.decode()).size
        except (msgspec.DecodeError, ProofInvalid, UnicodeDecodeError) as error:
            raise LogNotContinued(f"{path} cannot be read, so nobody knows what was signed last. {RECOVER}") from error
        known = _sizes[path] = (mark, size)
    return known[1]


def refuse_unless_continued(settings: Settings, size: int) -> None:
    """Raise `LogNotContinued` when a log of `size` entries lacks some that were signed."""
    signed = signed_size(settings)
    if size < signed:
        raise LogNotContinued(
            f"The ledger holds {size:,} log entries, but {signed:,} were signed: it is an old copy, or entries were "
            f"removed. Nothing may be written until that is settled; reading goes on. {RECOVER}"
        )
