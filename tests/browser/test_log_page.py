"""The log page: what was signed, whether it verifies, entries found by hash, and the way back to older numbers."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from ingestion.publishing import Publication, list_publications
from ledger.access import SYSTEM, create_user
from ledger.deal_rules import NewDeal
from ledger.deals import open_deal
from ledger.settings import Settings
from ledger.store import initialise
from ledger.vocabulary import AssetType, DealType, Role
from tests.browser.agency import HOSTILE, Agency
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import ask_rest, log_size, make_deal
from tests.browser.looking import look
from tests.support.browser import serve
from tests.support.published_file import AS_OF, publish_sample

pytestmark = pytest.mark.browser
PATH = "/agents/performance/log"


@pytest.fixture(scope="module")
def own_office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A ledger of one's own, to be tampered with and rolled back without harm to others."""
    settings = Settings(home=tmp_path_factory.mktemp("log") / "home")
    ledger = initialise(settings)
    with ledger.write() as session:
        manager = create_user(session, SYSTEM, name="Mei Tan", email="mei@example.com", role=Role.MANAGER).id
        anna = create_user(session, SYSTEM, name="Anna Lim", email="anna@example.com", role=Role.AGENT).id
        new = NewDeal(agent_id=anna, title=HOSTILE, asset_type=AssetType.OFFICE, deal_type=DealType.LEASE)
        open_deal(session, SYSTEM, new)
    for generation in (1, 2):
        name = publish_sample(settings.published_dir, generation=generation, log_size=100 * generation)
        manifest = Publication(
            name=name,
            generation=generation,
            log_size=100 * generation,
            log_last_hash=None,
            as_of_date=AS_OF,
            definition_version="d" * 64,
            business_timezone="Asia/Singapore",
            reporting_currency="SGD",
            dbt_invocation_id=None,
            dbt_version=None,
            run_id=f"run{generation}",
            reference_digest="",
            published_at=datetime.now(UTC),
        )
        (settings.published_dir / name).with_suffix(".json").write_bytes(msgspec.json.encode(manifest))
    with serve(settings.home) as address:
        yield Office(Agency({"Anna Lim": anna}, manager, ""), ledger, settings, address)
    ledger.close()


def open_log(visitors: Visitors, office: Office, user_id: str | None = None) -> Page:
    page = visitors.open(office.address, link=office.make_link(user_id or office.agency.manager_id))
    page.goto(office.address + PATH)
    expect(page.get_by_role("heading", name="Log", exact=True)).to_be_visible()
    return page


def test_an_entry_is_found_by_its_hash_leaf_or_deal_and_shown_as_hashed(visitors: Visitors, office: Office) -> None:
    """The page's hash and leaf index are REST's; whatever finds nothing says so."""
    deal_id = make_deal(office, "Looked up")
    page = open_log(visitors, office)
    expect(page.locator('[data-fact="size"] .headline-value')).to_have_text(f"{log_size(office):,}")
    [first, *_] = ask_rest(page, office, f"/deals/{deal_id}/audit")["items"]
    search = page.get_by_label("Search the log")
    for words in (first["hash"][:20], f"{first['n']:,}", deal_id):
        search.fill(words)
        entry = page.locator(f'[data-entry="{first["n"]}"]')
        expect(entry).to_be_visible()
        if words != deal_id:
            expect(page.locator("[data-entry]")).to_have_count(1)
    entry.locator("summary").click()
    expect(entry).to_contain_text(first["hash"])
    assert entry.locator(".entry-body").inner_text() == first["body"]
    search.fill("no such thing")
    expect(page.get_by_text("No entry fits these words.")).to_be_visible()


def test_older_numbers_are_shown_again_when_a_manager_says_so(
    visitors: Visitors, own_office: Office, screenshots: Path
) -> None:
    """It asks first; then readers get the older file, and the page says which one is shown."""
    page = open_log(visitors, own_office)
    expect(page.locator(".freshness")).to_contain_text("log 200")
    newest = list_publications(own_office.settings.published_dir)[0]
    when = page.locator(f'tr[data-publication="{newest.name}"] td').first
    expect(when).to_have_text(f"{newest.published_at.astimezone(own_office.settings.time_zone):%Y-%m-%d %H:%M}")
    expect(when).to_have_attribute("title", f"{newest.published_at:%Y-%m-%d %H:%M} UTC")
    page.get_by_role("button", name=re.compile("^Show the numbers of")).click()
    dialog = page.get_by_role("dialog", name="Roll back the numbers")
    expect(dialog).to_contain_text("over 100 entries")
    assert look(page, screenshots, "dialog-roll-back", part="dialog[open]") == []
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.locator(".message")).to_contain_text("Shown now")
    page.reload()
    expect(page.locator(".freshness")).to_contain_text("log 100")


def test_verification_says_sound_and_then_names_the_entry_that_was_tampered_with(
    visitors: Visitors, own_office: Office
) -> None:
    """Sound before; after a byte of the database was changed below us, the very entry is named."""
    page = open_log(visitors, own_office)
    page.get_by_role("button", name="Verify everything").click()
    verdict = page.locator(".verdict")
    expect(verdict).to_have_attribute("data-verdict", "0", timeout=60_000)
    with own_office.ledger.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA query_only = OFF")
        raw.execute("DROP TRIGGER audit_logs_refuse_update")
        raw.execute("UPDATE audit_logs SET actor_id = 'somebody' WHERE n = 3")
        raw.commit()
    page.get_by_role("button", name="Verify everything").click()
    expect(verdict).to_have_attribute("data-verdict", "1", timeout=60_000)
    finding = page.locator(".findings tbody tr").first
    expect(finding).to_contain_text("3")
    expect(finding).to_contain_text("actor")
