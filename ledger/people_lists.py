"""Pages of users and tokens for whoever administers access. Nothing here writes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from ledger.access import Action, authorize
from ledger.actors import Actor
from ledger.deal_lists import MAX_PAGE, encode_cursor, place_after
from ledger.tables import ApiToken, User
from ledger.vocabulary import Role


def page_users(
    session: Session,
    actor: Actor,
    *,
    role: Role | None = None,
    is_active: bool | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[Sequence[User], str | None]:
    """Return a page of users, newest first, and the cursor of the next (an admin's right)."""
    authorize(session, actor, Action.MANAGE_ACCESS)
    query = select(User)
    if role is not None:
        query = query.where(User.role == role)
    if is_active is not None:
        query = query.where(User.active == is_active)
    return _page(session, query, User, cursor, limit)


def page_tokens(
    session: Session, actor: Actor, *, user_id: str | None = None, cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[ApiToken], str | None]:
    """Return a page of tokens, newest first, and the cursor of the next (an admin's right); secrets are not known."""
    authorize(session, actor, Action.MANAGE_ACCESS)
    query = select(ApiToken)
    if user_id is not None:
        query = query.where(ApiToken.user_id == user_id)
    return _page(session, query, ApiToken, cursor, limit)


def _page(
    session: Session, query: Select[Any], model: type[User] | type[ApiToken], cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    limit = max(1, min(limit, MAX_PAGE))
    if cursor:
        query = query.where(tuple_(model.created_at, model.id) < place_after(cursor))
    rows = session.scalars(query.order_by(model.created_at.desc(), model.id.desc()).limit(limit + 1)).all()
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(page[-1].created_at, page[-1].id)
