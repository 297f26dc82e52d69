"""The pipeline page shows the ledger as it is: every stage's totals, every deal, and text as text."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from ledger.access import SYSTEM
from ledger.deal_rules import NewDeal
from ledger.deals import open_deal
from ledger.vocabulary import AssetType, DealType, PipelineStage
from tests.browser.conftest import Office

pytestmark = pytest.mark.browser


@pytest.fixture
def board(manager_page: Page, office: Office) -> Page:
    manager_page.goto(f"{office.address}/agents/performance/pipeline")
    expect(manager_page.locator(".stage").first).to_be_visible()
    return manager_page


def list_deals(page: Page, office: Office) -> list[dict[str, Any]]:
    """Return all deals as REST lists them to the manager."""
    deals: list[dict[str, Any]] = []
    cursor = ""
    while True:
        params = {"limit": "200", **({"cursor": cursor} if cursor else {})}
        answer = page.request.get(
            f"{office.address}/api/v1/deals",
            params=params,
            headers={"Authorization": f"Bearer {office.agency.manager_token}"},
        ).json()
        deals += answer["items"]
        cursor = answer["next_cursor"]
        if not cursor:
            return deals


def test_counts_and_totals_are_those_of_rest(board: Page, office: Office) -> None:
    """Each column counts the stage's deals and sums their values, each currency on its own."""
    counts: dict[str, int] = defaultdict(int)
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for deal in list_deals(board, office):
        if deal["status"] == "cancelled":
            continue
        counts[deal["pipeline_stage"]] += 1
        if deal["estimated_value_amount"] is not None:
            totals[deal["pipeline_stage"], deal["estimated_value_currency"]] += Decimal(deal["estimated_value_amount"])
    for stage in PipelineStage:
        column = board.locator(f'.stage[data-stage="{stage}"]')
        expect(column.locator(".stage-count")).to_have_text(f"{counts[stage]:,}")
        shown = {
            element.get_attribute("data-currency"): Decimal(element.get_attribute("data-total") or "0")
            for element in column.locator("[data-total]").all()
        }
        assert shown == {currency: total for (at, currency), total in totals.items() if at == stage}


def test_choosing_an_agent_shows_their_deals_alone(board: Page, office: Office) -> None:
    """The picker narrows the board and the address, and everyone's board comes back."""
    everyone = board.locator(".stage-count").all_inner_texts()
    board.get_by_role("combobox", name="Agent").click()
    board.get_by_role("option", name="Devi Nair").click()
    devi = office.agency.agents["Devi Nair"]
    expect(board).to_have_url(f"{office.address}/agents/performance/pipeline?agent_id={devi}")
    own = [deal["status"] for deal in list_deals(board, office) if deal["agent_id"] == devi]
    expect(board.locator(".page-head")).to_contain_text(f"{own.count('open')} open deal")
    won = board.locator('.stage[data-stage="closed_won"] .stage-count')
    expect(won).to_have_text(str(own.count("closed_won")))
    board.get_by_role("combobox", name="Agent").click()
    board.get_by_role("option", name="Everyone").click()
    expect(board.locator(".stage-count").first).to_have_text(everyone[0])


def test_the_board_is_live(board: Page, office: Office) -> None:
    """A deal that somebody opened a moment ago appears without anybody asking."""
    count = board.locator('.stage[data-stage="agreement"] .stage-count')
    before = int(count.inner_text())
    with office.ledger.write() as session:
        open_deal(
            session,
            SYSTEM,
            NewDeal(
                agent_id=office.agency.agents["Anna Lim"],
                title="Opened a moment ago",
                asset_type=AssetType.RETAIL,
                deal_type=DealType.LEASE,
                pipeline_stage=PipelineStage.AGREEMENT,
            ),
        )
    expect(count).to_have_text(str(before + 1))
    card = board.locator(".deal", has_text="Opened a moment ago")
    expect(card).to_contain_text("No value yet")
    expect(card).to_contain_text("0 days")
