"""How pages write: one transaction in a thread, and a message at the foot of the page that says what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nicegui import ui
from sqlalchemy.orm import Session

from api.workspace.context import Visit
from api.workspace.elements import box, text
from ledger.actors import Actor

Result = TypeVar("Result")
MESSAGE_SECONDS = 20.0


async def write(visit: Visit, do: Callable[[Session, Actor], Result]) -> Result:
    """Do something in one write transaction of the ledger, as whoever is signed in now."""

    def run() -> Result:
        actor = visit.require_actor()
        with visit.workspace.ledger.write() as session:
            return do(session, actor)

    return await asyncio.to_thread(run)


async def read(visit: Visit, do: Callable[[Session, Actor], Result]) -> Result:
    """Read the ledger in one snapshot, as whoever is signed in now."""

    def run() -> Result:
        actor = visit.require_actor()
        with visit.workspace.ledger.read() as session:
            return do(session, actor)

    return await asyncio.to_thread(run)


class Messages:
    """The one message at the foot of the page: what was done, with a way back, or why it was not."""

    def __init__(self) -> None:
        self._place = box("div", "messages", role="status", aria_live="polite")
        self._number = 0

    def say(self, words: str, *, undo: Callable[[], Awaitable[None]] | None = None, is_refusal: bool = False) -> None:
        """Show a message in place of the one before; it leaves after a while, a refusal stays until dismissed."""
        self.clear()
        self._number += 1
        number = self._number
        with self._place, box("div", "message", data_kind="refusal" if is_refusal else "done"):
            text("span", words, "message-words")
            if undo is not None:
                text("button", "Undo", "message-button", type="button").on("click", undo)
            text("button", "Dismiss", "message-button", type="button").on("click", self.clear)
        if not is_refusal:
            with self._place:
                ui.timer(MESSAGE_SECONDS, lambda: self._leave(number), once=True)

    def clear(self) -> None:
        """Take the message away."""
        self._place.clear()

    def _leave(self, number: int) -> None:
        if number == self._number:
            self.clear()
