"""Every class of tampering is found, at random places in logs of random content; clean logs raise no alarm.

A few logs are lived through and copied for every round: some with a key that was rotated, or personal data erased.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ledger import access, commissions, deals
from ledger.actors import SYSTEM
from ledger.dossier.making import make_dossier
from ledger.log.audit import AuditReport, audit_log
from ledger.log.checkpoint import make_checkpoint, recover_log
from ledger.log.heads import record_heads
from ledger.log.key_changes import revoke_key, rotate_key
from ledger.log.keys import list_private_keys
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.tables import AgentDeal, AuditLog
from ledger.vocabulary import PipelineStage
from tests.support.campaigns import Campaign, rounds
from tests.support.intruder import CLASSES, Break, dump, edit_a_table, put_back
from tests.support.ledger import Staff, open_some_deal, record_some_commission, record_staff, run
from tests.support.stores import POSTGRESQL, SQLITE, Kept, Store

LIVES, LONG_LIVES = {SQLITE: 4, POSTGRESQL: 2}, 12
TIMES, LONG_TIMES = {SQLITE: 50, POSTGRESQL: 8}, {SQLITE: 1000, POSTGRESQL: 200}
CLEAN, LONG_CLEAN = {SQLITE: 100, POSTGRESQL: 10}, {SQLITE: 1000, POSTGRESQL: 200}
"""How often; on a server it takes longer to lay a log out."""


def live(ledger: Ledger, staff: Staff, rng: random.Random, turns: int) -> None:
    """Do ordinary work, signing now and then."""
    opened = [open_some_deal(ledger, staff.agent) for _ in range(3)]
    for _ in range(turns):
        deal = rng.choice(opened)
        act = rng.randrange(5)
        if act == 0:
            opened.append(open_some_deal(ledger, staff.agent, title=f"Tower {rng.random()}"))
        elif act == 1:
            run(ledger, deals.change_deal, staff.agent, deal.id, {"lead_source": f"fair {rng.random()}"})
        elif act == 2:
            stages = [PipelineStage.PROPOSAL, PipelineStage.NEGOTIATION, PipelineStage.AGREEMENT]
            with ledger.read() as session:
                present = access.get_deal(session, staff.agent, deal.id).pipeline_stage
            run(ledger, deals.advance_stage, staff.agent, deal.id, rng.choice([s for s in stages if s != present]))
        elif act == 3:
            run(ledger, record_heads, SYSTEM)
        else:
            commission = record_some_commission(ledger, staff.manager, open_some_deal(ledger, staff.agent))
            changes = {"commission_rate": Decimal("0.0300")}
            run(ledger, commissions.change_commission, staff.manager, commission.id, changes)
        if rng.random() < 0.3:
            make_checkpoint(ledger)


def erase_someone(ledger: Ledger, staff: Staff) -> None:
    """Record a contact and erase what is personal in it."""
    deal = open_some_deal(ledger, staff.agent)
    contact = run(ledger, deals.add_contact, staff.agent, deal.id, contact_type="tenant", name="Siti", notes="met")
    run(ledger, deals.erase_contact, staff.agent, deal.id, contact.id)


def rotate(ledger: Ledger, *, is_revoked: bool) -> None:
    """Let another key take over, and when `is_revoked` trust the old one no further than half-way."""
    [old] = [path.stem for path in list_private_keys(ledger.settings.keys_dir)]
    size = make_checkpoint(ledger).size
    rotate_key(ledger, SYSTEM)
    if is_revoked:
        revoke_key(ledger, SYSTEM, old, size // 2, "a laptop was stolen")


class Bench:
    """One place where log after log is laid out: what SQLAlchemy has learned of our statements serves them all."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self.home = store, folder / "home"
        self._ledger: Ledger | None = None

    def lay_out(self, life: "Life") -> Settings:
        shutil.rmtree(self.home, ignore_errors=True)
        return self._store.copy(life.kept, self.home)

    @contextmanager
    def open(self, settings: Settings) -> Iterator[Ledger]:
        if self._ledger is None:
            self._ledger = Ledger.open(settings=settings)
        yield self._ledger
        self._ledger.close()  # its connections; the next log lies at the same place

    def audit(self, settings: Settings, **options: Any) -> AuditReport:
        with self.open(settings) as ledger, ledger.read() as session:
            return audit_log(session, settings, **options)


@dataclass(frozen=True)
class Life:
    """A finished log, a dump of its database from half-way, the people in it, and the entries of its deals."""

    kept: Kept
    early: Path
    staff: Staff
    entries: list[tuple[bytes, bytes]]


