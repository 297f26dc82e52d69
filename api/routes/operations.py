"""For those who run the service: is it alive, can it answer, what has it counted."""

import ipaddress
from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import ServiceDep, read_clock, refuse_unknown_parameters, turn_away
from api.documentation import problems
from api.schemas.fields import Answer
from ledger.log.checkpoint import read_size
from ledger.log.signer_state import signed_size
from ledger.tables import AuditCheckpoint

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
    for name, meaning, value in (*_measure_log(service), *_measure_publication(service)):
        lines += f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name} {value}\n"
    return Response(lines, media_type=CONTENT_TYPE_LATEST)


_Gauge = tuple[str, str, int]


def _measure_log(service: ServiceDep) -> list[_Gauge]:
    """What there is to say of the log; nothing while the ledger cannot be read, which `/readyz` tells."""
    try:
        with service.ledger.read() as session:
            size = read_size(session)
            signed_at = session.scalar(select(func.max(AuditCheckpoint.signed_at)))
    except SQLAlchemyError:
        return []
    unsigned = size - signed_size(service.settings)
    gauges = [
        ("dealbook_log_size", "Entries of the log.", size),
        ("dealbook_log_unsigned", "Entries that no checkpoint covers yet.", unsigned),
    ]
    if signed_at is not None:
        age = int((read_clock() - signed_at).total_seconds())
        gauges.append(("dealbook_checkpoint_age_seconds", "Age of the newest checkpoint.", age))
    return gauges


def _measure_publication(service: ServiceDep) -> list[_Gauge]:
    publication = service.marts.publication()
    if publication is None:
        return []
    age = int((read_clock() - publication.published_at).total_seconds())
    return [
        ("dealbook_published_log_size", "Entries of the log behind the published numbers.", publication.log_size),
        ("dealbook_published_age_seconds", "Age of the published numbers.", age),
    ]


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
