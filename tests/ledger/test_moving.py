"""A ledger moves between databases whole: the same log to the byte, the same tables, the same signer; or not at all."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from api.main import create_app
from dealbook import app
from ledger import access, databases, deals, moving
from ledger.actors import SYSTEM
from ledger.databases import parse_address, sqlite_path
from ledger.dossier.making import make_dossier
from ledger.errors import LedgerMoved, LogNotContinued, MoveRefused
from ledger.identifiers import new_id
from ledger.imports import record_rejects, start_import
from ledger.log.audit import audit_log
from ledger.log.checkpoint import make_checkpoint
from ledger.log.key_changes import rotate_key
from ledger.moving import FOLDED, LEFT, MovedLedger, copied_tables, move_ledger
from ledger.settings import Settings, get_settings
from ledger.store import Ledger, initialise
from ledger.tables import AgentDeal, Base, DealContact, Import, ImportReject
from ledger.vocabulary import Role
from tests.support.ledger import open_some_deal, record_person, run
from tests.support.living_ledger import Life, live, tamper
from tests.support.postgresql import Server
from tests.support.stores import POSTGRESQL, SQLITE, Store


class World:
    """A ledger in which everything has happened, made once for each kind of database and copied for each test."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request, self._folder = request, folder
        self._made: dict[str, tuple[str, Life, str]] = {}
        self.databases: list[str] = []

    @property
    def server(self) -> Server:
        found: Server = self._request.getfixturevalue("postgresql_server")
        return found

    def place(self, kind: str, template: str = "template0") -> str:
        """Return the address of a new database, empty unless it is a copy."""
        if kind == SQLITE:
            return f"sqlite:///{self._folder / f'{new_id()}.sqlite3'}"
        self.databases.append(self.server.new_database(template))
        return self.server.address(self.databases[-1])

    def copy(self, kind: str, home: Path) -> tuple[Settings, Life, str]:
        """Return settings of a copy, what it is about, and the secret of a manager's token."""
        if kind not in self._made:
            address = self.place(kind)
            self._made[kind] = (address, *fill(Settings(home=self._folder / kind, ledger_url=address)))
        address, life, secret = self._made[kind]
        shutil.copytree(self._folder / kind, home)
        kept = sqlite_path(address)
        copied = self.place(kind, str(parse_address(address).database))
        if kept is not None:
            shutil.copy(kept, copied.removeprefix("sqlite:///"))
        return Settings(home=home, ledger_url=copied), life, secret


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The worlds of this module; what they made on the server is removed at the end."""
    made = World(request, tmp_path_factory.mktemp("worlds"))
    yield made
    for name in made.databases:
        made.server.drop_database(name)


@pytest.fixture
def lived(world: World, store: Store, tmp_path: Path) -> tuple[Settings, Life, str]:
    return world.copy(store.name, tmp_path / "home")


@pytest.fixture
def settings(lived: tuple[Settings, Life, str]) -> Settings:
    """Settings of a ledger on the store that is tested, in which everything has happened."""
    return lived[0]


@pytest.fixture
def life(lived: tuple[Settings, Life, str]) -> Life:
    return lived[1]


@pytest.fixture
def target(world: World, store: Store) -> str:
    """The address of an empty database of the other kind."""
    return world.place(POSTGRESQL if store.name == SQLITE else SQLITE)


def fill(settings: Settings) -> tuple[Life, str]:
    """Let everything happen: commissions, disputes, an erased text, a new key, an import, a session and a token, whose
    secret is returned."""
    ledger = initialise(settings)
    life = live(ledger)
    with ledger.write() as session:
        contact = session.scalars(select(DealContact)).first()
        assert contact is not None
        deals.erase_contact(session, SYSTEM, contact.deal_id, contact.id)
        import_id = start_import(session, SYSTEM, file_name="crm.csv", file_sha256="0" * 64, mapping="m")
        record_rejects(session, import_id, [{"file_name": "crm.csv", "line": 3, "column": "a", "reason": "no"}])
        manager = access.create_user(session, SYSTEM, email="mei@example.com", name="Mei", role=Role.MANAGER)
        _, secret = access.create_token(session, SYSTEM, manager.id, name="test")
        access.create_session(session, manager.id)
        access.create_login_link(session, manager.id)
    rotate_key(ledger, SYSTEM)
    open_some_deal(ledger, record_person(ledger, "Ida Yeo"))
    ledger.close()
    return life, secret


def at(settings: Settings, address: str) -> Settings:
    return Settings(home=settings.home, ledger_url=address)


def read_all(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, as values."""
    ledger = Ledger.open(settings=settings)
    with ledger.read() as session:
        found = {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }
    ledger.close()
    return found


def facts_of(side: MovedLedger) -> tuple[object, ...]:
    return side.origin, side.size, side.root, side.rows


def is_empty(address: str, settings: Settings) -> bool:
    ledger = Ledger(address, settings)
    try:
        return moving.schema_version(ledger) is None
    finally:
        ledger.close()


