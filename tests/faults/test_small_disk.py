"""A disk that is really full: a file system of a few megabytes, whose own word reaches the client as 507."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import dealbook
from api.main import create_app
from ledger.settings import Settings, get_settings
from ledger.store import Ledger
from tests.api.conftest import Client, People, make_people, problem_of
from tests.faults.conftest import DEAL, LIMITS, Models, Office
from tests.faults.disk_writers import FULL, DiskWriters
from tests.support.campaigns import Campaign, rounds
from tests.support.postgresql import unprivileged_user
from tests.support.served_api import Nursery
from tests.support.small_disk import NoSmallDisk, SmallDisk, mount_small_disk
from tests.support.stores import PostgresqlStore, SqliteStore, Store

UNLIMITED: dict[str, Any] = dict.fromkeys(LIMITS, 0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def mount(stack: ExitStack, size: str, user: str | None = None) -> SmallDisk:
    try:
        return stack.enter_context(mount_small_disk(size, user))
    except NoSmallDisk as fact:
        pytest.skip(f"no small disk on this machine: {fact}")


def serve_from_sqlite(stack: ExitStack, models: Models, disk: SmallDisk, log: Path) -> Office:
    """Serve a home that lies on the disk, whole: ledger, keys, checkpoints."""
    kept, people = models(SqliteStore())
    shutil.copytree(kept.home, disk.path / "home")
    nursery = Nursery(disk.inside)
    stack.callback(nursery.close)
    home = disk.folder / "home"
    served = stack.enter_context(nursery.serving(log, home=home, checkpoint_seconds=1, **UNLIMITED))
    return Office(served, people, Settings(home=home), None)


def serve_from_postgresql(
    stack: ExitStack, store: PostgresqlStore, nursery: Nursery, disk: SmallDisk, home: Path
) -> Office:
    """Serve a ledger whose database lies on the disk, while the server's own log does not."""
    store.server.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
    stack.callback(store.server.execute, "DROP TABLESPACE small")
    name = store.server.new_database(tablespace="small")
    stack.callback(store.server.drop_database, name)
    address = store.server.address(name)
    settings = Settings(home=home, ledger_url=address)
    people = make_people(settings)
    ledger = Ledger.open(settings=settings)
    stack.callback(ledger.close)
    log = home / "server.log"
    served = stack.enter_context(nursery.serving(log, home=home, ledger_url=address, checkpoint_seconds=1, **UNLIMITED))
    return Office(served, people, settings, ledger)


@pytest.mark.soak
def test_writes_that_do_not_fit_are_507_and_go_on_once_there_is_room(
    store: Store, stack: ExitStack, nursery: Nursery, models: Models, campaign: Campaign, tmp_path: Path
) -> None:
    """3 times (100 in the long form) the disk fills up amid four writers, on each store.

    Whoever writes is told 507, now and then 503; so is who asks for evidence; reads go on; with room again every writer
    goes on without a restart. Nothing acknowledged is lost, nothing refused is there, and all of it verifies.
    """
    if isinstance(store, PostgresqlStore):
        disk = mount(stack, f"{rounds(32, 512)}m", unprivileged_user())
        office = serve_from_postgresql(stack, store, nursery, disk, tmp_path / "home")
    else:  # a round leaves more than a megabyte, so many rounds need a larger disk
        disk = mount(stack, f"{rounds(16, 512)}m")
        office = serve_from_sqlite(stack, models, disk, tmp_path / "server.log")
    caller = office.caller()
    stack.callback(caller.close)
    deal = f"/api/v1/deals/{office.open_deal(caller)}"
    pid, fallen, told = office.served.pid, [], set[int]()
    for _ in campaign.each(rounds(3, 100)):
        writers = DiskWriters(office, deal, campaign.rng)
        writers.start()
        writers.wait_until_written()
        disk.fill(campaign.rng.randrange(200_000))
        writers.wait_until_refused(f"{disk.free} bytes are left")
        disk.fill()
        evidence = caller.send("POST", f"{deal}/evidence")
        # A server may find room for it in pages that it has.
        assert evidence.status == 200 or (evidence.status, evidence.json()["type"]) in FULL
        assert caller.send("GET", deal).status == 200
        assert caller.send("GET", "/api/v1/deals?limit=200").status == 200
        disk.make_room()
        writers.wait_until_written()
        writers.stop()
        fallen.append(writers)
        told |= writers.statuses
    assert 507 in told
    assert office.served.pid == pid, "the server was not to be started again"
    evidence = caller.send("POST", f"{deal}/evidence")
    assert evidence.status == 200, evidence.content
    ledger = office.ledger
    if ledger is None:  # SQLite finds its files by their real names alone, so they are looked at elsewhere
        office.served.stop()
        shutil.copytree(disk.path / "home", tmp_path / "home")
        ledger = Ledger.open(settings=Settings(home=tmp_path / "home"))
        stack.callback(ledger.close)
    with ledger.read() as session:
        acknowledged = sum(writers.receipts.check_new(session) for writers in fallen)
    for writers in fallen:
        writers.assert_none_refused_is_there(ledger)
    Office(office.served, office.people, ledger.settings, ledger).assert_sound()
    refused = sum(len(writers.refused) for writers in fallen)
    campaign.say(f"{acknowledged:,} writes acknowledged, {refused:,} refused with {sorted(told)}")


