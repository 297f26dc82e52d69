"""Puts the workspace on the FastAPI app: NiceGUI below `/agents`, its own assets only, and guarded at the door."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Mount

from api.workspace import (  # noqa: F401 - importing them registers their pages
    commissions,
    home,
    imports,
    log_page,
    outside,
    performance,
    pipeline,
)
from api.workspace.context import HOME_PATH, PREFIX, SCOPE_KEY, Workspace

ASSETS_DIR = Path(__file__).parent / "assets"
# Vue compiles NiceGUI's templates in the browser, hence 'unsafe-eval'; nothing is ever fetched from elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)

_STYLE, _SCRIPT, _CHARTS, _THEME = (
    ASSETS_DIR / name for name in ("workspace.css", "workspace.js", "charts.js", "theme.js")
)
nicegui_app.add_static_files("/assets", ASSETS_DIR)
nicegui_app.on_page_exception(outside.show_failure)
ui.add_head_html(
    f'<link rel="stylesheet" href="{PREFIX}/assets/workspace.css?{_STYLE.stat().st_mtime_ns}">'
    f'<script src="{PREFIX}/assets/workspace.js?{_SCRIPT.stat().st_mtime_ns}" defer></script>'
    f'<script src="{PREFIX}/assets/charts.js?{_CHARTS.stat().st_mtime_ns}" defer></script>'
    f"<script>{_THEME.read_text(encoding='utf-8')}</script>",
    shared=True,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def mount(app: FastAPI, workspace: Workspace) -> None:
    """Serve the workspace of `workspace` below `/agents` of `app`, and lead `/` there."""
    # NiceGUI is one app per process. Where several of ours are made in turn, each starts it afresh.
    nicegui_app.middleware_stack = None
    nicegui_app.user_middleware.clear()
    ui.run_with(
        app,
        root=outside.show_not_found,
        mount_path=PREFIX,
        title="dealbook",
        favicon=ASSETS_DIR / "favicon.svg",
        dark=None,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=10.0,
        show_welcome_message=False,
    )
    mounted = next(route for route in reversed(app.router.routes) if isinstance(route, Mount) and route.path == PREFIX)
    mounted.app = _Door(workspace)

    @app.get("/", include_in_schema=False)
    def lead_home() -> RedirectResponse:
        return RedirectResponse(HOME_PATH, status_code=307)


class _Door:
    """ASGI: tells pages which workspace they serve, keeps foreign sites off the socket, and sets the page's policy."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if not _is_same_origin(scope):
            await _refuse(scope, receive, send)
            return
        scope[SCOPE_KEY] = self._workspace
        scope["endpoint"] = nicegui_app  # so that an unknown address gets the page that says so

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if headers.get("content-type", "").startswith("text/html"):
                    headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
                    headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await nicegui_app(scope, receive, send_with_policy)


def _is_same_origin(scope: MutableMapping[str, Any]) -> bool:
    # A socket carries the cookie whichever site opened it, and browsers do not protect sockets as they do requests.
    if "/_nicegui_ws/" not in scope["path"]:
        return True
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    return origin is None or origin.split("://", 1)[-1] == headers.get("host")


async def _refuse(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Only pages of this server may open its socket.\n"})
