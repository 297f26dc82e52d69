"""Someone with the database in hand, who knows how entries are hashed, and every way they may forge a log.

What guards entries is switched off, as whoever owns the file or is the server's superuser can. Where a class allows it,
hashes, links and heads are made to fit again. What stays out of reach is the folder of checkpoints and keys.
"""

import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg

from ledger.databases import sqlite_path
from ledger.settings import Settings
from ledger.tables.log import STORED
from tests.support.postgresql import find_binaries

encode = msgspec.json.Encoder(order="deterministic").encode


class Hands(Protocol):
    """A connection to a ledger's database, with all that guards entries switched off."""

    misfits: dict[str, Any]
    """Columns of an entry, each with a value that its type lets in and no entry's body says."""

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with `?` for its values and return its rows."""

    def let_go(self) -> None:
        """Keep what was done, and close the connection."""


class FileHands:
    """SQLite: the file may be edited by whoever has it."""

    misfits: dict[str, Any] = {  # noqa: RUF012 - never changed
        "type": "deal.opened2", "at": "2024-01-01T00:00:00.000000Z", "effective_at": "soon", "actor_id": "x",
        "subject_id": "y", "subject_kind": "user2", "chain": "deal:other", "seq": "77x", "prev": "text",
    }  # fmt: skip

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA foreign_keys = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        for name in ("update", "delete"):
            self._db.execute(f"DROP TRIGGER IF EXISTS audit_logs_refuse_{name}")

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(statement, values).fetchall()

    def let_go(self) -> None:
        self._db.commit()
        self._db.close()


class ServerHands:
    """PostgreSQL: a superuser's session, for which privileges do not count and triggers can be told not to fire."""

    misfits: dict[str, Any] = {  # noqa: RUF012 - never changed
        "type": "deal.opened2", "at": "2024-01-01 00:00:00Z", "effective_at": "2024-01-01 00:00:00Z", "actor_id": "x",
        "subject_id": "y", "subject_kind": "user2", "chain": "deal:other", "seq": 77_000, "prev": b"text",
    }  # fmt: skip

    def __init__(self, address: str) -> None:
        self._db = psycopg.connect(address)
        self.run("SET session_replication_role = replica")

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        found = self._db.execute(statement.replace("%", "%%").replace("?", "%s"), values)  # type: ignore[arg-type]
        return found.fetchall() if found.description else []

    def let_go(self) -> None:
        self._db.commit()
        self._db.close()


def take_in_hand(settings: Settings) -> Hands:
    """Lay hands on a ledger's database."""
    path = sqlite_path(settings.ledger_address)
    return ServerHands(settings.ledger_address) if path is None else FileHands(path)


def dump(settings: Settings, target: Path) -> Path:
    """Copy a ledger's database as it is now to a new file, and return that."""
    path = sqlite_path(settings.ledger_address)
    if path is None:
        _call(settings, "pg_dump", "--format=custom", "--schema=public", f"--file={target}")
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"VACUUM INTO '{target}'")
    return target


def put_back(settings: Settings, dumped: Path) -> None:
    """Replace a ledger's database, which nobody uses, by a dump."""
    path = sqlite_path(settings.ledger_address)
    if path is None:
        with psycopg.connect(settings.ledger_address) as db:
            db.execute("DROP SCHEMA public CASCADE")
        _call(settings, "pg_restore", "--exit-on-error", "--single-transaction", str(dumped))
    else:
        for former in path.parent.glob(f"{path.name}*"):
            former.unlink()
        shutil.copy(dumped, path)


def _call(settings: Settings, program: str, *words: str) -> None:
    subprocess.run([find_binaries() / program, f"--dbname={settings.ledger_address}", *words], check=True)


@dataclass
class Break:
    """A finished log in an intruder's hands."""

    settings: Settings
    rng: random.Random
    early: Path
    """A dump from half-way."""
    foreign: list[tuple[bytes, bytes]]
    """Bodies and hashes of another log's deals."""
    hands: Hands = field(init=False)

    def __post_init__(self) -> None:
        self.hands = take_in_hand(self.settings)

    def rows(self, where: str = "n >= 0") -> list[tuple[Any, ...]]:
        return self.hands.run(f"SELECT n, chain, seq, hash, prev, body FROM audit_logs WHERE {where} ORDER BY n")

    def size(self) -> int:
        return int(self.hands.run("SELECT count(*) FROM audit_logs")[0][0])

    def some_deal_chain(self) -> str:
        query = (
            "SELECT chain FROM audit_logs WHERE chain LIKE 'deal:%' GROUP BY chain HAVING count(*) > 2 ORDER BY chain"
        )
        return str(self.rng.choice(self.hands.run(query))[0])

    def rehash(self, chain: str) -> None:
        """Make the chain's hashes, links, sequence and head fit what its bodies say now."""
        prev, seq = bytes(32), 0
        for n, _, _, _, _, body in self.rows(f"chain = '{chain}'"):
            seq += 1
            document = msgspec.json.decode(body) | {"seq": seq, "prev": prev.hex()}
            new = encode(document)
            digest = sha256(b"\x00" + new).digest()
            self.hands.run(
                "UPDATE audit_logs SET seq = ?, prev = ?, hash = ?, body = ? WHERE n = ?", seq, prev, digest, new, n
            )
            prev = digest
        if seq == 0:
            self.hands.run("DELETE FROM audit_chains WHERE chain = ?", chain)
        self.hands.run("UPDATE audit_chains SET seq = ?, hash = ? WHERE chain = ?", seq, prev, chain)

    def close_gaps(self) -> None:
        """Number what is left without gaps."""
        for new, (old,) in enumerate(self.hands.run("SELECT n FROM audit_logs ORDER BY n")):
            self.hands.run("UPDATE audit_logs SET n = ? WHERE n = ?", new, old)


