"""Every class of tampering is found, at random places in logs of random content; clean logs raise no alarm.

The intruder edits the database file at will, triggers and all, and knows how entries are hashed: where a class allows
it, hashes, links and heads are made to fit again. What stays out of reach is the folder of checkpoints and keys.
A failure names its seed.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger import access, commissions, deals
from ledger.actors import SYSTEM
from ledger.log.audit import AuditReport, audit_log
from ledger.log.checkpoint import make_checkpoint, recover_log
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import PipelineStage
from tests.support.ledger import Staff, open_some_deal, record_some_commission, record_staff, run

SEEDS = range(5)
encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass
class Break:
    """A finished log on disk, open to an intruder."""

    home: Path
    db: sqlite3.Connection
    rng: random.Random
    early: Path
    other: Path

    def rows(self, where: str = "1") -> list[tuple[Any, ...]]:
        return self.db.execute(
            f"SELECT n, chain, seq, hash, prev, body FROM audit_logs WHERE {where} ORDER BY n"
        ).fetchall()

    def size(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM audit_logs").fetchone()[0])

    def some_deal_chain(self) -> str:
        query = (
            "SELECT chain FROM audit_logs WHERE chain LIKE 'deal:%' GROUP BY chain HAVING count(*) > 2 ORDER BY chain"
        )
        return str(self.rng.choice(self.db.execute(query).fetchall())[0])

    def rehash(self, chain: str) -> None:
        """Make the chain's hashes, links, sequence and head fit what its bodies say now."""
        prev, seq = bytes(32), 0
        for n, _, _, _, _, body in self.rows(f"chain = '{chain}'"):
            seq += 1
            document = msgspec.json.decode(body) | {"seq": seq, "prev": prev.hex()}
            new = encode(document)
            digest = sha256(b"\x00" + new).digest()
            self.db.execute(
                "UPDATE audit_logs SET seq = ?, prev = ?, hash = ?, body = ? WHERE n = ?", (seq, prev, digest, new, n)
            )
            prev = digest
        self.db.execute("DELETE FROM audit_chains WHERE chain = ? AND ? = 0", (chain, seq))
        self.db.execute("UPDATE audit_chains SET seq = ?, hash = ? WHERE chain = ?", (seq, prev, chain))


def flip_a_bit(it: Break) -> None:
    n, _, _, digest, _, body = it.rng.choice(it.rows())
    column, value = it.rng.choice([("body", body), ("hash", digest)])
    changed = bytearray(value)
    changed[it.rng.randrange(len(changed))] ^= 1 << it.rng.randrange(8)
    it.db.execute(f"UPDATE audit_logs SET {column} = ? WHERE n = ?", (bytes(changed), n))


def edit_a_column(it: Break) -> None:
    edits = {"type": "deal.opened2", "at": "2024-01-01T00:00:00.000000Z", "effective_at": "soon", "actor_id": "x"}
    edits |= {"subject_id": "y", "subject_kind": "user2", "chain": "deal:other", "seq": "77x", "prev": "text"}
    column, value = it.rng.choice(list(edits.items()))
    it.db.execute(f"UPDATE audit_logs SET {column} = ? WHERE n = ?", (value, it.rng.randrange(it.size())))


def edit_and_rehash_a_row(it: Break) -> None:
    n, _, _, _, _, body = it.rng.choice(it.rows("chain LIKE 'deal:%'"))
    document = msgspec.json.decode(body)
    document["actor"]["role"] = "viewer"
    new = encode(document)
    it.db.execute("UPDATE audit_logs SET body = ?, hash = ? WHERE n = ?", (new, sha256(b"\x00" + new).digest(), n))


def delete_a_row(it: Break) -> None:
    it.db.execute("DELETE FROM audit_logs WHERE n = ?", (it.rng.randrange(it.size()),))


def swap_two_rows(it: Break) -> None:
    one, two = it.rng.sample(range(it.size()), 2)
    for old, new in ((one, -1), (two, one), (-1, two)):
        it.db.execute("UPDATE audit_logs SET n = ? WHERE n = ?", (new, old))


