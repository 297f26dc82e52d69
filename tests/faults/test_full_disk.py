"""A full disk stops writing, says so, and harms nothing else."""

import json
import random
import resource
import sqlite3
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from ledger.tables import AuditLog
from tests.faults.conftest import Office
from tests.faults.receipts import Receipts
from tests.support.campaigns import Campaign, rounds
from tests.support.served_api import wait_until

FULL = {(507, "/problems/disk-full"), (503, "/problems/ledger-not-answering")}
WRITERS = 4
AUTOCHECKPOINT = 1000 * 4096
"""SQLite moves its write-ahead log into the main file once it is so long."""


class Writer(threading.Thread):
    """Writes without pause until told to stop; every answer is a success or says that the disk is full."""

    def __init__(self, office: Office, deal: str, receipts: Receipts, seed: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._office, self._deal, self._receipts, self._stopping = office, deal, receipts, stopping
        self._rng = random.Random(seed)
        self.written = 0
        self.refused: set[str] = set()
        self.unexpected = ""

    def run(self) -> None:
        caller = self._office.caller()
        for number in count():
            if self._stopping.is_set():
                break
            title = f"{self.name} {number}"
            body = {"title": title, "description": f"{number}" + "x" * self._rng.choice([0, 500, 4000, 19_000])}
            answer = caller.send("PATCH", self._deal, body, If_Match="*")
            if answer.status == 200:
                self._receipts.keep(answer)
                self.written += 1
                continue
            problem = answer.json()
            says_so = (answer.status, problem["type"]) in FULL and "othing was changed" in problem["detail"]
            if not says_so or not int(answer.headers.get("retry-after", 0)):
                self.unexpected = f"{answer.status} {answer.content[:500]!r}"
                break
            self.refused.add(title)
        caller.close()


class Disk:
    """The disk of one server: its files may be as long as `fill` says, until room is made again.

    The limit is one of the running process, set and lifted from outside; other files of the machine are not touched.
    """

    def __init__(self, office: Office) -> None:
        self._served = office.served
        self._main = Path(office.settings.ledger_address.removeprefix("sqlite:///"))
        self._wal = self._main.with_name(self._main.name + "-wal")
        assert self._main.exists(), "the campaign looks at the wrong file"

    def fill(self, limit: int) -> None:
        resource.prlimit(self._served.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        self.fill(resource.RLIM_INFINITY)

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


KINDS: tuple[Callable[[Disk, random.Random], int], ...] = (_in_the_wal, _little, _in_the_wal, _in_the_main_file)


@pytest.mark.only_on("sqlite")
@pytest.mark.soak
def test_a_full_disk_is_said_readers_go_on_and_writing_resumes(office: Office, campaign: Campaign) -> None:
    """10 times (100 in the long form) the disk fills up at a random byte amid four writers.

    It ends within the write-ahead log, within the main file while the log is moved over, or within the files of signed
    checkpoints. Each write is answered with success or with 507 or 503 that says what to do; reads go on; once there is
    room, every writer goes on without a restart. Then whatever was acknowledged is there, nothing that was refused is,
    the log verifies, and the tables are its fold.
    """
    receipts, disk = Receipts(), Disk(office)
    caller = office.caller()
    deal = f"/api/v1/deals/{office.open_deal(caller)}"
    pid, refused = office.served.pid, 0
    for number in campaign.each(rounds(10, 100)):
        stopping = threading.Event()
        writers = [Writer(office, deal, receipts, campaign.rng.randrange(2**32), stopping) for _ in range(WRITERS)]
        kind = KINDS[number % len(KINDS)]
        limit = kind(disk, campaign.rng)
        for writer in writers:
            writer.start()

        def all_have(what: Callable[[Writer], bool], writers: list[Writer] = writers) -> Callable[[], bool]:
            return lambda: all(what(writer) or not writer.is_alive() for writer in writers)

        wait_until(all_have(lambda writer: writer.written > 1), "nobody writes")
        if kind is _in_the_wal:
            limit = kind(disk, campaign.rng)
        disk.fill(limit)
        if kind is _in_the_main_file:
            wait_until(lambda: disk.wal_size() > 1.5 * AUTOCHECKPOINT, "it was moved over, and that was to fail")
            disk.fill(_in_the_wal(disk, campaign.rng))
        wait_until(all_have(lambda writer: bool(writer.refused)), f"the disk never was full: {kind.__name__} {limit}")
        if kind is _little:
            wait_until(lambda: any(office.settings.keys_dir.glob(".*.new")), "no checkpoint was cut off")
        assert caller.send("GET", deal).status == 200
        assert caller.send("GET", "/api/v1/deals?limit=200").status == 200
        disk.make_room()
        for writer in writers:
            writer.written = 0
        wait_until(all_have(lambda writer: writer.written > 1), "writing did not resume")
        stopping.set()
        for writer in writers:
            writer.join(60)
            assert not writer.unexpected, writer.unexpected
        with office.ledger.read() as session:
            receipts.check_new(session)
            bodies = session.scalars(select(AuditLog.body).where(AuditLog.chain == f"deal:{deal[-36:]}")).all()
        titles = {json.loads(body)["data"].get("set", {}).get("title") for body in bodies}
        for writer in writers:
            refused += len(writer.refused)
            assert not writer.refused & titles, "what was refused is in the log"
        office.assert_sound()
    assert office.served.pid == pid, "the server was not to be started again"
    wait_until(lambda: _is_signed(office), "the log is not signed any more")
    caller.close()
    campaign.say(f"{len(receipts.kept):,} writes acknowledged, {refused:,} refused")


def _is_signed(office: Office) -> bool:
    """Whether a checkpoint covers the whole log."""
    caller = office.caller()
    answer = caller.send("GET", "/api/v1/audit/checkpoint")
    caller.close()
    with office.ledger.read() as session:
        newest = session.scalar(select(AuditLog.n).order_by(AuditLog.n.desc()).limit(1))
    return answer.status == 200 and newest is not None and answer.json()["size"] == newest + 1
