"""What routes ask for: a ledger session, who is calling, the published marts, the revision a writer has read.

A reading session lives exactly as long as its endpoint (`scope="function"`). How routes write is in `api.writing`.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlalchemy.orm import Session

from api.callers import RecentCallers
from api.denials import Denials
from api.import_runs import ImportRuns
from api.log_proofs import LogProofs
from api.problems import FieldError, Problem, not_signed_in
from api.published import Marts, PublishedMarts
from api.rate_limits import RateLimits, address_of
from api.writers import Writers
from ledger import access
from ledger.actors import Actor
from ledger.errors import RevisionStale
from ledger.settings import Settings
from ledger.store import Ledger

SESSION_COOKIE = "dealbook_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
bearer_scheme = HTTPBearer(auto_error=False, description="A token from `dealbook token create`.")
cookie_scheme = APIKeyCookie(
    name=SESSION_COOKIE, auto_error=False, description="Set by signing in with a one-time link."
)


@dataclass(frozen=True, slots=True)
class Service:
    """What one running app shares among its requests."""

    settings: Settings
    ledger: Ledger
    marts: PublishedMarts
    limits: RateLimits
    denials: Denials
    writers: Writers
    imports: ImportRuns
    proofs: LogProofs
    callers: RecentCallers = field(default_factory=RecentCallers)

    @property
    def stale_after(self) -> timedelta:
        """Age from which published numbers are called stale."""
        return timedelta(hours=self.settings.stale_after_hours)

    def find_actor(self, request: Request) -> Actor | None:
        """Return who sent the request, by token or by session cookie, or None."""
        with self.ledger.read() as session:
            return authenticate(session, request)


# What does not wait for anything is async: a worker thread for it would cost more than it does.
async def get_service(request: Request) -> Service:
    """Return what the app shares."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


def authenticate(session: Session, request: Request) -> Actor | None:
    """Return who holds the request's bearer token or, without one, its session cookie; None for anything not valid."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    request_id = request.scope.get("request_id")
    actor = None
    if scheme.lower() == "bearer":
        actor = access.find_token(session, secret.strip(), request_id=request_id)
    elif not scheme and (cookie := request.cookies.get(SESSION_COOKIE)):
        actor = access.find_session(session, cookie, request_id=request_id)
    request.state.actor = actor
    return actor


def turn_away(request: Request, service: Service) -> Problem:
    """Return the answer to someone who is not signed in; a credential that failed is counted against its address."""
    if "authorization" in request.headers or SESSION_COOKIE in request.cookies:
        address = address_of(request.scope)
        service.denials.note("bad_credential", address)
        service.limits.admit_stranger(address)
    return not_signed_in()


def refuse_cross_site(request: Request) -> None:
    """Refuse a change that a foreign page may have sent: cookies travel with such requests, tokens do not."""
    if request.method in _SAFE_METHODS or "authorization" in request.headers or SESSION_COOKIE not in request.cookies:
        return
    origin = request.headers.get("origin")
    if origin is None or urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(
            "cross-site-request",
            "A change by session cookie must come from a page of this server (`Origin`); scripts should send a token.",
        )


async def refuse_strangers(request: Request, service: ServiceDep) -> None:
    """Turn away whoever is not signed in before they can take the write lock."""
    refuse_cross_site(request)
    credential = request.headers.get("authorization") or request.cookies.get(SESSION_COOKIE, "")
    if service.callers.knows(credential):
        return
    if await run_in_threadpool(service.find_actor, request) is None:
        raise turn_away(request, service)
    service.callers.note(credential)


def open_reading(service: ServiceDep) -> Iterator[Session]:
    """Open a snapshot of the ledger."""
    with service.ledger.read() as session:
        yield session


Reading = Annotated[Session, Depends(open_reading, scope="function")]


def get_reader(
    request: Request,
    service: ServiceDep,
    session: Reading,
    _token: Annotated[object, Security(bearer_scheme)],
    _session: Annotated[object, Security(cookie_scheme)],
) -> Actor:
    """Return who is reading."""
    actor = authenticate(session, request)
    if actor is None:
        raise turn_away(request, service)
    return actor


ReadingActor = Annotated[Actor, Depends(get_reader, scope="function")]


def permit(action: access.Action) -> Callable[..., Actor]:
    """Return what finds out who asks for a change beside the log, before their body is read; who may not is refused."""

    def get_permitted(
        request: Request,
        service: ServiceDep,
        _token: Annotated[object, Security(bearer_scheme)],
        _session: Annotated[object, Security(cookie_scheme)],
    ) -> Actor:
        refuse_cross_site(request)
        with service.ledger.read() as session:
            actor = authenticate(session, request)
            if actor is None:
                raise turn_away(request, service)
            access.authorize(session, actor, action)
            return actor

    return get_permitted


async def open_marts(service: ServiceDep) -> AsyncIterator[Marts]:
    """Open a view of the published file. Only where that is a new one is there anything to wait for."""
    if not service.marts.is_newest_open():
        await run_in_threadpool(service.marts.publication)
    with service.marts.read() as marts:
        yield marts


MartsDep = Annotated[Marts, Depends(open_marts, scope="function")]


_ENTITY_TAGS = r'^(\*|(W/)?"[^"]*"( *, *(W/)?"[^"]*")*)$'
_WHICH_TAG = 'The `ETag` that the caller has read, or `*` for "whatever it is now".'
# Described and not enforced: what is no entity tag matches no revision, which is 412 like any other stale one.
IfMatch = Annotated[str | None, Header(json_schema_extra={"pattern": _ENTITY_TAGS}, description=_WHICH_TAG)]


async def read_revision(if_match: IfMatch = None) -> "Revision":
    """Return the revisions that the caller accepts; without `If-Match` the answer is 428."""
    if if_match is None:
        raise Problem(
            "revision-required", "Read it first and send its `ETag` as `If-Match`, so that no change is lost."
        )
    if if_match.strip() == "*":
        return Revision(None)
    return Revision(frozenset(int(tag) for tag in re.findall(r'(?<![\w/])"(\d{1,15})"', if_match)))


@dataclass(frozen=True, slots=True)
class Revision:
    """The revisions under which a writer wants the change; None accepts any."""

    accepted: frozenset[int] | None

    def require(self, current: int) -> None:
        """Raise `RevisionStale` unless the current revision is among them."""
        if self.accepted is not None and current not in self.accepted:
            raise RevisionStale(current)


async def read_revision_if_sent(if_match: IfMatch = None) -> Revision:
    """Return the revisions that the caller accepts: any, without `If-Match`."""
    return await read_revision(if_match) if if_match is not None else Revision(None)


RevisionDep = Annotated[Revision, Depends(read_revision)]
OptionalRevisionDep = Annotated[Revision, Depends(read_revision_if_sent)]


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse query parameters that the route does not know, and repeated ones: neither is silently ignored."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    if not request.scope["query_string"]:
        return
    known = _query_names(route.dependant)
    names = [name for name, _ in request.query_params.multi_items()]
    errors = [
        FieldError(location=f"query.{name}", message="Give it once." if name in known else "Unknown parameter.")
        for name in dict.fromkeys(names)
        if name not in known or names.count(name) > 1
    ]
    if errors:
        raise Problem("request-invalid", "Correct what `errors` lists and send it again.", errors=errors)


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names


def read_clock() -> datetime:
    """Return the time now, for the age of published numbers; no number depends on it."""
    return datetime.now(UTC)
