"""How the API writes: one function inside one write transaction, and its answer sent once that is committed.

`@writes` makes a route of `endpoint(session, actor, ...)`. In one turn of a writing thread the caller is looked up
(a token revoked a moment ago changes nothing), the function runs, and its answer is made and, under an
`Idempotency-Key`, kept. A failed commit is a 500 and never a 201: nothing was sent before it.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.dependencies import Service, ServiceDep, authenticate, refuse_strangers, turn_away
from api.idempotency import begin_once, keep_answer

Endpoint = Callable[..., BaseModel | None]


@dataclass(frozen=True, slots=True)
class Write:
    """A request that writes."""

    request: Request
    service: Service
    body: bytes

    async def run(self, endpoint: Endpoint, given: dict[str, Any]) -> Response:
        """Answer with what `endpoint` returns, when its turn has come and what it wrote is committed."""
        return await self.service.writers.run(functools.partial(self._answer, endpoint, given))  # type: ignore[no-any-return]

    def _answer(self, endpoint: Endpoint, given: dict[str, Any], session: Session) -> Response:
        actor = authenticate(session, self.request)
        if actor is None:
            raise turn_away(self.request, self.service)
        actor = begin_once(self.request, session, actor, self.body)
        said = endpoint(session=session, actor=actor, **given)
        headers = given["response"].headers
        status = self.request.scope["route"].status_code or 200
        content = None if said is None else said.__pydantic_serializer__.to_json(said, by_alias=True)
        response = Response(content, status, media_type=None if said is None else "application/json")
        response.raw_headers += headers.raw
        keep_answer(self.request, session, response)
        return response


async def begin_write(request: Request, service: ServiceDep, _: Annotated[None, Depends(refuse_strangers)]) -> Write:
    """Return the request, which somebody sent who was known a moment ago, with its body as it came."""
    return Write(request, service, await request.body())


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
    answer.__signature__ = signature.replace(parameters=[write, *keywords])  # type: ignore[attr-defined]
    return answer
