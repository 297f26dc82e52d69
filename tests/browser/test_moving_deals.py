"""Deals are moved on the board by mouse and by keyboard; a move that is refused goes back and says why."""

from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from ledger.access import SYSTEM
from ledger.deals import advance_stage, change_deal
from ledger.vocabulary import PipelineStage
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import (
    ask_rest,
    card,
    column,
    count_of,
    find_viewer,
    log_size,
    make_deal,
    open_board,
    total_of,
)

pytestmark = pytest.mark.browser
FROM, TO = PipelineStage.PROPOSAL, PipelineStage.NEEDS_ANALYSIS  # both in sight on a laptop


def test_a_dragged_deal_moves_and_can_be_undone(manager_page: Page, office: Office) -> None:
    """Dropping a card records the move; counts and totals of both columns follow; undo brings all of it back."""
    deal_id = make_deal(office, "To be dragged", FROM)
    page = open_board(manager_page, office)
    before = (count_of(page, FROM), count_of(page, TO), total_of(page, FROM), total_of(page, TO))
    card(page, deal_id, FROM).drag_to(column(page, TO).locator(".stage-cards"))
    expect(card(page, deal_id, TO)).to_be_visible()
    expect(card(page, deal_id, FROM)).to_have_count(0)
    value = Decimal("1000000.00")
    after = (count_of(page, FROM), count_of(page, TO), total_of(page, FROM), total_of(page, TO))
    assert after == (before[0] - 1, before[1] + 1, before[2] - value, before[3] + value)
    assert ask_rest(page, office, f"/deals/{deal_id}")["pipeline_stage"] == TO
    page.locator(".message").get_by_role("button", name="Undo").click()
    expect(card(page, deal_id, FROM)).to_be_visible()
    assert (count_of(page, FROM), count_of(page, TO)) == before[:2]
    kinds = [item["kind"] for item in ask_rest(page, office, f"/deals/{deal_id}/timeline")["items"]]
    assert kinds.count("deal.stage_changed") == 3, "the log keeps the move and its undoing"


def test_the_menu_moves_from_the_keyboard(manager_page: Page, office: Office) -> None:
    """Enter opens a card's menu, arrows choose, Enter moves, and the focus is on the card again; Escape leaves it."""
    deal_id = make_deal(office, "To be moved by keyboard", FROM)
    page = open_board(manager_page, office)
    card(page, deal_id, FROM).locator(".deal-menu").focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name="Move to")
    expect(menu).to_be_visible()
    assert menu.get_by_role("menuitem", name="Proposal").count() == 0, "a deal cannot move to where it stands"
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    assert page.evaluate("document.activeElement.ariaLabel") == "Move To be moved by keyboard"
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Negotiation"
    page.keyboard.press("Enter")
    expect(card(page, deal_id, PipelineStage.NEGOTIATION)).to_be_visible()
    page.wait_for_function("id => document.activeElement.closest('.deal')?.dataset.deal === id", arg=deal_id)


def test_a_refused_move_goes_back_and_says_why(manager_page: Page, office: Office) -> None:
    """A deal that somebody changed while it was being dragged stays where it was, in the ledger and on the board."""
    deal_id = make_deal(office, "Changed meanwhile", FROM)
    page = open_board(manager_page, office)
    start = card(page, deal_id, FROM).bounding_box()
    target = column(page, TO).locator(".stage-cards").bounding_box()
    assert start is not None
    assert target is not None
    page.mouse.move(start["x"] + 40, start["y"] + 60)
    page.mouse.down()
    page.mouse.move(target["x"] + 60, target["y"] + 80, steps=8)
    with office.ledger.write() as session:
        change_deal(session, SYSTEM, deal_id, {"title": "Changed by another"})
    page.mouse.move(target["x"] + 70, target["y"] + 90, steps=3)
    page.mouse.up()
    expect(page.locator('.message[data-kind="refusal"]')).to_contain_text("The deal has changed since you read it")
    expect(card(page, deal_id, FROM)).to_contain_text("Changed by another")
    expect(page.locator(".is-ghost")).to_have_count(0)
    expect(page.locator(".is-waiting")).to_have_count(0)
    assert ask_rest(page, office, f"/deals/{deal_id}")["pipeline_stage"] == FROM


