"""The check of rights that every function makes inside its transaction; users and their secrets.

What a caller may not see looks exactly like what does not exist (`DealNotFound`); what a caller sees but may not do
raises `NotPermitted`. The system itself (the command line on the ledger's machine) is bound by neither.

Secrets: API tokens are `dbk_`, 43 characters of 256 random bits, and 6 characters of checksum. Only HMAC-SHA256 under
the pepper (`keys/pepper`, mode 0600) is stored. Log-in links work once, for 15 minutes; sessions for 12 hours.
"""

import base64
import hmac
import re
import secrets
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from ledger.actors import SYSTEM, Actor
from ledger.auth_log import CHAIN as AUTH_CHAIN
from ledger.auth_log import record_log_in
from ledger.checks import check_text, check_word
from ledger.databases import hold, hold_row, is_sqlite
from ledger.errors import (
    CommissionNotFound,
    DealNotFound,
    EmailTaken,
    LoginLinkSpent,
    NothingToChange,
    NotPermitted,
    TextInvalid,
    TokenNotFound,
    UserNotFound,
)
from ledger.fold import forget_callers, record_entries
from ledger.identifiers import new_id
from ledger.log.chain import now_utc
from ledger.log.entry import Draft
from ledger.rights import RIGHTS, Action, Line, Scope, Target, is_permitted
from ledger.statements import RowByKey, Statement
from ledger.store import read_pepper, settings_of
from ledger.tables import AgentDeal, ApiToken, Commission, LoginLink, User, WorkspaceSession
from ledger.vocabulary import Role

__all__ = ["RIGHTS", "SYSTEM", "Action", "Actor", "Line", "Scope", "authorize", "is_permitted"]

LOGIN_LINK_VALID = timedelta(minutes=15)
SESSION_VALID = timedelta(hours=12)
_Caller = tuple[str, Role, str | None]


def authorize(session: Session, actor: Actor, action: Action, target: Target = None) -> None:
    """Raise unless `actor` may do `action` to `target` now: `NotPermitted`, or not-found for what it may not see.

    The actor's user and token are read again in this transaction, so a right withdrawn a moment ago is gone.
    """
    if actor.kind == "system":
        return
    _check_caller(session, actor)
    if is_permitted(actor, action, target):
        return
    if not _is_visible(actor, target):
        raise CommissionNotFound() if isinstance(target, Line) else DealNotFound()
    doing = action.value.replace("_", " ")
    raise NotPermitted(f"The role {actor.role} may not {doing} here. Ask someone whose role allows it.")


def _check_caller(session: Session, actor: Actor) -> None:
    """Raise unless user and token are good now; asked once in a transaction, unless one of them changes in it."""
    caller = (actor.id, actor.role, actor.token_id)
    if caller not in session.info.setdefault("callers", set()):
        _look_up(session, caller, _USERS, _TOKENS)
        _note_caller(session, caller)


def _note_caller(session: Session, caller: _Caller) -> None:
    """Keep in mind that a caller is good; where many write at once that is asked again before the commit."""
    session.info.setdefault("callers", set()).add(caller)
    if session.info.get("is_writing") and not is_sqlite(session.info["connection"].dialect):
        session.info["confirm"] = _confirm_callers
        if caller not in session.info.get("confirmed", ()):
            session.info.setdefault("unconfirmed", set()).add(caller)


def _confirm_callers(session: Session) -> None:
    """Raise unless all callers of this transaction are still good, and keep them so until it has ended.

    Whoever withdraws a right waits for that, or has done it before and is heard here: no change is committed after a
    withdrawal that was allowed before it. The rows of callers are held last, so that nobody waits in a circle.
    """
    for caller in sorted(session.info.pop("unconfirmed", ()), key=str):
        _look_up(session, caller, _USERS_HELD, _TOKENS_HELD)
        session.info.setdefault("confirmed", set()).add(caller)


def _look_up(session: Session, caller: _Caller, users: Statement, tokens: Statement) -> None:
    user_id, role, token_id = caller
    if users.first(session, id=user_id) != (role, True):
        raise NotPermitted("Your rights have changed. Log in again.")
    if token_id is not None:
        token = tokens.first(session, id=token_id)
        if token is None or token[1] is not None or token[0] <= now_utc():
            raise NotPermitted("This token no longer works. Ask an administrator for a new one.")


