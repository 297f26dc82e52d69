"""Who gets in, how they stay in, and what those see who are not."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Office, Visitors
from tests.browser.looking import look

pytestmark = pytest.mark.browser


def test_a_stranger_is_told_how_to_sign_in(visitors: Visitors, office: Office, screenshots: Path) -> None:
    """The bare address leads whoever has no session to the page that says how to get one; it fits every screen."""
    page = visitors.open(office.address)
    page.goto(office.address + "/")
    expect(page).to_have_url(f"{office.address}/agents/sign-in")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("dealbook login-link")).to_be_visible()
    assert look(page, screenshots, "sign-in") == []
    response = page.goto(f"{office.address}/agents/nowhere")
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    assert look(page, screenshots, "not-found") == []
    # A browser reports the page's own 404 on its console; that one is meant.
    visitors.watchers[-1].faults.clear()


def test_a_link_signs_in_and_sign_out_ends_it(manager_page: Page, office: Office) -> None:
    """The one-time link leads to the pages; after signing out the same browser is a stranger again."""
    expect(manager_page).to_have_url(f"{office.address}/agents/performance/home")
    manager_page.get_by_label("Account of Mei Tan").click()
    expect(manager_page.get_by_text("Manager", exact=True)).to_be_visible()
    manager_page.get_by_role("button", name="Sign out").click()
    expect(manager_page).to_have_url(f"{office.address}/agents/sign-in")
    manager_page.goto(f"{office.address}/agents/performance")
    expect(manager_page).to_have_url(f"{office.address}/agents/sign-in")
