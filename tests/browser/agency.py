"""A small agency with two years behind it, written through the ledger's own rules, for pages to show."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy.orm import Session

from ledger.access import SYSTEM, create_token, create_user
from ledger.commission_rules import NewCommission
from ledger.commissions import move_commission, open_dispute, record_commission
from ledger.deal_rules import NewDeal
from ledger.deals import add_contact, advance_stage, open_deal
from ledger.store import Ledger
from ledger.vocabulary import AssetType, CommissionStatus, CommissionType, DealType, PipelineStage, Role

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script> & {{ 7*7 }} `${1}`"
AGENT_NAMES = (
    "Anna Lim",
    "Chua Wei Ming",
    "Devi Nair",
    "Farah binte Ismail",
    "Hendrik van der Berg-Østergaard",
    "Goh Kai Xiang",
)
PLACES = (
    "Level 12, 8 Marina View",
    "Shophouse, 41 Duxton Road",
    "Warehouse at Tuas South Avenue 5, Block C",
    "Retail units 02-14 to 02-17, Jurong",
    "Serviced apartments, River Valley",
    "Ground floor, 71 Robinson Road",
    "Land parcel at Sungei Kadut",
    "Penthouse, Cairnhill Circle",
)
COMPANIES = (
    "Northwind Holdings",
    "Tan Brothers Pte Ltd",
    "Acme & Söhne",
    "Straits Cold Storage",
    "Kestrel Capital Partners",
)
OPEN_STAGES = [stage for stage in PipelineStage if stage.is_open]


@dataclass(frozen=True)
class Agency:
    """Who works there: agent ids by name, and people to sign in as, with a token of the manager for REST."""

    agents: dict[str, str]
    manager_id: str
    manager_token: str


def found_agency(ledger: Ledger, *, deals_per_agent: int = 60, now: datetime | None = None) -> Agency:
    """Write the agency's history up to `now`; the same calls give the same history but for the clock."""
    rng = random.Random(20)
    now = now or datetime.now(UTC)
    with ledger.write() as session:
        manager = create_user(session, SYSTEM, name="Mei Tan", email="mei@example.com", role=Role.MANAGER)
        _, token = create_token(session, SYSTEM, manager.id, name="tests")
        agents = {
            name: create_user(
                session, SYSTEM, name=name, email=f"{name.split()[0].lower()}@example.com", role=Role.AGENT
            ).id
            for name in AGENT_NAMES
        }
        for rank, agent_id in enumerate(agents.values()):
            for _ in range(deals_per_agent - 3 * rank):
                _work_deal(session, rng, agent_id, now - timedelta(days=rng.uniform(5, 700)), now)
    return Agency(agents, manager.id, token)


def _work_deal(session: Session, rng: random.Random, agent_id: str, opened_at: datetime, now: datetime) -> None:
    is_foreign = rng.random() < 0.15
    value = Decimal(rng.randrange(200, 9000)) * 1000 if rng.random() > 0.05 else None
    deal = open_deal(
        session,
        SYSTEM,
        NewDeal(
            agent_id=agent_id,
            title=rng.choice(PLACES),
            asset_type=rng.choice(list(AssetType)),
            deal_type=rng.choice([DealType.LEASE, DealType.SELL_SIDE, DealType.BUY_SIDE]),
            lead_source=rng.choice(["referral", "portal", "walk_in"]),
            estimated_value_amount=value,
            estimated_value_currency="USD" if is_foreign else "SGD",
            confidence=Decimal(rng.randrange(1, 10)) / 10 if rng.random() < 0.7 else None,
            opened_at=opened_at,
        ),
    )
    if rng.random() < 0.8:
        add_contact(session, SYSTEM, deal.id, company=rng.choice(COMPANIES))
    moment = opened_at
    for stage in OPEN_STAGES[1:]:
        moment += timedelta(days=rng.uniform(1, 24))
        if moment >= now:
            return
        fate = rng.random()
        if fate < 0.09:
            advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_LOST, effective_at=moment)
            return
        if fate < 0.2 and now - moment < timedelta(days=50):
            return
        advance_stage(session, SYSTEM, deal.id, stage, effective_at=moment)
    moment += timedelta(days=rng.uniform(1, 24))
    if moment >= now:
        return
    if value is None:
        advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_LOST, effective_at=moment)
        return
    advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_WON, effective_at=moment)
    _earn_commission(session, rng, deal.id, agent_id, value, deal.estimated_value_currency, moment, now)


def _earn_commission(
    session: Session,
    rng: random.Random,
    deal_id: str,
    agent_id: str,
    basis: Decimal,
    currency: str,
    moment: datetime,
    now: datetime,
) -> None:
    commission = record_commission(
        session,
        SYSTEM,
        deal_id,
        NewCommission(
            agent_id=agent_id,
            commission_type=CommissionType.EXCLUSIVE,
            basis_amount=basis,
            basis_currency=currency,
            commission_rate=Decimal("0.0200"),
            introduced_at=moment,
        ),
    )
    for status in (CommissionStatus.CONFIRMED, CommissionStatus.INVOICED):
        moment += timedelta(days=rng.uniform(2, 20))
        if moment < now:
            move_commission(session, SYSTEM, commission.id, status, effective_at=moment)
    if rng.random() < 0.15:
        open_dispute(session, SYSTEM, commission.id, amount=Decimal("5000.00"), reason="Introducer's share in question")
