"""Every class of tampering is found, at random places in logs of random content; clean logs raise no alarm.

The intruder edits the database file at will, triggers and all, and knows how entries are hashed: where a class allows
it, hashes, links and heads are made to fit again. What stays out of reach is the folder of checkpoints and keys.

A few logs are lived through and copied for every round: some with a key that was rotated, or personal data erased.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

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
from ledger.vocabulary import PipelineStage
from tests.support.campaigns import Campaign, rounds
from tests.support.ledger import Staff, open_some_deal, record_some_commission, record_staff, run

LIVES, LONG_LIVES = 4, 12
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
    put_back(it.home, it.early)
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


def copy_database(home: Path, path: Path) -> Path:
    db = sqlite3.connect(home / "ledger.sqlite3")
    db.execute(f"VACUUM INTO '{path}'")
    db.close()
    return path


def put_back(home: Path, backup: Path) -> None:
    for path in home.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(backup, home / "ledger.sqlite3")


class Bench:
    """One place where log after log is laid out: what SQLAlchemy has learned of our statements serves them all."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._ledger: Ledger | None = None

    def lay_out(self, life: "Life") -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(life.home, self.home)

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        if self._ledger is None:
            self._ledger = Ledger.open(settings=Settings(home=self.home))
        yield self._ledger
        self._ledger.close()  # its connections; the next log lies at the same place

    def audit(self, **options: Any) -> AuditReport:
        with self.open() as ledger, ledger.read() as session:
            return audit_log(session, ledger.settings, **options)


@dataclass(frozen=True)
class Life:
    """A finished log, a copy of its database from half-way, and the people in it."""

    home: Path
    early: Path
    staff: Staff


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Life]:
    """Logs of one content in every run: what is random is what happens to them."""
    made = []
    for number in range(rounds(LIVES, LONG_LIVES)):
        home = tmp_path_factory.mktemp(f"life{number}") / "home"
        ledger = initialise(Settings(home=home))
        staff, rng = record_staff(ledger), random.Random(number)
        live(ledger, staff, rng, 6)
        early = copy_database(home, home.parent / "early.sqlite3")
        if number % 2:
            rotate(ledger, is_revoked=number % 4 == 3)
        live(ledger, staff, rng, 6)
        if number % 3 == 0:
            erase_someone(ledger, staff)
        make_checkpoint(ledger)
        ledger.close()
        copy_database(home, home.parent / "whole.sqlite3")
        put_back(home, home.parent / "whole.sqlite3")
        made.append(Life(home, early, staff))
    return made


@pytest.mark.soak
@pytest.mark.parametrize("tamper", CLASSES, ids=lambda tamper: tamper.__name__)
def test_tampering_is_found(
    tamper: Callable[[Break], None], lives: list[Life], campaign: Campaign, tmp_path: Path
) -> None:
    """50 times each class (1,000 in the long form), at a random place of a random log."""
    bench = Bench(tmp_path)
    for number in campaign.each(rounds(50, 1000)):
        at = campaign.rng.randrange(len(lives))
        bench.lay_out(lives[at])
        db = sqlite3.connect(bench.home / "ledger.sqlite3")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA synchronous = OFF")
        for name in ("update", "delete"):
            db.execute(f"DROP TRIGGER audit_logs_refuse_{name}")
        broken = Break(bench.home, db, campaign.rng, lives[at].early, lives[at - 1].home)
        tamper(broken)
        broken.db.commit()
        broken.db.close()
        report = bench.audit(with_state=tamper is edit_a_table)  # the log must tell by itself
        assert report.exit_code == 1, f"life {at}, round {number}: {report}"
        assert report.findings


@pytest.mark.soak
def test_clean_logs_raise_no_alarm(lives: list[Life], campaign: Campaign, tmp_path: Path) -> None:
    """100 logs (1,000 in the long form): worked on, texts erased, keys rotated and revoked, a loss accepted, a line of
    the checkpoints cut short; each also since the last checkpoint alone, and with the tables compared."""
    bench = Bench(tmp_path)
    for number in campaign.each(rounds(100, 1000)):
        rng = campaign.rng
        life = rng.choice(lives)
        bench.lay_out(life)
        is_recovered = rng.random() < 0.3
        if is_recovered:
            put_back(bench.home, life.early)
        done = []
        with bench.open() as ledger:
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
        report = bench.audit(with_state=True)
        assert (report.exit_code, report.findings, report.undecided) == (0, [], []), f"round {number}: {done}"
        assert any("a loss was accepted" in note for note in report.notes) == is_recovered
        assert bench.audit(since_last=True).exit_code == 0, f"round {number}: {done}"


def disturb(words: str, ledger: Ledger, staff: Staff, rng: random.Random) -> None:
    """Do something that is no tampering."""
    match words:
        case "erased":
            erase_someone(ledger, staff)
        case "rotated" | "revoked":
            rotate(ledger, is_revoked=words == "revoked")
        case "evidence":
            make_dossier(ledger, SYSTEM, some_deal(ledger.settings.home, rng))
        case "worked on":
            open_some_deal(ledger, staff.agent)


def some_deal(home: Path, rng: random.Random) -> str:
    db = sqlite3.connect(home / "ledger.sqlite3")
    found = [row[0] for row in db.execute("SELECT id FROM agent_deals ORDER BY id")]
    db.close()
    return str(rng.choice(found))
