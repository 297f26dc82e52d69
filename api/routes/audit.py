"""The log behind a deal, for whoever wants to check it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.dependencies import Reading, ReadingActor, refuse_unknown_parameters
from api.documentation import EVERYWHERE, READS
from api.routes.deals import DealId
from api.schemas import audit as shapes
from ledger.deal_audit import list_entries

router = APIRouter(
    prefix="/api/v1", tags=["audit"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


@router.get("/deals/{deal_id}/audit", responses=READS, summary="A deal's entries in the log")
def list_deal_entries(
    session: Reading,
    actor: ReadingActor,
    deal_id: DealId,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> shapes.ChainPage:
    """In order, with the hashed bytes, so that a client can recompute every hash and follow the chain."""
    rows, next_cursor = list_entries(session, actor, deal_id, cursor=cursor, limit=limit)
    items = [
        shapes.ChainEntry(
            n=row.n,
            seq=row.seq,
            type=row.type,
            at=row.at,
            effective_at=row.effective_at,
            actor_id=row.actor_id,
            hash=row.hash.hex(),
            prev=row.prev.hex(),
            body=row.body.decode(),
        )
        for row in rows
    ]
    return shapes.ChainPage(items=items, next_cursor=next_cursor)
