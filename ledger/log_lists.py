"""Looking things up in the log: pages of entries that fit a few words, and where its signature stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from ledger.access import Action, authorize
from ledger.actors import Actor
from ledger.deal_lists import MAX_PAGE
from ledger.errors import CursorInvalid, DealbookError
from ledger.log.checkpoint import read_size
from ledger.log.keys import trusted_keys
from ledger.log.notes import Checkpoint
from ledger.rights import is_permitted
from ledger.settings import Settings
from ledger.tables import AuditCheckpoint, AuditLog

_HASH_PREFIX = re.compile(r"[0-9a-f]{6,64}")
_IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ACCESS_SUBJECTS = ("user", "token", "visitor")


@dataclass(frozen=True, slots=True)
class LogState:
    """How long the log is, and what was signed last: its size, root, moment, and the id of the key."""

    size: int
    signed_size: int
    root: bytes | None
    signed_at: datetime | None
    key_id: str | None

    @property
    def unsigned(self) -> int:
        """Entries that no checkpoint covers yet."""
        return self.size - self.signed_size


def read_log_state(session: Session, settings: Settings) -> LogState:
    """Return where the log and its signature stand; nothing is verified here beyond that one signature."""
    size = read_size(session)
    last = session.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.size.desc()).limit(1)).one_or_none()
    if last is None:
        return LogState(size, 0, None, None, None)
    try:
        signer = Checkpoint.parse(last.note).check_signature(trusted_keys(settings.keys_dir))
    except DealbookError:
        signer = None
    return LogState(size, last.size, last.root, last.signed_at, signer.key_id.hex() if signer else None)


def search_entries(
    session: Session, actor: Actor, words: str = "", cursor: str | None = None, limit: int = 50
) -> tuple[Sequence[AuditLog], str | None]:
    """Return a page of entries, newest first, and the cursor of the next; for whoever may read all deals.

    `words` are a leaf index, the beginning of a hash, an identifier (of a deal, or whatever an entry is about), or a
    part of a type such as `dispute`. Entries about users and access are for those who manage it.
    """
    authorize(session, actor, Action.READ_DEAL)
    limit = max(1, min(limit, MAX_PAGE))
    query = select(AuditLog)
    if not is_permitted(actor, Action.MANAGE_ACCESS):
        query = query.where(AuditLog.chain != "auth", AuditLog.subject_kind.not_in(_ACCESS_SUBJECTS))
    query = _matching(query, words.strip().lower())
    if cursor is not None:
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 15:
            raise CursorInvalid("This cursor was not made by this list. Begin again without one.", "cursor")
        query = query.where(AuditLog.n < int(cursor))
    rows = session.scalars(query.order_by(AuditLog.n.desc()).limit(limit + 1)).all()
    return rows[:limit], str(rows[limit - 1].n) if len(rows) > limit else None


def _matching(query: Select[AuditLog], words: str) -> Select[AuditLog]:
    if not words:
        return query
    if _IDENTIFIER.fullmatch(words):
        return query.where(
            or_(
                AuditLog.subject_id == words,
                AuditLog.chain.in_([f"deal:{words}", f"import:{words}"]),
                AuditLog.actor_id == words,
            )
        )
    number = words.replace(",", "")
    ways: list[ColumnElement[bool]] = [AuditLog.type.like(f"%{re.sub(r'[%_]', '', words)}%")]
    if number.isascii() and number.isdigit() and len(number) <= 15:
        ways.append(AuditLog.n == int(number))
    if _HASH_PREFIX.fullmatch(words):
        # Compared as bytes: from the prefix filled up with zeros to the prefix filled up with ones.
        ways.append(AuditLog.hash.between(bytes.fromhex(words.ljust(64, "0")), bytes.fromhex(words.ljust(64, "f"))))
    return query.where(or_(*ways))