def _begin_managing(session: Session, actor: Actor) -> None:
    """Raise unless `actor` may manage users and tokens, and keep others from it until this transaction ends."""
    authorize(session, actor, Action.MANAGE_ACCESS)
    hold(session, "sys")
    forget_callers(session)  # while this one waited, its own right may have been withdrawn
    authorize(session, actor, Action.MANAGE_ACCESS)


_users = select(User.role, User.active).where(User.id == bindparam("id"))
_tokens = select(ApiToken.expires_at, ApiToken.revoked_at).where(ApiToken.id == bindparam("id"))
_USERS, _TOKENS = Statement(_users), Statement(_tokens)
_USERS_HELD, _TOKENS_HELD = Statement(_users.with_for_update(read=True)), Statement(_tokens.with_for_update(read=True))
_DEALS = RowByKey(AgentDeal)
_COMMISSIONS = RowByKey(Commission)
_DEAL_OF = Statement(select(Commission.deal_id).where(Commission.id == bindparam("id")))


def _is_visible(actor: Actor, target: Target) -> bool:
    if isinstance(target, Line):
        return is_permitted(actor, Action.READ_COMMISSION, target)
    return target is None or isinstance(target, str) or is_permitted(actor, Action.READ_DEAL, target)


def line_of(deal: AgentDeal, commission_agent_id: str) -> Line:
    """Return what rights need to know of a commission on `deal`."""
    return Line(deal.agent_id, commission_agent_id)


def get_deal(session: Session, actor: Actor, deal_id: str, action: Action = Action.READ_DEAL) -> AgentDeal:
    """Return the deal, having checked `action`; raise `DealNotFound` when it is missing or hidden."""
    deal = _DEALS.get(session, deal_id)
    if deal is None:
        raise DealNotFound(deal_id)
    authorize(session, actor, action, deal)
    return deal


def get_commission(
    session: Session, actor: Actor, commission_id: str, action: Action = Action.READ_COMMISSION
) -> Commission:
    """Return the commission, having checked `action`; raise `CommissionNotFound` when it is missing or hidden."""
    deal_id = _DEAL_OF.first(session, id=commission_id)
    deal = _DEALS.get(session, deal_id[0]) if deal_id else None
    commission = _COMMISSIONS.get(session, commission_id)
    if commission is None or deal is None:
        raise CommissionNotFound(commission_id)
    authorize(session, actor, action, line_of(deal, commission.agent_id))
    return commission


# --- users -----------------------------------------------------------------------------------------------------------


def create_user(session: Session, actor: Actor, *, name: str, email: str | None = None, role: Role) -> User:
    """Record a user (an admin's right). Raises `EmailTaken`."""
    _begin_managing(session, actor)
    user_id = new_id()
    email = _check_email(email)
    if email is not None and session.scalar(select(User.id).where(User.email == email)):
        raise EmailTaken("Another user has this e-mail address. Change that user instead.")
    draft = draft_user(user_id, {"name": check_text(name, "name", limit=200), "email": email, "role": role})
    record_entries(session, actor, [draft])
    return get_user(session, user_id)


def change_user(session: Session, actor: Actor, user_id: str, changes: dict[str, Any]) -> User:
    """Change name, email, role or active of a user (an admin's right)."""
    _begin_managing(session, actor)
    user = get_user(session, user_id)
    values: dict[str, Any] = {}
    if "name" in changes:
        values["name"] = check_text(changes["name"], "name", limit=200)
    if "email" in changes:
        values["email"] = email = _check_email(changes["email"])
        owner = session.scalar(select(User.id).where(User.email == email)) if email else None
        if owner not in (None, user_id):
            raise EmailTaken("Another user has this e-mail address.")
    if "role" in changes:
        values["role"] = check_word(changes["role"], Role, "role")
    if "active" in changes:
        values["active"] = bool(changes["active"])
    values = {column: value for column, value in values.items() if getattr(user, column) != value}
    if not values:
        raise NothingToChange("The user already is as you ask.")
    record_entries(session, actor, [draft_user_change(user.id, user.revision, values)])
    return get_user(session, user_id)


