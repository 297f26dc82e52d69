"""What came in from outside: imports with their rejects, and answers kept for repeated requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ledger.columns import JsonText, UtcDateTime
from ledger.tables.declarative import Base, Identified


class Import(Identified, Base):
    """Files that were imported. While they have added nothing, `is_logged` is false and the log does not mention it.

    `outcome` is null while it runs, and for good if it was interrupted; `report` is what became of the rows, file by
    file; `problem` says why it failed.
    """

    __tablename__ = "imports"

    file_name: Mapped[str] = mapped_column(String(500))
    file_sha256: Mapped[str] = mapped_column(String(64), index=True)
    mapping: Mapped[str] = mapped_column(String(200))
    started_by: Mapped[str] = mapped_column(String(36))
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    rows: Mapped[int | None]
    accepted: Mapped[int | None]
    rejected: Mapped[int | None]
    is_logged: Mapped[bool]
    kind: Mapped[str] = mapped_column(String(16))
    is_dry_run: Mapped[bool]
    is_strict: Mapped[bool]
    outcome: Mapped[str | None] = mapped_column(String(16))
    report: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    problem: Mapped[str | None] = mapped_column(Text)


class ImportReject(Base):
    """A row of an imported file that was turned away, and why."""

    __tablename__ = "import_rejects"
    __table_args__ = (Index("ix_import_rejects_import_id_line", "import_id", "line"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    import_id: Mapped[str] = mapped_column(ForeignKey("imports.id"))
    file_name: Mapped[str] = mapped_column(String(500))
    line: Mapped[int]
    column: Mapped[str | None] = mapped_column(String(200))
    value: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)


class IdempotencyKey(Base):
    """The answer given to a request with an `Idempotency-Key`, kept to be given again."""

    __tablename__ = "idempotency_keys"

    actor_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    status_code: Mapped[int | None]
    headers: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
