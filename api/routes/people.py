"""People: who is calling."""

from fastapi import APIRouter, Depends

from api.dependencies import Reading, ReadingActor, refuse_unknown_parameters
from api.documentation import EVERYWHERE
from api.schemas.people import Me
from ledger import access

router = APIRouter(
    prefix="/api/v1", tags=["people"], dependencies=[Depends(refuse_unknown_parameters)], responses=EVERYWHERE
)


@router.get("/me", summary="Who am I?")
def read_me(session: Reading, actor: ReadingActor) -> Me:
    """The caller, and the actions that their role allows on at least some objects."""
    user = access.get_user(session, actor.id)
    actions = [action.value for action, rights in access.RIGHTS.items() if rights[actor.role] is not access.Scope.NONE]
    return Me(id=user.id, name=user.name, email=user.email, role=user.role, actions=actions)
