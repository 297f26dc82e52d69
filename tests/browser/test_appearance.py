"""Everything that can be opened, on every kind of screen: it fits, it can be read, and no text of it is run."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.agency import HOSTILE
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import BOARD
from tests.browser.looking import look
from tests.browser.scenes import SCENES, Desk, furnish
from tests.support.browser import Watcher

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
# What markup in a text would have made of itself, had it been taken for more than text.
MADE_BY_TEXT = """
() => [...document.querySelectorAll("main img, main script, aside img, aside script, dialog img, dialog script")]
    .map((element) => element.outerHTML)
"""

# Scenes that show what people wrote; the other dialogs only ask.
SHOWING_TEXTS = ("home", "pipeline", "commissions", "log", "deal", "deal-closed", "deal-proof", "dialog-edit")
SHOWING_TEXTS += ("dialog-erase", "dialog-bulk-confirm", "dialog-dispute", "dialog-resolve", "imports-tried")


@pytest.fixture(scope="module")
def desk(office: Office) -> Desk:
    return furnish(office, "Marina View")


@pytest.fixture(scope="module")
def hostile_desk(office: Office) -> Desk:
    return furnish(office, HOSTILE)


@pytest.fixture(scope="module")
def office_page(browser: Browser, office: Office) -> Iterator[tuple[Page, Watcher]]:
    """One window for all scenes: signing in and starting the application once is enough."""
    visitors = Visitors(browser, [], [])
    page = visitors.open(office.address, link=office.make_link(office.agency.manager_id))
    yield page, visitors.watchers[0]
    visitors.contexts[0].close()


@pytest.mark.parametrize("name", SCENES)
def test_it_fits_every_screen_and_can_be_read(
    office_page: tuple[Page, Watcher], desk: Desk, screenshots: Path, name: str
) -> None:
    """On phone, laptop and desktop, light and dark: nothing cut off, no serious finding of axe-core, texts in contrast.

    The pictures in var/screenshots are these.
    """
    page, watcher = office_page
    scene = SCENES[name]
    page.set_viewport_size({"width": 1280, "height": 800})
    scene.open(page, desk)
    assert look(page, screenshots, name, part=scene.part, is_long=scene.is_long) == []
    assert watcher.faults == []


def test_hostile_text_is_text_wherever_it_is_shown(office_page: tuple[Page, Watcher], hostile_desk: Desk) -> None:
    """Titles, names, notes, reasons, papers, sources, files full of markup stand on every page and in every dialog as
    they were written; nothing of them runs, loads or becomes an element."""
    page, watcher = office_page
    page.set_viewport_size({"width": 1280, "height": 800})
    told = 0
    for name in SHOWING_TEXTS:
        SCENES[name].open(page, hostile_desk)
        assert page.evaluate(MADE_BY_TEXT) == [], name
        shown = page.evaluate("document.body.innerText")
        told += shown.count("onerror=alert(1)")
        assert "{{ 7*7 }}" in shown or "onerror" not in shown, f"{name}: a template mark was worked out"
    assert told > 50, "the texts must have been there to be seen"
    assert watcher.faults == []


@pytest.fixture
def manager_at_numbers(manager_page: Page, office: Office) -> Page:
    manager_page.goto(f"{office.address}/agents/performance?period=365d")
    expect(manager_page.locator("#chart-sources svg")).to_be_visible()
    return manager_page


def test_the_keyboard_reaches_everything(manager_at_numbers: Page) -> None:
    """Tab goes through skip link, navigation, appearance, account and controls in this order, each visibly focused."""
    page = manager_at_numbers
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
    page.goto(f"{office.address}{BOARD}", wait_until="commit")
    expect(root).to_have_attribute("data-theme", "light")
    expect(page.locator("body")).to_have_class(re.compile("body--light"))
    page.locator("#theme-button").click()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.locator("#theme-button").click()
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-theme", "light")


@pytest.mark.parametrize("name", ["home", "pipeline", "performance", "deal", "commissions"])
def test_pictures_for_the_guides(visitors: Visitors, office: Office, desk: Desk, screenshots: Path, name: str) -> None:
    """The pictures of README and guides can be made at any time; `make screenshots` writes them to docs/images."""
    page = visitors.open(
        office.address, link=office.make_link(office.agency.manager_id), width=1440, height=900, scheme="light"
    )
    SCENES[name].open(page, desk)
    is_wanted = os.environ.get("DEALBOOK_WRITE_SCREENSHOTS") == "1"
    folder = ROOT / "docs" / "images" if is_wanted else screenshots
    folder.mkdir(parents=True, exist_ok=True)
    picture = page.screenshot(path=folder / f"{name}.png", animations="disabled")
    assert len(picture) > 30_000, "an empty page compresses to less"
