"""All pages on every kind of screen: they fit, they can be read, they can be worked without a mouse."""

import os
import re
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Office, Visitors

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SCREENS = {"phone": (390, 844), "laptop": (1280, 800), "desktop": (1920, 1080)}
PATHS = {"pipeline": "/agents/performance/pipeline", "performance": "/agents/performance?period=365d"}
PATHS["home"] = "/agents/performance/home"
PATHS["agent"] = "/agents/performance?period=365d&agent_id={anna}"
PATHS["commissions"] = "/agents/performance/commissions"
PATHS["imports"] = "/agents/performance/imports"
PATHS["log"] = "/agents/performance/log"
CONTENT = {
    "home": "#team tbody tr",
    "pipeline": ".deal",
    "performance": "#chart-sources svg",
    "agent": "#chart-sources svg",
    "commissions": ".queue tbody tr",
    "imports": ".drop-zone",
    "log": "[data-entry]",
    "deal": ".timeline-item",
}


def measure(page: Page, name: str) -> list[str]:
    """Run one of the functions of `page_measures.js` in the page."""
    source = (Path(__file__).parent / "page_measures.js").read_text(encoding="utf-8")
    found: list[str] = page.evaluate(f"() => {{ {source} return {name}(); }}")
    return found


def open_page(page: Page, office: Office, name: str) -> None:
    """Open a page and wait until it has drawn its content."""
    if name == "deal":
        page.goto(office.address + PATHS["pipeline"])
        page.locator('.stage[data-stage="closed_won"] .deal-title a').first.click()
    else:
        page.goto(office.address + PATHS[name].format(anna=office.agency.agents["Anna Lim"]))
    expect(page.locator(CONTENT[name]).first).to_be_visible()


@pytest.mark.parametrize(("screen", "scheme"), list(product(SCREENS, ("light", "dark"))))
def test_pages_fit_their_screen(
    visitors: Visitors, office: Office, screenshots: Path, screen: str, scheme: str
) -> None:
    """No page is wider than its screen, nothing is cut off outside a region that scrolls, and all of it is loopback."""
    width, height = SCREENS[screen]
    link = office.make_link(office.agency.manager_id)
    page = visitors.open(office.address, link=link, width=width, height=height, scheme=scheme)
    for name in CONTENT:
        open_page(page, office, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert measure(page, "listCutOff") == []
        is_long = name in ("home", "performance", "agent", "commissions")
        page.screenshot(path=screenshots / f"{name}-{screen}-{scheme}.png", full_page=is_long, animations="disabled")


def test_text_has_enough_contrast(visitors: Visitors, office: Office) -> None:
    """Every visible text of pages and drawer has the contrast that WCAG AA asks: 4.5, or 3 where large."""
    weak: list[str] = []
    for scheme, name in product(("light", "dark"), (name for name in CONTENT if name != "performance")):
        page = visitors.open(office.address, link=office.make_link(office.agency.manager_id), scheme=scheme)
        open_page(page, office, name)
        weak += [f"{scheme} {name} {found}" for found in measure(page, "listWeakContrast")]
    assert weak == []


def test_the_keyboard_reaches_everything(manager_page: Page, office: Office) -> None:
    """Tab goes through skip link, navigation, appearance, account and controls in this order, each visibly focused."""
    page = manager_page
    open_page(page, office, "performance")
    order = []
    for _ in range(17):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent.trim()"))
        ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        is_field = page.evaluate("document.activeElement.tagName === 'INPUT'")
        assert is_field or ring != "none", f"{order[-1]} takes the focus without showing it"
    wanted = [
        "Skip to the page",
        "dealbook",
        "Today",
        "Pipeline",
        "Performance",
        "Commissions",
        "Imports",
        "Log",
        "Appearance",
        "Account of Mei Tan",
        "Agent",
    ]
    wanted += ["30 days", "90 days", "365 days", "To date"]
    positions = [next(i for i, name in enumerate(order) if name.startswith(want)) for want in wanted]
    assert positions == sorted(positions), order


def test_the_appearance_is_remembered(visitors: Visitors, office: Office) -> None:
    """The system's choice holds until one is made; a choice outlives the page and is there before anything is drawn."""
    link = office.make_link(office.agency.manager_id)
    page = visitors.open(office.address, link=link, scheme="dark")
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")
    button = page.locator("#theme-button")
    button.click()
    expect(root).to_have_attribute("data-theme", "light")
    expect(button).to_have_attribute("aria-label", re.compile("light. Switch to dark"))
    page.goto(office.address + PATHS["pipeline"], wait_until="commit")
    expect(root).to_have_attribute("data-theme", "light")
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
    page.locator("#theme-button").click()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.locator("#theme-button").click()
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-theme", "light")


@pytest.mark.parametrize("name", ["home", "pipeline", "performance"])
def test_pictures_for_the_guides(visitors: Visitors, office: Office, screenshots: Path, name: str) -> None:
    """The pictures of README and guides can be made at any time; `make screenshots` writes them to docs/images."""
    page = visitors.open(
        office.address, link=office.make_link(office.agency.manager_id), width=1440, height=900, scheme="light"
    )
    open_page(page, office, name)
    is_wanted = os.environ.get("DEALBOOK_WRITE_SCREENSHOTS") == "1"
    folder = ROOT / "docs" / "images" if is_wanted else screenshots
    folder.mkdir(parents=True, exist_ok=True)
    picture = page.screenshot(path=folder / f"{name}.png", animations="disabled")
    assert len(picture) > 30_000, "an empty page compresses to less"
