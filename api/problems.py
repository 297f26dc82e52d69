"""Every error that the API answers with: RFC 9457 problem documents, each with a documented address.

    Problem                 what the API itself finds wrong with a request
    ledger.errors           facts that the ledger refuses; the branch of their tree gives the status
    anything else           500, with nothing about our insides

`docs/problems.md` has one section for each code, and `/problems/<code>` shows it.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.published import NothingPublished
from api.schemas.fields import WHAT_PATTERNS_ASK
from ledger import errors as facts
from ledger.settings import PROJECT_DIR
from ledger.store_failures import name_failure, name_full_disk

MEDIA_TYPE = "application/problem+json"
PROBLEMS_PAGE = PROJECT_DIR / "docs" / "problems.md"
log = logging.getLogger(__name__)

_SOON = {"Retry-After": "10"}
# What the API itself finds wrong. The ledger's facts bring their own codes.
OWN_STATUSES: dict[str, int] = {
    "request-malformed": 400,
    "not-signed-in": 401,
    "cross-site-request": 403,
    "address-not-found": 404,
    "agent-not-published": 404,
    "publication-not-found": 404,
    "method-not-allowed": 405,
    "import-not-finished": 409,
    "recorded-before": 409,
    "revision-stale": 412,
    "body-too-large": 413,
    "file-invalid": 422,
    "mapping-invalid": 422,
    "request-invalid": 422,
    "idempotency-key-reused": 422,
    "revision-required": 428,
    "too-many-requests": 429,
    "unexpected-error": 500,
    NothingPublished.code: 503,
    "log-not-continued": 503,
    "ledger-not-answering": 503,
    "ledger-moved": 503,
    "disk-full": 507,
}


class FieldError(BaseModel):
    """One thing wrong with a request, and where."""

    location: str = Field(examples=["body.deal_type"])
    message: str = Field(examples=["Input should be 'buy_side', 'sell_side' or 'lease'"])


class ProblemDocument(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(
        description="Address of the page that explains this problem.", examples=["/problems/deal-not-found"]
    )
    title: str = Field(examples=["Deal not found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What to do.", examples=["There is no such deal, or you may not see it."])
    errors: list[FieldError] | None = Field(default=None, description="For request-invalid: each thing wrong.")
    reachable: list[str] | None = Field(default=None, description="For moves: where the deal or commission may go.")


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """A request that the API itself refuses."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = OWN_STATUSES[code]
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)


def refuse_field(name: str, message: str) -> NoReturn:
    """Raise the problem `request-invalid` about one field of a form."""
    error = FieldError(location=f"body.{name}", message=message)
    raise Problem("request-invalid", "Correct what `errors` lists and send it again.", errors=[error])


def not_signed_in() -> Problem:
    """Return the one answer to every missing, unknown, expired or revoked credential: which it was stays ours."""
    return Problem(
        "not-signed-in",
        "Send `Authorization: Bearer <token>` with a valid token, or sign in. Make one with `dealbook token create`.",
        headers={"WWW-Authenticate": 'Bearer realm="dealbook"'},
    )


def status_of(fact: facts.DealbookError) -> int:
    """Return the HTTP status of a fact that the ledger states."""
    if isinstance(fact, facts.RevisionStale):
        return 412
    branches: tuple[tuple[type[facts.DealbookError], int], ...] = (
        (facts.NotFound, 404),
        (facts.NotPermitted, 403),
        (facts.Conflict, 409),
        (facts.Invalid, 422),
        (facts.LogNotContinued, 503),
        (facts.LedgerNotAnswering, 503),
        (facts.LedgerMoved, 503),
        (facts.DiskFull, 507),
    )
    return next((status for branch, status in branches if isinstance(fact, branch)), 500)


