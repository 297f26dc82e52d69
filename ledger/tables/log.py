"""The log itself: entries, the heads of their chains, the erasable texts, checkpoints, the log's name."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from ledger.columns import UtcDateTime
from ledger.tables.declarative import Base


class _Stored:
    """An entry: `body` holds the exact bytes that were hashed; the other columns repeat it for searching."""

    chain: Mapped[str] = mapped_column(String(48))
    seq: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    prev: Mapped[bytes] = mapped_column(LargeBinary(32))
    type: Mapped[str] = mapped_column(String(48))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    effective_at: Mapped[datetime] = mapped_column(UtcDateTime)
    subject_kind: Mapped[str] = mapped_column(String(24))
    subject_id: Mapped[str] = mapped_column(String(64))
    actor_id: Mapped[str] = mapped_column(String(36))
    body: Mapped[bytes] = mapped_column(LargeBinary)


class AuditLog(_Stored, Base):
    """An entry that has its place in the log, the leaf index `n`. Rows are never changed or removed."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        UniqueConstraint("chain", "seq"),
        Index("ix_audit_logs_subject_kind_subject_id", "subject_kind", "subject_id"),
    )

    n: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)


class AuditPending(_Stored, Base):
    """On PostgreSQL an entry between its commit and its leaf index, for a moment (`ledger.log.sequencing`)."""

    __tablename__ = "audit_pending"
    __table_args__ = (UniqueConstraint("chain", "seq"),)

    arrival: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer(), "sqlite"), Identity(always=True), primary_key=True
    )


STORED = tuple(column.name for column in AuditPending.__table__.columns if column.name != "arrival")
"""The columns that an entry has wherever it is."""


class AuditChain(Base):
    """The head of a chain, moved by compare-and-set."""

    __tablename__ = "audit_chains"

    chain: Mapped[str] = mapped_column(String(48), primary_key=True)
    seq: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditText(Base):
    """A text to which an entry is committed. Erasing empties `salt` and `text`; the commitment stays."""

    __tablename__ = "audit_texts"

    commitment: Mapped[str] = mapped_column(String(64), primary_key=True)
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    text: Mapped[str | None] = mapped_column(Text)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditCheckpoint(Base):
    """A signed statement of the log's size and root; filled once checkpoints are made."""

    __tablename__ = "audit_checkpoints"

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str] = mapped_column(Text)
    signed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LogIdentity(Base):
    """The one row that names this log; entries repeat it, so that none can be carried over from another."""

    __tablename__ = "log_identity"

    origin: Mapped[str] = mapped_column(String(100), primary_key=True)
