"""Several commissions are confirmed at once: chosen, summed up, asked, and each that is refused says why."""

import re

import pytest
from playwright.sync_api import Page, expect

from ledger.access import SYSTEM
from ledger.commissions import move_commission
from ledger.vocabulary import CommissionStatus, PipelineStage
from tests.browser.agency import HOSTILE
from tests.browser.conftest import Office
from tests.browser.desk import ask_rest, make_commission, make_deal

pytestmark = pytest.mark.browser
PATH = "/agents/performance/commissions"


def test_several_are_confirmed_and_the_refused_one_says_why(manager_page: Page, office: Office) -> None:
    """The summary names each and the sum; one that somebody else confirmed meanwhile is refused, the others go in."""
    titles = ("Bulk one", "Bulk two", HOSTILE)
    ids = [make_commission(office, make_deal(office, title, PipelineStage.CLOSED_WON)) for title in titles]
    page = manager_page
    page.goto(office.address + PATH)
    queue = page.locator('[data-queue="pending"]').locator("xpath=..")
    confirm = queue.get_by_role("button", name=re.compile("^Confirm .*chosen"))
    expect(confirm).to_be_disabled()
    for commission_id in ids:
        queue.locator(f'[data-commission="{commission_id}"]').get_by_role("checkbox").check()
    expect(confirm).to_have_text("Confirm 3 chosen")
    confirm.click()
    dialog = page.get_by_role("dialog", name="Confirm 3 commissions")
    expect(dialog).to_contain_text("SGD 60,000.00.")
    for title in titles:
        expect(dialog).to_contain_text(title)
    with office.ledger.write() as session:
        move_commission(session, SYSTEM, ids[0], CommissionStatus.CONFIRMED)
    dialog.get_by_role("button", name="Confirm").click()
    message = page.locator(".message")
    expect(message).to_contain_text("Confirmed 2 of 3.")
    expect(message).to_contain_text("Refused: Bulk one, Anna Lim.")
    for commission_id in ids:
        found = ask_rest(page, office, f"/commissions/{commission_id}")
        assert (found["status"], found["commission_amount"]) == ("confirmed", "20000.00")
