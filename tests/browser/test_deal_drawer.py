"""A deal's drawer shows everything recorded about it, and its dialogs change what may be changed."""

import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger.access import SYSTEM
from ledger.commissions import adjust_commission, move_commission
from ledger.deals import add_contact, add_document
from ledger.log.keys import trusted_keys
from ledger.vocabulary import AdjustmentType, AssetType, CommissionStatus, DealType, PipelineStage
from tests.browser.agency import HOSTILE
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import BOARD, ask_rest, card, find_viewer, make_commission, make_deal, open_board

pytestmark = pytest.mark.browser


def test_the_drawer_opens_by_keyboard_and_has_an_address(manager_page: Page, office: Office) -> None:
    """Enter on a card opens its deal under its own address; Escape puts it away, the focus is back on the card."""
    deal_id = make_deal(office, "Opened by keyboard")
    page = open_board(manager_page, office)
    card(page, deal_id).locator(".deal-title a").focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Deal Opened by keyboard")
    expect(drawer).to_be_visible()
    expect(drawer).to_contain_text("SGD 1,000,000.00")
    expect(page).to_have_url(f"{office.address}{BOARD}?deal={deal_id}")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(page).to_have_url(f"{office.address}{BOARD}")
    page.wait_for_function("id => document.activeElement.closest('.deal')?.dataset.deal === id", arg=deal_id)
    open_board(page, office, f"?deal={deal_id}")
    expect(drawer).to_be_visible()


def test_every_entry_is_shown_with_its_hash(manager_page: Page, office: Office) -> None:
    """The timeline is REST's, newest first; each item's badge opens the entry's hash and leaf index."""
    deal_id = make_deal(office, "With a history")
    commission_id = make_commission(office, deal_id)
    with office.ledger.write() as session:
        add_contact(session, SYSTEM, deal_id, name="Lee Hui", company="Straits Trading", email="hui@example.com")
        add_document(session, SYSTEM, deal_id, document_type="offer", title="Offer of May", uri="file://offers/17")
        move_commission(session, SYSTEM, commission_id, CommissionStatus.CONFIRMED)
        adjust_commission(
            session,
            SYSTEM,
            commission_id,
            adjustment_type=AdjustmentType.CLAWBACK,
            amount=1500,  # type: ignore[arg-type]
            note="Fee shared",
        )
    page = open_board(manager_page, office, f"?deal={deal_id}")
    items = page.locator(".timeline-item")
    recorded = ask_rest(page, office, f"/deals/{deal_id}/timeline")["items"]
    expect(items).to_have_count(len(recorded))
    for item, entry in zip(items.all(), reversed(recorded), strict=True):
        assert item.get_attribute("data-kind") == entry["kind"]
        item.locator(".record > summary").click()
        expect(item.locator(".hash").first).to_have_text(entry["hash"])
        expect(item.locator(".record-box")).to_contain_text(f"{entry['n']:,}")
        page.keyboard.press("Escape")
    drawer = page.locator(".drawer")
    expect(drawer.locator(".commission")).to_contain_text("20,000.00")
    expect(drawer.locator(".commission")).to_contain_text("Fee shared")
    expect(drawer.locator(".commission")).to_contain_text("SGD 18,500.00")
    for words in ("Lee Hui", "hui@example.com", "Offer of May", "file://offers/17"):
        expect(drawer).to_contain_text(words)