def test_every_table_is_folded_copied_or_left_behind() -> None:
    """A table that is added later goes along unless somebody says that it stays."""
    copied = {table.name for table in copied_tables()}
    assert copied | FOLDED | LEFT == set(Base.metadata.tables)
    assert not (copied & FOLDED or copied & LEFT or FOLDED & LEFT)
    assert {"audit_logs", "audit_texts", "api_tokens", "idempotency_keys", "import_rejects"} <= copied


def test_there_and_back_it_is_the_same_ledger(
    store: Store, world: World, settings: Settings, life: Life, target: str
) -> None:
    """Every row of every table but log-ins, bytes of entries, salts and indexes included; the signer notices nothing;
    what was sealed before verifies after, and writing goes on where it stopped."""
    before, second = read_all(settings), world.place(store.name)
    signer = (settings.keys_dir / "signer.json").read_bytes()
    source, made = move_ledger(settings, target)
    assert facts_of(source) == facts_of(made)
    assert source.size == len(before["audit_logs"])
    assert (settings.keys_dir / "signer.json").read_bytes() != signer, "the move signs what was not signed yet"
    signer = (settings.keys_dir / "signer.json").read_bytes()
    moved = read_all(at(settings, target))
    assert moved["sessions"] == moved["login_links"] == []
    for name, rows in before.items():
        if name not in LEFT | {"audit_checkpoints"}:
            assert moved[name] == rows, name
    assert len(moved["audit_checkpoints"]) == len(before["audit_checkpoints"]) + 1
    assert any(row[2] is None for row in moved["audit_texts"]), "erased texts stay erased"
    move_ledger(at(settings, target), second)
    assert {name: rows for name, rows in read_all(at(settings, second)).items() if name not in LEFT} == {
        name: rows for name, rows in moved.items() if name not in LEFT
    }
    assert (settings.keys_dir / "signer.json").read_bytes() == signer
    ledger = initialise(at(settings, second))
    with ledger.write() as session:
        import_id = session.scalars(select(Import.id)).one()
        record_rejects(session, import_id, [{"file_name": "b", "line": 1, "reason": "r"}])
        assert session.scalar(select(func.max(ImportReject.id))) == 2
    run(ledger, deals.change_deal, SYSTEM, life.won_deal_id, {"lead_source": "after the move"})
    make_dossier(ledger, SYSTEM, life.won_deal_id)
    make_checkpoint(ledger)
    with ledger.read() as session:
        report = audit_log(session, ledger.settings, with_state=True)
    assert (report.findings, report.undecided, report.size) == ([], [], source.size + 2)
    ledger.close()


