"""Pages of the workspace measured in a browser: how long until one is ready, and until a dropped card is answered.

The yardstick is the sign-in page of the same server: what framework, socket and browser cost before a page has anything
to say. What is between the two is reading the ledger or the published file and drawing it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ledger.settings import PROJECT_DIR, Settings
from orchestration.bench_moves import serving

if TYPE_CHECKING:
    from rich.console import Console

AGENTS = 40
BARE = "sign-in (yardstick)"
# A page is ready when its last part is drawn: the selector of that part.
PAGES = {
    BARE: ("/agents/sign-in", ".sign-in-box"),
    "home": ("/agents/performance/home", "#team tbody tr"),
    "pipeline": ("/agents/performance/pipeline", ".deal"),
    "performance": ("/agents/performance?period=365d", "#chart-sources svg"),
    "commissions": ("/agents/performance/commissions", ".queue tbody tr"),
    "imports": ("/agents/performance/imports", ".import-list tbody tr"),
    "log": ("/agents/performance/log", "[data-entry]"),
}
DROP = "a drop on the board"
# Runs in the page: from the moment a card is let go until it stands in its new column.
WATCH_DROP = """
() => {
  window.dropAnswered = new Promise((done) => {
    document.addEventListener("drop", (event) => {
      const started = performance.now();
      const target = event.target.closest(".stage");
      const known = new Set([...target.querySelectorAll(".deal")].map((card) => card.dataset.deal));
      new MutationObserver((_, observer) => {
        const arrived = [...target.querySelectorAll(".deal")].some((card) => !known.has(card.dataset.deal));
        if (!arrived) return;
        observer.disconnect();
        requestAnimationFrame(() => done(performance.now() - started));
      }).observe(target, { childList: true, subtree: true });
    }, { once: true, capture: true });
  });
}
"""


class NoBrowser(Exception):  # noqa: N818 - a fact, named as the ledger names its own
    """There is nothing to show pages in."""


@dataclass(frozen=True)
class PageTimes:
    """Milliseconds of each round for one page, or for the drop."""

    what: str
    ms: list[float]


def run_bench_pages(settings: Settings, console: Console, *, rounds: int, deals: int) -> list[PageTimes]:
    """Measure each page `rounds` times on a sample of `deals`, in turns, and as many drops; print them.

    The figures go to `settings.home/bench/pages.json`. Raises `NoBrowser` where Playwright or Chromium is missing.
    """
    chromium = find_chromium()
    with tempfile.TemporaryDirectory(prefix="dealbook-bench-") as folder:
        home = Path(folder) / "home"
        environment = {**os.environ, "DEALBOOK_HOME": str(home), "DEALBOOK_PORT": "0", "NO_COLOR": "1"}
        environment |= {"DEALBOOK_RATE_LIMIT_PER_TOKEN": "0", "DEALBOOK_RATE_LIMIT_PER_ADDRESS": "0"}
        for words in (["demo", "--deals", str(deals), "--agents", str(AGENTS)], ["refresh"]):
            console.print(f"dealbook {' '.join(words)} ...")
            subprocess.run(  # noqa: S603 (our own)
                [sys.executable, "-m", "dealbook", *words],
                env=environment,
                cwd=PROJECT_DIR,
                check=True,
                capture_output=True,
            )
        link = _make_link(Settings(home=home))
        command = [sys.executable, "-u", "-m", "dealbook", "serve"]
        with serving(command, environment, Path(folder) / "serve.log") as service:
            found = _measure(console, chromium, f"http://127.0.0.1:{service.port}", link, rounds)
    _report(settings, console, found, deals)
    return found


def find_chromium() -> str:
    """Return the path of a Chromium, the system's or Playwright's own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser("Playwright is not installed here: `make test` adds it and looks for a Chromium.") from None
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    if not Path(own).exists():
        raise NoBrowser("No Chromium was found here: install one, or let `make test` do it.")
    return own


def _make_link(settings: Settings) -> str:
    """Return the address, below the server's, that signs in a manager made for this."""
    from ledger import access
    from ledger.store import initialise
    from ledger.vocabulary import Role

    ledger = initialise(settings)
    with ledger.write() as session:
        manager = access.create_user(session, access.SYSTEM, name="Mira Goh", role=Role.MANAGER)
        link = access.create_login_link(session, manager.id)
    ledger.close()
    return f"/login?link={link}"


def _measure(console: Console, chromium: str, address: str, link: str, rounds: int) -> list[PageTimes]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        stranger = browser.new_page()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address + link)
        found = {name: PageTimes(name, []) for name in [*PAGES, DROP]}
        for number in range(rounds + 1):  # the first round warms server and browser, and is not counted
            console.print(f"round {number} of {rounds} ..." if number else "warming up ...")
            for name, (path, ready) in PAGES.items():
                spent = _time_page(stranger if name == BARE else page, address + path, ready)
                if number:
                    found[name].ms.append(spent)
            spent = _time_drop(page, address, number)
            if number:
                found[DROP].ms.append(spent)
        browser.close()
    return list(found.values())


def _time_page(page: Any, address: str, ready: str) -> float:
    page.goto(address, wait_until="commit")
    page.wait_for_selector(ready, state="visible", timeout=60_000)
    # In the browser's own time, from the start of the navigation: what a person waits.
    return float(page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done(performance.now())))"))


def _time_drop(page: Any, address: str, number: int) -> float:
    page.goto(address + PAGES["pipeline"][0])
    page.wait_for_selector(".deal", state="visible")
    first, second = ("qualification", "needs_analysis")[:: 1 if number % 2 else -1]
    page.evaluate(WATCH_DROP)
    card = page.locator(f'.stage[data-stage="{first}"] .deal').first
    card.drag_to(page.locator(f'.stage[data-stage="{second}"] .stage-cards'))
    return float(page.evaluate("window.dropAnswered"))


def _report(settings: Settings, console: Console, found: list[PageTimes], deals: int) -> None:
    """Print the table and keep the figures under `settings.home/bench/`."""
    bare = median(next(each.ms for each in found if each.what == BARE))
    title = f"pages in Chromium, {deals:,} deals, {datetime.now(settings.time_zone):%Y-%m-%d %H:%M}"
    table = Table(title=f"{title}, {os.cpu_count()} cores")
    for heading in ("page", "median ms", "slowest ms", "x yardstick"):
        table.add_column(heading, justify="left" if heading == "page" else "right")
    for each in found:
        ratio = "" if each.what == DROP else f"{median(each.ms) / bare:.2f}"
        table.add_row(each.what, f"{median(each.ms):,.0f}", f"{max(each.ms):,.0f}", ratio)
    console.print(table)
    target = settings.home / "bench"
    target.mkdir(parents=True, exist_ok=True)
    document = {"at": datetime.now(UTC).isoformat(), "deals": deals, "pages": [asdict(each) for each in found]}
    (target / "pages.json").write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"Figures: {target / 'pages.json'}")
