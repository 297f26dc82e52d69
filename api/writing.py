"""How the API writes: one function inside one write transaction, and its answer sent once that is committed.

`@writes` makes a route of `endpoint(session, actor, ...)`. In one turn of a writing thread the caller is looked up
(a token revoked a moment ago changes nothing), the function runs, and its answer is made and, under an
`Idempotency-Key`, kept. A failed commit is a 500 and never a 201: nothing was sent before it.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.dependencies import Service, authenticate, refuse_strangers, turn_away
from api.direct_writes import plan_direct_write
from api.idempotency import begin_once, keep_answer
from ledger.actors import Actor

Endpoint = Callable[..., "BaseModel | Written | None"]


class Written(NamedTuple):
    """An answer that is JSON already; the route's `response_model` describes it."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes."""

    request: Request
    service: Service
    body: bytes

    async def run(self, endpoint: Endpoint, given: dict[str, Any]) -> Response:
        """Answer with what `endpoint` returns, when its turn has come and what it wrote is committed."""
        return await self.service.writers.run(functools.partial(self._answer, endpoint, given), self._about)  # type: ignore[no-any-return]

    async def admit(self) -> None:
        """Raise what a request is answered with before its body is looked at: for who sends it, and for its key."""
        await self.service.writers.run(self._admit, self._about)

    @property
    def _about(self) -> str:
        """The id in the request's address, the first one where it names several: of a deal, mostly."""
        return next(iter(self.request.path_params.values()), "")

    def _admit(self, session: Session) -> Actor:
        actor = authenticate(session, self.request)
        if actor is None:
            raise turn_away(self.request, self.service)
        return begin_once(self.request, session, actor, self.body)

    def _answer(self, endpoint: Endpoint, given: dict[str, Any], session: Session) -> Response:
        actor = self._admit(session)
        said = endpoint(session=session, actor=actor, **given)
        headers = given["response"].headers
        status = self.request.scope["route"].status_code or 200
        content = said.content if isinstance(said, Written) else None if said is None else write_model(said)
        response = Response(content, status, media_type=None if said is None else "application/json")
        response.raw_headers += headers.raw
        keep_answer(self.request, session, response)
        return response


def write_model(said: BaseModel) -> bytes:
    """Return the JSON of an answer."""
    return said.__pydantic_serializer__.to_json(said, by_alias=True)


async def begin_write(request: Request) -> Write:
    """Return the request, which somebody sent who was known a moment ago, with its body as it came."""
    service: Service = request.app.state.service
    await refuse_strangers(request, service)
    request.state.write = Write(request, service, await request.body())
    return request.state.write  # type: ignore[no-any-return]


class WriteRoute(APIRoute):
    """A route of a router that writes: an unknown caller or a used key is told so even when the body is invalid."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the ordinary handler with that order of refusals, and a shorter way to what is as it should be."""
        answer = super().get_route_handler()
        direct = plan_direct_write(self, {begin_write: begin_write}) if hasattr(self.endpoint, "writes") else None

        async def answer_in_order(request: Request) -> Response:
            try:
                answered = await direct.answer(request) if direct is not None else None
                return await answer(request) if answered is None else answered
            except RequestValidationError:
                write: Write | None = getattr(request.state, "write", None)
                if write is not None:
                    await write.admit()
                raise

        return answer_in_order


def writes(endpoint: Endpoint) -> Callable[..., Awaitable[Response]]:
    """Make a route's function of one that takes `session` and `actor`; it must also take the `response`."""

    @functools.wraps(endpoint)
    async def answer(write: Write, **given: Any) -> Response:
        return await write.run(endpoint, given)

    signature = inspect.signature(endpoint)
    asked = [parameter for name, parameter in signature.parameters.items() if name not in ("session", "actor")]
    write = inspect.Parameter(
        "write", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Write, Depends(begin_write)]
    )
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in asked]
    answer.writes = endpoint  # type: ignore[attr-defined]
    answer.__signature__ = signature.replace(parameters=[write, *keywords])  # type: ignore[attr-defined]
    return answer
