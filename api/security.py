"""The outermost layer: a request id, security headers on every answer, and the counts that `/metrics` shows."""

import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from api.denials import Denials
from api.problems import FieldError, Problem, answer_problem, unexpected_response
from api.rate_limits import RateLimits, address_of
from ledger.identifiers import new_id

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms, and sign-out would be refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# Answers of the API are data, its few pages are text: neither runs or loads anything. Pages that do set their own.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in (HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}).items()
]
_DATA_HEADERS = [*_HEADERS, (b"cache-control", b"no-store")]

UPLOADS = frozenset({"/api/v1/imports", "/api/v1/mappings/proposal"})
_PAGE_UPLOAD = re.compile(r"/agents/_nicegui/client/[^/]+/upload/\d+")
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class Meters:
    """What is counted about requests, in a registry of its own so that apps in one process stay apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dealbook_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.durations = Histogram(
            "dealbook_request_seconds", "Time to answer a request.", ["method", "route"], registry=self.registry
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}  # finding a label's own takes longer

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered within `seconds`."""
        key = (method, route, status)
        if key not in self._known:
            self._known[key] = (
                self.requests.labels(method, route, str(status)),
                self.durations.labels(method, route),
            )
        requests, durations = self._known[key]
        requests.inc()
        durations.observe(seconds)


class Guard:
    """ASGI middleware around everything that is served; a request may bring at most `max_body` bytes, and
    `max_upload` where files are sent to be imported.

    Requests for data and sign-in are held to the limits; refused rights are counted for the log.
    """

    def __init__(
        self, app: App, meters: Meters, limits: RateLimits, denials: Denials, max_body: int, max_upload: int
    ) -> None:
        self._app = app
        self._meters = meters
        self._limits = limits
        self._denials = denials
        self._max_body = max_body
        self._max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"] = new_id()
        is_data = scope["path"].startswith("/api/")
        status = 0
        received = 0
        most = self._max_upload if _is_upload(scope) else self._max_body
        started = time.perf_counter()

        async def receive_limited() -> Message:
            # Counted as it arrives: a wrong Content-Length helps nobody.
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413, f"Send at most {most // 2**20} MiB.")
            return message

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                given = {name.lower() for name, _ in headers}
                headers.append((b"x-request-id", scope["request_id"].encode()))
                headers += [header for header in (_DATA_HEADERS if is_data else _HEADERS) if header[0] not in given]
                message["headers"] = headers
            await send(message)

        try:
            if is_data or scope["path"] == "/login":
                self._limits.admit(address_of(scope), _credential(scope))
                _refuse_nul(scope)
            await self._app(scope, receive_limited, send_guarded)
            actor = scope.get("state", {}).get("actor")
            if status == 403 and is_data and actor is not None:
                self._denials.note("not_permitted", address_of(scope), actor.id)
        except Problem as problem:
            await answer_problem(problem)(scope, receive, send_guarded)
        except Exception:
            log.exception("%s %s failed, request %s", scope["method"], scope["path"], scope["request_id"])
            if status:
                raise  # the answer has begun; all that is left is to break it off
            await unexpected_response()(scope, receive, send_guarded)
        finally:
            route = _route_label(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._meters.count(method, route, status, time.perf_counter() - started)


def _is_upload(scope: Scope) -> bool:
    """Whether files are sent: to a route that writes them to disk as they come, or by a page's own upload field."""
    path: str = scope["path"]
    return scope["method"] == "POST" and (path in UPLOADS or re.fullmatch(_PAGE_UPLOAD, path) is not None)


def _refuse_nul(scope: Scope) -> None:
    """Raise the problem about a NUL character in the address: databases differ in what they make of one."""
    for place, is_there in (("path", "\0" in scope["path"]), ("query", b"%00" in scope.get("query_string", b""))):
        if is_there:
            error = FieldError(location=place, message="Holds a NUL character, which no database keeps in a text.")
            raise Problem("request-invalid", "Correct what `errors` lists and send it again.", errors=[error])


def _credential(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    return headers.get("authorization") or headers.get("cookie")


def _route_label(scope: Scope) -> str:
    # The template, never the address itself: labels must stay few.
    route = scope.get("route")
    if isinstance(route, Mount) or route is None:
        return "other"
    return str(getattr(route, "path", "other"))
