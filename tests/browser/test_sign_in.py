"""Who gets in, how they stay in, and what those see who are not."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Office, Visitors
from tests.browser.desk import ask_rest, find_viewer

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("path", ["/", "/agents/performance", "/agents/performance/pipeline"])
def test_a_stranger_is_told_how_to_sign_in(visitors: Visitors, office: Office, path: str) -> None:
    """Every page leads whoever has no session to the one that says how to get one, and shows nothing else."""
    page = visitors.open(office.address)
    page.goto(office.address + path)
    expect(page).to_have_url(f"{office.address}/agents/sign-in")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("dealbook login-link")).to_be_visible()
    assert "Anna Lim" not in page.content()


def test_a_link_signs_in_and_sign_out_ends_it(manager_page: Page, office: Office) -> None:
    """The one-time link leads to the pages; after signing out the same browser is a stranger again."""
    expect(manager_page).to_have_url(f"{office.address}/agents/performance/home")
    manager_page.get_by_label("Account of Mei Tan").click()
    expect(manager_page.get_by_text("Manager", exact=True)).to_be_visible()
    manager_page.get_by_role("button", name="Sign out").click()
    expect(manager_page).to_have_url(f"{office.address}/agents/sign-in")
    manager_page.goto(f"{office.address}/agents/performance")
    expect(manager_page).to_have_url(f"{office.address}/agents/sign-in")


def test_everyone_lands_where_their_work_is(visitors: Visitors, office: Office) -> None:
    """An agent lands on the board, a viewer on the numbers, a manager on queue and team; the brand leads there."""
    for user, landing in (
        (office.agency.agents["Anna Lim"], "/pipeline"),
        (find_viewer(office), ""),
        (office.agency.manager_id, "/home"),
    ):
        page = visitors.open(office.address, link=office.make_link(user))
        expect(page).to_have_url(f"{office.address}/agents/performance{landing}")
        is_manager = user == office.agency.manager_id
        expect(page.get_by_role("link", name="Today")).to_have_count(1 if is_manager else 0)
    waiting = ask_rest(page, office, "/commissions?status=disputed&limit=200")["items"]
    expect(page.locator('[data-queue="disputed"] .home-count')).to_have_text(str(len(waiting)))
    expect(page.locator("#team tbody tr")).to_have_count(len(office.agency.agents))
    page.goto(f"{office.address}/agents/performance/commissions")
    page.get_by_role("link", name="dealbook").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()


def test_an_unknown_address_says_so(visitors: Visitors, office: Office) -> None:
    """A mistyped address gets a page with the way back and the status 404."""
    page = visitors.open(office.address)
    response = page.goto(f"{office.address}/agents/nowhere")
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    # A browser reports the page's own 404 on its console; that one is meant.
    visitors.watchers[-1].faults.clear()


def test_an_agent_sees_only_their_own(visitors: Visitors, office: Office) -> None:
    """An agent's pages show that agent's deals and figures, and asking for a colleague's by address changes nothing."""
    devi, anna = office.agency.agents["Devi Nair"], office.agency.agents["Anna Lim"]
    page = visitors.open(office.address, link=office.make_link(devi))
    page.goto(f"{office.address}/agents/performance?agent_id={anna}")
    expect(page.locator(".headline").first).to_be_visible()
    assert page.locator("#team tbody tr").count() == 1
    assert "Anna Lim" not in page.content()
    page.goto(f"{office.address}/agents/performance/pipeline?agent_id={anna}")
    expect(page.locator(".deal").first).to_be_visible()
    shown = sum(int(count.replace(",", "")) for count in page.locator(".stage-count").all_inner_texts())
    rest = page.request.get(f"{office.address}/api/v1/deals?limit=200").json()
    assert shown == len([deal for deal in rest["items"] if deal["status"] != "cancelled"])
    assert {deal["agent_id"] for deal in rest["items"]} == {devi}