def draft_user(user_id: str, values: dict[str, Any]) -> Draft:
    """Return the entry that records a user; `values` holds name, email, role and perhaps active."""
    data = {"name": values["name"], "email": values["email"], "role": Role(values["role"]).value}
    return Draft(
        "sys", "user.recorded", "user", user_id, {"set": data | {"active": values.get("active", True)}}, None, 1
    )


def draft_user_change(user_id: str, revision: int, values: dict[str, Any]) -> Draft:
    """Return the entry that changes a user."""
    plain = {column: value.value if isinstance(value, Role) else value for column, value in values.items()}
    return Draft("sys", "user.changed", "user", user_id, {"set": plain}, None, revision + 1)


def get_user(session: Session, user_id: str) -> User:
    """Return the user or raise `UserNotFound`."""
    user = hold_row(session, User, user_id)
    if user is None:
        raise UserNotFound(user_id)
    return user


def find_user(session: Session, *, email: str) -> User | None:
    """Return the user with this e-mail address, whatever its case."""
    return session.scalar(select(User).where(User.email == email.strip().lower()))


def list_users(session: Session, *, role: Role | None = None, is_active: bool | None = None) -> Sequence[User]:
    """Return users by name."""
    query = select(User).order_by(User.name, User.id)
    if role is not None:
        query = query.where(User.role == role)
    if is_active is not None:
        query = query.where(User.active == is_active)
    return session.scalars(query).all()


def _check_email(email: str | None) -> str | None:
    if email is None:
        return None
    cleaned = check_text(check_text(email, "email").lower(), "email", limit=254)  # lower case may be longer
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", cleaned):
        raise TextInvalid("email must look like name@example.com.", "email")
    return cleaned


# --- secrets ---------------------------------------------------------------------------------------------------------

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"dbk_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}\Z")


def _checksum(text: str) -> str:
    value = zlib.crc32(text.encode())
    digits = ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits


def _make_secret() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def _digest(session: Session, secret: str) -> bytes:
    return hmac.digest(read_pepper(settings_of(session).keys_dir), secret.encode("utf-8", "replace"), "sha256")


def _find_link(session: Session, secret: str) -> tuple[LoginLink, User] | None:
    row = session.execute(
        select(LoginLink, User)
        .join(User, User.id == LoginLink.user_id)
        .where(LoginLink.digest == _digest(session, secret))
    ).one_or_none()
    if row is None or row[0].expires_at <= now_utc() or not row[1].active:
        return None
    return row[0], row[1]


def _holders(secret: type[ApiToken | WorkspaceSession], ended_at: Any) -> Statement:
    """Return what finds the holder of a secret by its digest."""
    return Statement(
        select(secret.id, secret.expires_at, ended_at, User.id, User.role, User.active)
        .join(User, User.id == secret.user_id)
        .where(secret.digest == bindparam("digest"))
    )


_TOKEN_HOLDERS = _holders(ApiToken, ApiToken.revoked_at)
_SESSION_HOLDERS = _holders(WorkspaceSession, WorkspaceSession.ended_at)


def _find_holder(
    session: Session, holders: Statement, secret: str, request_id: str | None, *, is_token: bool
) -> Actor | None:
    found: dict[tuple[bool, str], Any] = session.info.setdefault("holders", {})
    row = found.get((is_token, secret))  # one that is committed together with this one may have been the same caller's
    if row is None:
        if is_token and not (_TOKEN.match(secret) and _checksum(secret[:-6]) == secret[-6:]):
            return None
        row = holders.first(session, digest=_digest(session, secret))
        if row is None:
            return None
        found[is_token, secret] = row
    secret_id, expires_at, ended_at, user_id, role, is_active = row
    if ended_at is not None or expires_at <= now_utc() or not is_active:
        return None
    actor = Actor("user", user_id, role, secret_id if is_token else None, request_id)
    _note_caller(session, (actor.id, actor.role, actor.token_id))
    return actor