def cut_the_tail(it: Break) -> None:
    """Heads put back as they were, so that nothing within the database is wrong."""
    cut = it.size() - it.rng.randint(1, 5)
    it.db.execute("DELETE FROM audit_logs WHERE n >= ?", (cut,))
    it.db.execute("DELETE FROM audit_checkpoints WHERE size > ?", (cut,))
    for (chain,) in it.db.execute("SELECT chain FROM audit_chains").fetchall():
        it.rehash(chain)


def rehash_a_chain(it: Break) -> None:
    chain = it.some_deal_chain()
    n, _, _, _, _, body = it.rng.choice(it.rows(f"chain = '{chain}'"))
    document = msgspec.json.decode(body)
    document["actor"]["role"] = "viewer"
    it.db.execute("UPDATE audit_logs SET body = ? WHERE n = ?", (encode(document), n))
    it.rehash(chain)
    it.db.execute("DELETE FROM audit_checkpoints")


def remove_a_deal_and_renumber(it: Break) -> None:
    chain = it.some_deal_chain()
    it.db.execute("DELETE FROM audit_logs WHERE chain = ?", (chain,))
    it.db.execute("DELETE FROM audit_chains WHERE chain = ?", (chain,))
    for new, (old,) in enumerate(it.db.execute("SELECT n FROM audit_logs ORDER BY n").fetchall()):
        it.db.execute("UPDATE audit_logs SET n = ? WHERE n = ?", (new, old))
    it.db.execute("DELETE FROM audit_checkpoints")


def edit_a_table(it: Break) -> None:
    table, column, value = it.rng.choice(
        [
            ("agent_deals", "title", "Another tower"),
            ("agent_deals", "pipeline_stage", "closed_won"),
            ("agent_commission_records", "commission_amount", 1),
            ("agent_commission_records", "status", "paid"),
            ("users", "role", "admin"),
            ("audit_texts", "text", "It was agreed otherwise"),
        ]
    )
    key = "commitment" if table == "audit_texts" else "id"
    ids = [row[0] for row in it.db.execute(f"SELECT {key} FROM {table} WHERE {column} IS NOT ? ORDER BY 1", (value,))]
    it.db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, it.rng.choice(ids)))


def carry_over_an_entry(it: Break) -> None:
    """An entry of another log in the place of one of ours, made to fit as well as can be without changing it."""
    other = sqlite3.connect(it.other / "ledger.sqlite3")
    body, digest = it.rng.choice(
        other.execute("SELECT body, hash FROM audit_logs WHERE chain LIKE 'deal:%'").fetchall()
    )
    other.close()
    n = it.rng.choice(it.rows("chain LIKE 'deal:%'"))[0]
    it.db.execute("UPDATE audit_logs SET body = ?, hash = ? WHERE n = ?", (body, digest, n))


def restore_an_old_backup(it: Break) -> None:
    it.db.close()
    for path in it.home.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(it.early, it.home / "ledger.sqlite3")
    it.db = sqlite3.connect(it.home / "ledger.sqlite3")


CLASSES: list[Callable[[Break], None]] = [
    flip_a_bit,
    edit_a_column,
    edit_and_rehash_a_row,
    delete_a_row,
    swap_two_rows,
    cut_the_tail,
    rehash_a_chain,
    remove_a_deal_and_renumber,
    edit_a_table,
    carry_over_an_entry,
    restore_an_old_backup,
]


