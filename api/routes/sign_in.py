"""Sign-in for people: a one-time link becomes a session cookie. Passwords do not exist here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from api.dependencies import SESSION_COOKIE, ServiceDep, refuse_cross_site
from api.rate_limits import address_of
from api.routes.pages import render_page
from ledger import access
from ledger.errors import LoginLinkSpent


@asynccontextmanager
async def _write_denials_at_the_end(app: FastAPI) -> AsyncIterator[None]:
    yield
    await run_in_threadpool(app.state.service.denials.close)


router = APIRouter(include_in_schema=False, lifespan=_write_denials_at_the_end)
HOME = "/agents/performance/home"
SIGN_IN_PAGE = "/agents/sign-in"


@router.get("/login")
def redeem_link(
    request: Request, service: ServiceDep, link: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Redeem a one-time link: set the session cookie and go to the workspace."""
    how = "Make a new link with `dealbook login-link` on the machine that runs dealbook, and open it within 15 minutes."
    if link is None:
        return render_page("Sign in with a link", [how], 401)
    try:
        with service.ledger.write() as session:
            user = access.redeem_login_link(session, link, address=address_of(request.scope))
            secret = access.create_session(session, user.id)
    except LoginLinkSpent:
        service.denials.note("bad_link", address_of(request.scope))
        service.limits.admit_stranger(address_of(request.scope))
        return render_page("This link is used up", ["It was used before, or it is older than 15 minutes.", how], 401)
    response = RedirectResponse(HOME, status_code=303)
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(access.SESSION_VALID.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    # The secret stood in the address: keep it out of caches.
    response.headers["Cache-Control"] = "no-store"
    return response


@router.post("/logout", dependencies=[Depends(refuse_cross_site)])
def sign_out(request: Request, service: ServiceDep) -> RedirectResponse:
    """End the session and forget its cookie."""
    secret = request.cookies.get(SESSION_COOKIE)
    if secret:
        with service.ledger.write() as session:
            access.end_session(session, secret)
    response = RedirectResponse(SIGN_IN_PAGE, status_code=303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
    return response
