"""Power goes in the middle of writing: what was acknowledged is on the disk, whatever became of unsynced writes."""

import contextlib
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from ledger import commissions, databases, deals
from ledger.access import SYSTEM
from ledger.commissions import NewCommission
from ledger.deals import NewDeal
from ledger.log.audit import audit_log
from ledger.log.checkpoint import make_checkpoint
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AuditChain, AuditLog
from ledger.vocabulary import AssetType, CommissionType, DealType, PipelineStage
from tests.api.conftest import People
from tests.support.apsw_driver import Connection, Driver
from tests.support.campaigns import Campaign, rounds
from tests.support.lossy_disk import LossyDisk, unpack

PATH = "/disk/ledger.sqlite3"
STAGES = [stage for stage in PipelineStage if stage.is_open]


class LedgerOnDisk(Ledger):
    """The ledger over an engine of the test's own; its sessions and transactions are the real ones."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._attach(engine, engine.execution_options(dealbook_write=True), settings)


def open_on(disk: LossyDisk, settings: Settings, checkpoint_pages: int) -> Ledger:
    """Open the ledger on the lossy disk, with the pragmas and transactions of the real one.

    Two things differ: one connection holds the file, for apsw's files have no shared memory, and the write-ahead log
    is moved into the database more often, so that cuts meet that too.
    """
    engine = create_engine(
        "sqlite://",
        module=Driver("apsw_driver"),
        creator=lambda: Connection(PATH, disk.name),
        poolclass=StaticPool,
    )

    def hold(connection: Connection, _: Any) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")

    event.listen(engine, "connect", hold)
    event.listen(engine, "connect", databases._set_pragmas)
    event.listen(engine, "begin", databases._begin)
    return LedgerOnDisk(engine, settings)


def work_until_the_lights_go_out(ledger: Ledger, people: People, campaign: Campaign) -> list[tuple[str, int, bytes]]:
    """Write until the disk is dead; return chain, seq and hash of every entry whose commit returned."""
    acknowledged: list[tuple[str, int, bytes]] = []
    opened: list[str] = []
    rng = campaign.rng
    while True:
        try:
            with ledger.write() as session:
                if not opened or rng.random() < 0.1:
                    new = NewDeal(
                        people.anna.id, "Tower", AssetType.OFFICE, DealType.LEASE, note="x" * rng.randrange(3000)
                    )
                    deal_id = deals.open_deal(session, SYSTEM, new).id
                else:
                    deal_id = rng.choice(opened)
                    deal = deals.get_deal(session, SYSTEM, deal_id)
                    kind = rng.randrange(4)
                    if kind == 0:
                        deals.add_contact(session, SYSTEM, deal_id, name="Grace", notes="x" * rng.randrange(9000))
                    elif kind == 1:
                        line = NewCommission(people.anna.id, CommissionType.BONUS, Decimal(100), Decimal("0.1"))
                        with contextlib.suppress(commissions.CommissionAlreadyRecorded):
                            commissions.record_commission(session, SYSTEM, deal_id, line)
                    else:
                        stage = rng.choice([stage for stage in STAGES if stage != deal.pipeline_stage])
                        deals.advance_stage(session, SYSTEM, deal_id, stage, note="moved")
                chain = f"deal:{deal_id}"
                head = session.execute(select(AuditChain.seq, AuditChain.hash).where(AuditChain.chain == chain)).one()
            acknowledged.append((chain, head[0], head[1]))
            if deal_id not in opened:
                opened.append(deal_id)
            if rng.random() < 0.05:
                make_checkpoint(ledger)
        except DBAPIError:
            return acknowledged


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_when_power_goes(
    model_home: tuple[Path, People], campaign: Campaign, tmp_path: Path
) -> None:
    """20 power cuts (1,000 in the long form) at a random write or sync below SQLite.

    Unsynced writes are dropped, torn and reordered at random. Opened again with Python's own SQLite, the ledger holds
    every entry whose commit had returned, verifies against every checkpoint that was signed, and its tables are the
    fold of its log.
    """
    model, people = model_home
    content = (model / "ledger.sqlite3").read_bytes()
    assert not (model / "ledger.sqlite3-wal").exists(), "the model was closed cleanly"
    total = 0
    for number in campaign.each(rounds(20, 1000), "cuts"):
        home = tmp_path / str(number)
        shutil.copytree(model, home)
        settings = Settings(home=home)
        disk = LossyDisk(f"lossy{number}", campaign.rng)
        disk.put(PATH, content)
        disk.cut_at = campaign.rng.randrange(1, 2500)
        ledger = open_on(disk, settings, campaign.rng.choice([10, 50, 200]))
        acknowledged = work_until_the_lights_go_out(ledger, people, campaign)
        assert disk.is_dead, "the work ended before the power went"
        with contextlib.suppress(DBAPIError):
            ledger.close()
        unpack(disk.after_the_cut(), home)
        disk.unregister()
        again = Ledger.open(settings.ledger_address, settings)
        with again.read() as session:
            for chain, seq, digest in acknowledged:
                found = session.scalar(select(AuditLog.hash).where(AuditLog.chain == chain, AuditLog.seq == seq))
                assert found == digest, f"cut {number}: {chain} {seq} was acknowledged and is {found!r}"
            report = audit_log(session, settings, with_state=True)
            assert report.exit_code == 0, report
        again.close()
        total += len(acknowledged)
        shutil.rmtree(home)
    campaign.say(f"{total:,} writes acknowledged before the cuts")
    assert total > rounds(20, 1000)
