"""A full disk stops writing, says so, and harms nothing else."""

import random
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from ledger.tables import AuditLog
from tests.faults.conftest import Office
from tests.faults.disk_writers import DiskWriters
from tests.support.campaigns import Campaign, rounds
from tests.support.served_api import wait_until

AUTOCHECKPOINT = 1000 * 4096
"""SQLite moves its write-ahead log into the main file once it is so long."""


class Disk:
    """The disk of one server: its files may be as long as `fill` says, until room is made again.

    The limit is one of the running process, set and lifted from outside; other files of the machine are not touched.
    The database alone may be held to a number of pages, of which SQLite itself says that it is full.
    """

    def __init__(self, office: Office) -> None:
        assert office.page_limit is not None
        self._keys = office.settings.keys_dir
        self._page_limit = office.page_limit
        self._served = office.served
        self._main = Path(office.settings.ledger_address.removeprefix("sqlite:///"))
        self._wal = self._main.with_name(self._main.name + "-wal")
        assert self._main.exists(), "the campaign looks at the wrong file"

    def fill(self, limit: int) -> None:
        resource.prlimit(self._served.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def fill_pages(self) -> None:
        self._page_limit.touch()

    def make_room(self) -> None:
        self.fill(resource.RLIM_INFINITY)
        self._page_limit.unlink(missing_ok=True)

    def tells_of_a_file_cut_off(self) -> Callable[[], bool]:
        """Return what says whether from now on the signer began a file and did not finish it."""

        def look() -> tuple[int, int]:
            return self._keys.stat().st_mtime_ns, (self._keys / "signer.json").stat().st_mtime_ns

        before = look()
        return lambda: look()[0] > before[0] and look()[1] == before[1]

    def wal_size(self) -> int:
        return self._wal.stat().st_size if self._wal.exists() else 0

    def main_size(self) -> int:
        return self._main.stat().st_size

    def run(self, *statements: str) -> None:
        connection = sqlite3.connect(self._main, timeout=60, isolation_level=None)
        for statement in statements:
            connection.execute(statement).fetchall()
        connection.close()


def _little(disk: Disk, rng: random.Random) -> int:
    """Hardly any room: what the signer writes of a signed checkpoint is cut off in the middle."""
    return rng.randrange(200)


def _in_the_wal(disk: Disk, rng: random.Random) -> int:
    """A little more than the write-ahead log has: it ends within a transaction's pages."""
    return disk.wal_size() + rng.randrange(200_000)


def _in_the_main_file(disk: Disk, rng: random.Random) -> int:
    """A little more than the main file has, the write-ahead log being empty: once it is long, moving it over fails."""
    wanted = 2 * AUTOCHECKPOINT - disk.main_size()
    if wanted > 0:
        disk.run("CREATE TABLE IF NOT EXISTS ballast (bytes BLOB)", f"INSERT INTO ballast VALUES (zeroblob({wanted}))")
    disk.run("PRAGMA wal_checkpoint(TRUNCATE)")
    return disk.main_size() + rng.randrange(60_000)


def _of_pages(disk: Disk, rng: random.Random) -> int:
    """No limit to any file: SQLite may use no further page."""
    return resource.RLIM_INFINITY


KINDS: tuple[Callable[[Disk, random.Random], int], ...] = (
    _in_the_wal, _little, _of_pages, _in_the_wal, _in_the_main_file,
)  # fmt: skip


@pytest.mark.only_on("sqlite")
@pytest.mark.soak
def test_a_full_disk_is_said_readers_go_on_and_writing_resumes(office: Office, campaign: Campaign) -> None:
    """10 times (100 in the long form) the disk fills up at a random byte amid four writers.

    It ends within the write-ahead log, within the main file while the log is moved over, within the files of signed
    checkpoints, or the database has all the pages it may have. Each write is answered with success or with 507 or 503
    that says what to do, 507 where SQLite knows; reads go on; once there is room, every writer goes on without a
    restart. Then whatever was acknowledged is there, nothing that was refused is, the log verifies, and the tables are
    its fold.
    """
    disk = Disk(office)
    caller = office.caller()
    deal = f"/api/v1/deals/{office.open_deal(caller)}"
    pid, refused, acknowledged = office.served.pid, 0, 0
    for number in campaign.each(rounds(10, 100)):
        writers = DiskWriters(office, deal, campaign.rng)
        kind = KINDS[number % len(KINDS)]
        limit = kind(disk, campaign.rng)
        writers.start()
        writers.wait_until_written()
        if kind is _in_the_wal:
            limit = kind(disk, campaign.rng)
        disk.fill(limit)
        if kind is _of_pages:
            disk.fill_pages()
        if kind is _in_the_main_file:
            wait_until(lambda: disk.wal_size() > 1.5 * AUTOCHECKPOINT, "it was moved over, and that was to fail")
            disk.fill(_in_the_wal(disk, campaign.rng))
        writers.wait_until_refused(f"{kind.__name__} {limit}")
        if kind is _little:
            wait_until(disk.tells_of_a_file_cut_off(), "no checkpoint was cut off")
        assert caller.send("GET", deal).status == 200
        assert caller.send("GET", "/api/v1/deals?limit=200").status == 200
        disk.make_room()
        writers.wait_until_written()
        writers.stop()
        if kind is _of_pages:
            assert writers.statuses == {507}
        with office.ledger.read() as session:
            acknowledged += writers.receipts.check_new(session)
        writers.assert_none_refused_is_there(office.ledger)
        refused += len(writers.refused)
        office.assert_sound()
    assert office.served.pid == pid, "the server was not to be started again"
    wait_until(lambda: _is_signed(office), "the log is not signed any more")
    caller.close()
    campaign.say(f"{acknowledged:,} writes acknowledged, {refused:,} refused")


def _is_signed(office: Office) -> bool:
    """Whether a checkpoint covers the whole log."""
    caller = office.caller()
    answer = caller.send("GET", "/api/v1/audit/checkpoint")
    caller.close()
    with office.ledger.read() as session:
        newest = session.scalar(select(AuditLog.n).order_by(AuditLog.n.desc()).limit(1))
    return answer.status == 200 and newest is not None and answer.json()["size"] == newest + 1
