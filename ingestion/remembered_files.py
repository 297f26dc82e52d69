"""The reference files that were loaded, remembered beside the warehouse: a copy of each, and `loaded.jsonl`, in order.

A warehouse made from nothing gets the same figures from them, in the same order, from the same moments; a replay gets
those that were known at the time.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

INDEX_NAME = "loaded.jsonl"


@dataclass(frozen=True)
class RememberedFile:
    """A reference file that was loaded: the name of its copy, its own name, its digest (hex) and the moment (ISO)."""

    copy: str
    name: str
    sha256: str
    loaded_at: str

    @property
    def loaded_when(self) -> datetime:
        """The moment at which it was loaded."""
        return datetime.fromisoformat(self.loaded_at)


def remembered_files(memory: Path) -> list[RememberedFile]:
    """Return the files in the order in which they were first loaded, each once; none where none was."""
    try:
        lines = (memory / INDEX_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    files = [RememberedFile(**json.loads(line)) for line in lines]
    return list({file.sha256: file for file in reversed(files)}.values())[::-1]


def remember_file(memory: Path, path: Path, name: str, digest: str, loaded_at: datetime) -> None:
    """Keep a copy of the file and note it, on disk before the warehouse commits."""
    memory.mkdir(parents=True, exist_ok=True)
    file = RememberedFile(f"{digest[:16]}-{name}", name, digest, loaded_at.isoformat())
    (memory / file.copy).write_bytes(path.read_bytes())
    _note(memory, file)


def copy_remembered_files(memory: Path, files: Iterable[RememberedFile], to: Path) -> None:
    """Give another folder these files to remember: a warehouse made beside it gets their figures."""
    to.mkdir(parents=True, exist_ok=True)
    for file in files:
        (to / file.copy).write_bytes((memory / file.copy).read_bytes())
        _note(to, file)


def digest_of_files(digests: Iterable[str]) -> str:
    """Return the SHA-256 (hex) over files' digests (hex) in order."""
    digest = sha256()
    for file in digests:
        digest.update(bytes.fromhex(file))
    return digest.hexdigest()


def _note(memory: Path, file: RememberedFile) -> None:
    with (memory / INDEX_NAME).open("a", encoding="utf-8") as index:
        index.write(json.dumps(asdict(file), ensure_ascii=False) + "\n")
        index.flush()
        os.fsync(index.fileno())
