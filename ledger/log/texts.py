"""Salted commitments: an entry proves what a text was without holding it, so that the text can be erased.

The commitment is SHA-256(salt || UTF-8 text) with 16 random bytes of salt. Text and salt sit in `audit_texts`.
"""

import os
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from ledger.errors import TextInvalid
from ledger.statements import Statement
from ledger.tables.log import AuditText

MAX_TEXT = 20_000


def commit_text(text: str | None, texts: list[tuple[str, bytes, str]], column: str | None = None) -> str | None:
    """Return the commitment (64 hex digits) to `text`, adding what opens it to `texts`; None stays None."""
    if text is None:
        return None
    if len(text) > MAX_TEXT:
        raise TextInvalid(f"{column or 'Text'} is longer than {MAX_TEXT} characters.", column)
    salt = os.urandom(16)
    try:
        commitment = sha256(salt + text.encode()).hexdigest()
    except UnicodeEncodeError:
        raise TextInvalid(f"{column or 'Text'} holds a lone surrogate; it is not valid Unicode.", column) from None
    texts.append((commitment, salt, text))
    return commitment


def read_texts(session: Session, commitments: Iterable[str]) -> dict[str, str | None]:
    """Return the text behind each commitment; None where it was erased."""
    wanted = list(commitments)
    found: dict[str, str | None] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        places = 1 << (len(part) - 1).bit_length()  # few lengths, so few statements; the last text fills the rest
        part += part[-1:] * (places - len(part))
        given = {f"c{place}": commitment for place, commitment in enumerate(part)}
        found.update(_texts_of(places).all(session, **given))
    return found


_AT_ONCE = 1024


@lru_cache(maxsize=16)
def _texts_of(places: int) -> Statement:
    wanted = [bindparam(f"c{place}", type_=AuditText.commitment.type) for place in range(places)]
    return Statement(select(AuditText.commitment, AuditText.text).where(AuditText.commitment.in_(wanted)))


def erase_texts(session: Session, commitments: Iterable[str], at: datetime) -> None:
    """Forget the texts and salts behind `commitments`; the log still verifies and shows them as redacted."""
    session.connection().execute(
        update(AuditText).where(AuditText.commitment.in_(list(commitments))).values(salt=None, text=None, erased_at=at)
    )
