"""Copies of the ledger that can be put back: made while others write, whole and verified, or not made at all.

    <folder>/ledger.sqlite3 or ledger.pgdump    the database at one moment
             checkpoints/  reference/           what belongs to it outside the database
             keys/                              only on request: whoever has keys and ledger can sign another history
             backup.json                        written last: what the folder holds, with the digest of the database

The folder of checkpoints is copied before the database, so a sound copy continues every checkpoint beside it.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import msgspec
from sqlalchemy import text

from ledger.databases import parse_address, sqlite_path
from ledger.errors import BackupRefused
from ledger.log.audit import AuditReport, audit_log
from ledger.log.checkpoint import make_checkpoint, read_origin
from ledger.log.keys import trusted_keys, write_private
from ledger.settings import Settings
from ledger.store import Ledger

MANIFEST = "backup.json"
_BY_CLOCK = "ledger-"
_FILE = {"sqlite": "ledger.sqlite3", "postgresql": "ledger.pgdump"}


class BackupReport(msgspec.Struct, frozen=True):
    """What a backup holds; `verified` says against what its log was checked."""

    folder: str
    store: str
    origin: str
    size: int
    root: str
    sha256: str
    has_keys: bool
    made_at: datetime
    published: str
    verified: str


def backup_ledger(settings: Settings, target: Path, *, with_keys: bool = False) -> BackupReport:
    """Copy the ledger into the new folder `target` while others go on writing, verify the copy, and return what it is.

    It holds every write that was acknowledged before the call. Raises `BackupRefused` when `target` exists, a program
    is missing, or the copy is not sound; nothing is left behind then.
    """
    if target.exists():
        raise BackupRefused(f"{target} exists and is left alone. Give a folder that is not there yet.")
    ledger = Ledger.open(settings.ledger_address, settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(ledger), tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        staging = Path(folder) / "backup"
        staging.mkdir(mode=0o700)
        make_checkpoint(ledger)
        for source in (settings.checkpoints_dir, settings.home / "reference"):
            if source.is_dir():
                shutil.copytree(source, staging / source.name)
        if with_keys:
            shutil.copytree(settings.keys_dir, staging / "keys", ignore=shutil.ignore_patterns(".*lock"))
        store = ledger.engine.dialect.name
        database = staging / _FILE[store]
        _copy_database(settings, database)
        audit, verified = _verify(settings, database, Path(folder))
        if audit.exit_code:
            problems = [finding.problem for finding in audit.findings] + audit.undecided
            raise BackupRefused(f"The copy is not sound: {problems[0]}. Run `dealbook audit verify`.")
        with ledger.read() as session:
            origin = read_origin(session)
        pointer = settings.published_dir / "CURRENT"
        report = BackupReport(
            str(target.resolve()), store, origin, audit.size, audit.root.hex(), _digest(database), with_keys,
            datetime.now(UTC), pointer.read_text("utf-8").strip() if pointer.exists() else "", verified,
        )  # fmt: skip
        write_private(staging / MANIFEST, msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        staging.rename(target)
    return report


def backup_by_the_clock(settings: Settings) -> tuple[BackupReport, list[str]]:
    """Back up into a folder of `settings.backups_dir` named by the moment (UTC), then remove the oldest of these.

    Returns what was made and the names of what was removed: only whole backups that this function named are counted,
    `settings.keep_backups` of them are kept. Raises `BackupRefused`, and then nothing is removed.
    """
    report = backup_ledger(settings, settings.backups_dir / f"{_BY_CLOCK}{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    whole = sorted(folder.parent for folder in settings.backups_dir.glob(f"{_BY_CLOCK}*/{MANIFEST}"))
    outlived = whole[: -settings.keep_backups]
    for folder in outlived:
        shutil.rmtree(folder)
    return report, [folder.name for folder in outlived]


def read_backup(source: Path) -> BackupReport:
    """Return what the backup in `source` says of itself; raise `BackupRefused` unless its database is as it was."""
    try:
        report = msgspec.json.decode((source / MANIFEST).read_bytes(), type=BackupReport)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupRefused(f"{source} holds no whole backup: {MANIFEST} cannot be read.") from error
    database = source / _FILE[report.store]
    if not database.exists() or _digest(database) != report.sha256:
        raise BackupRefused(f"{database} is not the file that was backed up. Take another backup.")
    return report


def restore_ledger(settings: Settings, source: Path, *, is_forced: bool = False) -> tuple[BackupReport, str]:
    """Put a backup back as the ledger of `settings`; return what it is, and where what was there is kept.

    A ledger that is there is refused unless `is_forced`, and then set aside. Checkpoints and keys that are there stay:
    they know whether the backup is older than what was signed, and writing is then refused until
    `dealbook audit recover`.
    """
    report = read_backup(source)
    path = sqlite_path(settings.ledger_address)
    if report.store != ("postgresql" if path is None else "sqlite"):
        raise BackupRefused(f"This is a backup of a ledger on {report.store}; set DEALBOOK_LEDGER_URL accordingly.")
    if not report.has_keys and not settings.keys_dir.is_dir():
        raise BackupRefused(f"The backup is without keys: put them back into {settings.keys_dir} first, mode 0700.")
    settings.home.mkdir(parents=True, exist_ok=True)
    mark = f"replaced_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    database = source / _FILE[report.store]
    if path is None:
        kept = _restore_dump(settings, database, mark, is_forced=is_forced)
    else:
        kept = _restore_file(path, database, mark, is_forced=is_forced)
    for name in ("checkpoints", "reference", "keys"):
        if (source / name).is_dir() and not (settings.home / name).is_dir():
            shutil.copytree(source / name, settings.home / name)
    return report, kept


def _restore_file(path: Path, database: Path, mark: str, *, is_forced: bool) -> str:
    names = [path.name + end for end in ("", "-wal", "-shm")]
    present = [path.with_name(name) for name in names if path.with_name(name).exists()]
    aside = path.parent / mark
    if present and not is_forced:
        raise BackupRefused(f"There is a ledger at {path}. With --force it is set aside in {aside.parent}/replaced_….")
    if present:
        aside.mkdir()
        for found in present:
            found.rename(aside / found.name)
    fresh = path.with_name(f".{path.name}.new")
    shutil.copy(database, fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    return str(aside) if present else ""


def _restore_dump(settings: Settings, database: Path, mark: str, *, is_forced: bool) -> str:
    import psycopg

    with psycopg.connect(_libpq_address(settings.ledger_address), autocommit=True) as connection:
        is_there = connection.execute("SELECT to_regclass('public.log_identity')").fetchone() != (None,)
        if is_there and not is_forced:
            raise BackupRefused("The database holds a ledger. With --force it is set aside as the schema `replaced_…`.")
        if is_there:
            connection.execute(f"ALTER SCHEMA public RENAME TO {mark}; CREATE SCHEMA public")
    _load_dump(settings.ledger_address, database)
    return f"schema {mark}" if is_there else ""


def _copy_database(settings: Settings, target: Path) -> None:
    path = sqlite_path(settings.ledger_address)
    if path is None:
        _run(settings.ledger_address, "pg_dump", "--format=custom", "--schema=public", "--no-owner", f"--file={target}")
        return
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)  # all pages in one step: one moment, and writers go on beside it
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    with target.open("rb") as file:
        os.fsync(file.fileno())
    target.chmod(0o600)


def _verify(settings: Settings, database: Path, folder: Path) -> tuple[AuditReport, str]:
    """Verify the copy's log against the checkpoints beside it; a dump is loaded into a database of its own for that."""
    home = folder / "home"
    home.mkdir()
    shutil.copytree(database.parent / "checkpoints", home / "checkpoints")
    if database.name == _FILE["sqlite"]:
        working = home / "ledger.sqlite3"
        shutil.copy(database, working)
        return _audit(settings, Settings(home=home, ledger_url=f"sqlite:///{working}")), "the copy"
    import psycopg

    name = f"dealbook_verify_{os.getpid()}_{datetime.now(UTC):%H%M%S%f}"
    scratch = parse_address(settings.ledger_address).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(_libpq_address(settings.ledger_address), autocommit=True) as connection:
        try:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        except psycopg.errors.InsufficientPrivilege:
            _run(settings.ledger_address, "pg_restore", "--list", str(database), is_connected=False)
            return _audit(settings, settings), "the ledger itself: the role may make no database for the dump"
        try:
            _load_dump(scratch, database)
            return _audit(settings, Settings(home=home, ledger_url=scratch)), "the copy"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _load_dump(address: str, database: Path) -> None:
    """Load all of a dump, or nothing, into the schema `public`, which is there and empty."""
    contents = _run(address, "pg_restore", "--list", str(database), is_connected=False).splitlines()
    with tempfile.NamedTemporaryFile("w", suffix=".list") as wanted:
        wanted.write("\n".join(line for line in contents if " SCHEMA - public " not in line))
        wanted.flush()
        words = ("--no-owner", "--exit-on-error", "--single-transaction", f"--use-list={wanted.name}")
        _run(address, "pg_restore", *words, str(database))


def _audit(settings: Settings, copy: Settings) -> AuditReport:
    with closing(Ledger.open(copy.ledger_address, copy)) as ledger, ledger.read() as session:
        session.execute(text("SELECT 1"))
        return audit_log(session, copy, vkeys=list(trusted_keys(settings.keys_dir).values()))


def _libpq_address(address: str) -> str:
    return parse_address(address).set(drivername="postgresql").render_as_string(hide_password=False)


def _run(address: str, program: str, *words: str, is_connected: bool = True) -> str:
    """Run one of PostgreSQL's own programs; the password goes by the environment, where other users do not see it."""
    found = shutil.which(program)
    if found is None:
        raise BackupRefused(f"`{program}` is not on PATH. Install PostgreSQL's client programs (postgresql-client).")
    url = parse_address(address).set(drivername="postgresql")
    shown = url.set(password=None).render_as_string(hide_password=False)
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    target = [f"--dbname={shown}"] if is_connected else []
    done = subprocess.run([found, *target, *words], env=os.environ | secret, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit code {done.returncode}"]
        raise BackupRefused(f"`{program}` failed: {said[0]}")
    return done.stdout


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
