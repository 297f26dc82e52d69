"""A disk that loses power: it keeps what was synced, and of the rest whatever chance wants.

SQLite writes through the virtual file system below into memory. When the power is cut, writes since a file's last sync
may be there, not be there, be there in part (512-byte sectors), and have reached the platter in any order; a file that
was never synced may be missing altogether. What stood there before and was not written to is never harmed: the same
assumption (powersafe overwrite) that SQLite makes on Unix.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
_POWERSAFE_OVERWRITE = 0x1000


@dataclass
class _Inode:
    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)
    """Writes (offset, data) and truncations (size) since the last sync."""
    is_linked: bool = False


class LossyDisk(apsw.VFS):
    """The disk, under the name by which apsw opens files on it; power goes at the `cut_at`-th write or sync."""

    def __init__(self, name: str, rng: random.Random) -> None:
        super().__init__(name, base="")
        self.name = name
        self.rng = rng
        self.cut_at = -1
        self.operations = 0
        self.is_dead = False
        self._inodes: dict[str, _Inode] = {}

    def put(self, path: str, content: bytes) -> None:
        """Lay a file on the disk, safe and sound."""
        self._inodes[path] = _Inode(bytearray(content), bytearray(content), [], True)

    def after_the_cut(self) -> dict[str, bytes]:
        """Return the files as they are found when power is back."""
        return {
            path: _shuffle_out(self.rng, inode)
            for path, inode in self._inodes.items()
            if inode.is_linked or self.rng.random() < 0.5
        }

    def operate(self) -> None:
        """Count one operation, or be without power from now on."""
        self.operations += 1
        if self.operations == self.cut_at:
            self.is_dead = True
        self.live()

    def live(self) -> None:
        if self.is_dead:
            raise apsw.IOError("no power")

    def xOpen(self, name: Any, flags: list[int]) -> "_File":  # noqa: N802 - SQLite's names
        self.live()
        flags[1] = flags[0]
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _File(self, self._inodes.setdefault(path, _Inode()))

    def xAccess(self, path: str, flags: int) -> bool:  # noqa: N802
        self.live()
        return path in self._inodes

    def xDelete(self, path: str, sync_dir: bool) -> None:  # noqa: N802
        self.operate()
        del self._inodes[path]

    def xFullPathname(self, path: str) -> str:  # noqa: N802
        return path


class _File:
    """An open file on the disk; no locks, for one connection alone opens it."""

    def __init__(self, disk: LossyDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.live()
        return bytes(self._inode.seen[offset : offset + amount])

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._disk.operate()
        written = bytes(data)
        self._inode.pending.append((offset, written))
        _write(self._inode.seen, offset, written)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.operate()
        self._inode.pending.append(size)
        del self._inode.seen[size:]

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.operate()
        self._inode.durable = bytearray(self._inode.seen)
        self._inode.pending.clear()
        self._inode.is_linked = True  # on Unix SQLite syncs the folder of a new file, too

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.live()
        return len(self._inode.seen)

    def xLock(self, level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return _POWERSAFE_OVERWRITE

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        pass


def _write(into: bytearray, offset: int, data: bytes) -> None:
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    into[offset : offset + len(data)] = data


def _shuffle_out(rng: random.Random, inode: _Inode) -> bytes:
    content = bytearray(inode.durable)
    survivors = list(inode.pending)
    if rng.random() < 0.8:  # else in order: only the tail is lost
        rng.shuffle(survivors)
    keep = rng.random()
    for number, change in enumerate(survivors):
        if rng.random() > keep:
            continue
        if isinstance(change, int):
            del content[change:]
            continue
        offset, data = change
        is_torn = rng.random() < 0.3 or number == len(survivors) - 1
        for start in range(0, len(data), SECTOR):
            if not is_torn or rng.random() < 0.5:
                _write(content, offset + start, data[start : start + SECTOR])
    return bytes(content)


def unpack(files: dict[str, bytes], folder: Path) -> None:
    """Write files found after a cut into a real folder."""
    for path, content in files.items():
        (folder / Path(path).name).write_bytes(content)
