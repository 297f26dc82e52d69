"""What the tests of daily work share: deals of one's own to work on, and where they stand on the board."""

from decimal import Decimal
from typing import Any

from playwright.sync_api import Locator, Page, expect

from ledger.access import SYSTEM, create_user, find_user
from ledger.commission_rules import NewCommission
from ledger.commissions import record_commission
from ledger.deal_cards import read_log_size
from ledger.deal_rules import NewDeal
from ledger.deals import advance_stage, open_deal
from ledger.vocabulary import AssetType, CommissionType, DealType, PipelineStage, Role
from tests.browser.conftest import Office

BOARD = "/agents/performance/pipeline"


def make_deal(
    office: Office,
    title: str,
    stage: PipelineStage = PipelineStage.PROPOSAL,
    *,
    agent: str = "Anna Lim",
    value: str = "1000000.00",
    **changes: Any,
) -> str:
    """Open a deal of an agent, move it to `stage`, and return its id."""
    values: dict[str, Any] = {"asset_type": AssetType.OFFICE, "deal_type": DealType.LEASE} | changes
    with office.ledger.write() as session:
        new = NewDeal(
            agent_id=office.agency.agents[agent], title=title, estimated_value_amount=Decimal(value), **values
        )
        deal = open_deal(session, SYSTEM, new)
        if stage is not PipelineStage.LEAD_CAPTURED:
            advance_stage(session, SYSTEM, deal.id, stage)
    return deal.id


def make_commission(office: Office, deal_id: str, agent: str = "Anna Lim") -> str:
    """Record a pending commission of 2 % and return its id."""
    with office.ledger.write() as session:
        new = NewCommission(
            agent_id=office.agency.agents[agent],
            commission_type=CommissionType.EXCLUSIVE,
            basis_amount=Decimal("1000000.00"),
            commission_rate=Decimal("0.0200"),
        )
        return record_commission(session, SYSTEM, deal_id, new).id


def find_viewer(office: Office) -> str:
    """Return the id of someone who may look and do nothing."""
    with office.ledger.write() as session:
        found = find_user(session, email="vera@example.com")
        if found is None:
            found = create_user(session, SYSTEM, name="Vera Ho", email="vera@example.com", role=Role.VIEWER)
        return found.id


def log_size(office: Office) -> int:
    """Return how many entries the log holds."""
    with office.ledger.read() as session:
        return read_log_size(session)


def open_board(page: Page, office: Office, words: str = "") -> Page:
    """Open the board and wait for its cards."""
    page.goto(f"{office.address}{BOARD}{words}")
    expect(page.locator(".stage").first).to_be_visible()
    return page


def column(page: Page, stage: PipelineStage) -> Locator:
    """Return a stage's column."""
    return page.locator(f'.stage[data-stage="{stage}"]')


def card(page: Page, deal_id: str, stage: PipelineStage | None = None) -> Locator:
    """Return a deal's card, wherever it stands or in one stage."""
    place = page.locator(".board") if stage is None else column(page, stage)
    return place.locator(f'.deal[data-deal="{deal_id}"]')


def count_of(page: Page, stage: PipelineStage) -> int:
    """Return the number that a column's head shows."""
    return int(column(page, stage).locator(".stage-count").inner_text().replace(",", ""))


def total_of(page: Page, stage: PipelineStage) -> Decimal:
    """Return the total in Singapore dollars that a column's head shows."""
    shown = column(page, stage).locator('[data-currency="SGD"]')
    return Decimal(shown.get_attribute("data-total") or "0") if shown.count() else Decimal(0)


def ask_rest(page: Page, office: Office, path: str) -> Any:
    """Return what REST answers the manager."""
    headers = {"Authorization": f"Bearer {office.agency.manager_token}"}
    return page.request.get(f"{office.address}/api/v1{path}", headers=headers).json()


def list_rest(page: Page, office: Office, path: str) -> list[Any]:
    """Return the items of all pages that REST answers the manager."""
    items: list[Any] = []
    cursor = ""
    while True:
        answer = ask_rest(page, office, f"{path}{'&' if '?' in path else '?'}limit=200{cursor}")
        items += answer["items"]
        if not answer["next_cursor"]:
            return items
        cursor = f"&cursor={answer['next_cursor']}"
