"""The few elements that pages are made of: plain HTML tags that hold text as text, and the states a panel can be in.

Text always goes in as text: a name or title that contains markup is shown, never run.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from api.workspace.context import HOME_PATH

ICONS = {
    "sun": "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1",
    "moon": "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5",
    "screen": "M3 5h18v11H3zM9 20h6M12 16v4",
}


class Text(TextElement):
    """Any tag with text in it."""

    def __init__(self, tag: str, text: str = "", classes: str = "", **attributes: str) -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)
        self.props.update(attributes)


def box(tag: str = "div", classes: str = "", **attributes: str) -> ui.element:
    """Make a container; underscores in attribute names become dashes."""
    element = ui.element(tag).classes(classes)
    element.props.update({name.replace("_", "-"): value for name, value in attributes.items()})
    return element


def text(tag: str, content: str, classes: str = "", **attributes: str) -> Text:
    """Make a tag that holds text; underscores in attribute names become dashes."""
    return Text(tag, content, classes, **{name.replace("_", "-"): value for name, value in attributes.items()})


def icon(name: str, classes: str = "") -> None:
    """Draw one of our line icons; it says nothing to a screen reader."""
    with box("svg", classes, viewBox="0 0 24 24", fill="none", stroke="currentColor", aria_hidden="true"):
        box("path", d=ICONS[name], stroke_width="1.8", stroke_linecap="round", stroke_linejoin="round")


def segments(
    label: str, options: dict[str, str], chosen: str, on_choose: Callable[[str], Awaitable[None] | None]
) -> None:
    """Make a row of buttons of which one is pressed, `chosen` at first; `on_choose` gets the key of the next one."""
    buttons: dict[str, ui.element] = {}

    def press(value: str) -> Awaitable[None] | None:
        for key, button in buttons.items():
            button.props["aria-pressed"] = "true" if key == value else "false"
        return on_choose(value)

    with box("div", "segments", role="group", aria_label=label):
        for key, words in options.items():
            buttons[key] = text("button", words, type="button", aria_pressed="true" if key == chosen else "false")
            buttons[key].on("click", lambda key=key: press(key))


def empty(title: str, explanation: str, command: str = "") -> None:
    """Say that there is nothing to show, why, and what to do about it."""
    with box("section", "empty"):
        text("h2", title)
        text("p", explanation)
        if command:
            text("code", command)


def notice(title: str, explanation: str) -> ui.element:
    """Say something that the reader should know before trusting the page."""
    with box("div", "notice", role="status") as element:
        text("strong", title)
        text("span", explanation)
    return element


def skeletons(number: int) -> None:
    """Hold the place of what is still being read."""
    with box("div", "skeletons", role="status", aria_label="Loading"):
        for _ in range(number):
            box("div", "skeleton")


@contextmanager
def panel(title: str, explanation: str = "", classes: str = "") -> Iterator[ui.element]:
    """Make a titled panel; yields its head, for controls, and places the rest below."""
    with box("section", f"panel {classes}", aria_label=title):
        with box("div", "panel-head") as head, box("div"):
            text("h2", title)
            if explanation:
                text("p", explanation)
        yield head


def cell(content: str, *, is_text: bool = False, title: str = "", **attributes: Any) -> None:
    """Make a table cell; figures stand right, text left."""
    made = text("td", content, "text" if is_text else "", **attributes)
    if title:
        made.props["title"] = title


def draw_brand() -> None:
    """Draw the product's name, which leads home."""
    with box("a", "brand", href=HOME_PATH):
        with box("span", "brand-mark", aria_hidden="true"):
            for _ in range(3):
                box("span")
        text("span", "dealbook")
