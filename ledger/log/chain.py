"""Appending to the log, inside the caller's write transaction.

Each entry gets its `seq` in its chain and the hash of the entry before it in that chain; its leaf index `n` (no gaps,
commit order) is `sequencing`'s matter. The chain's head is held from its reading on and moves by compare-and-set that
must hit exactly one row per chain, so two writers can never fork it.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, Raw
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ledger.actors import Actor
from ledger.collection import without_collection
from ledger.columns import format_time
from ledger.errors import EntryInvalid, LedgerNotInitialised, LogForked
from ledger.identifiers import new_id
from ledger.log.entry import Document, Draft, Entry, Subject, encode_entry, hash_leaf
from ledger.log.sequencing import place_entries
from ledger.log.signer_state import refuse_unless_continued
from ledger.statements import Statement, insert_rows, table_of
from ledger.tables.log import AuditChain, AuditLog, AuditText, LogIdentity

FIRST_PREV = bytes(32)
_MANY = 500
Head = tuple[int, bytes, datetime]
"""Of a chain: seq, hash and time of its newest entry."""


def now_utc() -> datetime:
    """Return the server's clock; the only clock that entries know."""
    return datetime.now(UTC)


def append_entries(session: Session, actor: Actor, drafts: Sequence[Draft]) -> list[Entry]:
    """Append `drafts` in order and return them as entries.

    `at` is now, or the chain's last `at` when the clock ran backwards. Raises `LogForked` when a head was moved by
    another writer (the transaction must then be rolled back), `EntryInvalid` for a draft outside the canonical form,
    `LogNotContinued` when the log lacks entries that were signed.
    """
    if not drafts:
        return []
    with without_collection() if len(drafts) > _MANY else nullcontext():
        return _append_entries(session, actor, drafts)


def _append_entries(session: Session, actor: Actor, drafts: Sequence[Draft]) -> list[Entry]:
    heads = _read_heads(session, {draft.chain for draft in drafts})
    before = dict(heads)
    origin, size = session.info.get("log") or _begin_appending(session)
    now = now_utc()
    who, described = Raw(encode_entry(_describe_actor(actor))), _describe_request(actor)
    request = Raw(encode_entry(described)) if described else UNSET
    entries: list[Entry] = []
    rows: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    times: dict[datetime, str] = {}
    for draft in drafts:
        seq, prev, last = heads.get(draft.chain, (0, FIRST_PREV, now))
        at = max(now, last)
        effective_at = draft.effective_at or at
        if effective_at > at:
            raise EntryInvalid(f"An entry cannot take effect at {effective_at}, after it is recorded.", "effective_at")
        seq += 1
        revision = seq if draft.revision is None else draft.revision
        entry_id = new_id()
        at_text = times.get(at) or times.setdefault(at, format_time(at))
        effective_text = at_text if effective_at is at else format_time(effective_at)
        subject = Subject(draft.subject_id, draft.subject_kind, revision)
        document = Document(
            who, at_text, draft.chain, draft.data, effective_text, entry_id, origin, prev.hex(), request, seq,
            subject, draft.type, 1,
        )  # fmt: skip
        body = encode_entry(document, draft.data)
        digest = hash_leaf(body)
        heads[draft.chain] = (seq, digest, at)
        row = {
            "chain": draft.chain,
            "seq": seq,
            "hash": digest,
            "prev": prev,
            "type": draft.type,
            "at": at,
            "effective_at": effective_at,
            "subject_kind": draft.subject_kind,
            "subject_id": draft.subject_id,
            "actor_id": actor.id,
            "body": body,
        }
        rows.append(row)
        entries.append(
            Entry(
                draft.chain, seq, entry_id, draft.type, at, effective_at, actor.id,
                draft.subject_kind, draft.subject_id, revision, draft.data, digest,
            )
        )  # fmt: skip
        if draft.texts:
            texts.extend({"commitment": key, "salt": salt, "text": text} for key, salt, text in draft.texts)
    try:
        place_entries(session, rows, size)
    except IntegrityError as error:
        raise LogForked("Another writer extended the log at the same place; retry.") from error
    if texts:
        insert_rows(session, table_of(AuditText), texts)
    _move_heads(session, before, heads)
    session.info.setdefault("heads", {}).update(heads)
    session.info["log"] = (origin, size + len(rows))
    return entries


