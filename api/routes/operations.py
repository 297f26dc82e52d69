"""For those who run the service: is it alive, can it answer, what has it counted."""

import ipaddress
from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import ServiceDep, read_clock, refuse_unknown_parameters, turn_away
from api.documentation import problems
from api.schemas.fields import Answer

router = APIRouter(tags=["operations"], dependencies=[Depends(refuse_unknown_parameters)], responses=problems(422, 500))


class Health(Answer):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """What the service needs, and whether it is there; without a published file only performance has no answers."""

    ledger: Literal["ok", "unavailable"]
    published: Literal["ok", "stale", "nothing yet"]


@router.get("/healthz", summary="Is the process alive?")
def read_health() -> Health:
    """Answers as long as the process runs."""
    return Health()


@router.get("/readyz", summary="Can it answer?", responses={503: {"model": Readiness, "description": "Not now."}})
def read_readiness(service: ServiceDep, response: Response) -> Readiness:
    """503 when the ledger cannot be read."""
    try:
        with service.ledger.read() as session:
            session.execute(text("SELECT 1"))
    except SQLAlchemyError:
        response.status_code = 503
        return Readiness(ledger="unavailable", published=_published_state(service))
    return Readiness(ledger="ok", published=_published_state(service))


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    responses=problems(401, 429) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def read_metrics(request: Request, service: ServiceDep) -> Response:
    """From this machine, or with a token."""
    if not _is_loopback(request) and service.find_actor(request) is None:
        raise turn_away(request, service)
    lines = generate_latest(request.app.state.meters.registry).decode()
    publication = service.marts.publication()
    if publication is not None:
        age = (read_clock() - publication.published_at).total_seconds()
        lines += (
            "# HELP dealbook_published_log_size Entries of the log behind the published numbers.\n"
            "# TYPE dealbook_published_log_size gauge\n"
            f"dealbook_published_log_size {publication.log_size}\n"
            "# HELP dealbook_published_age_seconds Age of the published numbers.\n"
            "# TYPE dealbook_published_age_seconds gauge\n"
            f"dealbook_published_age_seconds {age:.0f}\n"
        )
    return Response(lines, media_type=CONTENT_TYPE_LATEST)


def _published_state(service: ServiceDep) -> Literal["ok", "stale", "nothing yet"]:
    publication = service.marts.publication()
    if publication is None:
        return "nothing yet"
    return "stale" if publication.is_stale(read_clock(), service.stale_after) else "ok"


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
