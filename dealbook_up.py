"""What `dealbook up` does, step by step, with progress; the other verbs borrow single steps.

    initialise -> sample (only into an empty ledger) -> refresh -> docs site -> Dagster (children) -> API and workspace

Every step says what it does and how long it took, works without a terminal, and loses nothing when it is stopped.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
import urllib.request
from datetime import datetime
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date
    from pathlib import Path

    from rich.console import Console

    from ingestion.crm_files import ImportReport
    from ledger.settings import Settings
    from ledger.store import Ledger
    from orchestration.refresh import RefreshReport

ADMIN_EMAIL = "admin@localhost"


@contextlib.contextmanager
def progress_of(console: Console, title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a step's progress and its duration; without a terminal, one line when it begins and one when it ends.

    Yields a callback `(what, done, total)`; a total of 0 means that the end is not known.
    """
    started = time.monotonic()
    if console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=None)

            def advance(what: str, done: int, total: int) -> None:
                bar.update(task, description=f"{title}: {what}" if what else title, completed=done, total=total or None)

            yield advance
    else:
        console.print(f"{title} ...")
        yield lambda *_: None
    console.print(f"{title}: done in {time.monotonic() - started:.1f} s")


def load_sample(
    settings: Settings,
    ledger: Ledger | None,
    console: Console,
    *,
    deals: int,
    agents: int,
    years: int = 3,
    seed: int = 1,
    until: date | None = None,
) -> None:
    """Write the sample export under `settings.sample_dir`; with a ledger, import it too."""
    from ingestion.sample_files import write_sample

    until = until or datetime.now(settings.time_zone).date()
    with progress_of(console, f"Writing a sample CRM export of {deals:,} deals") as advance:
        sample = write_sample(
            settings.sample_dir, deals=deals, agents=agents, years=years, seed=seed, until=until, on_progress=advance
        )
    if ledger is not None:
        report = import_with_progress(settings, ledger, console, list(sample.files), "sample_crm")
        console.print(report.render(), markup=False)


def import_with_progress(
    settings: Settings,
    ledger: Ledger,
    console: Console,
    files: list[Path],
    mapping: str,
    *,
    dry_run: bool = False,
    strict: bool = False,
) -> ImportReport:
    """Import files under a progress bar and return the report."""
    from ingestion.crm_files import import_files
    from ledger.access import SYSTEM

    with progress_of(console, "Importing") as advance:
        return import_files(
            ledger,
            SYSTEM,
            files,
            mapping,
            dry_run=dry_run,
            strict=strict,
            rejects_dir=settings.rejects_dir,
            on_progress=advance,
        )


def refresh_with_progress(
    settings: Settings, console: Console, *, full: bool = False, as_of: date | None = None
) -> RefreshReport:
    """Refresh under a progress bar and return the report."""
    from orchestration.refresh import refresh

    with progress_of(console, "Refreshing") as advance:
        return refresh(settings, full=full, as_of=as_of, on_progress=advance)


def make_login_link(ledger: Ledger, base: str, *, email: str | None = None) -> str:
    """Return a one-time address that signs in the user with this e-mail, else the administrator, made when missing."""
    from ledger import access
    from ledger.errors import UserNotFound

    if email is None:
        ensure_administrator(ledger)
    with ledger.write() as session:
        user = access.find_user(session, email=email or ADMIN_EMAIL)
        if user is None:
            raise UserNotFound(email or ADMIN_EMAIL)
        return f"{base}/login?link={access.create_login_link(session, user.id)}"


def ensure_administrator(ledger: Ledger) -> None:
    """Record a new installation's administrator, who has no password: links printed on this machine let them in."""
    from ledger import access
    from ledger.vocabulary import Role

    with ledger.write() as session:
        if access.find_user(session, email=ADMIN_EMAIL) is None:
            access.create_user(session, access.SYSTEM, email=ADMIN_EMAIL, name="Administrator", role=Role.ADMIN)


def listen(host: str, port: int, console: Console, what: str) -> socket.socket:
    """Return a listening socket on `port`, or on a free one when it is taken, saying so."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.bind((host, 0))
        console.print(
            f"Port {port} for {what} cannot be used ({error.strerror}); taking {listener.getsockname()[1]} instead."
        )
    return listener


def free_port(host: str, port: int, console: Console, what: str) -> int:
    """Return `port`, or a free one when it is taken: for a child process that binds it itself."""
    with listen(host, port, console, what) as listener:
        return int(listener.getsockname()[1])


def serve_api(settings: Settings, console: Console, *, announce: Callable[[str], None] | None = None) -> int:
    """Serve REST and workspace until interrupted; call `announce(address)` once it answers. Returns the exit code."""
    import uvicorn

    from api.main import create_app
    from ledger.collection import collect_seldom

    listener = listen(settings.host, settings.port, console, "the workspace and the API")
    address = f"http://{settings.host}:{listener.getsockname()[1]}"
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    )

    def tell_when_ready() -> None:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz", timeout=2):  # noqa: S310 (our own address)
                (announce or (lambda where: console.print(f"Serving on {where}")))(address)
                return
            time.sleep(0.1)

    Thread(target=tell_when_ready, daemon=True).start()
    collect_seldom()
    with contextlib.suppress(KeyboardInterrupt), listener:
        server.run(sockets=[listener])
    console.print("Stopped.")
    return 0


@contextlib.contextmanager
def dagster_beside(settings: Settings, console: Console) -> Iterator[str]:
    """Start Dagster in the background and yield its address at once: nobody waits for it to use the workspace."""
    from orchestration.serve_dagster import DagsterNotStarted, serve_dagster

    port = free_port(settings.host, settings.dagster_port, console, "Dagster")
    stop = Event()

    def run() -> None:
        try:
            with serve_dagster(settings, port, give_up=stop) as address:
                console.print(f"The Dagster UI answers on {address}")
                stop.wait()
        except DagsterNotStarted as error:
            if not stop.is_set():
                console.print(f"Dagster is missing, everything else works. {error}", markup=False)

    runner = Thread(target=run, name="dagster")
    runner.start()
    try:
        yield f"http://{settings.host}:{port}"
    finally:
        stop.set()
        runner.join()


def _stop_like_ctrl_c() -> None:
    """Let SIGTERM (a service manager) and SIGHUP (a closed terminal) stop as cleanly as Ctrl-C does.

    SIGINT too: a shell starts background jobs with it ignored, children inherit that, and then would not hear it.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, interrupt)


