"""Looking at what a page shows as it stands: on every kind of screen, light and dark, with what machines can judge."""

from itertools import product
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page

SCREENS = {"phone": (390, 844), "laptop": (1280, 800), "desktop": (1920, 1080)}
SCHEMES = ("light", "dark")
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
SETTLE = """
async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const ending = document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime < Infinity);
  await Promise.allSettled(ending.map((each) => each.finished));
}
"""
RUN = """
async ([part, contrast]) => {
  const rules = { "color-contrast": { enabled: contrast } };
  const found = await axe.run(document.querySelector(part), { resultTypes: ["violations"], rules });
  return found.violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .map((rule) => `${rule.id}: ${rule.nodes.slice(0, 4).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}
"""


def measure(page: Page, name: str, part: str = "") -> list[str]:
    """Run one of the functions of `page_measures.js` in the page, or a part of it."""
    source = (Path(__file__).parent / "page_measures.js").read_text(encoding="utf-8")
    found: list[str] = page.evaluate(f"(part) => {{ {source} return {name}(part); }}", part)
    return found


def find_faults(page: Page, part: str = "", *, contrast: bool = True) -> list[str]:
    """Return axe-core's serious and critical findings in the page, or a part of it, as it stands.

    Its own check of contrast takes five times as long as all else together.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(RUN, [part or "html", contrast])
    return found


def look(page: Page, screenshots: Path, name: str, *, part: str = "", is_long: bool = False) -> list[str]:
    """Return what is wrong with the page as it stands, in words; a picture of each of six looks is kept.

    On every screen: nothing is wider than it or cut off, no dialog is taller. In both schemes: axe-core, and the
    contrast of every visible text. Screen and scheme change under the open page, which then stands as it stood.
    """
    faults: list[str] = []
    for scheme, (screen, (width, height)) in product(SCHEMES, SCREENS.items()):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        page.evaluate(SETTLE)
        found = [f"wider than the screen: {page.evaluate('document.documentElement.scrollWidth')}"]
        found = found if page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
        found += measure(page, "listCutOff") + measure(page, "listOffScreen")
        if screen == "laptop":
            # Whole pages have their contrast measured by us alone, in drawings too.
            found += find_faults(page, part, contrast=bool(part)) + measure(page, "listWeakContrast", part)
        faults += [f"{name} {screen} {scheme}: {fault}" for fault in found]
        path = screenshots / f"{name}-{screen}-{scheme}.png"
        if is_long:
            page.evaluate("scrollTo(0, 0)")  # the head that stays would be pictured in the middle
        page.screenshot(path=path, full_page=is_long, animations="disabled")
    return faults
