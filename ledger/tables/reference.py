"""Reference only: what deals may point at. The rest works where these are empty."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from ledger.tables.declarative import Base, Identified


class Project(Identified, Base):
    """A development or mandate that groups deals."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(200))


class Property(Identified, Base):
    """A building or unit that deals are about."""

    __tablename__ = "properties"

    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str | None] = mapped_column(String(500))
