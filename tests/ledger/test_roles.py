"""The roles that the guide says to make do what it says: the service works, and cannot touch what it has logged."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from ledger import deals
from ledger.actors import SYSTEM
from ledger.errors import MoveRefused
from ledger.log.audit import audit_log
from ledger.log.checkpoint import make_checkpoint
from ledger.moving import move_ledger
from ledger.settings import PROJECT_DIR, Settings
from ledger.store import Ledger, initialise
from tests.support.ledger import import_items, imported_deal, open_some_deal, record_staff, run
from tests.support.postgresql import Server

MEDDLING = ("UPDATE audit_logs SET type = 'x'", "DELETE FROM audit_logs", "TRUNCATE audit_logs")
TAKE_BACK = "GRANT UPDATE, DELETE, TRUNCATE ON audit_logs TO CURRENT_USER"
WAYS_ROUND = (
    "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
    "ALTER TABLE audit_logs OWNER TO CURRENT_USER",
    "DROP TRIGGER audit_logs_refuse_change ON audit_logs",
    "DROP TABLE audit_logs CASCADE",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION audit_logs_refuse() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
    "UPDATE alembic_version SET version_num = '0001'",
)


@dataclass(frozen=True)
class Roles:
    """A ledger made as the guide says, and the addresses of both roles."""

    home: Path
    owner: str
    service: str

    def settings(self, address: str) -> Settings:
        return Settings(home=self.home, ledger_url=address)


@pytest.fixture
def roles(postgresql_server: Server, tmp_path: Path) -> Iterator[Roles]:
    """Follow the guide to the letter, with names of our own."""
    mark = f"dealbook_{os.getpid()}"
    guide = (PROJECT_DIR / "docs" / "operate.md").read_text().replace("dealbook_owner", f"{mark}_owner")
    guide = re.sub(r"\b(ROLE|DATABASE|TO|FROM) dealbook\b", rf"\1 {mark}", guide)
    as_superuser, as_owner = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    for statement in as_superuser.strip().split("\n"):
        postgresql_server.execute(statement)
    address = f"postgresql://{{}}@/{mark}?host={postgresql_server.folder}"
    made = Roles(tmp_path / "home", address.format(f"{mark}_owner"), address.format(mark))
    initialise(made.settings(made.owner)).close()
    with psycopg.connect(made.owner) as connection:
        connection.execute(as_owner)
    yield made
    postgresql_server.drop_database(mark)
    for role in (mark, f"{mark}_owner"):
        postgresql_server.execute(f"DROP ROLE {role}")


def attempt(address: str, statement: str) -> None:
    with psycopg.connect(address) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_the_services_role_works_and_cannot_touch_the_log(roles: Roles) -> None:
    """All that the service does is open to it; entries of the log it can neither change nor remove, by no way round."""
    settings = roles.settings(roles.service)
    ledger = initialise(settings)
    staff = record_staff(ledger)
    deal = open_some_deal(ledger, staff.agent)
    run(ledger, deals.change_deal, staff.agent, deal.id, {"lead_source": "by the service"})
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    make_checkpoint(ledger)
    attempt(roles.service, TAKE_BACK)  # gives nothing, with a warning
    for statement in (*MEDDLING, *WAYS_ROUND):
        with pytest.raises(errors.InsufficientPrivilege):
            attempt(roles.service, statement)
    with pytest.raises(MoveRefused, match="owns its tables"):
        move_ledger(settings, f"sqlite:///{roles.home}/elsewhere.sqlite3")
    run(ledger, deals.change_deal, SYSTEM, deal.id, {"lead_source": "still open"})
    with ledger.read() as session:
        assert audit_log(session, settings, with_state=True).exit_code == 0
    ledger.close()
    move_ledger(roles.settings(roles.owner), f"sqlite:///{roles.home}/elsewhere.sqlite3")


def test_the_owner_has_given_its_rights_away_and_triggers_stay_where_it_takes_them_back(roles: Roles) -> None:
    """A plain role that owns the tables is refused by privilege; with the privilege back, by the triggers."""
    for statement in MEDDLING:
        with pytest.raises(errors.InsufficientPrivilege):
            attempt(roles.owner, statement)
    attempt(roles.owner, TAKE_BACK)
    for statement in MEDDLING:
        with pytest.raises(errors.IntegrityConstraintViolation, match="never changed"):
            attempt(roles.owner, statement)
    assert Ledger.open(settings=roles.settings(roles.service)).concurrent_writers > 1
