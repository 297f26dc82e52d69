"""One agency, refreshed by the real pipeline and served by a real process, for all browser tests; and a Chromium."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ledger.access import create_login_link
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from tests.browser.agency import Agency, found_agency
from tests.support.browser import CHROMIUM_ARGUMENTS, Watcher, find_chromium, run_verb, serve

COSTS = """agent,month,lead_source,amount,currency,source
anna@example.com,2025-06,portal,40000,SGD,made up
anna@example.com,2026-01,portal,25000,SGD,made up
devi@example.com,2026-01,referral,9000,SGD,made up
"""
# Generous, for machines that are busy with other things: what is waited for is told apart from what never comes.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
REFERENCE = Path(__file__).resolve().parents[2] / "data" / "reference"


@dataclass(frozen=True)
class Office:
    """The agency, its ledger, and where it is served."""

    agency: Agency
    ledger: Ledger
    settings: Settings
    address: str

    def make_link(self, user_id: str) -> str:
        """Return a fresh one-time link for the user."""
        with self.ledger.write() as session:
            return f"{self.address}/login?link={create_login_link(session, user_id)}"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        reason = "NO CHROMIUM FOUND: the browser tests did not run. Install one, or run `make test`, which tries to."
        pytest.skip(reason)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    settings = Settings(home=tmp_path_factory.mktemp("agency") / "home")
    ledger = initialise(settings)
    agency = found_agency(ledger)
    costs = settings.home.parent / "agent_costs.csv"
    costs.write_text(COSTS, encoding="utf-8")
    files = [path for path in sorted(REFERENCE.glob("*.csv")) if path.name != costs.name]
    run_verb(settings.home, "reference", *map(str, [*files, costs]))
    run_verb(settings.home, "refresh")
    with serve(settings.home) as address:
        yield Office(agency, ledger, settings, address)
    ledger.close()


@dataclass
class Visitors:
    """Opens browser windows that are watched: whatever they do that no page may do fails the test at its end."""

    browser: Browser
    watchers: list[Watcher]
    contexts: list[BrowserContext]

    def open(
        self, address: str, *, link: str | None = None, width: int = 1280, height: int = 800, scheme: str = "light"
    ) -> Page:
        """Return a page of a new window, signed in by `link` if one is given."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            locale="en-GB",
            timezone_id="Asia/Singapore",
        )
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        page = context.new_page()
        watcher = Watcher(address)
        watcher.watch(page)
        self.watchers.append(watcher)
        if link:
            page.goto(link)
            page.wait_for_selector("h1")
        return page


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    opened = Visitors(browser, [], [])
    yield opened
    for context in opened.contexts:
        context.close()
    assert [fault for watcher in opened.watchers for fault in watcher.faults] == []


@pytest.fixture
def manager_page(visitors: Visitors, office: Office) -> Page:
    """A laptop's window in which the manager is signed in."""
    return visitors.open(office.address, link=office.make_link(office.agency.manager_id))


@pytest.fixture(scope="package")
def screenshots() -> Path:
    """The ignored folder that keeps the pages as they last looked."""
    folder = Path(__file__).resolve().parents[2] / "var" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