def create_token(
    session: Session, actor: Actor, user_id: str, *, name: str, expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make an API token for a user (an admin's right); the secret is returned here and never again.

    It expires at `expires_at` (aware), by default in 365 days.
    """
    _begin_managing(session, actor)
    user = get_user(session, user_id)
    body = "dbk_" + _make_secret()
    secret = body + _checksum(body)
    now = now_utc()
    token = ApiToken(
        id=new_id(),
        user_id=user.id,
        name=check_text(name, "name", limit=200),
        hint=secret[-4:],
        digest=_digest(session, secret),
        created_at=now,
        expires_at=expires_at or now + timedelta(days=365),
    )
    session.add(token)
    session.flush()
    data = {"user_id": user.id, "name": token.name, "expires_at": token.expires_at.isoformat()}
    record_entries(session, actor, [Draft("sys", "token.created", "token", token.id, data, None, 1)])
    return token, secret


def find_token(session: Session, secret: str, *, request_id: str | None = None) -> Actor | None:
    """Return who bears this token, or None when it is malformed, unknown, expired, revoked or its user inactive."""
    return _find_holder(session, _TOKEN_HOLDERS, secret, request_id, is_token=True)


def revoke_token(session: Session, actor: Actor, token_id: str) -> None:
    """Make a token useless from the next request on (an admin's right). Repeating it changes nothing."""
    _begin_managing(session, actor)
    token = hold_row(session, ApiToken, token_id)
    if token is None:
        raise TokenNotFound(token_id)
    if token.revoked_at is None:
        token.revoked_at = now_utc()
        session.flush()
        record_entries(session, actor, [Draft("sys", "token.revoked", "token", token.id, {}, None, 2)])


def list_tokens(session: Session, actor: Actor) -> Sequence[ApiToken]:
    """Return all tokens, newest first (an admin's right); their secrets are not known."""
    authorize(session, actor, Action.MANAGE_ACCESS)
    return session.scalars(select(ApiToken).order_by(ApiToken.id.desc())).all()


def create_login_link(session: Session, user_id: str) -> str:
    """Return the secret of a link that logs this user in once, within 15 minutes."""
    secret, now = _make_secret(), now_utc()
    session.add(
        LoginLink(
            id=new_id(),
            user_id=get_user(session, user_id).id,
            digest=_digest(session, secret),
            created_at=now,
            expires_at=now + LOGIN_LINK_VALID,
        )
    )
    session.flush()
    return secret


def redeem_login_link(session: Session, secret: str, *, address: str | None = None) -> User:
    """Use up a log-in link and return its user: writes `auth.logged_in`, with a commitment to the `address` it is from.

    Raises `LoginLinkSpent` for any link that does not work.
    """
    hold(session, AUTH_CHAIN)
    found = _find_link(session, secret)
    if found is None or found[0].used_at is not None:
        raise LoginLinkSpent("This link was used or has expired. Ask for a new one.")
    found[0].used_at = now_utc()
    session.flush()
    record_log_in(session, found[1], address)
    return found[1]


def create_session(session: Session, user_id: str) -> str:
    """Return the secret of a new workspace session for the browser's cookie; valid for 12 hours."""
    secret, now = _make_secret(), now_utc()
    session.add(
        WorkspaceSession(
            id=new_id(),
            user_id=get_user(session, user_id).id,
            digest=_digest(session, secret),
            created_at=now,
            expires_at=now + SESSION_VALID,
        )
    )
    session.flush()
    return secret


def find_session(session: Session, secret: str, *, request_id: str | None = None) -> Actor | None:
    """Return who is logged in with this session secret, or None."""
    return _find_holder(session, _SESSION_HOLDERS, secret, request_id, is_token=False)


def end_session(session: Session, secret: str) -> None:
    """Log a browser out; an unknown secret is ignored."""
    session.execute(
        update(WorkspaceSession)
        .where(WorkspaceSession.digest == _digest(session, secret), WorkspaceSession.ended_at.is_(None))
        .values(ended_at=now_utc())
    )
    forget_callers(session)


def count_users(session: Session) -> int:
    """Return how many users there are, to know whether anybody could log in yet."""
    return session.scalar(select(func.count()).select_from(User)) or 0