def problem_response(
    code: str, status: int, detail: str, headers: Mapping[str, str] | None = None, **extension: Any
) -> JSONResponse:
    """Return the answer that carries a problem document."""
    document = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **{name: value for name, value in extension.items() if value},
    }
    content = _legible(jsonable_encoder(document))
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _legible(value: Any) -> Any:
    """Return `value` with U+FFFD for what is no Unicode: a problem that quotes a file must not fail over its bytes."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if isinstance(value, list):
        return [_legible(item) for item in value]
    return {name: _legible(item) for name, item in value.items()} if isinstance(value, dict) else value


def answer_problem(problem: Problem) -> JSONResponse:
    """Return the answer that says what the API itself found wrong."""
    errors = [error.model_dump() for error in problem.errors]
    return problem_response(problem.code, problem.status, problem.detail, problem.headers, errors=errors)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    @app.exception_handler(Problem)
    async def _own(_: Request, problem: Problem) -> JSONResponse:
        return answer_problem(problem)

    @app.exception_handler(facts.DealbookError)
    async def _fact(_: Request, fact: facts.DealbookError) -> JSONResponse:
        status = status_of(fact)
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("The ledger failed: %s", fact.detail, exc_info=fact)
            return unexpected_response()
        reachable = [str(word) for word in getattr(fact, "reachable", ())]
        passes = isinstance(fact, (facts.LedgerNotAnswering, facts.DiskFull))
        return problem_response(fact.code, status, fact.detail, _SOON if passes else None, reachable=reachable)

    @app.exception_handler(DBAPIError)
    async def _store_failed(request: Request, error: DBAPIError) -> JSONResponse:
        fact = name_failure(error)
        if fact is None:
            raise error
        log.error("%s %s: %s", request.method, request.url.path, error.orig)
        return problem_response(fact.code, status_of(fact), fact.detail, _SOON)

    @app.exception_handler(OSError)
    async def _disk_failed(request: Request, error: OSError) -> JSONResponse:
        fact = name_full_disk(error)
        if fact is None:
            raise error
        log.error("%s %s: %s", request.method, request.url.path, error)
        return problem_response(fact.code, status_of(fact), fact.detail, _SOON)

    @app.exception_handler(NothingPublished)
    async def _unpublished(_: Request, fact: NothingPublished) -> JSONResponse:
        return problem_response(fact.code, OWN_STATUSES[fact.code], fact.detail, {"Retry-After": "60"})

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, invalid: RequestValidationError) -> JSONResponse:
        errors = [
            FieldError(location=".".join(str(part) for part in error["loc"]), message=_explain(error)).model_dump()
            for error in invalid.errors()
        ]
        return problem_response("request-invalid", 422, "Correct what `errors` lists and send it again.", errors=errors)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        match error.status_code:
            case 404:
                return problem_response("address-not-found", 404, "There is nothing here; see /openapi.json.")
            case 405:
                allow = {"Allow": ", ".join(_methods_at(request))}
                return problem_response("method-not-allowed", 405, "Use a method that `Allow` names.", allow)
            case 413:
                # Who raises it says how much is allowed; the framework's own word says nothing.
                detail = error.detail if error.detail.startswith("Send at most") else "Send at most 1 MiB."
                return problem_response("body-too-large", 413, detail)
            case _:
                return problem_response("request-malformed", 400, "The request could not be read.")


def _explain(error: Mapping[str, Any]) -> str:
    """Return what is wrong in words; of a pattern, what it asks for."""
    pattern = error.get("ctx", {}).get("pattern")
    return WHAT_PATTERNS_ASK.get(pattern) or str(error["msg"])


def _methods_at(request: Request) -> list[str]:
    """Return the methods that any route at the request's address takes; the first route alone knows only its own."""
    routes = request.app.router.routes
    return [
        method
        for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def unexpected_response() -> JSONResponse:
    """Return the answer to an error that nobody foresaw; the log has its cause, the caller does not."""
    return problem_response(
        "unexpected-error",
        500,
        "Something went wrong on our side; nothing was changed. The server's log has the cause.",
    )


@lru_cache(maxsize=1)
def read_problem_sections() -> dict[str, str]:
    """Return the text of each `## code` section of docs/problems.md, by code."""
    parts = re.split(r"^## ([a-z0-9-]+)$", PROBLEMS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {code: text.strip() for code, text in zip(parts[1::2], parts[2::2], strict=True)}
