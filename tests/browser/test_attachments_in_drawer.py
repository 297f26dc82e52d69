"""Contacts, documents and commissions are hung on a deal from its drawer, and what is personal is erased again."""

import pytest
from playwright.sync_api import Page, expect

from ledger.tables import DealContact
from tests.browser.agency import HOSTILE
from tests.browser.conftest import Office
from tests.browser.desk import ask_rest, make_deal, open_board

pytestmark = pytest.mark.browser


def test_a_contact_and_a_document_are_added_shown_as_text_and_erased(manager_page: Page, office: Office) -> None:
    """Hostile words run nowhere; what REST refuses is refused here too; erasing leaves nothing personal."""
    deal_id = make_deal(office, "With papers")
    page = open_board(manager_page, office, f"?deal={deal_id}")
    drawer = page.locator(".drawer")
    drawer.get_by_role("button", name="Add a contact").click()
    dialog = page.get_by_role("dialog", name="Add a contact")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Name").fill(HOSTILE)
    dialog.get_by_label("E-mail").fill("grace@example.com")
    dialog.get_by_role("button", name="Add").click()
    contact = drawer.locator("[data-contact]")
    expect(contact).to_contain_text(HOSTILE)
    expect(contact).to_contain_text("grace@example.com")

    drawer.get_by_role("button", name="Add a document").click()
    dialog = page.get_by_role("dialog", name="Add a document")
    dialog.get_by_label("Title").fill("Offer of May")
    dialog.get_by_label("Address").fill("javascript:alert(1)")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("must begin with https://")
    dialog.get_by_label("Address").fill("https://files.example.com/offer.pdf")
    dialog.get_by_role("button", name="Add").click()
    document = drawer.locator("[data-document]")
    expect(document).to_contain_text("https://files.example.com/offer.pdf")
    assert document.locator("a").count() == 0, "a typed address is not followed with a click"

    contact.get_by_role("button", name="Erase").click()
    dialog = page.get_by_role("dialog", name="Erase the contact")
    expect(dialog).to_contain_text("cannot be brought back")
    dialog.get_by_role("button", name="Erase").click()
    expect(contact).to_contain_text("(erased)")
    expect(contact.get_by_role("button")).to_have_count(0)
    document.get_by_role("button", name="Erase").click()
    page.get_by_role("dialog", name="Erase the document").get_by_role("button", name="Erase").click()
    expect(document).to_contain_text("(erased)")
    [found] = ask_rest(page, office, f"/deals/{deal_id}/contacts")["items"]
    assert (found["name"], found["email"], found["erased_at"] is None) == (None, None, False)
    with office.ledger.read() as session:
        [row] = session.query(DealContact).filter(DealContact.deal_id == deal_id)
        assert row.name is None
    expect(page.locator('.timeline-item[data-kind="contact.erased"]')).to_have_count(1)


def test_a_commission_is_recorded_from_the_drawer(manager_page: Page, office: Office) -> None:
    """For any agent by a manager; the second of one kind is refused where it was typed."""
    deal_id = make_deal(office, "Shared with Devi")
    page = open_board(manager_page, office, f"?deal={deal_id}")
    drawer = page.locator(".drawer")
    devi = office.agency.agents["Devi Nair"]
    for attempt in range(2):
        drawer.get_by_role("button", name="Record a commission").click()
        dialog = page.get_by_role("dialog", name="Record a commission")
        dialog.get_by_label("Agent").select_option(devi)
        dialog.get_by_label("Kind").select_option("co_broke")
        dialog.get_by_label("Rate in percent").fill("1.25")
        dialog.get_by_role("button", name="Record").click()
        if attempt:
            expect(dialog.get_by_role("alert")).to_contain_text("has a commission of type co_broke for this agent")
            page.keyboard.press("Escape")
        else:
            expect(drawer.locator(".commission")).to_contain_text("Co broke, Devi Nair")
    [found] = ask_rest(page, office, f"/deals/{deal_id}/commissions")["items"]
    assert (found["agent_id"], found["commission_rate"], found["status"]) == (devi, "0.0125", "pending")
