"""Builders of ledgers for tests: real files, real transactions, few words."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from ledger import access, commissions, deals
from ledger.actors import SYSTEM, Actor
from ledger.bulk import BulkImport, ImportedDeal, ImportedStage, Outcome, start_import
from ledger.commissions import NewCommission
from ledger.deals import NewDeal
from ledger.log.entry import decode_body
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.tables import AgentDeal, AuditLog, Base, Commission
from ledger.vocabulary import AssetType, CommissionType, DealType, PipelineStage, Role

Result = TypeVar("Result")

LONG_AGO = datetime(2025, 1, 6, 1, 30, tzinfo=UTC)
"""A Monday morning in Singapore, well in the past."""


def build_ledger(tmp_path: Path) -> Ledger:
    """Return a new, initialised ledger whose state lies under `tmp_path`."""
    return initialise(Settings(home=tmp_path))


def record_person(ledger: Ledger, name: str, role: Role = Role.AGENT) -> Actor:
    """Record a user and return them as an actor."""
    with ledger.write() as session:
        email = f"{name.lower().replace(' ', '.')}@example.com"
        user = access.create_user(session, SYSTEM, name=name, email=email, role=role)
        return Actor(kind="user", id=user.id, role=role)


@dataclass(frozen=True)
class Staff:
    """One actor of each kind, and a second agent."""

    agent: Actor
    other_agent: Actor
    manager: Actor
    viewer: Actor
    admin: Actor


def record_staff(ledger: Ledger) -> Staff:
    """Record an agent, a second one, a manager, a viewer and an administrator."""
    return Staff(
        agent=record_person(ledger, "Anna Lim"),
        other_agent=record_person(ledger, "Ben Tan"),
        manager=record_person(ledger, "Mei Goh", Role.MANAGER),
        viewer=record_person(ledger, "Vic Ong", Role.VIEWER),
        admin=record_person(ledger, "Ada Koh", Role.ADMIN),
    )


def run(ledger: Ledger, function: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
    """Call a function of the ledger in a write transaction of its own."""
    with ledger.write() as session:
        return function(session, *arguments, **named)


def new_deal(agent: Actor, **changes: Any) -> NewDeal:
    """Return an ordinary deal to open."""
    values: dict[str, Any] = {
        "agent_id": agent.id,
        "title": "Marina tower, level 12",
        "asset_type": AssetType.OFFICE,
        "deal_type": DealType.LEASE,
        "estimated_value_amount": Decimal("1200000.00"),
        "opened_at": LONG_AGO,
    }
    return NewDeal(**values | changes)


def open_some_deal(ledger: Ledger, agent: Actor, **changes: Any) -> AgentDeal:
    """Open an ordinary deal long ago."""
    return run(ledger, deals.open_deal, agent, new_deal(agent, **changes))


def record_some_commission(ledger: Ledger, actor: Actor, deal: AgentDeal, **changes: Any) -> Commission:
    """Record an ordinary commission for the deal's agent: 1,200,000.00 at 2.5 %."""
    values: dict[str, Any] = {
        "agent_id": deal.agent_id,
        "commission_type": CommissionType.EXCLUSIVE,
        "basis_amount": Decimal("1200000.00"),
        "commission_rate": Decimal("0.0250"),
        "introduced_at": LONG_AGO + timedelta(days=1),
    }
    return run(ledger, commissions.record_commission, actor, deal.id, NewCommission(**values | changes))


def imported_deal(agent: Actor, reference: str = "crm:1", **changes: Any) -> ImportedDeal:
    """Return a deal as an import gives it: three stages, still open."""
    stages = [PipelineStage.LEAD_CAPTURED, PipelineStage.PROPOSAL, PipelineStage.NEGOTIATION]
    values: dict[str, Any] = {
        "external_ref": reference,
        "agent_id": agent.id,
        "title": f"Imported {reference}",
        "asset_type": AssetType.RETAIL,
        "deal_type": DealType.SELL_SIDE,
        "opened_at": LONG_AGO,
        "stages": [ImportedStage(stage, LONG_AGO + timedelta(days=7 * i)) for i, stage in enumerate(stages)],
        "estimated_value_amount": Decimal("50000.50"),
    }
    return ImportedDeal(**values | changes)


def import_items(ledger: Ledger, verb: str, items: list[Any], actor: Actor = SYSTEM) -> list[Outcome]:
    """Import `items` by `BulkImport`'s method `verb`, in one transaction."""
    with ledger.write() as session:
        import_id = start_import(session, actor, file_name="crm.csv", file_sha256="0" * 64, mapping="test")
        outcomes: list[Outcome] = getattr(BulkImport(session, actor, import_id), verb)(items)
        return outcomes


def read_log(ledger: Ledger, since_n: int = 0) -> list[dict[str, Any]]:
    """Return the entries from `since_n` on as decoded documents."""
    with ledger.read() as session:
        bodies = session.scalars(select(AuditLog.body).where(AuditLog.n >= since_n).order_by(AuditLog.n))
        return [decode_body(body) for body in bodies]


def log_size(ledger: Ledger) -> int:
    """Return how many entries the log holds."""
    return len(read_log(ledger))


def entries_of(ledger: Ledger, function: Callable[..., Any], *arguments: Any, **named: Any) -> list[dict[str, Any]]:
    """Return the entries that one call of a ledger function writes."""
    before = log_size(ledger)
    run(ledger, function, *arguments, **named)
    return read_log(ledger, before)


def find_all(session: Session, model: type[Result]) -> list[Result]:
    """Return all rows of a table."""
    return list(session.scalars(select(model)))


def stored(ledger: Ledger) -> list[bytes]:
    """Return all that the database holds: its files, or on a server all rows of all tables as text."""
    if ledger.engine.dialect.name == "sqlite":
        return [file.read_bytes() for file in ledger.settings.home.glob("ledger.sqlite3*")]
    with ledger.read() as session:
        rows = [session.scalars(text(f"SELECT each::text FROM {table} AS each")) for table in Base.metadata.tables]
        return [str(row).encode() for found in rows for row in found]
