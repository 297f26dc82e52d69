"""What pages show when there is nothing to show, when the numbers are old, and when a part fails."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import expect

from ledger.access import SYSTEM, create_login_link, create_user
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import Role
from tests.browser.agency import HOSTILE
from tests.browser.conftest import Visitors
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


def test_empty_pages_say_why_and_what_to_do(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """Before the first refresh and the first deal each page explains itself and names the command that helps."""
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    expect(page.locator(".freshness")).to_have_text("no published numbers")
    expect(page.get_by_role("heading", name="No numbers have been published yet")).to_be_visible()
    expect(page.locator("code", has_text="dealbook refresh")).to_be_visible()
    page.get_by_role("link", name="Pipeline").click()
    expect(page.get_by_role("heading", name="No deals here yet")).to_be_visible()
    expect(page.locator("code", has_text="dealbook import")).to_be_visible()


SLOW = """
import time
from api.workspace.board import BoardReader
read_board = BoardReader.read_board
def read_slowly(reader, *sizes):
    time.sleep(4)
    return read_board(reader, *sizes)
BoardReader.read_board = read_slowly
"""


def test_a_slow_read_shows_that_it_is_under_way(visitors: Visitors, tmp_path: Path) -> None:
    """A page whose data take long comes at once with placeholders, stays usable, and fills itself."""
    settings = Settings(home=tmp_path / "home")
    ledger = initialise(settings)
    with serve(settings.home, first=SLOW) as address:
        office = EmptyOffice(settings, ledger, address)
        page = visitors.open(address, link=office.make_link())
        page.get_by_role("link", name="Pipeline").click()
        expect(page.get_by_role("status", name="Loading")).to_be_visible()
        expect(page.get_by_role("heading", name="Pipeline")).to_be_visible()
        expect(page.get_by_role("heading", name="No deals here yet")).to_be_visible(timeout=15_000)
        expect(page.locator(".skeleton")).to_have_count(0)
        page.context.close()
    ledger.close()


def test_old_numbers_are_called_old(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """When refreshes have failed for longer than allowed, the chip turns and the page says so before any figure."""
    publish_sample(empty_office.settings.published_dir, published_at=datetime.now(UTC) - timedelta(days=3))
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    expect(page.locator(".freshness")).to_have_attribute("data-state", "stale")
    expect(page.locator(".notice")).to_contain_text("older than they should be")
    expect(page.locator(".notice")).to_contain_text("3 days ago")
    expect(page.locator('.headline[data-metric="deals_closed_won"]')).to_be_visible()


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


def test_numbers_of_another_version_say_so(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """After an upgrade the published file may lack a column: the page says what to do, and the queue is still there."""
    name = publish_sample(empty_office.settings.published_dir, generation=5, log_size=500)
    with duckdb.connect(str(empty_office.settings.published_dir / name)) as connection:
        connection.execute("ALTER TABLE agent_performance_snapshots DROP COLUMN open_days")
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    expect(page.get_by_role("heading", name="These numbers are of another version")).to_be_visible()
    expect(page.locator("code", has_text="dealbook refresh")).to_be_visible()
    expect(page.locator('[data-queue="disputed"]')).to_be_visible()


def test_a_part_that_fails_leaves_the_rest_usable(visitors: Visitors, empty_office: EmptyOffice) -> None:
    """A published file that cannot be read makes a plain message, not a broken page."""
    published: Path = empty_office.settings.published_dir
    publish_sample(published, generation=6, log_size=600)
    broken = published / "marts-000000000999-broken.duckdb"
    broken.write_bytes(b"not a database")
    page = visitors.open(empty_office.address, link=empty_office.make_link())
    page.goto(f"{empty_office.address}/agents/performance")
    expect(page.locator(".headline").first).to_be_visible()
    (published / "CURRENT").write_text(broken.name)
    page.get_by_role("group", name="Window").get_by_role("button", name="30 days").click()
    expect(page.get_by_role("heading", name="This could not be read")).to_be_visible()
    page.get_by_role("link", name="Pipeline").click()
    expect(page).to_have_url(re.compile("pipeline$"))
    expect(page.get_by_role("heading", name="Pipeline")).to_be_visible()