Lives = Callable[[Store], list[Life]]


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """Logs of one content in every run: what is random is what happens to them."""
    made: dict[Store, list[Life]] = {}

    def make(store: Store) -> list[Life]:
        if store not in made:
            numbers = range(rounds(LIVES[store.name], LONG_LIVES))
            made[store] = [lead_a_life(store, tmp_path_factory.mktemp(f"life{number}"), number) for number in numbers]
        return made[store]

    return make


def lead_a_life(store: Store, folder: Path, number: int) -> Life:
    settings = store.new(folder / "home")
    ledger = initialise(settings)
    staff, rng = record_staff(ledger), random.Random(number)
    live(ledger, staff, rng, 6)
    early = dump(settings, folder / "early")
    if number % 2:
        rotate(ledger, is_revoked=number % 4 == 3)
    live(ledger, staff, rng, 6)
    if number % 3 == 0:
        erase_someone(ledger, staff)
    make_checkpoint(ledger)
    with ledger.read() as session:
        rows = session.execute(select(AuditLog.body, AuditLog.hash).where(AuditLog.chain.startswith("deal:")))
        entries = [(body, digest) for body, digest in rows]
    ledger.close()
    put_back(settings, dump(settings, folder / "whole"))  # nothing is left in a write-ahead log
    return Life(store.keep(settings), early, staff, entries)


@pytest.mark.soak
@pytest.mark.parametrize("tamper", CLASSES, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found(
    tamper: Callable[[Break], None], store: Store, lives: Lives, campaign: Campaign, tmp_path: Path
) -> None:
    """Each class many times, at a random place of a random log."""
    bench, known = Bench(store, tmp_path), lives(store)
    for number in campaign.each(rounds(TIMES[store.name], LONG_TIMES[store.name])):
        at = campaign.rng.randrange(len(known))
        settings = bench.lay_out(known[at])
        broken = Break(settings, campaign.rng, known[at].early, known[at - 1].entries)
        tamper(broken)
        broken.hands.let_go()
        report = bench.audit(settings, with_state=tamper is edit_a_table)  # the log must tell by itself
        assert report.exit_code == 1, f"life {at}, round {number}: {report}"
        assert report.findings


@pytest.mark.soak
def test_clean_logs_raise_no_alarm(store: Store, lives: Lives, campaign: Campaign, tmp_path: Path) -> None:
    """Worked on, texts erased, keys rotated and revoked, a loss accepted, a line of the checkpoints cut short; each log
    also since the last checkpoint alone, and with the tables compared."""
    bench, known = Bench(store, tmp_path), lives(store)
    for number in campaign.each(rounds(CLEAN[store.name], LONG_CLEAN[store.name])):
        rng = campaign.rng
        life = rng.choice(known)
        settings = bench.lay_out(life)
        is_recovered = rng.random() < 0.3
        if is_recovered:
            put_back(settings, life.early)
        done = []
        with bench.open(settings) as ledger:
            if is_recovered:
                done.append("recovered")
                recover_log(ledger, SYSTEM, "the disk failed")
            for words in ("erased", "rotated", "revoked", "evidence", "worked on"):
                if rng.random() < 0.25:
                    done.append(words)
                    disturb(words, ledger, life.staff, rng)
            if rng.random() < 0.3:
                make_checkpoint(ledger)
        if rng.random() < 0.2:
            [*_, day] = sorted((bench.home / "checkpoints").glob("*.jsonl"))
            day.write_bytes(day.read_bytes() + b'{"size": 12, "signed_at": "20')
            done.append("cut short")
        report = bench.audit(settings, with_state=True)
        assert (report.exit_code, report.findings, report.undecided) == (0, [], []), f"round {number}: {done}"
        assert any("a loss was accepted" in note for note in report.notes) == is_recovered
        assert bench.audit(settings, since_last=True).exit_code == 0, f"round {number}: {done}"


def disturb(words: str, ledger: Ledger, staff: Staff, rng: random.Random) -> None:
    """Do something that is no tampering."""
    match words:
        case "erased":
            erase_someone(ledger, staff)
        case "rotated" | "revoked":
            rotate(ledger, is_revoked=words == "revoked")
        case "evidence":
            make_dossier(ledger, SYSTEM, some_deal(ledger, rng))
        case "worked on":
            open_some_deal(ledger, staff.agent)


def some_deal(ledger: Ledger, rng: random.Random) -> str:
    with ledger.read() as session:
        return rng.choice(session.scalars(select(AgentDeal.id).order_by(AgentDeal.id)).all())
