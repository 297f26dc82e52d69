"""Requests that write, read in as few steps as they need.

FastAPI finds out anew for each request how to call what a route depends on, and that takes longer than all else it does
for one. Every route that writes depends on a few known things, so they can be read straight away. This is done for a
request in which all is as it should be; any other is left to FastAPI, which says what is wrong with it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.dependencies import get_service, read_revision, read_revision_if_sent, refuse_unknown_parameters

Ask = Callable[[Request], Awaitable[Any]]


async def _read_revision(request: Request) -> Any:
    return await read_revision(request.headers.get("if-match"))


async def _read_revision_if_sent(request: Request) -> Any:
    return await read_revision_if_sent(request.headers.get("if-match"))


_KNOWN: dict[Any, Ask] = {
    get_service: get_service,
    read_revision: _read_revision,
    read_revision_if_sent: _read_revision_if_sent,
}


@dataclass(frozen=True, slots=True)
class DirectWrite:
    """How a route's function is called: fields of its address and body, and what it depends on, in that order."""

    call: Callable[..., Awaitable[Response]]
    path_fields: tuple[Any, ...]
    body_field: Any
    asks: tuple[tuple[str, Ask], ...]
    gives_request: bool

    async def answer(self, request: Request) -> Response | None:
        """Answer the request; None for one that has to go FastAPI's way, which has then done nothing yet."""
        if request.scope["query_string"]:
            return None
        given: dict[str, Any] = {}
        for field in self.path_fields:
            given[field.name], errors = field.validate(request.path_params[field.alias], loc=("path", field.alias))
            if errors:
                return None
        if self.body_field is not None:
            if request.headers.get("content-type") != "application/json":
                return None
            try:
                document = await request.json()
            except HTTPException:  # a body that is too large
                raise
            except Exception:
                return None
            given[self.body_field.name], errors = self.body_field.validate(document, loc=("body",))
            if errors:
                return None
        for name, ask in self.asks:
            given[name] = await ask(request)
        if self.gives_request:
            given["request"] = request
        given["response"] = Response()
        del given["response"].headers["content-length"]
        return await self.call(**given)


def plan_direct_write(route: APIRoute, own: Mapping[Any, Ask]) -> DirectWrite | None:
    """Return how to call a route's function directly; None when it asks for anything but the known things and `own`."""
    wanted, known = route.dependant, {**_KNOWN, **own}
    needed = [needs for needs in wanted.dependencies if needs.call is not refuse_unknown_parameters]
    is_known = all(needs.call in known and needs.name for needs in needed)
    others = (wanted.query_params, wanted.header_params, wanted.cookie_params, wanted.background_tasks_param_name)
    if not is_known or any(others) or wanted.response_param_name != "response" or len(wanted.body_params) > 1:
        return None
    call: Any = wanted.call
    return DirectWrite(
        call=call,
        path_fields=tuple(wanted.path_params),
        body_field=wanted.body_params[0] if wanted.body_params else None,
        asks=tuple((str(needs.name), known[needs.call]) for needs in needed),
        gives_request=wanted.request_param_name is not None,
    )