@pytest.fixture
def people(models: Models) -> People:
    return models(SqliteStore())[1]


@pytest.fixture
def settings(models: Models, tmp_path: Path) -> Settings:
    return SqliteStore().copy(models(SqliteStore())[0], tmp_path / "home")


@pytest.fixture
def full_folders(stack: ExitStack, settings: Settings) -> SmallDisk:
    """A home whose ledger has room, and whose folders of checkpoints and uploads lie on a small disk."""
    disk = mount(stack, "1m")
    for folder in (settings.checkpoints_dir, settings.uploads_dir):
        if folder.exists():
            shutil.copytree(folder, disk.path / folder.name)
            shutil.rmtree(folder)
        else:
            (disk.path / folder.name).mkdir()
        folder.symlink_to(disk.path / folder.name)
    return disk


def test_a_file_that_does_not_fit_is_507(full_folders: SmallDisk, settings: Settings, people: People) -> None:
    """A checkpoint that evidence needs, an upload: nothing of either is left, and with room again both are made."""
    with Client(create_app(settings, with_workspace=False), raise_server_exceptions=False) as client:
        deal = client.post("/api/v1/deals", json=DEAL, headers=people.anna.auth).json()["id"]
        full_folders.fill()
        sent = {"files": [("files", ("deals.csv", b"id\n" * 300_000))], "data": {"mapping": "hubspot"}}

        def attempt() -> tuple[Any, Any]:
            evidence = client.post(f"/api/v1/deals/{deal}/evidence", headers=people.anna.auth)
            return evidence, client.post("/api/v1/imports", headers=people.manager.auth, **sent)

        for answer in attempt():
            assert (answer.status_code, problem_of(answer)) == (507, "disk-full")
            assert int(answer.headers["retry-after"]) > 0
            assert str(settings.home) not in answer.text
        assert list(settings.uploads_dir.iterdir()) == []
        assert [path.name for path in settings.checkpoints_dir.glob(".*")] == []
        full_folders.make_room()
        evidence, upload = attempt()
        assert evidence.status_code == 200
        assert problem_of(upload) != "disk-full"


def test_the_command_line_says_so_and_leaves_no_half_of_a_dossier(
    stack: ExitStack, settings: Settings, people: People, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    disk = mount(stack, "1m")
    with Client(create_app(settings, with_workspace=False)) as client:
        deal = client.post("/api/v1/deals", json=DEAL, headers=people.anna.auth).json()["id"]
    monkeypatch.setenv("DEALBOOK_HOME", str(settings.home))
    get_settings.cache_clear()
    target = disk.path / "dossier.zip"
    monkeypatch.setattr("sys.argv", ["dealbook", "audit", "dossier", deal, "--out", str(target)])
    disk.fill(leave=8192)
    with pytest.raises(SystemExit, match="2"):
        dealbook.main()
    assert "The disk is full" in capsys.readouterr().err
    assert [path.name for path in disk.path.iterdir()] == ["ballast"]
    disk.make_room()
    with pytest.raises(SystemExit, match="0"):
        dealbook.main()
    assert target.stat().st_size > 8192
    get_settings.cache_clear()
