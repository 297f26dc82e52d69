"""The commissions page leads a commission from recorded to paid, through a dispute, and offers only what is allowed."""

import pytest
from playwright.sync_api import Page, expect

from ledger.vocabulary import PipelineStage
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import ask_rest, make_commission, make_deal

pytestmark = pytest.mark.browser
PATH = "/agents/performance/commissions"


@pytest.fixture
def commission_id(office: Office) -> str:
    return make_commission(office, make_deal(office, "Earns a commission", PipelineStage.CLOSED_WON))


def test_a_commission_goes_from_recorded_to_paid(manager_page: Page, office: Office, commission_id: str) -> None:
    """Each press leads it into the next part of the queue and records it, until it is paid and leaves."""
    page = manager_page
    page.get_by_role("link", name="Commissions").click()
    for queue, button, status in (
        ("pending", "Confirm", "confirmed"),
        ("confirmed", "Invoice", "invoiced"),
        ("invoiced", "Pay", "paid"),
    ):
        row = (
            page.locator(f'[data-queue="{queue}"]').locator("xpath=..").locator(f'[data-commission="{commission_id}"]')
        )
        row.get_by_role("button", name=button).click()
        expect(row).to_have_count(0)
        expect(page.locator(".message")).to_contain_text("SGD 20,000.00 for Anna Lim")
        found = ask_rest(page, office, f"/commissions?status={status}&limit=200")["items"]
        assert commission_id in [item["id"] for item in found]
    expect(page.locator(f'[data-commission="{commission_id}"]')).to_have_count(0)


def test_a_dispute_is_opened_and_resolved(visitors: Visitors, office: Office, commission_id: str) -> None:
    """An agent disputes their own line with amount and reason; the manager sees it at once and resolves it."""
    anna = office.agency.agents["Anna Lim"]
    agent = visitors.open(office.address, link=office.make_link(anna))
    agent.goto(office.address + PATH)
    manager = visitors.open(office.address, link=office.make_link(office.agency.manager_id))
    manager.goto(office.address + PATH)
    row = agent.locator(f'[data-commission="{commission_id}"]')
    assert row.get_by_role("button").all_inner_texts() == ["Dispute"], "an agent settles nothing"
    row.get_by_role("button", name="Dispute").click()
    dialog = agent.get_by_role("dialog", name="Dispute the commission")
    dialog.get_by_label("Disputed amount").fill("7,500")
    dialog.get_by_role("button", name="Open the dispute").click()
    expect(dialog.get_by_role("alert")).to_have_text("A dispute needs a reason.")
    dialog.get_by_label("Reason").fill("The introducer was not named")
    dialog.get_by_label("Document").fill("https://files.example.com/letter.pdf")
    dialog.get_by_role("button", name="Open the dispute").click()
    theirs = manager.locator(f'[data-commission="{commission_id}"]')
    expect(theirs).to_contain_text("SGD 7,500.00: The introducer was not named")
    assert row.get_by_role("button").count() == 0, "whoever opened a dispute does not resolve it"
    theirs.get_by_role("button", name="Resolve").click()
    dialog = manager.get_by_role("dialog", name="Resolve the dispute")
    expect(dialog).to_contain_text("https://files.example.com/letter.pdf")
    dialog.get_by_label("Outcome").select_option("denied")
    dialog.get_by_role("button", name="Resolve").click()
    expect(theirs.get_by_role("button", name="Confirm")).to_be_visible()
    expect(theirs).not_to_contain_text("introducer")


def test_an_agent_narrows_the_queue(manager_page: Page, office: Office, commission_id: str) -> None:
    """Choosing an agent leaves only that agent's lines, also after a reload."""
    page = manager_page
    page.goto(office.address + PATH)
    devi = office.agency.agents["Devi Nair"]
    expect(page.locator(f'[data-commission="{commission_id}"]')).to_be_visible()
    page.get_by_label("Agent").select_option(devi)
    expect(page.locator(f'[data-commission="{commission_id}"]')).to_have_count(0)
    expect(page).to_have_url(f"{office.address}{PATH}?agent_id={devi}")  # it comes after what is drawn
    page.reload()
    expect(page.locator(".queue").first).to_be_visible()
    expect(page.get_by_label("Agent")).to_have_value(devi)
    assert set(page.locator(".queue tbody tr td:nth-child(2)").all_inner_texts()) == {"Devi Nair"}
