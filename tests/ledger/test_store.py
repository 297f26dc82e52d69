"""The store: made once, opened quickly, closed to writers that bypass the log."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from ledger.errors import KeysExposed, LedgerNotInitialised, LedgerOutOfDate, UnloggedChange
from ledger.migrations import HEAD
from ledger.migrations.upgrade import make_config
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.tables import PROTECTED_TABLES, AgentDeal, AuditLog, Base, User
from tests.support.ledger import Staff, open_some_deal, read_log


def test_initialising_again_changes_nothing(ledger: Ledger) -> None:
    before = read_log(ledger)
    again = initialise(ledger.settings)
    assert read_log(again) == before
    assert [entry["type"] for entry in before] == ["log.opened"]
    again.close()


def test_an_up_to_date_ledger_opens_without_alembic(ledger: Ledger) -> None:
    program = (
        "import sys; from ledger.settings import Settings; from ledger.store import initialise\n"
        f"settings = Settings(**{ledger.settings.model_dump(include={'home', 'ledger_url'}, mode='json')!r})\n"
        "initialise(settings).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_the_newest_migration_is_the_head_that_the_code_names() -> None:
    assert ScriptDirectory.from_config(make_config()).get_current_head() == HEAD


def test_the_migrations_make_the_tables_that_the_models_say(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        differences = compare_metadata(context, Base.metadata)
    # PostgreSQL can put off the check of a foreign key only where the table says so; SQLite always can.
    put_off = {item[1].name for item in differences if item[0] == "remove_fk" and item[1].deferrable}
    rest = [item for item in differences if item[0] not in ("remove_fk", "add_fk") or item[1].name not in put_off]
    assert rest == []
    assert len(differences) == 2 * len(put_off), "each of them is there and in the models"


def test_a_missing_ledger_teaches_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerNotInitialised, match="dealbook init"):
        Ledger.open(f"sqlite:///{tmp_path / 'none.sqlite3'}")
    assert not (tmp_path / "none.sqlite3").exists()


def test_a_ledger_of_another_version_is_not_opened(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(LedgerOutOfDate, match="dealbook init"):
        Ledger.open(ledger.settings.ledger_address, ledger.settings)


def test_a_pepper_that_others_can_read_is_refused(ledger: Ledger) -> None:
    pepper = ledger.settings.keys_dir / "pepper"
    assert pepper.stat().st_mode & 0o777 == 0o600
    assert ledger.settings.keys_dir.stat().st_mode & 0o777 == 0o700
    pepper.chmod(0o644)
    with pytest.raises(KeysExposed, match="chmod 600"):
        initialise(ledger.settings)


@pytest.mark.only_on("sqlite")
def test_the_file_is_written_ahead_and_synchronised_in_full(ledger: Ledger) -> None:
    with ledger.write() as session:
        pragmas = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        assert session.execute(text("PRAGMA busy_timeout")).scalar()


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"), ledger.read() as session:
        session.execute(text("DELETE FROM import_rejects"))


@pytest.mark.parametrize("statement", ["UPDATE audit_logs SET type = 'x'", "DELETE FROM audit_logs"])
def test_entries_are_neither_changed_nor_deleted(ledger: Ledger, statement: str) -> None:
    with pytest.raises(IntegrityError, match="never changed"), ledger.write() as session:
        session.execute(text(statement))
    if ledger.engine.dialect.name != "sqlite":
        return
    outsider = sqlite3.connect(ledger.settings.home / "ledger.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        outsider.execute(statement)
    outsider.close()


@pytest.mark.parametrize("table", sorted(PROTECTED_TABLES))
def test_no_protected_table_is_written_past_the_log(ledger: Ledger, table: str) -> None:
    target = Base.metadata.tables[table]
    column = next(iter(target.columns))
    for statement in (insert(target), update(target).values({column: column}), delete(target)):
        with pytest.raises(UnloggedChange), ledger.write() as session:
            session.execute(statement)


def test_no_row_of_a_protected_table_is_edited_past_the_log(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    with pytest.raises(UnloggedChange), ledger.write() as session:
        session.get_one(AgentDeal, deal.id).title = "Silently renamed"
    with pytest.raises(UnloggedChange), ledger.write() as session:
        session.delete(session.get_one(User, staff.viewer.id))
    with pytest.raises(UnloggedChange), ledger.write() as session:
        session.add(AuditLog(n=99))


def test_an_error_leaves_nothing_behind(ledger: Ledger, staff: Staff) -> None:
    before = read_log(ledger)
    with pytest.raises(ZeroDivisionError), ledger.write() as session:
        from ledger.deals import open_deal
        from tests.support.ledger import new_deal

        open_deal(session, staff.agent, new_deal(staff.agent))
        _ = 1 / 0
    assert read_log(ledger) == before


def test_two_processes_may_initialise_at_once(tmp_path: Path) -> None:
    program = (
        "from ledger.settings import Settings; from ledger.store import initialise\n"
        f"initialise(Settings(home={str(tmp_path)!r})).close()"
    )
    root = Path(__file__).parents[2]
    starts = [subprocess.Popen([sys.executable, "-c", program], cwd=root, env=dict(os.environ)) for _ in range(3)]
    assert [start.wait() for start in starts] == [0, 0, 0]
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", Settings(home=tmp_path))
    assert [entry["type"] for entry in read_log(ledger)] == ["log.opened"]
    ledger.close()