def test_closing_asks_for_the_day_and_reopening_for_a_reason(manager_page: Page, office: Office) -> None:
    """A day before the deal entered its stage is refused in the dialog; the deal closes, and a note reopens it."""
    deal_id = make_deal(office, "To be closed", FROM)
    page = open_board(manager_page, office)
    card(page, deal_id).locator(".deal-menu").click()
    page.get_by_role("menuitem", name="Closed won").click()
    dialog = page.get_by_role("dialog", name="Close as won")
    dialog.get_by_label("Won on").fill("2020-01-01")
    dialog.get_by_role("button", name="Close as won").click()
    expect(dialog.get_by_role("alert")).to_contain_text("it cannot have closed before")
    assert dialog.get_by_label("Won on").input_value() == "2020-01-01", "what was typed stays"
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(card(page, deal_id, FROM)).to_be_visible()
    card(page, deal_id).locator(".deal-menu").click()
    page.get_by_role("menuitem", name="Closed won").click()
    dialog.get_by_label("Note").fill("Signed at the notary's")
    dialog.get_by_role("button", name="Close as won").click()
    expect(card(page, deal_id, PipelineStage.CLOSED_WON)).to_be_attached()
    card(page, deal_id).locator(".deal-title a").click()
    drawer = page.locator(".drawer")
    expect(drawer.locator(".timeline-item").first).to_contain_text("Signed at the notary's")
    drawer.get_by_role("button", name="Reopen").click()
    dialog = page.get_by_role("dialog", name="Reopen the deal")
    dialog.get_by_role("button", name="Reopen").click()
    expect(dialog.get_by_role("alert")).to_have_text("Reopening a deal needs a note.")
    dialog.get_by_label("Why").fill("The buyer came back")
    dialog.get_by_role("button", name="Reopen").click()
    expect(card(page, deal_id, PipelineStage.NEGOTIATION)).to_be_visible()
    assert ask_rest(page, office, f"/deals/{deal_id}")["actual_close_date"] is None


def test_two_browsers_see_each_others_moves(visitors: Visitors, office: Office) -> None:
    """What one person moves, another sees without doing anything, and cards that did not move stay untouched."""
    deal_id = make_deal(office, "Seen by both", FROM)
    still_id = make_deal(office, "Stays where it is", PipelineStage.QUALIFICATION)
    first = open_board(visitors.open(office.address, link=office.make_link(office.agency.manager_id)), office)
    anna = office.agency.agents["Anna Lim"]
    second = open_board(visitors.open(office.address, link=office.make_link(anna)), office)
    expect(card(second, deal_id, FROM)).to_be_visible()
    card(second, still_id).evaluate("element => { element.marked = true; }")
    first.evaluate("window.scrollTo(0, 0)")
    card(first, deal_id, FROM).drag_to(column(first, TO).locator(".stage-cards"))
    expect(card(second, deal_id, TO)).to_be_visible()
    expect(card(second, deal_id, FROM)).to_have_count(0)
    card(second, deal_id).locator(".deal-menu").click()
    second.get_by_role("menuitem", name="Lead captured").click()
    expect(card(first, deal_id, PipelineStage.LEAD_CAPTURED)).to_be_visible()
    assert card(second, still_id).evaluate("element => element.marked === true")


def test_a_viewer_is_offered_nothing_and_refused_when_forced(visitors: Visitors, office: Office) -> None:
    """No button, no menu, nothing to drag; a page that sends a move all the same changes nothing."""
    deal_id = make_deal(office, "Only to be looked at", FROM)
    page = open_board(visitors.open(office.address, link=office.make_link(find_viewer(office))), office)
    assert page.locator(".deal[draggable], .deal-menu, #move-menu").count() == 0
    expect(page.get_by_role("button", name="New deal")).to_be_hidden()
    card(page, deal_id).locator(".deal-title a").click()
    expect(page.locator(".drawer .timeline-item").first).to_be_visible()
    assert page.locator(".drawer-actions button, .row-buttons").count() == 0
    size = log_size(office)
    for stage in (TO, PipelineStage.CLOSED_WON):
        sent = {"deal": deal_id, "revision": 2, "stage": stage.value, "from": FROM.value}
        page.evaluate("sent => emitEvent('dealbook-move', sent)", sent)
        refusal = page.locator('.message[data-kind="refusal"]')
        expect(refusal).to_contain_text("The role viewer may not write deal here")
        refusal.get_by_role("button", name="Dismiss").click()
    assert log_size(office) == size


def test_an_agent_cannot_reach_a_colleagues_deal(visitors: Visitors, office: Office) -> None:
    """An agent's board, drawer and moves know no deal but the agent's own; closed ones are not offered to be moved."""
    other_id = make_deal(office, "A colleague's", FROM, agent="Devi Nair")
    own_id = make_deal(office, "Won already", FROM)
    with office.ledger.write() as session:
        advance_stage(session, SYSTEM, own_id, PipelineStage.CLOSED_WON)
    anna = office.agency.agents["Anna Lim"]
    page = visitors.open(office.address, link=office.make_link(anna))
    open_board(page, office, f"?deal={other_id}")
    refusal = page.locator('.message[data-kind="refusal"]')
    expect(refusal).to_contain_text("No such deal")
    expect(page.locator(".drawer")).to_have_count(0)
    refusal.get_by_role("button", name="Dismiss").click()
    expect(card(page, own_id)).to_be_attached()
    assert card(page, own_id).get_attribute("draggable") is None
    size = log_size(office)
    for deal_id, start in ((other_id, FROM), (own_id, PipelineStage.CLOSED_WON)):
        sent = {"deal": deal_id, "revision": None, "stage": TO.value, "from": start.value}
        page.evaluate("sent => emitEvent('dealbook-move', sent)", sent)
        expect(refusal).to_be_visible()
        refusal.get_by_role("button", name="Dismiss").click()
    assert log_size(office) == size
