"""The databases that tests keep a ledger in. Both give a test a state of its own, copied from one made once."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from ledger.settings import Settings
from tests.support.postgresql import Server

SQLITE, POSTGRESQL = "sqlite", "postgresql"
CHOSEN = os.environ.get("DEALBOOK_TEST_STORE", "")
"""`make test STORE=…`: `sqlite`, `postgresql` or `both`. Empty: all on SQLite, and on both what `ON_BOTH` names."""

ON_BOTH = frozenset(
    {
        "tests/ledger/test_backup.py",
        "tests/ledger/test_bulk.py",
        "tests/ledger/test_chain.py",
        "tests/ledger/test_checkpoint.py",
        "tests/ledger/test_commissions.py",
        "tests/ledger/test_fold.py",
        "tests/ledger/test_group_commit.py",
        "tests/ledger/test_heads.py",
        "tests/ledger/test_late_commits.py",
        "tests/ledger/test_longest_texts.py",
        "tests/ledger/test_many_rows.py",
        "tests/ledger/test_moving.py",
        "tests/ledger/test_overlapping_writes.py",
        "tests/ledger/test_store.py",
        "tests/ledger/test_verify_tampering.py",
        "tests/api/test_audit.py",
        "tests/api/test_checkpoints.py",
        "tests/api/test_commission_revisions.py",
        "tests/api/test_deals.py",
        "tests/api/test_idempotency.py",
        "tests/api/test_imports.py",
        "tests/api/test_longest_texts.py",
        "tests/api/test_people.py",
        "tests/api/test_withdrawn_rights.py",
        "tests/api/test_write_cost.py",
        "tests/faults/test_many_writers.py",
        "tests/faults/test_repeated_requests.py",
        "tests/faults/test_small_disk.py",
    }
)
"""What differs between databases: concurrency, the log, exact types, imports, idempotency keys."""


@dataclass(frozen=True)
class Kept:
    """A state to be copied: the home's folder and, on a server, the name under which the tables were kept."""

    home: Path
    tables: str = ""


class Store(Protocol):
    """Where ledgers are kept."""

    name: str

    def new(self, home: Path) -> Settings:
        """Return settings for a new ledger under `home`; nothing is there yet."""

    def keep(self, settings: Settings) -> Kept:
        """Remember a closed ledger's state."""

    def copy(self, kept: Kept, home: Path) -> Settings:
        """Put a remembered state at `home` and return its settings; what the last test did is gone."""


@dataclass(frozen=True)
class SqliteStore:
    """A file in the home. All are one."""

    name = SQLITE

    def new(self, home: Path) -> Settings:
        return Settings(home=home)

    def keep(self, settings: Settings) -> Kept:
        return Kept(settings.home)

    def copy(self, kept: Kept, home: Path) -> Settings:
        shutil.copytree(kept.home, home)
        return Settings(home=home)


class PostgresqlStore:
    """A database of a server. All tests of a process share it and exchange its rows: making one takes far longer."""

    name = POSTGRESQL

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address = server.address(server.new_database())
        self._connection = psycopg.connect(self.address, autocommit=True)
        self._kept = 0

    def new(self, home: Path) -> Settings:
        self._run("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        return Settings(home=home, ledger_url=self.address)

    def keep(self, settings: Settings) -> Kept:
        self._kept += 1
        kept = f"kept_{self._kept}"
        copies = [f"CREATE TABLE {kept}.{table} AS TABLE public.{table}" for table in self._tables("public")]
        self._run("; ".join([f"CREATE SCHEMA {kept}", *copies]))
        return Kept(settings.home, kept)

    def copy(self, kept: Kept, home: Path) -> Settings:
        shutil.copytree(kept.home, home)
        tables = self._tables(kept.tables)
        emptied = [f"DELETE FROM public.{table}" for table in tables]
        filled = [f"INSERT INTO public.{table} OVERRIDING SYSTEM VALUE TABLE {kept.tables}.{table}" for table in tables]
        # As a replica the server fires no trigger, neither those that guard entries nor those of foreign keys.
        self._run("; ".join(["BEGIN; SET LOCAL session_replication_role = replica", *emptied, *filled, "COMMIT"]))
        return Settings(home=home, ledger_url=self.address)

    def close(self) -> None:
        self._connection.close()

    def _run(self, statements: str) -> None:
        self._connection.execute(statements)  # type: ignore[call-overload]

    def _tables(self, schema: str) -> list[str]:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1"
        return [name for (name,) in self._connection.execute(query, (schema,))]


def stores_for(definition: pytest.Item) -> list[str]:
    """Return the stores to run a test on that asks for `store`."""
    is_on_both = CHOSEN == "both" or definition.nodeid.split("::")[0] in ON_BOTH
    wanted = [CHOSEN] if CHOSEN in (SQLITE, POSTGRESQL) else [SQLITE, POSTGRESQL] if is_on_both else [SQLITE]
    marker = definition.get_closest_marker("only_on")
    return [name for name in wanted if marker is None or name in marker.args]
