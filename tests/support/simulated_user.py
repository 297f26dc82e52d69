"""NiceGUI's simulated user on the whole app: pages run as they do for people, but for browser and network.

NiceGUI's own fixture of that name forgets all pages and modules around each test, so that a test begins with an
empty application. Here pages are registered once, as they are imported, and every app made over them speaks of its own
state; so only its `User` is taken, with an app that starts and stops around it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
from nicegui import Client, ui
from nicegui.functions.download import download
from nicegui.functions.navigate import Navigate
from nicegui.functions.notify import notify
from nicegui.testing.user import User

from api.main import create_app
from ledger.access import create_login_link
from ledger.settings import Settings
from ledger.store import Ledger

SignIn = Callable[[str | None], Awaitable[User]]
Story = Callable[[SignIn], Awaitable[None]]


def tell(settings: Settings, ledger: Ledger, story: Story) -> None:
    """Run `story`, which signs users in by their id (None for a stranger), over an app of its own."""

    async def run() -> None:
        async with _sign_in_with(settings, ledger) as sign_in:
            await story(sign_in)

    asyncio.run(run())


@asynccontextmanager
async def _sign_in_with(settings: Settings, ledger: Ledger) -> AsyncIterator[SignIn]:
    app = create_app(settings)
    users: list[User] = []

    async def sign_in(user_id: str | None) -> User:
        user = User(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test"))
        users.append(user)
        if user_id is not None:
            with ledger.write() as session:
                secret = create_login_link(session, user_id)
            answer = await user.http_client.get(f"/login?link={secret}")
            assert answer.status_code == 303, answer.text
        return user

    os.environ["NICEGUI_USER_SIMULATION"] = "true"  # NiceGUI's own switch: no answer of a browser is waited for
    try:
        async with app.router.lifespan_context(app):
            yield sign_in
            for client in list(Client.instances.values()):
                client.delete()
            for user in users:
                await user.http_client.aclose()
    finally:
        del os.environ["NICEGUI_USER_SIMULATION"]
        ui.navigate, ui.notify, ui.download = Navigate(), notify, download


def list_texts(user: User, tag: str = "") -> list[str]:
    """Return the visible texts of the page, or of its elements of one tag, in order."""
    with user.current_layout:
        return [
            element.text  # type: ignore[attr-defined]
            for element in user.current_layout.descendants()
            if getattr(element, "text", "") and (not tag or element.tag == tag) and _is_visible(element)
        ]


def _is_visible(element: ui.element) -> bool:
    return element.visible and all(each.visible for each in element.ancestors())