def _begin_appending(session: Session) -> tuple[str, int]:
    """Return name and size of the log at a transaction's first entry, having checked that it continues what was signed.

    What follows in the transaction lies behind that: where a leaf index is given at once, nobody else gives one.
    """
    log = _LOG.first(session)
    if log is None:
        raise LedgerNotInitialised("The log has no name yet. Run `dealbook init`.")
    origin, newest = log
    size = 0 if newest is None else newest + 1
    settings = session.info.get("settings")
    if settings is not None and not session.info.get("may_discontinue"):
        refuse_unless_continued(settings, size)
    return origin, size


def read_head(session: Session, chain: str) -> tuple[int, bytes] | None:
    """Return seq and hash of a chain's newest entry, None for a chain without any."""
    known = session.info.get("heads", {}).get(chain) or _HEAD.first(session, chain=chain)
    return (known[0], known[1]) if known else None


def _describe_actor(actor: Actor) -> dict[str, str]:
    who = {"kind": actor.kind, "id": actor.id, "role": actor.role.value}
    if actor.token_id:
        who["token"] = actor.token_id
    return who


def _describe_request(actor: Actor) -> dict[str, str]:
    request = {}
    if actor.request_id:
        request["id"] = actor.request_id
    if actor.idempotency_digest:
        request["idem"] = actor.idempotency_digest
    return request


_LOG = Statement(select(LogIdentity.origin, select(func.max(AuditLog.n)).scalar_subquery()))
_heads = select(AuditChain.seq, AuditChain.hash, AuditChain.at).where(AuditChain.chain == bindparam("chain"))
_HEAD, _HEAD_HELD = Statement(_heads), Statement(_heads.with_for_update())
_ADVANCE = Statement(
    update(AuditChain)
    .where(
        AuditChain.chain == bindparam("was_chain"),
        AuditChain.seq == bindparam("was_seq"),
        AuditChain.hash == bindparam("was_hash"),
    )
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"), at=bindparam("new_at"))
)


def _read_heads(session: Session, chains: set[str]) -> dict[str, Head]:
    if len(chains) == 1:
        (chain,) = chains
        head = session.info.get("heads", {}).get(chain) or _HEAD_HELD.first(session, chain=chain)
        return {chain: (head[0], head[1], head[2])} if head else {}
    connection = session.connection()
    wanted = sorted(chains)
    heads: dict[str, Head] = {}
    for start in range(0, len(wanted), 5_000):
        query = select(AuditChain.chain, AuditChain.seq, AuditChain.hash, AuditChain.at).where(
            AuditChain.chain.in_(wanted[start : start + 5_000])
        )
        query = query.order_by(AuditChain.chain).with_for_update()
        heads.update((chain, (seq, digest, at)) for chain, seq, digest, at in connection.execute(query))
    return heads


def _move_heads(
    session: Session,
    before: dict[str, Head],
    after: dict[str, Head],
) -> None:
    new = [
        {"chain": chain, "seq": seq, "hash": digest, "at": at}
        for chain, (seq, digest, at) in after.items()
        if chain not in before
    ]
    moved = [
        {
            "was_chain": chain,
            "was_seq": seq,
            "was_hash": digest,
            "new_seq": after[chain][0],
            "new_hash": after[chain][1],
            "new_at": after[chain][2],
        }
        for chain, (seq, digest, _) in before.items()
    ]
    try:
        if new:
            insert_rows(session, table_of(AuditChain), new)
    except IntegrityError as error:
        raise LogForked("Another writer began the same chain; retry.") from error
    if moved and _ADVANCE.run(session, moved) != len(moved):
        raise LogForked("Another writer moved the head of a chain; retry.")
