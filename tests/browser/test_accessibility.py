"""Everyone can use the pages: axe-core finds nothing serious, and a deal can be worked by keyboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect

from ledger.vocabulary import CommissionStatus, PipelineStage
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import ask_rest, card, log_size, make_commission, make_deal
from tests.browser.looking import SCHEMES, find_faults
from tests.browser.scenes import SCENES, furnish

pytestmark = pytest.mark.browser


def tab_to(page: Page, words: str) -> None:
    """Press Tab until what has the focus is called so; whatever takes the focus on the way shows it."""
    for _ in range(300):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent.trim()")
        if re.search(words, name):
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert ring != "none", f"{words} takes the focus without showing it"
            return
    raise AssertionError(f"Tab never came to {words}")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_charts_as_tables_have_no_serious_fault(visitors: Visitors, office: Office, scheme: str) -> None:
    """Charts turned into tables pass axe-core, as all else does in test_appearance."""
    page = visitors.open(office.address, link=office.make_link(office.agency.manager_id), scheme=scheme)
    page.goto(f"{office.address}/agents/performance?period=365d")
    expect(page.locator("#chart-sources svg")).to_be_visible()
    for toggle in page.locator(".chart-tools button", has_text="Table").all():
        if toggle.get_attribute("aria-pressed") == "false":
            toggle.click()
    expect(page.locator(".panel-chart svg")).to_have_count(0, timeout=60_000)
    assert find_faults(page) == []


def test_from_signing_in_to_a_resolved_dispute_by_keyboard_alone(visitors: Visitors, office: Office) -> None:
    """An agent disputes a line and a manager resolves it; neither ever touches a mouse, and each focus can be seen."""
    commission_id = make_commission(office, make_deal(office, "Disputed by keyboard", PipelineStage.CLOSED_WON))
    agent = visitors.open(office.address, link=office.make_link(office.agency.agents["Anna Lim"]))
    tab_to(agent, "^Commissions$")
    agent.keyboard.press("Enter")
    line = agent.locator(f'[data-commission="{commission_id}"]')
    expect(line).to_be_visible()
    tab_to(agent, "^Disputed by keyboard$")
    tab_to(agent, "^Dispute$")
    agent.keyboard.press("Enter")
    dialog = agent.get_by_role("dialog", name="Dispute the commission")
    expect(dialog.get_by_label("Disputed amount")).to_be_focused()
    agent.keyboard.type("7500")
    agent.keyboard.press("Tab")
    agent.keyboard.type("The introducer was not named")
    tab_to(agent, "^Open the dispute$")
    agent.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    assert ask_rest(agent, office, f"/commissions/{commission_id}")["status"] == CommissionStatus.DISPUTED
    manager = visitors.open(office.address, link=office.make_link(office.agency.manager_id))
    tab_to(manager, "^Work on what is disputed$")
    manager.keyboard.press("Enter")
    expect(manager.locator(f'[data-commission="{commission_id}"]')).to_be_visible()
    tab_to(manager, "^Disputed by keyboard$")
    tab_to(manager, "^Resolve$")
    manager.keyboard.press("Enter")
    dialog = manager.get_by_role("dialog", name="Resolve the dispute")
    expect(dialog.get_by_label("Outcome")).to_be_focused()
    manager.keyboard.press("ArrowDown")
    tab_to(manager, "^Resolve$")
    manager.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(manager.locator(".message")).to_contain_text("Resolved as partial")
    assert ask_rest(manager, office, f"/commissions/{commission_id}")["status"] == CommissionStatus.PENDING


def test_a_deal_is_worked_by_keyboard_alone(visitors: Visitors, office: Office) -> None:
    """Sign in, open a deal, close it, move it by its menu, undo: Tab, arrows, Enter and Escape are enough."""
    deal = make_deal(office, "Worked by keyboard", PipelineStage.LEAD_CAPTURED)
    page = visitors.open(office.address, link=office.make_link(office.agency.agents["Anna Lim"]))
    page.goto(f"{office.address}/agents/performance/pipeline")
    expect(card(page, deal)).to_be_visible()

    tab_to(page, "^Worked by keyboard$")
    page.keyboard.press("Enter")
    drawer = page.locator(".drawer")
    expect(drawer.get_by_role("heading", name="Worked by keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(card(page, deal).locator("a")).to_be_focused()
    tab_to(page, "Move Worked by keyboard")
    before = log_size(office)
    page.keyboard.press("Enter")
    expect(page.locator("#move-menu button:focus")).to_have_text("Qualification")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#move-menu button:focus")).to_have_text("Needs analysis")
    page.keyboard.press("Enter")
    expect(card(page, deal, PipelineStage.NEEDS_ANALYSIS)).to_be_visible()
    assert log_size(office) > before
    tab_to(page, "^Undo")
    page.keyboard.press("Enter")
    expect(card(page, deal, PipelineStage.LEAD_CAPTURED)).to_be_visible()


def test_nothing_moves_for_whoever_asks_for_stillness(visitors: Visitors, office: Office) -> None:
    """With reduced motion asked for, no element of a page has an animation or a transition that lasts."""
    page = visitors.open(office.address, link=office.make_link(office.agency.manager_id))
    page.emulate_media(reduced_motion="reduce")
    moving = """
    () => [...document.querySelectorAll("body *")].filter((element) => {
      const style = getComputedStyle(element);
      const lasts = (text) => text.split(",").some((part) => parseFloat(part) > 0.01);
      return (style.animationName !== "none" && lasts(style.animationDuration)) || lasts(style.transitionDuration);
    }).map((element) => `${element.tagName}.${element.className}`)
    """
    desk = furnish(office, "Standing still")
    for name in ("home", "performance", "commissions", "log", "deal-proof", "dialog-new"):
        SCENES[name].open(page, desk)
        assert page.evaluate(moving) == [], name
