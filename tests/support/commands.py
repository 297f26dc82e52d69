"""Runs the product as its users do: the command line in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
DATASETS = ROOT.parent / "shared" / "datasets"
"""Real data with known answers, beside the checkout; never part of it."""


def _environment(home: Path, settings: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "DEALBOOK_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200", **settings}


def run_dealbook(home: Path, *words: str, timeout: int = 300, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a verb with its state in `home`; `settings` are `DEALBOOK_*` variables."""
    return subprocess.run(
        [sys.executable, "-m", "dealbook", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=_environment(home, settings),
        cwd=ROOT,
    )


def read_json(home: Path, *words: str, **settings: str) -> Any:
    """Run a verb with --json and return what it printed."""
    done = run_dealbook(home, *words, "--json", **settings)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


class Served:
    """A running `dealbook serve` or `up`, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def printed(self) -> str:
        """Everything printed so far."""
        return self._log.read_text()

    def wait_for(self, words: str, seconds: float = 240) -> str:
        """Wait until `words` are printed and return everything printed; fail when the process ends or time is up."""
        deadline = time.monotonic() + seconds
        while words not in self.printed:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"{words!r} was not printed:\n{self.printed}"
            time.sleep(0.1)
        return self.printed

    def address_of(self, label: str) -> str:
        """Return the address printed behind `label`."""
        line = next(line for line in self.printed.splitlines() if label in line)
        return next(word for word in line.split() if word.startswith("http"))

    def interrupt(self, sign: signal.Signals = signal.SIGINT, seconds: float = 60) -> int:
        """Press Ctrl-C (or send another signal) and return the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(seconds)


def left_running(home: Path, seconds: float = 10) -> list[str]:
    """Return what still runs of `home`, once nothing does or after some seconds.

    Python's resource trackers, for one, end only when they see that their process has ended.
    """
    deadline = time.monotonic() + seconds
    while (found := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def processes_of(home: Path) -> list[str]:
    """Return the command lines of running processes whose state lies in `home` (empty where /proc is missing)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"DEALBOOK_HOME={home}\0".encode() in (folder / "environ").read_bytes() + b"\0":
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended, or is another user's
    return found


@contextmanager
def serving(home: Path, log: Path, *words: str, **settings: str) -> Iterator[Served]:
    """Run a serving verb without a terminal until the context ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "dealbook", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_environment(home, settings),
            cwd=ROOT,
        )
        try:
            yield Served(process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def get_json(address: str, token: str) -> Any:
    """Return the JSON that a GET with a bearer token answers."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
