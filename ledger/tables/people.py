"""People and how they prove who they are."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from ledger.columns import UtcDateTime, word
from ledger.tables.declarative import Base, Identified
from ledger.vocabulary import Role


class User(Identified, Base):
    """A member of staff. Agents that an import found by name alone have no e-mail and cannot log in."""

    __tablename__ = "users"

    email: Mapped[str | None] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    role: Mapped[Role] = mapped_column(word(Role))
    active: Mapped[bool]
    revision: Mapped[int]


class _Secret:
    """A secret of which only the keyed digest (HMAC-SHA256, 32 bytes) is kept."""

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ApiToken(_Secret, Base):
    """A bearer token for REST. `hint` is its last four characters, to tell tokens apart."""

    __tablename__ = "api_tokens"

    name: Mapped[str] = mapped_column(String(200))
    hint: Mapped[str] = mapped_column(String(4))
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginLink(_Secret, Base):
    """A one-time way into the workspace."""

    __tablename__ = "login_links"

    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WorkspaceSession(_Secret, Base):
    """A browser that is logged in."""

    __tablename__ = "sessions"

    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
