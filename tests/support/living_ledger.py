"""Real ledgers for tests of what reads the log: a short life in which everything happens, and many deals."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import text

from ledger.access import create_user
from ledger.actors import SYSTEM
from ledger.commission_rules import NewCommission
from ledger.commissions import (
    adjust_commission,
    change_commission,
    move_commission,
    open_dispute,
    record_commission,
    resolve_dispute,
)
from ledger.deal_rules import NewDeal
from ledger.deals import (
    add_contact,
    add_document,
    advance_stage,
    assign_deal,
    cancel_deal,
    change_deal,
    open_deal,
    reopen_deal,
)
from ledger.identifiers import new_id
from ledger.log.chain import append_entries
from ledger.log.entry import Draft
from ledger.settings import Settings
from ledger.store import Ledger, initialise
from ledger.vocabulary import (
    AdjustmentType,
    AssetType,
    CommissionStatus,
    CommissionType,
    DealType,
    DisputeOutcome,
    PipelineStage,
    Role,
)


def new_ledger(home: Path) -> Ledger:
    """Make an empty ledger in a folder of its own."""
    return initialise(Settings(home=home))


@dataclass(frozen=True)
class Life:
    """Who and what the life was about."""

    agent_id: str
    other_agent_id: str
    won_deal_id: str
    cancelled_deal_id: str
    commission_id: str


def live(ledger: Ledger) -> Life:
    """Let everything happen that is landed: every type of entry that a raw table holds, and some that none holds."""
    opened_at = datetime.now(UTC) - timedelta(days=30)
    with ledger.write() as session:
        agent = create_user(session, SYSTEM, email="ana@example.com", name="Ana Lim", role=Role.AGENT)
        other = create_user(session, SYSTEM, email=None, name="Ben Ong", role=Role.AGENT)
        deal = open_deal(
            session,
            SYSTEM,
            NewDeal(
                agent_id=agent.id,
                title="Tower 7",
                asset_type=AssetType.OFFICE,
                deal_type=DealType.LEASE,
                lead_source="referral",
                estimated_value_amount=Decimal("12000.50"),
                expected_close_date=date(2030, 1, 31),
                confidence=Decimal("0.60"),
                external_ref="crm:7",
                opened_at=opened_at,
            ),
        )
        add_contact(session, SYSTEM, deal.id, name="Chong")
        add_document(session, SYSTEM, deal.id, document_type="mandate", title="Mandate", uri="https://example.com/7")
        change_deal(session, SYSTEM, deal.id, {"lead_source": None, "confidence": Decimal("0.75")})
        advance_stage(session, SYSTEM, deal.id, PipelineStage.NEGOTIATION, effective_at=opened_at + timedelta(days=3))
        assign_deal(session, SYSTEM, deal.id, agent_id=other.id, note="Ana is away")
        advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_WON)
        reopen_deal(session, SYSTEM, deal.id, to_stage=PipelineStage.AGREEMENT, note="signature missing")
        advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_WON)
        cancelled = open_deal(
            session,
            SYSTEM,
            NewDeal(agent_id=agent.id, title="Shop 2", asset_type=AssetType.RETAIL, deal_type=DealType.SELL_SIDE),
        )
        cancel_deal(session, SYSTEM, cancelled.id, reason="owner withdrew")
        commission = record_commission(
            session,
            SYSTEM,
            deal.id,
            NewCommission(agent.id, CommissionType.INTRODUCER, Decimal("12000.50"), Decimal("0.0250")),
        )
        change_commission(session, SYSTEM, commission.id, {"commission_rate": Decimal("0.0300")})
        move_commission(session, SYSTEM, commission.id, CommissionStatus.CONFIRMED)
        dispute = open_dispute(session, SYSTEM, commission.id, amount=Decimal("100.00"), reason="not agreed")
        resolve_dispute(session, SYSTEM, dispute.id, outcome=DisputeOutcome.PARTIAL)
        adjust_commission(
            session,
            SYSTEM,
            commission.id,
            adjustment_type=AdjustmentType.CLAWBACK,
            amount=Decimal("60.00"),
            note="half of it",
        )
        return Life(agent.id, other.id, deal.id, cancelled.id, commission.id)


def append_deals(ledger: Ledger, count: int) -> None:
    """Append the opening entries of `count` deals, in the log alone: fast, for tests that only need many entries."""
    drafts = []
    for _ in range(count):
        deal_id = new_id()
        columns = {
            "agent_id": new_id(),
            "asset_type": "office",
            "deal_type": "lease",
            "pipeline_stage": "lead_captured",
            "status": "open",
            "estimated_value_amount": "1000.00",
            "estimated_value_currency": "SGD",
        }
        event = {"id": new_id(), "from": None, "to": "lead_captured"}
        drafts.append(Draft(f"deal:{deal_id}", "deal.opened", "deal", deal_id, {"set": columns, "stage_event": event}))
    append(ledger, *drafts)


def append(ledger: Ledger, *drafts: Draft) -> None:
    """Append entries as they are, past every rule but the log's own."""
    with ledger.write() as session:
        append_entries(session, SYSTEM, drafts)


_SAID_BY_POSTGRESQL = {
    "zeroblob(32)": "decode(repeat('00', 32), 'hex')",
    "CAST(replace(body, ": "convert_to(replace(convert_from(body, 'UTF8'), ",
    ") AS BLOB)": "), 'UTF8')",
}


def tamper(ledger: Ledger, *statements: str, **values: object) -> None:
    """Change the log behind its back, as someone with the database in hand would: without its triggers."""
    with ledger.write() as session:
        connection = session.connection()
        if connection.dialect.name == "sqlite":
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_logs'"
            for name in session.scalars(text(triggers)).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        else:
            session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            if connection.dialect.name != "sqlite":
                for words, meaning in _SAID_BY_POSTGRESQL.items():
                    statement = statement.replace(words, meaning)
            connection.execute(text(statement.replace(":", "\\:") if not values else statement), values)