def test_a_new_deal_is_opened_edited_handed_over_and_cancelled(manager_page: Page, office: Office) -> None:
    """Each dialog asks what the ledger needs, says what is wrong where it was typed, and the board follows."""
    page = open_board(manager_page, office)
    page.get_by_role("button", name="New deal").click()
    dialog = page.get_by_role("dialog", name="New deal")
    dialog.get_by_role("button", name="Open the deal").click()
    expect(dialog.get_by_role("alert")).to_contain_text("title")
    dialog.get_by_label("Title").fill("Opened in the browser")
    dialog.get_by_label("Other company").fill("Kestrel")
    dialog.get_by_label("Estimated value").fill("a lot")
    dialog.get_by_role("button", name="Open the deal").click()
    expect(dialog.get_by_role("alert")).to_contain_text("must be a number")
    dialog.get_by_label("Estimated value").fill("2,500,000")
    dialog.get_by_label("Confidence").fill("40")
    dialog.get_by_label("Agent").select_option(label="Devi Nair")
    dialog.get_by_role("button", name="Open the deal").click()
    drawer = page.get_by_role("dialog", name="Deal Opened in the browser")
    expect(drawer).to_contain_text("SGD 2,500,000.00")
    expect(drawer).to_contain_text("Kestrel")
    deal_id = re.search(r"deal=([0-9a-f-]+)", page.url)[1]  # type: ignore[index]
    expect(card(page, deal_id, PipelineStage.LEAD_CAPTURED).get_by_role("img", name="Devi Nair")).to_be_visible()
    drawer.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit the deal")
    assert dialog.get_by_label("Confidence").input_value() == "40"
    dialog.get_by_label("Estimated value").fill("3000000")
    dialog.get_by_role("button", name="Save").click()
    expect(drawer.locator(".timeline-item").first).to_contain_text("Value: 2,500,000.00 → 3,000,000.00")
    expect(card(page, deal_id)).to_contain_text("SGD 3,000,000")
    drawer.get_by_role("button", name="Hand over").click()
    dialog = page.get_by_role("dialog", name="Hand the deal over")
    dialog.get_by_label("To").select_option(label="Anna Lim")
    dialog.get_by_role("button", name="Hand over").click()
    expect(drawer.locator(".timeline-item").first).to_contain_text("Handed from Devi Nair to Anna Lim")
    drawer.get_by_role("button", name="Cancel the deal").click()
    dialog = page.get_by_role("dialog", name="Cancel the deal")
    dialog.get_by_role("button", name="Cancel the deal").click()
    expect(dialog.get_by_role("alert")).to_have_text("Cancelling a deal needs a reason.")
    dialog.get_by_label("Reason").fill("The owner withdrew")
    dialog.get_by_role("button", name="Cancel the deal").click()
    expect(drawer.locator(".stage-chip")).to_have_text("Cancelled")
    expect(card(page, deal_id)).to_have_count(0)


def test_a_move_takes_a_note(manager_page: Page, office: Office) -> None:
    """The menu's last line asks for stage and note; the note stands in the timeline."""
    deal_id = make_deal(office, "Moved with a note")
    page = open_board(manager_page, office, f"?deal={deal_id}")
    page.locator(".drawer").get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("menuitem", name="With a note").click()
    dialog = page.get_by_role("dialog", name="Move with a note")
    dialog.get_by_label("To stage").select_option(label="Due diligence")
    dialog.get_by_label("Note").fill("Survey ordered")
    dialog.get_by_role("button", name="Move").click()
    expect(card(page, deal_id, PipelineStage.DUE_DILIGENCE)).to_be_attached()
    expect(page.locator(".timeline-item").first).to_contain_text("Survey ordered")
    page.locator(".drawer").get_by_role("button", name="Undo the move").click()
    expect(card(page, deal_id, PipelineStage.PROPOSAL)).to_be_attached()


def test_filters_and_search_narrow_the_board(manager_page: Page, office: Office) -> None:
    """Types and words narrow cards, counts and the address; an address with them shows the same board."""
    kind = {"asset_type": AssetType.SPECIAL_PURPOSE, "deal_type": DealType.CAPITAL_RAISE}
    wanted = make_deal(office, "Zeppelin hangar", **kind)
    make_deal(office, "Another hangar", asset_type=AssetType.SPECIAL_PURPOSE)
    with office.ledger.write() as session:
        add_contact(session, SYSTEM, wanted, company="Airship Works")
    page = open_board(manager_page, office)
    page.get_by_label("Asset type").select_option("special_purpose")
    page.get_by_label("Deal type").select_option("capital_raise")
    expect(page.locator(".page-head")).to_contain_text("1 open deal,")
    page.get_by_label("Search title or company").fill("airship")
    expect(page).to_have_url(re.compile("asset_type=special_purpose&deal_type=capital_raise&q=airship$"))
    expect(page.locator(".deal")).to_have_count(1)
    expect(card(page, wanted)).to_be_visible()
    page.reload()
    expect(page.locator(".deal")).to_have_count(1)
    assert page.get_by_label("Search title or company").input_value() == "airship"
    page.get_by_label("Search title or company").fill("nothing has this name")
    expect(page.get_by_role("heading", name="No deal matches")).to_be_visible()
    page.get_by_label("Search title or company").fill("")
    expect(card(page, wanted)).to_be_visible()