def test_the_moved_ledger_serves_and_the_former_one_takes_no_more(
    lived: tuple[Settings, Life, str], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the verb: a token of before is good at the new place, where deals are read and written and the log verifies
    with its tables. A service that still has the former database open answers 503 and says where to go."""
    settings, life, secret = lived
    auth = {"Authorization": f"Bearer {secret}"}
    monkeypatch.setenv("DEALBOOK_HOME", str(settings.home))
    monkeypatch.setenv("DEALBOOK_LEDGER_URL", settings.ledger_url)
    get_settings.cache_clear()
    path = f"/api/v1/deals/{life.won_deal_id}"
    with TestClient(create_app(settings, with_workspace=False)) as former:
        tag = former.get(path, headers=auth).headers["etag"]
        done = CliRunner().invoke(app, ["ledger", "move", "--to", target])
        assert done.exit_code == 0, done.output
        assert "their roots and all their tables are equal" in done.output
        change = {"lead_source": "referral 2"}
        refused = former.patch(path, json=change, headers=auth | {"If-Match": tag})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/ledger-moved")
        assert target.partition("://")[0] in refused.json()["detail"]
        assert former.get(path, headers=auth).status_code == 200
    with pytest.raises(LedgerMoved, match="DEALBOOK_LEDGER_URL"):
        initialise(settings)
    with pytest.raises(LedgerMoved):
        move_ledger(settings, target)
    with TestClient(create_app(at(settings, target), with_workspace=False)) as client:
        assert client.get(path, headers=auth).headers["etag"] == tag
        assert client.patch(path, json=change, headers=auth | {"If-Match": tag}).status_code == 200
    monkeypatch.setenv("DEALBOOK_LEDGER_URL", target)
    get_settings.cache_clear()
    verified = CliRunner().invoke(app, ["audit", "verify", "--state", "--json"])
    assert (verified.exit_code, json.loads(verified.output)["findings"]) == (0, []), verified.output
    get_settings.cache_clear()


def test_no_place_but_an_empty_one_of_this_version_is_taken(settings: Settings, target: str) -> None:
    """Another ledger, another version, other tables, the ledger itself, and what is no address: each is refused."""
    elsewhere = Settings(home=settings.home / "elsewhere", ledger_url=target)
    initialise(elsewhere).close()
    with pytest.raises(MoveRefused, match="not empty"):
        move_ledger(settings, target)
    strange = Ledger(target, elsewhere)
    with strange.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    with pytest.raises(MoveRefused, match="version 0002"):
        move_ledger(settings, target)
    with strange.write() as session:
        session.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(MoveRefused, match="something else"):
        move_ledger(settings, target)
    strange.close()
    itself = settings.ledger_url.replace("postgresql:", "postgres:").replace("sqlite:///", "sqlite:////")
    with pytest.raises(MoveRefused, match=r"itself|already"):
        move_ledger(settings, itself)
    for wrong in ("mysql://a/b", "nonsense", "sqlite://", "postgresql://nobody@/none?host=/nowhere"):
        with pytest.raises(MoveRefused):
            move_ledger(settings, wrong)
    initialise(settings).close()


def test_a_source_that_does_not_verify_stays_where_it_is(settings: Settings, target: str) -> None:
    """An edited table, an edited entry, and an old copy: refused with what to do, and the target is as it was."""
    ledger = Ledger.open(settings=settings)
    tamper(ledger, "UPDATE agent_deals SET lead_source = 'edited'")
    with pytest.raises(MoveRefused, match="audit fold"):
        move_ledger(settings, target)
    assert is_empty(target, settings)
    with ledger.write() as session:
        moving_back = "UPDATE agent_deals SET lead_source = NULL"
        session.connection().execute(text(moving_back))
    tamper(ledger, "UPDATE audit_logs SET type = 'deal.closed' WHERE n = 5")
    with pytest.raises(MoveRefused, match=r"entry 5: .*audit verify"):
        move_ledger(settings, target)
    last = "(SELECT max(n) FROM audit_logs)"
    tamper(ledger, f"DELETE FROM audit_logs WHERE n = {last}")
    with pytest.raises(LogNotContinued, match="recover"):
        move_ledger(settings, target)
    assert is_empty(target, settings)
    ledger.close()


def test_a_row_that_arrives_otherwise_stops_the_move(
    settings: Settings, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the log does not speak for is compared row by row: nothing is at the target then, and the source is open."""
    fill = moving._fill

    def fill_wrongly(here: Session, there: Session, *arguments: Any) -> None:
        fill(here, there, *arguments)
        there.connection().execute(text("UPDATE api_tokens SET name = name || '!'"))

    with monkeypatch.context() as patch, pytest.raises(MoveRefused, match="api_tokens differ"):
        patch.setattr(moving, "_fill", fill_wrongly)
        move_ledger(settings, target)
    assert is_empty(target, settings)
    initialise(settings).close()


def test_an_interrupted_move_is_begun_again(settings: Settings, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves nothing at the target and the source open. Between the two commits it leaves both whole, and moving
    again finds them equal and closes the source."""

    def interrupt_at(last: str) -> Callable[[str, int, int], None]:
        def hear(step: str, _done: int, _total: int) -> None:
            if step == last:
                raise KeyboardInterrupt

        return hear

    for last in ("audit_logs", "api_tokens", "comparing"):
        with pytest.raises(KeyboardInterrupt):
            move_ledger(settings, target, interrupt_at(last))
        assert is_empty(target, settings)
        initialise(settings).close()
    held = moving._held

    @contextmanager
    def interrupted_before_it_commits(source: Ledger) -> Iterator[Session]:
        with held(source) as session:
            yield session
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(moving, "_held", interrupted_before_it_commits)
        move_ledger(settings, target)
    assert not is_empty(target, settings)
    initialise(settings).close()
    source, made = move_ledger(settings, target)
    assert facts_of(source) == facts_of(made)
    with pytest.raises(LedgerMoved):
        initialise(settings)


def test_whoever_writes_meanwhile_is_not_lost(settings: Settings, life: Life, target: str) -> None:
    """A writer beside the move is either in the moved ledger or was told no. One that holds the ledger is waited for,
    and then the move is refused."""
    ledger = initialise(settings)
    acknowledged = 0
    refusals: list[Exception] = []
    began = threading.Event()

    def write() -> None:
        nonlocal acknowledged
        while not refusals:
            try:
                with ledger.write() as session:
                    deals.change_deal(session, SYSTEM, life.won_deal_id, {"lead_source": f"turn {acknowledged}"})
                acknowledged += 1
                began.set()
            except Exception as error:
                refusals.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert began.wait(60)
    move_ledger(settings, target)
    writer.join(60)
    assert [type(error) for error in refusals] == [LedgerMoved]
    moved = Ledger.open(settings=at(settings, target))
    with moved.read() as session:
        assert session.get_one(AgentDeal, life.won_deal_id).lead_source == f"turn {acknowledged - 1}"
    moved.close()
    ledger.close()


def test_a_ledger_that_is_being_written_is_not_moved(
    settings: Settings, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long import holds the ledger: the move gives up after the time that any writer waits, and says what to do."""
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 200)
    ledger = initialise(settings)
    with ledger.write() as session:
        access.create_user(session, SYSTEM, name="Held", email=None, role=Role.AGENT)
        with pytest.raises(MoveRefused, match="Stop the service"):
            move_ledger(settings, target)
    ledger.close()
