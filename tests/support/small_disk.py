"""A file system of a few megabytes that is really full when it is full, mounted for one process and gone with it.

    keeper: unshare --map-root-user --mount ──► mounts a tmpfs, seen by whoever enters its name space (`inside`)

Others reach its files through `/proc/<keeper>/root`. No privilege is needed where the system lets users have name
spaces of their own.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$0" && echo mounted && exec cat'


class NoSmallDisk(Exception):  # noqa: N818 - a fact
    """This system lets nobody mount one."""


@dataclass(frozen=True)
class SmallDisk:
    """`path` is its folder as everybody reaches it, `folder` as those inside see it; `inside` runs a command there."""

    folder: Path
    path: Path
    inside: tuple[str, ...]

    def fill(self, leave: int = 0) -> None:
        """Fill it up, but for `leave` bytes (in whole pages of 4 KiB)."""
        self._run(f"cat /dev/zero >> ballast 2> /dev/null; truncate -s -{leave} ballast")
        assert leave or not self.free

    def make_room(self) -> None:
        """Remove what `fill` put there."""
        self._run("rm ballast")

    @property
    def free(self) -> int:
        """How many bytes it has left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def _run(self, script: str) -> None:
        subprocess.run([*self.inside, "sh", "-c", f'cd "$0" && {{ {script}; }}', self.folder], check=True)


@contextmanager
def mount_small_disk(size: str, user: str | None = None) -> Iterator[SmallDisk]:
    """Have a disk of `size` ("12m") until the end of the block, owned by `user` or by whoever runs this.

    Raises `NoSmallDisk` where that is not possible.
    """
    folder = Path(tempfile.mkdtemp(prefix="dealbook-disk-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _MOUNT, folder, size]
        try:
            keeper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, user=user, cwd="/"
            )
        except FileNotFoundError as error:
            raise NoSmallDisk("There is no `unshare`.") from error
        with keeper:  # at the end its input is closed, it ends, and the disk with it
            assert keeper.stdout is not None
            if keeper.stdout.readline() != b"mounted\n":
                raise NoSmallDisk("Users may not mount anything here.")
            entering = ["nsenter", "--target", str(keeper.pid), "--user", "--mount"]
            entering += ["--preserve-credentials"] if user is None else []
            entering += ["sh", "-c", 'cd "$0" && exec "$@"', str(Path.cwd())]  # entering leads to the root
            yield SmallDisk(folder, Path(f"/proc/{keeper.pid}/root{folder}"), tuple(entering))
            assert keeper.stdin is not None
            keeper.stdin.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
