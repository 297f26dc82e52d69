"""Deals: open, read, change, move, cancel, reopen, hand over."""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.dependencies import (
    OptionalRevisionDep,
    Reading,
    ReadingActor,
    Revision,
    RevisionDep,
    ServiceDep,
    refuse_unknown_parameters,
)
from api.documentation import EVERYWHERE, READS, REVISED, REVISED_IF_ASKED, WRITES, documented_key
from api.parameters import Cursor, Limit, PathId, QueryId
from api.receipts import leave_receipt
from api.schemas import deals as shapes
from api.schemas.fields import ANY_TEXT, TimeGiven
from api.writing import WriteRoute, Written, write_model, writes
from ledger import deals
from ledger.access import Action
from ledger.actors import Actor
from ledger.tables import AgentDeal
from ledger.vocabulary import AssetType, DealStatus, DealType, PipelineStage

router = APIRouter(
    prefix="/api/v1/deals",
    tags=["deals"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
    route_class=WriteRoute,
)


@router.get("", responses=READS, summary="List deals")
def list_deals(
    session: Reading,
    actor: ReadingActor,
    agent_id: QueryId = None,
    stage: PipelineStage | None = None,
    status: DealStatus | None = None,
    asset_type: AssetType | None = None,
    deal_type: DealType | None = None,
    property_id: QueryId = None,
    project_id: QueryId = None,
    q: Annotated[
        str | None, Query(max_length=200, pattern=ANY_TEXT, description="In title, description and company.")
    ] = None,
    updated_since: Annotated[TimeGiven | None, Query()] = None,
    sort: Annotated[
        Literal["updated_at", "-updated_at", "created_at", "-created_at"], Query(description="`-` is newest first.")
    ] = "-updated_at",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.DealPage:
    """Those that the caller may see: agents their own, all others every deal."""
    wanted = deals.DealFilter(
        agent_id=agent_id,
        stage=stage,
        status=status,
        asset_type=asset_type,
        deal_type=deal_type,
        property_id=property_id,
        project_id=project_id,
        q=q,
        updated_since=updated_since,
        sort=sort,
    )
    rows, next_cursor = deals.list_deals(session, actor, wanted, cursor, limit)
    return shapes.DealPage(items=[shapes.DealAnswer.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("", status_code=201, responses=WRITES, summary="Open a deal", openapi_extra=documented_key())
@writes
def open_deal(
    session: Session, actor: Actor, service: ServiceDep, body: shapes.NewDealBody, response: Response
) -> shapes.DealAnswer:
    """Agents open their own; managers may name the agent."""
    values = body.model_dump(exclude={"effective_at"}, exclude_none=True)
    new = deals.NewDeal(
        **{"agent_id": actor.id, "estimated_value_currency": service.settings.reporting_currency} | values,
        opened_at=body.effective_at,
    )
    deal = deals.open_deal(session, actor, new)
    response.headers["Location"] = f"{router.prefix}/{deal.id}"
    return _describe(session, deal, response)


@router.get("/{deal_id}", responses=READS, summary="Read a deal")
def read_deal(session: Reading, actor: ReadingActor, deal_id: PathId, response: Response) -> shapes.DealAnswer:
    """The deal as it stands; its `ETag` is what changes send back as `If-Match`."""
    deal = deals.get_deal(session, actor, deal_id)
    response.headers["ETag"] = f'"{deal.revision}"'
    return shapes.DealAnswer.model_validate(deal)


@router.patch("/{deal_id}", responses=WRITES | REVISED, summary="Change a deal")
@writes
def change_deal(
    session: Session,
    actor: Actor,
    revision: RevisionDep,
    deal_id: PathId,
    body: shapes.DealChanges,
    response: Response,
) -> shapes.DealAnswer:
    """Fields left out stay as they are; null clears one that may be empty. Each change is an entry of the log."""
    _claim(session, actor, deal_id, Action.WRITE_DEAL, revision)
    deal = deals.change_deal(session, actor, deal_id, body.model_dump(exclude_unset=True))
    return _describe(session, deal, response)


@router.post(
    "/{deal_id}/stage",
    response_model=shapes.DealWithTimeline,
    responses=WRITES | REVISED,
    summary="Move a deal to another stage",
    openapi_extra=documented_key(),
)
@writes
def advance_stage(
    session: Session,
    actor: Actor,
    revision: RevisionDep,
    deal_id: PathId,
    body: shapes.StageMove,
    response: Response,
) -> Written:
    """Any move among open stages, forward or back, or into a closed one; answers with the deal and its timeline."""
    _claim(session, actor, deal_id, Action.WRITE_DEAL, revision)
    deal = deals.advance_stage(session, actor, deal_id, body.to_stage, note=body.note, effective_at=body.effective_at)
    told = write_model(_describe(session, deal, response)), _write_timeline(session, deal)
    return Written(b'{"deal":%b,"timeline":%b}' % told)


@router.post(
    "/{deal_id}/cancel", responses=WRITES | REVISED_IF_ASKED, summary="Cancel a deal", openapi_extra=documented_key()
)
@writes
def cancel_deal(
    session: Session,
    actor: Actor,
    revision: OptionalRevisionDep,
    deal_id: PathId,
    body: shapes.Cancellation,
    response: Response,
) -> shapes.DealAnswer:
    """An open deal is given up; it counts as neither won nor lost."""
    _claim(session, actor, deal_id, Action.WRITE_DEAL, revision)
    return _describe(session, deals.cancel_deal(session, actor, deal_id, reason=body.reason), response)


@router.post(
    "/{deal_id}/reopen", responses=WRITES | REVISED_IF_ASKED, summary="Reopen a deal", openapi_extra=documented_key()
)
@writes
def reopen_deal(
    session: Session,
    actor: Actor,
    revision: OptionalRevisionDep,
    deal_id: PathId,
    body: shapes.Reopening,
    response: Response,
) -> shapes.DealAnswer:
    """A manager leads a closed or cancelled deal on; its close date is cleared."""
    _claim(session, actor, deal_id, Action.REOPEN_DEAL, revision)
    deal = deals.reopen_deal(session, actor, deal_id, to_stage=body.to_stage, note=body.note)
    return _describe(session, deal, response)


@router.post(
    "/{deal_id}/assign", responses=WRITES | REVISED_IF_ASKED, summary="Hand a deal over", openapi_extra=documented_key()
)
@writes
def assign_deal(
    session: Session,
    actor: Actor,
    revision: OptionalRevisionDep,
    deal_id: PathId,
    body: shapes.Assignment,
    response: Response,
) -> shapes.DealAnswer:
    """A manager gives the deal to another agent; what was done before stays to the credit of the former one."""
    _claim(session, actor, deal_id, Action.ASSIGN_DEAL, revision)
    deal = deals.assign_deal(session, actor, deal_id, agent_id=body.agent_id, note=body.note)
    return _describe(session, deal, response)


@router.get(
    "/{deal_id}/timeline",
    response_model=shapes.Timeline,
    responses=READS,
    summary="Everything that happened to a deal",
)
def read_timeline(session: Reading, actor: ReadingActor, deal_id: PathId) -> Response:
    """Stages with the time spent in each, commissions, disputes, edits; each with its entry's hash and leaf index."""
    deal = deals.get_deal(session, actor, deal_id)
    content = b'{"items":%b,"next_cursor":null}' % _write_timeline(session, deal)
    return Response(content, media_type="application/json", headers={"ETag": f'"{deal.revision}"'})


def _claim(session: Session, actor: Actor, deal_id: str, action: Action, revision: Revision) -> None:
    revision.require(deals.get_deal(session, actor, deal_id, action).revision)


def _describe(session: Session, deal: AgentDeal, response: Response) -> shapes.DealAnswer:
    leave_receipt(session, deal.id, response)
    response.headers["ETag"] = f'"{deal.revision}"'
    return shapes.DealAnswer.model_validate(deal)


def _write_timeline(session: Session, deal: AgentDeal) -> bytes:
    """Return what `shapes.TimelineEntry` describes, for each entry, as JSON; hundreds of them are answered with."""
    return msgspec.json.encode(deals.tell_timeline(session, deal))
