"""Who came in and who was turned away, as entries of the chain `auth`.

A log-in is written with the use of its link, in one transaction. Denials come summed per reason, user, address and
minute, so that nobody can flood the log. Addresses are personal data: entries hold commitments to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from ledger.actors import SYSTEM, Actor
from ledger.columns import format_time
from ledger.databases import hold
from ledger.fold import record_entries
from ledger.log.entry import Draft
from ledger.log.texts import commit_text
from ledger.tables import User

CHAIN = "auth"
DenialReason = Literal["bad_credential", "bad_link", "not_permitted"]


@dataclass(frozen=True, slots=True)
class Denial:
    """`count` requests of one minute that were turned away for one reason.

    `address` None stands for all those beyond the addresses that are told apart; `user_id` is known only of those who
    proved who they are.
    """

    reason: DenialReason
    minute: datetime
    address: str | None
    user_id: str | None
    count: int


def record_log_in(session: Session, user: User, address: str | None) -> None:
    """Write `auth.logged_in` for a user whose log-in link was accepted."""
    texts: list[tuple[str, bytes, str]] = []
    data = {"address": commit_text(address, texts, "address")}
    actor = Actor(kind="user", id=user.id, role=user.role)
    record_entries(session, actor, [Draft(CHAIN, "auth.logged_in", "user", user.id, data, None, 1, texts)])


def record_denials(session: Session, denials: Sequence[Denial]) -> None:
    """Write one `auth.denied` for each."""
    hold(session, CHAIN)
    record_entries(session, SYSTEM, [_draft_denial(denial) for denial in denials])


def _draft_denial(denial: Denial) -> Draft:
    texts: list[tuple[str, bytes, str]] = []
    data = {
        "reason": denial.reason,
        "minute": format_time(denial.minute),
        "address": commit_text(denial.address, texts, "address"),
        "count": denial.count,
    }
    kind, subject_id = ("user", denial.user_id) if denial.user_id else ("visitor", "unknown")
    return Draft(CHAIN, "auth.denied", kind, subject_id, data, None, 1, texts)