def test_hostile_text_stays_text_everywhere(visitors: Visitors, office: Office) -> None:
    """Markup in every text of a deal is shown as written in drawer, dialog, message and queue, and nothing runs."""
    deal_id = make_deal(office, HOSTILE, description=HOSTILE, lead_source=HOSTILE[:90])
    make_commission(office, deal_id)
    with office.ledger.write() as session:
        add_contact(session, SYSTEM, deal_id, name=HOSTILE, company=HOSTILE, notes=HOSTILE)
        add_document(session, SYSTEM, deal_id, document_type="x", title=HOSTILE, uri=f"javascript:alert('{HOSTILE}')")
    page = visitors.open(office.address, link=office.make_link(office.agency.manager_id))
    open_board(page, office, f"?deal={deal_id}")
    drawer = page.locator(".drawer")
    expect(drawer.locator("h2")).to_have_text(HOSTILE)
    assert drawer.locator("a[href^=javascript], img, script").count() == 0
    drawer.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit the deal")
    assert dialog.get_by_label("Title").input_value() == HOSTILE
    page.keyboard.press("Escape")
    drawer.get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("menuitem", name="Lead captured").click()
    expect(page.locator(".message")).to_contain_text(HOSTILE)
    page.goto(f"{office.address}/agents/performance/commissions")
    expect(page.locator(".queue-deal", has_text="onerror").first).to_contain_text(HOSTILE)
    assert page.locator("main img, main script").count() == 0


def test_a_badge_proves_its_entry(manager_page: Page, office: Office) -> None:
    """Once a checkpoint covers an entry its badge says so; opened, it shows REST's proof, and that it was checked."""
    deal_id = make_deal(office, "To be proved")
    page = manager_page
    for _ in range(60):  # the server signs within seconds; a drawer shows what was signed when it was opened
        open_board(page, office, f"?deal={deal_id}")
        badge = page.locator(".timeline-item .record").first
        expect(badge).to_be_visible()
        if badge.get_attribute("data-state") == "checkpointed":
            break
        page.wait_for_timeout(1000)
    expect(badge.locator("> summary")).to_have_text("checkpointed")
    badge.locator("> summary").click()
    expect(badge).to_have_attribute("data-state", "verified")
    expect(badge.locator("> summary")).to_have_text("verified")
    entry = ask_rest(page, office, f"/deals/{deal_id}/timeline")["items"][-1]
    size = int(re.sub(r"\D", "", badge.locator(".record-proof > p").inner_text()))
    proof = ask_rest(page, office, f"/audit/proof/inclusion?n={entry['n']}&size={size}")
    assert proof["hash"] == entry["hash"]
    shown = badge.locator(".record-proof .hash").all_inner_texts()
    assert shown[0] == proof["root"]
    badge.locator(".record-path > summary").click()
    expect(badge.locator(".record-path li .hash")).to_have_text(proof["path"])


def test_the_dossier_holds_what_rest_gives_and_checks_itself(
    visitors: Visitors, office: Office, manager_page: Page, tmp_path: Path
) -> None:
    """Who may export gets a .zip with REST's entries that its own program finds sound; who may only look is not
    offered it. The proofs may differ from those of another request: the log may have been signed again in between."""
    deal_id = make_deal(office, "For an outsider")
    page = open_board(manager_page, office, f"?deal={deal_id}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the dossier").click()
    headers = {"Authorization": f"Bearer {office.agency.manager_token}"}
    again = page.request.post(f"{office.address}/api/v1/deals/{deal_id}/evidence", headers=headers)
    with zipfile.ZipFile(download.value.path()) as ours, zipfile.ZipFile(io.BytesIO(again.body())) as of_rest:
        assert ours.namelist() == of_rest.namelist()
        for name in ("entries.jsonl", "timeline.html", "vkeys.txt", "verify.py"):
            assert ours.read(name) == of_rest.read(name), name
        assert deal_id in ours.read("entries.jsonl").decode()
        ours.extractall(tmp_path)
    [key] = trusted_keys(office.settings.keys_dir).values()
    checked = subprocess.run(
        [sys.executable, "-I", "-B", "verify.py", "--key", key.vkey], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    looking = visitors.open(office.address, link=office.make_link(find_viewer(office)))
    open_board(looking, office, f"?deal={deal_id}")
    expect(looking.locator(".drawer")).to_contain_text("For an outsider")
    expect(looking.get_by_role("button", name="Download the dossier")).to_have_count(0)
