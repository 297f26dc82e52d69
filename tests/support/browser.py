"""What the browser tests stand on: a Chromium found on the machine, and the product served by a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

# No sandbox: tests run as root in containers. The rest keeps the browser from calling home on its own.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_SERVE = """
import socket, sys, uvicorn
from pathlib import Path
from api.main import create_app
from ledger.settings import Settings
listener = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config(create_app(Settings(home=Path(sys.argv[1]))), log_level="warning")
"""
_RUN = """
print(listener.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listener])
"""


def find_chromium() -> str | None:
    """Return the path of a Chromium: the system's, else the one that Playwright installed, else None."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def run_verb(home: Path, *words: str) -> str:
    """Run `dealbook WORDS` on the state in `home`, as its users do, and return what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "dealbook", *words],
        env=_clean_environment() | {"DEALBOOK_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("DEALBOOK_", "PYTEST_"))}


@contextmanager
def serve(home: Path, *, first: str = "") -> Iterator[str]:
    """Serve API and workspace of the state in `home` from another process; yields the address without a final slash.

    `first` is Python that the server runs before it serves, for what no state can bring about, such as slowness.
    """
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE + first + _RUN, str(home)],
        env=_clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the server did not start; its errors stand above"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


@dataclass
class Watcher:
    """What a page did that no page of ours may do: complain on the console, raise, or ask another machine."""

    address: str
    faults: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note from now on what `page` does."""
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("request", self._note_request)
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console {message.type}: {message.text}")

    def _note_request(self, request: Request) -> None:
        ours = (self.address, self.address.replace("http", "ws", 1), "data:", "blob:")
        if not request.url.startswith(ours):
            self.faults.append(f"asked another machine: {request.url}")
