"""Commissions: recorded on a deal, confirmed, invoiced and paid, corrected, disputed."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy.orm import Session

from api.dependencies import (
    Reading,
    ReadingActor,
    RevisionDep,
    refuse_unknown_parameters,
)
from api.documentation import EVERYWHERE, READS, REVISED, WRITES, documented_key
from api.parameters import Cursor, Limit, PathId, QueryId
from api.receipts import leave_receipt
from api.schemas import commissions as shapes
from api.writing import WriteRoute, writes
from ledger import commissions
from ledger.access import Action, get_deal
from ledger.actors import Actor
from ledger.deals import add_document
from ledger.tables import Commission
from ledger.vocabulary import CommissionStatus

router = APIRouter(
    prefix="/api/v1",
    tags=["commissions"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
    route_class=WriteRoute,
)


@router.get("/commissions", responses=READS, summary="List commissions")
def list_commissions(
    session: Reading,
    actor: ReadingActor,
    status: CommissionStatus | None = None,
    agent_id: QueryId = None,
    overdue: Annotated[
        bool | None,
        Query(description="True: confirmed and not invoiced, or invoiced and not paid, for more than 30 days."),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.CommissionPage:
    """Latest change first. Agents see their own lines and all lines of their own deals."""
    wanted = commissions.CommissionFilter(agent_id=agent_id, status=status, is_overdue=overdue)
    return _describe_page(*commissions.list_commissions(session, actor, wanted, cursor, limit))


@router.get("/commissions/{commission_id}", responses=READS, summary="Read a commission")
def read_commission(
    session: Reading, actor: ReadingActor, commission_id: PathId, response: Response
) -> shapes.CommissionAnswer:
    """For whoever may see the deal, and for the line's own agent; its `ETag` is what a status move sends back."""
    return _describe(commissions.get_commission(session, actor, commission_id), response)


@router.get("/commissions/{commission_id}/adjustments", responses=READS, summary="A commission's adjustments")
def list_adjustments(session: Reading, actor: ReadingActor, commission_id: PathId) -> shapes.AdjustmentList:
    """By the time they took effect."""
    commissions.get_commission(session, actor, commission_id)
    rows = commissions.list_adjustments(session, [commission_id])
    return shapes.AdjustmentList(items=[shapes.AdjustmentAnswer.model_validate(row) for row in rows])


@router.get("/commissions/{commission_id}/disputes", responses=READS, summary="A commission's disputes")
def list_disputes(session: Reading, actor: ReadingActor, commission_id: PathId) -> shapes.DisputeList:
    """Open and resolved ones, oldest first."""
    commissions.get_commission(session, actor, commission_id)
    rows = commissions.list_disputes(session, [commission_id])
    return shapes.DisputeList(items=[shapes.DisputeAnswer.model_validate(row) for row in rows])


@router.get("/deals/{deal_id}/commissions", responses=READS, summary="A deal's commissions")
def list_deal_commissions(
    session: Reading, actor: ReadingActor, deal_id: PathId, cursor: Cursor = None, limit: Limit = 50
) -> shapes.CommissionPage:
    """Latest change first."""
    get_deal(session, actor, deal_id)
    wanted = commissions.CommissionFilter(deal_id=deal_id)
    return _describe_page(*commissions.list_commissions(session, actor, wanted, cursor, limit))


@router.post(
    "/deals/{deal_id}/commissions",
    status_code=201,
    responses=WRITES,
    summary="Record a commission",
    openapi_extra=documented_key(),
)
@writes
def record_commission(
    session: Session, actor: Actor, deal_id: PathId, body: shapes.NewCommissionBody, response: Response
) -> shapes.CommissionAnswer:
    """A pending line for an agent, one for each kind. Confirming computes its amount unless one is given."""
    agent_id = body.agent_id or get_deal(session, actor, deal_id).agent_id
    new = commissions.NewCommission(
        agent_id=agent_id,
        **body.model_dump(exclude={"agent_id", "effective_at"}),
        introduced_at=body.effective_at,
    )
    commission = commissions.record_commission(session, actor, deal_id, new)
    leave_receipt(session, deal_id, response)
    return _describe(commission, response)


