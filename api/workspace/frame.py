"""The frame around every page: navigation, freshness, appearance, account, and the states that all pages share."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fastapi.responses import RedirectResponse
from nicegui import ui

from api.published import NothingPublished, Publication, PublishedByAnotherVersion
from api.workspace import wording
from api.workspace.context import (
    NAVIGATION,
    SIGN_IN_PATH,
    SIGN_OUT_PATH,
    SignedOut,
    Visit,
    Visitor,
    read_clock,
)
from api.workspace.elements import box, draw_brand, empty, icon, notice, skeletons, text
from ledger.access import is_permitted

# A read that takes longer shows skeletons meanwhile; one that is quicker never flashes them.
PATIENCE_SECONDS = 0.8
FRESHNESS_SECONDS = 30.0

log = logging.getLogger(__name__)
Reading = TypeVar("Reading")


def ask_to_sign_in() -> RedirectResponse:
    """Send a visitor without a session to the page that explains how to get one."""
    return RedirectResponse(SIGN_IN_PATH, status_code=303)


@contextmanager
def frame(visit: Visit, visitor: Visitor, title: str, path: str, *, is_wide: bool = False) -> Iterator[ui.element]:
    """Draw the frame of a page and yield the page's main part, to be filled."""
    ui.page_title(f"{title} · dealbook")
    # NiceGUI puts a page's content into <main>; the head belongs beside it, and first.
    with ui.context.client.layout, box("header", "topbar") as head:
        draw_brand()
        with box("nav", "topnav", aria_label="Pages") as pages:
            pages.on("vnodeMounted", js_handler="(event) => dealbook.showCurrent(event.el)")
            for words, target, right in NAVIGATION:
                if right is not None and not is_permitted(visitor.actor, right):
                    continue
                link = text("a", words, href=target)
                if target == path:
                    link.props["aria-current"] = "page"
        with box("div", "topbar-end"):
            chip = _FreshnessChip(visit, visitor.publication)
            _draw_theme_button()
            _draw_account(visitor)
    head.move(target_index=0)
    with box("div", f"page {'page-board' if is_wide else ''}") as content:
        news = box("div", "news")
        chip.announce_in(news)
        ui.skip_link("Skip to the page", target=content)
        yield content
    ui.timer(FRESHNESS_SECONDS, chip.refresh, immediate=False)
    ui.on("dealbook-looked-at", chip.refresh)


async def fill(
    place: ui.element, read: Callable[[], Reading], show: Callable[[Reading], None], *, placeholders: int = 6
) -> None:
    """Read in a thread, then show the result in `place`; loading, empty and failed reads have their own faces."""
    task = asyncio.ensure_future(asyncio.to_thread(read))
    finished, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
    if not finished:
        if not place.default_slot.children:
            with place:
                skeletons(placeholders)
        place.classes("is-busy")
        await ui.context.client.connected()  # lets the page go out while the read goes on
    try:
        reading = await task
    except SignedOut:
        ui.navigate.to(SIGN_IN_PATH)
        return
    except PublishedByAnotherVersion:
        _face(place, lambda: empty(*OTHER_VERSION))
        return
    except NothingPublished:
        _face(place, lambda: empty(*NOTHING_PUBLISHED))
        return
    except Exception:
        # Whatever went wrong, the rest of the page stays usable and the log has the reason.
        log.exception("a page could not read its data")
        _face(place, lambda: empty(*UNREADABLE))
        return
    finally:
        place.classes(remove="is-busy")
    _face(place, lambda: show(reading))


NOTHING_PUBLISHED = (
    "No numbers have been published yet",
    "Deals can be worked on already; performance figures appear after the first refresh. On the server, run:",
    "dealbook refresh",
)
OTHER_VERSION = (
    "These numbers are of another version",
    "The published file was made by another version of dealbook and lacks what this page shows. On the server, run:",
    "dealbook refresh",
)
UNREADABLE = (
    "This could not be read",
    "The rest of the workspace goes on working. Reload the page; if this stays, the server's log says why.",
)


def _face(place: ui.element, draw: Callable[[], None]) -> None:
    place.clear()
    with place:
        draw()


def _draw_theme_button() -> None:
    with box("button", "icon-button", id="theme-button", type="button", aria_label="Appearance") as button:
        icon("screen", "theme-icon theme-icon-system")
        icon("sun", "theme-icon theme-icon-light")
        icon("moon", "theme-icon theme-icon-dark")
    button.on("click", js_handler="() => dealbookTheme.next()")
    button.on("vnodeMounted", js_handler="() => dealbookTheme.label()")


def _draw_account(visitor: Visitor) -> None:
    with box("details", "account"):
        with box("summary", aria_label=f"Account of {visitor.name}"):
            text("span", wording.initials(visitor.name), "avatar", aria_hidden="true")
            text("span", visitor.name, "account-name")
        with box("div", "account-menu"):
            with box("div"):
                text("strong", visitor.name)
                text("span", wording.say(visitor.actor.role), "muted")
            with box("form", method="post", action=SIGN_OUT_PATH):
                text("button", "Sign out", "button", type="submit")


class _FreshnessChip:
    """Says what the published numbers cover and how old they are, and tells when newer ones have come."""

    def __init__(self, visit: Visit, publication: Publication | None) -> None:
        self._visit = visit
        self._shown = publication
        self._news: ui.element | None = None
        with box("span", "freshness") as self._chip:
            self._main = text("span", "")
            self._more = text("span", "", "freshness-more")
        self._write(self._shown)

    def announce_in(self, place: ui.element) -> None:
        """Choose where news about numbers is shown."""
        self._news = place
        publication = self._shown
        if publication is not None and publication.is_stale(read_clock(), self._visit.workspace.stale_after):
            with place:
                since = wording.age(publication.published_at, read_clock())
                notice(
                    "These numbers are older than they should be.",
                    f"They were published {since}; the last refresh may have failed.",
                )

    async def refresh(self) -> None:
        """Read again what is published and whether the visitor is still signed in."""
        try:
            await asyncio.to_thread(self._visit.require_actor)
        except SignedOut:
            ui.navigate.to(SIGN_IN_PATH)
            return
        publication = await asyncio.to_thread(self._visit.find_publication)
        self._write(self._shown)
        if publication is not None and publication != self._shown and self._news is not None:
            self._news.clear()
            with (
                self._news,
                notice("New numbers have been published.", f"They cover {wording.day(publication.as_of_date)}."),
            ):
                text("button", "Show them", "button", type="button").on("click", lambda: ui.navigate.reload())

    def _write(self, publication: Publication | None) -> None:
        if publication is None:
            self._chip.props["data-state"] = "none"
            self._main.set_text("no numbers yet")
            self._more.set_text("")
            return
        now = read_clock()
        is_stale = publication.is_stale(now, self._visit.workspace.stale_after)
        self._chip.props["data-state"] = "stale" if is_stale else "fresh"
        self._chip.update()
        self._main.set_text(f"as of {wording.day(publication.as_of_date)}{', stale' if is_stale else ''}")
        self._more.set_text(f"log {publication.log_size:,}, published {wording.age(publication.published_at, now)}")
