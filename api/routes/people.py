"""People: who is calling; and, for administrators, who there is and by which tokens they get in."""

from datetime import timedelta

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.dependencies import Reading, ReadingActor, read_clock, refuse_unknown_parameters
from api.documentation import EVERYWHERE, READS, WRITES, documented_key
from api.idempotency import keep_instead
from api.parameters import Cursor, Limit, PathId, QueryId
from api.receipts import leave_receipt_of
from api.schemas import people as shapes
from api.writing import WriteRoute, writes
from ledger import access, people_lists
from ledger.actors import Actor
from ledger.vocabulary import Role

router = APIRouter(
    prefix="/api/v1",
    tags=["people"],
    dependencies=[Depends(refuse_unknown_parameters)],
    responses=EVERYWHERE,
    route_class=WriteRoute,
)


@router.get("/me", summary="Who am I?")
def read_me(session: Reading, actor: ReadingActor) -> shapes.Me:
    """The caller, and the actions that their role allows on at least some objects."""
    user = access.get_user(session, actor.id)
    actions = [action.value for action, rights in access.RIGHTS.items() if rights[actor.role] is not access.Scope.NONE]
    return shapes.Me(id=user.id, name=user.name, email=user.email, role=user.role, actions=actions)


@router.get("/users", responses=READS, summary="List users")
def list_users(
    session: Reading,
    actor: ReadingActor,
    role: Role | None = None,
    active: bool | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.UserPage:
    """An administrator's view, newest first."""
    rows, next_cursor = people_lists.page_users(session, actor, role=role, is_active=active, cursor=cursor, limit=limit)
    return shapes.UserPage(items=[shapes.UserAnswer.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("/users", status_code=201, responses=WRITES, summary="Add a user", openapi_extra=documented_key())
@writes
def create_user(session: Session, actor: Actor, body: shapes.NewUser, response: Response) -> shapes.UserAnswer:
    """An administrator's act; the user gets in once there is a token or a log-in link."""
    user = access.create_user(session, actor, name=body.name, email=body.email, role=body.role)
    leave_receipt_of(session, "sys", response)
    return shapes.UserAnswer.model_validate(user)


@router.get("/tokens", responses=READS, summary="List tokens")
def list_tokens(
    session: Reading,
    actor: ReadingActor,
    user_id: QueryId = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> shapes.TokenPage:
    """An administrator's view, newest first, revoked and expired ones too."""
    rows, next_cursor = people_lists.page_tokens(session, actor, user_id=user_id, cursor=cursor, limit=limit)
    return shapes.TokenPage(items=[shapes.TokenAnswer.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("/tokens", status_code=201, responses=WRITES, summary="Make a token", openapi_extra=documented_key())
@writes
def create_token(
    request: Request, session: Session, actor: Actor, body: shapes.NewToken, response: Response
) -> shapes.NewTokenAnswer:
    """An administrator's act. The secret is shown in this answer and never again, not even to a repeated request."""
    expires_at = read_clock() + timedelta(days=body.expires_in_days)
    token, secret = access.create_token(session, actor, body.user_id, name=body.name, expires_at=expires_at)
    leave_receipt_of(session, "sys", response)
    described = shapes.TokenAnswer.model_validate(token).model_dump()
    keep_instead(request, shapes.NewTokenAnswer(**described, token=None).model_dump_json().encode())
    return shapes.NewTokenAnswer(**described, token=secret)


@router.delete("/tokens/{token_id}", status_code=204, responses=WRITES, summary="Revoke a token")
@writes
def revoke_token(session: Session, actor: Actor, token_id: PathId, response: Response) -> None:
    """An administrator's act: from the next request on the token opens nothing. Repeating it changes nothing."""
    access.revoke_token(session, actor, token_id)
    leave_receipt_of(session, "sys", response)