@router.post(
    "/commissions/{commission_id}/status",
    responses=WRITES | REVISED,
    summary="Confirm, invoice, pay or write off",
    openapi_extra=documented_key(),
)
@writes
def move_commission(
    session: Session,
    actor: Actor,
    revision: RevisionDep,
    commission_id: PathId,
    body: shapes.StatusMove,
    response: Response,
) -> shapes.CommissionAnswer:
    """A manager's act, and never on their own line. `If-Match` is the commission's `revision` in quotes."""
    before = commissions.get_commission(session, actor, commission_id, Action.SETTLE_COMMISSION)
    revision.require(before.audit_log_seq)
    document = body.document and add_document(session, actor, before.deal_id, **body.document.model_dump())
    commission = commissions.move_commission(
        session,
        actor,
        commission_id,
        body.to_status,
        commission_amount=body.commission_amount,
        effective_at=body.effective_at,
        document_id=document.id if document else None,
    )
    leave_receipt(session, commission.deal_id, response)
    return _describe(commission, response)


@router.post(
    "/commissions/{commission_id}/adjustments",
    status_code=201,
    responses=WRITES,
    summary="Adjust a commission",
    openapi_extra=documented_key(),
)
@writes
def adjust_commission(
    session: Session, actor: Actor, commission_id: PathId, body: shapes.NewAdjustment, response: Response
) -> shapes.AdjustmentAnswer:
    """A clawback, bonus or correction, in the commission's currency."""
    adjustment = commissions.adjust_commission(
        session,
        actor,
        commission_id,
        adjustment_type=body.adjustment_type,
        amount=body.amount,
        note=body.note,
        effective_at=body.effective_at,
    )
    leave_receipt(session, session.get_one(Commission, commission_id).deal_id, response)
    return shapes.AdjustmentAnswer.model_validate(adjustment)


@router.post(
    "/commissions/{commission_id}/disputes",
    status_code=201,
    responses=WRITES,
    summary="Dispute a commission",
    openapi_extra=documented_key(),
)
@writes
def open_dispute(
    session: Session, actor: Actor, commission_id: PathId, body: shapes.NewDispute, response: Response
) -> shapes.DisputeAnswer:
    """The commission is disputed until a manager resolves it, and then returns to the status before."""
    dispute = commissions.open_dispute(
        session,
        actor,
        commission_id,
        amount=body.amount,
        reason=body.reason,
        is_hold=body.hold,
        evidence=body.evidence,
        effective_at=body.effective_at,
    )
    leave_receipt(session, session.get_one(Commission, commission_id).deal_id, response)
    return shapes.DisputeAnswer.model_validate(dispute)


@router.post(
    "/disputes/{dispute_id}/resolve", responses=WRITES, summary="Resolve a dispute", openapi_extra=documented_key()
)
@writes
def resolve_dispute(
    session: Session, actor: Actor, dispute_id: PathId, body: shapes.Resolution, response: Response
) -> shapes.DisputeAnswer:
    """A manager's act, and never on their own line."""
    dispute = commissions.resolve_dispute(
        session,
        actor,
        dispute_id,
        outcome=body.outcome,
        is_written_off=body.write_off,
        note=body.note,
        effective_at=body.effective_at,
    )
    leave_receipt(session, session.get_one(Commission, dispute.commission_id).deal_id, response)
    return shapes.DisputeAnswer.model_validate(dispute)


def _describe(commission: Commission, response: Response) -> shapes.CommissionAnswer:
    response.headers["ETag"] = f'"{commission.audit_log_seq}"'
    return shapes.CommissionAnswer.model_validate(commission)


def _describe_page(rows: Sequence[Commission], next_cursor: str | None) -> shapes.CommissionPage:
    items = [shapes.CommissionAnswer.model_validate(row) for row in rows]
    return shapes.CommissionPage(items=items, next_cursor=next_cursor)