def flip_a_bit(it: Break) -> None:
    n, _, _, digest, _, body = it.rng.choice(it.rows())
    column, value = it.rng.choice([("body", body), ("hash", digest)])
    changed = bytearray(value)
    changed[it.rng.randrange(len(changed))] ^= 1 << it.rng.randrange(8)
    it.hands.run(f"UPDATE audit_logs SET {column} = ? WHERE n = ?", bytes(changed), n)


def edit_a_column(it: Break) -> None:
    column, value = it.rng.choice(list(it.hands.misfits.items()))
    it.hands.run(f"UPDATE audit_logs SET {column} = ? WHERE n = ?", value, it.rng.randrange(it.size()))


def edit_and_rehash_a_row(it: Break) -> None:
    n, _, _, _, _, body = it.rng.choice(it.rows("chain LIKE 'deal:%'"))
    document = msgspec.json.decode(body)
    document["actor"]["role"] = "viewer"
    new = encode(document)
    it.hands.run("UPDATE audit_logs SET body = ?, hash = ? WHERE n = ?", new, sha256(b"\x00" + new).digest(), n)


def delete_a_row(it: Break) -> None:
    it.hands.run("DELETE FROM audit_logs WHERE n = ?", it.rng.randrange(it.size()))


def swap_two_rows(it: Break) -> None:
    one, two = it.rng.sample(range(it.size()), 2)
    for old, new in ((one, -1), (two, one), (-1, two)):
        it.hands.run("UPDATE audit_logs SET n = ? WHERE n = ?", new, old)


def cut_the_tail(it: Break) -> None:
    """Heads put back as they were, so that nothing within the database is wrong."""
    cut = it.size() - it.rng.randint(1, 5)
    it.hands.run("DELETE FROM audit_logs WHERE n >= ?", cut)
    it.hands.run("DELETE FROM audit_checkpoints WHERE size > ?", cut)
    for (chain,) in it.hands.run("SELECT chain FROM audit_chains"):
        it.rehash(chain)


def rehash_a_chain(it: Break) -> None:
    chain = it.some_deal_chain()
    n, _, _, _, _, body = it.rng.choice(it.rows(f"chain = '{chain}'"))
    document = msgspec.json.decode(body)
    document["actor"]["role"] = "viewer"
    it.hands.run("UPDATE audit_logs SET body = ? WHERE n = ?", encode(document), n)
    it.rehash(chain)
    it.hands.run("DELETE FROM audit_checkpoints")


def remove_a_deal_and_renumber(it: Break) -> None:
    chain = it.some_deal_chain()
    it.hands.run("DELETE FROM audit_logs WHERE chain = ?", chain)
    it.hands.run("DELETE FROM audit_chains WHERE chain = ?", chain)
    it.close_gaps()
    it.hands.run("DELETE FROM audit_checkpoints")


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
    rows = it.hands.run(f"SELECT {key}, {column} FROM {table} ORDER BY 1")
    chosen = it.rng.choice([found for found, stored in rows if stored != value])
    it.hands.run(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, chosen)


def carry_over_an_entry(it: Break) -> None:
    """An entry of another log in the place of one of ours, made to fit as well as can be without changing it."""
    body, digest = it.rng.choice(it.foreign)
    n = it.rng.choice(it.rows("chain LIKE 'deal:%'"))[0]
    it.hands.run("UPDATE audit_logs SET body = ?, hash = ? WHERE n = ?", body, digest, n)


def restore_an_old_backup(it: Break) -> None:
    it.hands.let_go()
    put_back(it.settings, it.early)
    it.hands = take_in_hand(it.settings)


def send_back_to_wait(it: Break) -> None:
    """An entry goes back among those that wait for their leaf index, to be numbered anew."""
    n = it.rng.randrange(it.size())
    columns = ", ".join(STORED)
    it.hands.run(f"INSERT INTO audit_pending ({columns}) SELECT {columns} FROM audit_logs WHERE n = ?", n)
    it.hands.run("DELETE FROM audit_logs WHERE n = ?", n)
    it.close_gaps()
    it.hands.run("DELETE FROM audit_checkpoints")


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
    send_back_to_wait,
]
