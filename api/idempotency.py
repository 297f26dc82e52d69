"""`Idempotency-Key`: a POST that is sent again gets the answer it got, byte for byte, and changes nothing twice.

The answer is kept in the same transaction as the change, so both exist or neither. A transaction holds its key, hence a
repetition that arrives while the first still runs waits for it and then replays.
"""

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fastapi import Request, Response
from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from api.problems import Problem
from api.schemas.fields import IDEMPOTENCY_KEY, WHAT_PATTERNS_ASK
from ledger.actors import Actor
from ledger.databases import hold
from ledger.deal_audit import find_recorded_request
from ledger.tables import Commission, CommissionDispute, IdempotencyKey

HEADER = "idempotency-key"
KEPT_FOR = timedelta(days=30)
_KEPT_HEADERS = ("content-type", "etag", "location", "audit-receipt")


class AnsweredBefore(Exception):  # noqa: N818 - a fact, not a failure
    """The request was answered before; `response` is that answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response


def begin_once(request: Request, session: Session, actor: Actor, body: bytes) -> Actor:
    """Return the actor marked with the request's key; raise `AnsweredBefore` when the key was used for this request.

    `body` is what makes two requests the same: the body, or a digest of what was uploaded. The same key for another
    request raises the problem `idempotency-key-reused`. Without the header nothing happens.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST":
        return actor
    if not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise Problem("request-invalid", f"`Idempotency-Key`: {WHAT_PATTERNS_ASK[IDEMPOTENCY_KEY]}.")
    key_digest = hashlib.sha256(key.encode()).hexdigest()
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    request_digest = hashlib.sha256(target + body).hexdigest()
    hold(session, f"idempotency {actor.id} {key_digest}")
    found = session.scalars(
        select(IdempotencyKey).where(IdempotencyKey.actor_id == actor.id, IdempotencyKey.key_digest == key_digest)
    ).one_or_none()
    if found is None:
        _refuse_if_recorded(request, session, actor, key_digest)
        request.state.keep_answer = (actor.id, key_digest, request_digest)
        return replace(actor, idempotency_digest=key_digest)
    if found.request_digest != request_digest:
        raise Problem("idempotency-key-reused", "This `Idempotency-Key` was used for another request; take a new one.")
    headers = json.loads(found.headers or "{}") | {"Idempotent-Replay": "true"}
    raise AnsweredBefore(Response(found.body, found.status_code or 200, headers))


def _refuse_if_recorded(request: Request, session: Session, actor: Actor, key_digest: str) -> None:
    """Money moves once for good: an answer is forgotten after 30 days, the entry that names its key never."""
    chain = _find_money_chain(request, session)
    recorded = find_recorded_request(session, chain, actor.id, key_digest) if chain else None
    if recorded is not None:
        raise Problem(
            "recorded-before",
            f"This was recorded on {recorded.at:%Y-%m-%d} (entry {recorded.seq} of the deal); its answer is no longer "
            "kept. Read the commission. For another change take a new key.",
        )


def _find_money_chain(request: Request, session: Session) -> str | None:
    """Return the chain of the deal whose commissions the request is about, None for other requests."""
    known = request.path_params
    if "dispute_id" in known:
        dispute = session.get(CommissionDispute, known["dispute_id"])
        commission = session.get(Commission, dispute.commission_id) if dispute else None
    elif "commission_id" in known:
        commission = session.get(Commission, known["commission_id"])
    else:
        is_money = "deal_id" in known and request.url.path.endswith("/commissions")
        return f"deal:{known['deal_id']}" if is_money else None
    return f"deal:{commission.deal_id}" if commission else None


def keep_instead(request: Request, body: bytes) -> None:
    """Keep `body` for repetitions in place of the answer, which holds a secret that must not be stored."""
    request.state.body_to_keep = body


def keep_answer(request: Request, session: Session, response: Response) -> None:
    """Keep the answer to a request for its repetitions, within the change's transaction; without a key do nothing."""
    kept = getattr(request.state, "keep_answer", None)
    if kept is None:
        return
    body = getattr(request.state, "body_to_keep", bytes(response.body))
    actor_id, key_digest, request_digest = kept
    now = datetime.now(UTC)
    key = tuple_(IdempotencyKey.actor_id, IdempotencyKey.key_digest)
    expired = select(IdempotencyKey.actor_id, IdempotencyKey.key_digest).where(
        IdempotencyKey.created_at < now - KEPT_FOR
    )
    session.execute(delete(IdempotencyKey).where(key.in_(expired.with_for_update(skip_locked=True))))
    session.execute(
        insert(IdempotencyKey).values(
            actor_id=actor_id,
            key_digest=key_digest,
            request_digest=request_digest,
            status_code=response.status_code,
            headers=json.dumps({name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}),
            body=body,
            created_at=now,
        )
    )