def live(ledger: Ledger, staff: Staff, rng: random.Random, turns: int) -> None:
    """Do ordinary work, signing now and then."""
    opened = [open_some_deal(ledger, staff.agent) for _ in range(3)]
    for _ in range(turns):
        deal = rng.choice(opened)
        act = rng.randrange(4)
        if act == 0:
            opened.append(open_some_deal(ledger, staff.agent, title=f"Tower {rng.random()}"))
        elif act == 1:
            run(ledger, deals.change_deal, staff.agent, deal.id, {"lead_source": f"fair {rng.random()}"})
        elif act == 2:
            stages = [PipelineStage.PROPOSAL, PipelineStage.NEGOTIATION, PipelineStage.AGREEMENT]
            with ledger.read() as session:
                present = access.get_deal(session, staff.agent, deal.id).pipeline_stage
            run(ledger, deals.advance_stage, staff.agent, deal.id, rng.choice([s for s in stages if s != present]))
        else:
            commission = record_some_commission(ledger, staff.manager, open_some_deal(ledger, staff.agent))
            run(
                ledger,
                commissions.change_commission,
                staff.manager,
                commission.id,
                {"commission_rate": Decimal("0.0300")},
            )
        if rng.random() < 0.3:
            make_checkpoint(ledger)


def copy_database(home: Path, path: Path) -> Path:
    db = sqlite3.connect(home / "ledger.sqlite3")
    db.execute(f"VACUUM INTO '{path}'")
    db.close()
    return path


def audit(home: Path, **options: Any) -> AuditReport:
    ledger = Ledger.open(settings=Settings(home=home))
    try:
        with ledger.read() as session:
            return audit_log(session, ledger.settings, **options)
    finally:
        ledger.close()


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """A log for each seed, with a copy of its database from half-way."""
    made = []
    for seed in SEEDS:
        home = tmp_path_factory.mktemp(f"life{seed}") / "home"
        ledger = initialise(Settings(home=home))
        staff, rng = record_staff(ledger), random.Random(seed)
        live(ledger, staff, rng, 8)
        early = copy_database(home, home.parent / "early.sqlite3")
        live(ledger, staff, rng, 8)
        make_checkpoint(ledger)
        ledger.close()
        made.append((home, early))
    return made


@pytest.mark.parametrize("tamper", CLASSES, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found(tamper: Callable[[Break], None], lives: list[tuple[Path, Path]], tmp_path: Path) -> None:
    for seed, (life, early) in enumerate(lives):
        home = tmp_path / str(seed)
        shutil.copytree(life, home)
        db = sqlite3.connect(home / "ledger.sqlite3")
        db.execute("PRAGMA foreign_keys = OFF")
        for name in ("update", "delete"):
            db.execute(f"DROP TRIGGER audit_logs_refuse_{name}")
        broken = Break(home, db, random.Random(f"{tamper.__name__} {seed}"), early, lives[seed - 1][0])
        tamper(broken)
        broken.db.commit()
        broken.db.close()
        report = audit(home, with_state=tamper is edit_a_table)  # the log must tell by itself
        assert report.exit_code == 1, f"seed {seed}: {report}"
        assert report.findings


@pytest.mark.parametrize("seed", range(10))
def test_clean_logs_raise_no_alarm(seed: int, tmp_path: Path) -> None:
    """As they are, with texts erased, after an accepted loss, with a checkpoint line cut short."""
    home = tmp_path / "home"
    ledger = initialise(Settings(home=home))
    staff, rng = record_staff(ledger), random.Random(seed)
    live(ledger, staff, rng, 4)
    early = copy_database(home, tmp_path / "early.sqlite3")
    if seed % 2:
        live(ledger, staff, rng, 3)
        make_checkpoint(ledger)
        ledger.close()
        for path in home.glob("ledger.sqlite3*"):
            path.unlink()
        shutil.copy(early, home / "ledger.sqlite3")
        ledger = initialise(Settings(home=home))
        recover_log(ledger, SYSTEM, "the disk failed")
        live(ledger, staff, rng, 2)
    if seed % 3 == 0:
        deal = open_some_deal(ledger, staff.agent)
        contact = run(ledger, deals.add_contact, staff.agent, deal.id, contact_type="tenant", name="Siti", notes="met")
        run(ledger, deals.erase_contact, staff.agent, deal.id, contact.id)
    ledger.close()
    report = audit(home, with_state=True)
    assert (report.exit_code, report.findings, report.undecided) == (0, [], []), f"seed {seed}"
    assert any("a loss was accepted" in note for note in report.notes) == bool(seed % 2)
    assert audit(home, since_last=True).exit_code == 0
