"""What is published, what else is kept of it, and the way back to an earlier publication."""

import dataclasses
from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import (
    MartsDep,
    Reading,
    ReadingActor,
    Service,
    ServiceDep,
    permit,
    read_clock,
    refuse_unknown_parameters,
)
from api.documentation import EVERYWHERE, PUBLISHED, WRITES, WRITES_NO_ENTRY, problems
from api.problems import Problem
from api.published import Marts
from api.schemas import publications as shapes
from ledger import access
from ledger.actors import Actor

router = APIRouter(
    prefix="/api/v1", tags=["performance"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


@router.get("/publication", responses=PUBLISHED, summary="The manifest of the published file")
def read_publication(
    marts: MartsDep, session: Reading, actor: ReadingActor, service: ServiceDep
) -> shapes.PublicationAnswer:
    """What is published: how much of the log, for which day, by which definitions, and a digest for each mart."""
    access.authorize(session, actor, access.Action.READ_SUMMARY, actor.id)
    return _describe(marts, service)


@router.get("/publications", responses=problems(403), summary="Publications that are kept")
def list_publications(session: Reading, actor: ReadingActor, service: ServiceDep) -> shapes.PublicationList:
    """The newest first, as many as are kept (`DEALBOOK_KEEP_PUBLISHED`); readers see the current one."""
    from ingestion import publishing

    access.authorize(session, actor, access.Action.READ_SUMMARY, actor.id)
    folder = service.settings.published_dir
    if not folder.is_dir():
        return shapes.PublicationList(items=[])
    current = publishing.current_publication(folder)
    return shapes.PublicationList(
        items=[
            shapes.KeptPublication(
                file_name=each.name,
                generation=each.generation,
                log_size=each.log_size,
                as_of_date=each.as_of_date,
                definition_version=each.definition_version,
                published_at=each.published_at,
                rows=sum(mart.row_count for mart in each.marts),
                is_current=current is not None and each.name == current.name,
            )
            for each in publishing.list_publications(folder)
        ]
    )


@router.post(
    "/publication/rollback",
    responses=WRITES,
    summary="Show an earlier publication again",
    openapi_extra={WRITES_NO_ENTRY: True},
)
def roll_back(
    body: shapes.Rollback, actor: Annotated[Actor, Depends(permit(access.Action.ROLL_BACK))], service: ServiceDep
) -> shapes.PublicationAnswer:
    """Everybody then sees its numbers, until the next refresh publishes anew; no deal and no entry is touched.

    Who asked is kept among the publications. Sent again it leads to the same, so it needs no `Idempotency-Key`.
    """
    from ingestion.errors import PublicationMissing
    from ingestion.publishing import rollback_publication

    with service.ledger.read() as session:
        by = access.get_user(session, actor.id).name
    try:
        rollback_publication(service.settings.published_dir, body.file_name, by=by)
    except PublicationMissing as fact:
        raise Problem(
            "publication-not-found", "No such publication is kept. `GET /api/v1/publications` lists those that are."
        ) from fact
    with service.marts.read() as marts:
        return _describe(marts, service)


def _describe(marts: Marts, service: Service) -> shapes.PublicationAnswer:
    publication = marts.publication
    return shapes.PublicationAnswer(
        **dataclasses.asdict(publication),
        file_name=marts.file_name,
        stale=publication.is_stale(read_clock(), service.stale_after),
        marts=[shapes.MartAnswer.model_validate(mart) for mart in marts.list_marts()],
    )
