"""Serves the Dagster UI and runs the schedules: three child processes that start and end together.

One code server, shared by the web server and the daemon (each would otherwise load its own), kept light: few workers,
no telemetry; `code_server` says how it starts runs. Every child leads a process group of its own, so that stopping
takes along the runs it started.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from urllib.error import URLError

from filelock import FileLock, Timeout

from ledger.settings import PROJECT_DIR, Settings

_STOP_SECONDS = 15.0


class DagsterNotStarted(Exception):  # noqa: N818 - errors are named as facts, like the ledger's
    """Dagster did not come up; the message says where its log is."""


_WORKSPACE = """load_from:
  - grpc_server:
      socket: {socket}
      location_name: dealbook
"""


@contextlib.contextmanager
def serve_dagster(
    settings: Settings,
    port: int,
    *,
    with_schedules: bool = True,
    timeout_seconds: float = 120,
    give_up: Event | None = None,
) -> Iterator[str]:
    """Serve the Dagster UI on `port` of the settings' host until the context ends; yields its address once it answers.

    Raises `DagsterNotStarted` when it does not answer in time, or when `give_up` is set before it does. Nothing is
    left running afterwards, also after a KeyboardInterrupt or SystemExit.
    """
    from orchestration.instance import prepare_instance

    with contextlib.suppress(OSError), socket.create_connection((settings.host, port), timeout=1):
        raise DagsterNotStarted(f"Port {port} is in use. Choose another with DEALBOOK_DAGSTER_PORT.")
    folder = prepare_instance(settings)
    code_socket = folder / "code.sock"
    address = f"http://{settings.host}:{port}"
    environment = _environment(settings, folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / "serving.lock", is_singleton=False).acquire(timeout=0))
        except Timeout as fault:
            raise DagsterNotStarted(
                f"Another dealbook already runs Dagster on this data ({settings.home}): use that one, or stop it first."
            ) from fault
        log = stack.enter_context((folder / "service.log").open("ab"))
        code_socket.unlink(missing_ok=True)
        children: list[subprocess.Popen[bytes]] = []
        stack.callback(_stop, children)

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
                [sys.executable, "-W", "ignore", "-m", *arguments],
                cwd=PROJECT_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            children.append(child)
            return child

        start(
            *("orchestration.code_server", "api", "grpc", "--socket", str(code_socket)),
            *("--module-name", "orchestration.definitions"),
            *("--working-directory", str(PROJECT_DIR), "--location-name", "dealbook", "--max-workers", "4"),
            *("--log-level", "warning"),
        )
        deadline = time.monotonic() + timeout_seconds
        _wait_until(code_socket.exists, children, deadline, folder, give_up)
        # A file, because the UI calls a place that was given by its socket after the socket's path.
        workspace = folder / "workspace.yaml"
        workspace.write_text(_WORKSPACE.format(socket=json.dumps(str(code_socket))), encoding="utf-8")
        place = ("--workspace", str(workspace))
        start("dagster_webserver", *place, "--host", settings.host, "--port", str(port))
        if with_schedules:
            start("dagster._daemon", "run", *place, "--log-level", "warning")
        _wait_until(lambda: _answers(f"{address}/server_info"), children, deadline, folder, give_up)
        yield address


def _environment(settings: Settings, folder: Path) -> dict[str, str]:
    """Return the children's environment: these settings, Dagster's folder, no telemetry."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    ours = {
        f"DEALBOOK_{name.upper()}": str(value)
        for name, value in settings.model_dump().items()
        if value is not None and value != ""
    }
    return {**given, **ours, "DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:  # noqa: S310 - our own http address
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def _wait_until(
    is_ready: Callable[[], bool],
    children: list[subprocess.Popen[bytes]],
    deadline: float,
    folder: Path,
    give_up: Event | None,
) -> None:
    while not is_ready():
        if any(child.poll() is not None for child in children) or time.monotonic() > deadline:
            raise DagsterNotStarted(f"Dagster did not come up. Its log says why: {folder / 'service.log'}")
        if give_up is not None and give_up.wait(0.1):
            raise DagsterNotStarted("Stopped before Dagster was up.")
        time.sleep(0.1)


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """End the children and everything they started: first asked, then, after a while, told."""
    for sign, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        for child in reversed(children):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, sign)
        deadline = time.monotonic() + patience
        while any(_is_alive(child) for child in children):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return


def _is_alive(child: subprocess.Popen[bytes]) -> bool:
    """Whether the child or anything of its process group still runs."""
    child.poll()
    with contextlib.suppress(ChildProcessError):  # the first process of a container is left what its children started
        os.waitpid(-child.pid, os.WNOHANG)
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return False
    return True