def run_everything(settings: Settings, console: Console, *, deals: int, agents: int, with_dagster: bool) -> int:
    """Bring the whole product up on this machine; returns the exit code when it has stopped."""
    from ledger.store import initialise
    from orchestration.dbt_docs import build_docs

    started = time.monotonic()
    _stop_like_ctrl_c()
    console.print(f"dealbook keeps its data in {settings.home}")
    try:
        ledger = initialise(settings)
        ensure_administrator(ledger)
        if deals and _is_empty(ledger):
            load_sample(settings, ledger, console, deals=deals, agents=agents)
        _load_demo_references(settings, console)
        report = refresh_with_progress(settings, console)
        console.print(report.render(), markup=False)
        if not (settings.home / "dbt_docs" / "index.html").exists():
            with progress_of(console, "Building the docs site"):
                build_docs(settings)
        with contextlib.ExitStack() as children:
            dagster_address = ""
            if with_dagster:
                dagster_address = children.enter_context(dagster_beside(settings, console))

            def announce(address: str) -> None:
                console.print(f"\n[bold]dealbook is up[/] ({time.monotonic() - started:.0f} s)")
                console.print(f"  Sign in      {make_login_link(ledger, address)}   (once, within 15 minutes)")
                console.print(f"  Workspace    {address}/agents/performance")
                console.print(f"  REST API     {address}/openapi.json describes it; a token: dealbook token create")
                console.print(f"  dbt docs     {address}/docs/dbt")
                if dagster_address:
                    console.print(f"  Dagster UI   {dagster_address}   (takes a few seconds more)")
                console.print("  Another link: .venv/bin/dealbook login-link.  Stop with Ctrl-C.\n")

            return serve_api(settings, console, announce=announce)
    except KeyboardInterrupt:
        console.print("Stopped. What was finished is kept; `make run` goes on from there.")
        return 130


def _is_empty(ledger: Ledger) -> bool:
    """Whether the ledger has never held a deal."""
    from sqlalchemy import select

    from ledger.tables import AgentDeal

    with ledger.read() as session:
        return session.execute(select(AgentDeal.id).limit(1)).first() is None


def _load_demo_references(settings: Settings, console: Console) -> None:
    """Load the reference figures shipped with dealbook into a new warehouse."""
    from ingestion.reference_files import load_reference_files
    from ledger.settings import PROJECT_DIR

    files = sorted((PROJECT_DIR / "data" / "reference").glob("*.csv"))
    if files and not settings.warehouse_path.exists():
        with progress_of(console, "Loading reference figures"):
            load_reference_files(files, settings.warehouse_path, settings.rejects_dir)


def examine(settings: Settings) -> list[tuple[str, bool, str]]:
    """Return (check, is it well, what it says) for everything that a running installation needs."""
    import shutil

    from ingestion.publishing import current_publication
    from ledger.errors import DealbookError
    from ledger.log.verify import verify_chains
    from ledger.store import Ledger

    found: list[tuple[str, bool, str]] = []
    free = shutil.disk_usage(settings.home if settings.home.exists() else settings.home.parent).free
    found.append(("disk", free > 2 * 10**9, f"{free / 10**9:.1f} GB free where the data lies"))
    try:
        with Ledger.open(settings.ledger_address).read() as session:
            report = verify_chains(session)
        found.append(("log", not report.findings, f"{report.entries:,} entries, {len(report.findings)} findings"))
    except DealbookError as error:
        found.append(("log", False, error.detail))
    current = current_publication(settings.published_dir)
    if current is None:
        found.append(("published", False, "nothing yet: run `dealbook refresh`"))
    else:
        found.append(("published", True, f"{current.name}, as of {current.as_of_date}"))
    loose = [path.name for path in settings.keys_dir.glob("[!.]*") if path.stat().st_mode & 0o077]
    found.append(("keys", not loose, f"readable by others: {', '.join(loose)}; run chmod 600" if loose else "private"))
    return found
