"""Everyone can use the pages: axe-core finds nothing serious, and a deal can be worked by keyboard alone."""

import re
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from ledger.vocabulary import PipelineStage
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import card, log_size, make_deal
from tests.browser.test_appearance import CONTENT, open_page

pytestmark = pytest.mark.browser

PAGES = [name for name in CONTENT if name != "agent"]  # made of the same parts as the team's page
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
RUN = """
async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .map((rule) => `${rule.id}: ${rule.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}
"""


def find_faults(page: Page) -> list[str]:
    """Return axe-core's serious and critical findings in the page as it stands."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(RUN)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visitors: Visitors, office: Office, scheme: str) -> None:
    """Names, roles, contrast, structure: no page, drawer or dialog has a finding that axe-core calls serious."""
    page = visitors.open(office.address, link=office.make_link(office.agency.manager_id), scheme=scheme)
    faults = []
    for name in PAGES:
        open_page(page, office, name)
        faults += [f"{name}: {fault}" for fault in find_faults(page)]
    open_page(page, office, "pipeline")
    page.get_by_role("button", name="New deal").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    faults += [f"dialog: {fault}" for fault in find_faults(page)]
    open_page(page, office, "performance")
    for toggle in page.locator(".chart-tools button", has_text="Table").all():
        if toggle.get_attribute("aria-pressed") == "false":
            toggle.click()
    expect(page.locator(".panel-chart svg")).to_have_count(0, timeout=60_000)
    faults += [f"tables: {fault}" for fault in find_faults(page)]
    stranger = visitors.open(office.address, scheme=scheme)
    stranger.goto(f"{office.address}/agents/sign-in")
    faults += [f"sign-in: {fault}" for fault in find_faults(stranger)]
    stranger.goto(f"{office.address}/agents/nowhere")
    faults += [f"not found: {fault}" for fault in find_faults(stranger)]
    # A browser reports the page's own 404 on its console; that one is meant.
    visitors.watchers[-1].faults.clear()
    assert faults == []


def test_a_deal_is_worked_by_keyboard_alone(visitors: Visitors, office: Office) -> None:
    """Sign in, open a deal, close it, move it by its menu, undo: Tab, arrows, Enter and Escape are enough."""
    deal = make_deal(office, "Worked by keyboard", PipelineStage.LEAD_CAPTURED)
    page = visitors.open(office.address, link=office.make_link(office.agency.agents["Anna Lim"]))
    page.goto(f"{office.address}/agents/performance/pipeline")
    expect(card(page, deal)).to_be_visible()

    def tab_to(words: str) -> None:
        for _ in range(200):
            page.keyboard.press("Tab")
            name = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent.trim()")
            if re.search(words, name):
                return
        raise AssertionError(f"Tab never came to {words}")

    tab_to("^Worked by keyboard$")
    page.keyboard.press("Enter")
    drawer = page.locator(".drawer")
    expect(drawer.get_by_role("heading", name="Worked by keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(card(page, deal).locator("a")).to_be_focused()
    tab_to("Move Worked by keyboard")
    before = log_size(office)
    page.keyboard.press("Enter")
    expect(page.locator("#move-menu button:focus")).to_have_text("Qualification")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#move-menu button:focus")).to_have_text("Needs analysis")
    page.keyboard.press("Enter")
    expect(card(page, deal, PipelineStage.NEEDS_ANALYSIS)).to_be_visible()
    assert log_size(office) > before
    tab_to("^Undo")
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
    for name in PAGES:
        open_page(page, office, name)
        assert page.evaluate(moving) == [], name
