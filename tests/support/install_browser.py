"""Sees to a Chromium for the browser tests: one on the machine, else Playwright's own, else the system's package.

`make test` calls it before the suite. It never fails the run: without a browser those tests skip, and say why.
"""

import os
import shutil
import subprocess
import sys

from tests.support.browser import find_chromium


def _try(command: list[str], seconds: int) -> bool:
    try:
        return (
            subprocess.run(command, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def install_chromium() -> bool:
    """Install a Chromium by the ways this machine allows; return whether one can be found now."""
    _try([sys.executable, "-m", "playwright", "install", "chromium"], 300)
    if find_chromium() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _try(["apt-get", "update", "-qq"], 300)
        _try(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], 900)
    return find_chromium() is not None


if __name__ == "__main__":
    if find_chromium() is None:
        print("No Chromium on this machine: installing one for the browser tests ...", flush=True)  # noqa: T201
        if not install_chromium():
            print("\n*** NO CHROMIUM COULD BE INSTALLED: THE BROWSER TESTS WILL BE SKIPPED. ***\n", flush=True)  # noqa: T201
