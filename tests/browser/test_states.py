"""What pages show when there is nothing to show, when the numbers are old, and when a part fails."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ledger.access import SYSTEM, create_login_link, create_user
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import Role
from tests.browser.agency import HOSTILE
from tests.browser.conftest import Visitors
from tests.browser.looking import look
from tests.support.browser import serve
from tests.support.published_file import ANNA, AS_OF, publish_sample

pytestmark = pytest.mark.browser


class EmptyOffice:
    """A server over a ledger in which nobody but a manager has ever done anything."""

    def __init__(self, settings: Settings, ledger: Ledger, address: str) -> None:
        self.settings, self.ledger, self.address = settings, ledger, address
        with ledger.write() as session:
            self.manager_id = create_user(session, SYSTEM, name="Mei", email="mei@example.com", role=Role.MANAGER).id

    def make_link(self) -> str:
        with self.ledger.write() as session:
            return f"{self.address}/login?link={create_login_link(session, self.manager_id)}"


@pytest.fixture(scope="module")
def empty_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmptyOffice]:
    settings = Settings(home=tmp_path_factory.mktemp("empty") / "home")
    ledger = initialise(settings)
    with serve(settings.home) as address:
        yield EmptyOffice(settings, ledger, address)
    ledger.close()


def test_empty_pages_look_as_if_meant(visitors: Visitors, empty_office: EmptyOffice, screenshots: Path) -> None:
    """Before the first refresh and the first deal each page explains itself, on every screen."""
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    faults = []
    for name, title in EMPTY.items():
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"{empty_office.address}/agents/performance{name}")
        expect(page.get_by_text(title).first).to_be_visible()
        faults += look(page, screenshots, f"empty-{name.strip('/')}", is_long=True)
    assert faults == []


EMPTY = {
    "/home": "No numbers have been published yet",
    "/pipeline": "No deals here yet",
    "/commissions": "Nothing is waiting",
    "/log": "Nothing has been published yet",
}
# A server whose board is read only once a file allows it, and one page of which fails.
HELD = """
import sys, time
from pathlib import Path
from api.workspace import log_page
from api.workspace.board import BoardReader
allowed = Path(sys.argv[1]).parent / "allowed"
read_board = BoardReader.read_board
def read_when_allowed(reader, *sizes):
    while not allowed.exists():
        time.sleep(0.05)
    return read_board(reader, *sizes)
BoardReader.read_board = read_when_allowed
log_page.panel = None
"""


def test_a_slow_read_shows_that_it_is_under_way_and_a_failed_page_says_so(
    visitors: Visitors, tmp_path: Path, screenshots: Path
) -> None:
    """A page whose data take long comes at once with placeholders and fills itself; one that fails leads on."""
    settings = Settings(home=tmp_path / "home")
    ledger = initialise(settings)
    with serve(settings.home, first=HELD) as address:
        office = EmptyOffice(settings, ledger, address)
        page = visitors.open(address, link=office.make_link())
        page.get_by_role("link", name="Pipeline").click()
        expect(page.get_by_role("status", name="Loading")).to_be_visible()
        expect(page.get_by_role("heading", name="Pipeline")).to_be_visible()
        assert look(page, screenshots, "loading") == []
        (tmp_path / "allowed").touch()
        expect(page.get_by_role("heading", name="No deals here yet")).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        page.get_by_role("link", name="Log").click()
        expect(page.get_by_role("heading", name="This page failed")).to_be_visible()
        assert look(page, screenshots, "failed") == []
        # A browser reports the page's own 500 on its console; that one is meant.
        visitors.watchers[-1].faults.clear()
        page.context.close()
    ledger.close()


def test_old_numbers_are_called_old(visitors: Visitors, empty_office: EmptyOffice, screenshots: Path) -> None:
    """When refreshes have failed for longer than allowed, the chip turns and the page says so before any figure."""
    publish_sample(empty_office.settings.published_dir, published_at=datetime.now(UTC) - timedelta(days=3))
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    expect(page.locator(".freshness")).to_have_attribute("data-state", "stale")
    expect(page.locator(".notice")).to_contain_text("older than they should be")
    expect(page.locator(".notice")).to_contain_text("3 days ago")
    expect(page.locator('.headline[data-metric="deals_closed_won"]')).to_be_visible()
    assert look(page, screenshots, "stale") == []


def test_newer_numbers_announce_themselves(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """A page left open says that a refresh has published since, and shows the new numbers when asked to."""
    publish_sample(empty_office.settings.published_dir, generation=2, log_size=200)
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    expect(page.locator(".freshness")).to_contain_text("log 200")
    publish_sample(empty_office.settings.published_dir, generation=3, log_size=300)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".notice")).to_contain_text("New numbers have been published")
    page.get_by_role("button", name="Show them").click()
    expect(page.locator(".freshness")).to_contain_text("log 300")
    expect(page.locator(".notice")).to_have_count(0)


def test_text_from_outside_stays_text_in_charts(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """An agent and a lead source named like an attack stand there as written: in bars, tooltips, tables and files."""
    stamp = {"as_of_date": AS_OF, "log_size": 400, "definition_version": "d" * 64, "reporting_currency": "SGD"}
    source = {"scope": "source", "lead_source": HOSTILE, "confirmed_commission_amount": 900, "won_value": 1000, **stamp}
    formula = {**source, "lead_source": "=1+1", "confirmed_commission_amount": 100}
    publish_sample(
        empty_office.settings.published_dir,
        generation=4,
        log_size=400,
        agents={ANNA: HOSTILE},
        extra={"lead_source_roi": [source, formula]},
    )
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    page.goto(f"{empty_office.address}/agents/performance?agent_id=team")
    bars = page.locator("#chart-sources svg")
    expect(bars).to_contain_text("<img src")
    box = bars.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    expect(page.locator("#chart-sources .chart > div", has_text="<img src")).to_be_visible()
    page.get_by_role("button", name="Lead sources as a table").click()
    expect(page.locator("#chart-sources tbody th").first).to_have_text(HOSTILE)
    expect(page.locator("#team tbody th").first).to_have_text(HOSTILE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download Lead sources as CSV").click()
    written = Path(download.value.path()).read_text(encoding="utf-8")
    assert "\n'=1+1," in written, "a spreadsheet would run a cell that begins with an equals sign"
    assert page.locator("main img, main script").count() == 0
