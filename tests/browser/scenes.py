"""Every page, drawer and dialog of the workspace as one list, for the tests that must look at all of them."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from ledger.access import SYSTEM
from ledger.actors import Actor
from ledger.commission_rules import NewCommission
from ledger.commissions import adjust_commission, move_commission, open_dispute, record_commission
from ledger.deals import add_contact, add_document, advance_stage, change_deal
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, PipelineStage, Role
from tests.browser.conftest import Office
from tests.browser.desk import BOARD, make_deal
from tests.support.crm_export import DEALS, MAPPING

COMMISSIONS = "/agents/performance/commissions"


@dataclass(frozen=True)
class Desk:
    """A deal with everything that can hang on one, one that is closed, lines that wait; `words` is in all texts."""

    office: Office
    words: str
    deal_id: str
    closed_id: str
    disputed_id: str
    pending_ids: list[str]


def furnish(office: Office, words: str) -> Desk:
    """Make a desk whose every text contains `words`."""
    deal_id = make_deal(office, f"{words}, level 12", PipelineStage.NEGOTIATION, value="12345678.90")
    closed_id = make_deal(office, f"{words}, sold", PipelineStage.CLOSED_WON)
    anna = office.agency.agents["Anna Lim"]
    manager = Actor("user", office.agency.manager_id, Role.MANAGER)
    with office.ledger.write() as session:
        change_deal(session, manager, deal_id, {"description": f"{words}: wants to see it again", "lead_source": words})
        advance_stage(session, manager, deal_id, PipelineStage.AGREEMENT, note=f"{words} agreed by telephone")
        add_contact(
            session,
            manager,
            deal_id,
            name=f"{words} Lee",
            company=f"{words} Holdings",
            email="hui.lee@example.com",
            phone="+65 5550 1234",
            notes=f"{words}: before noon",
        )
        add_document(
            session,
            manager,
            deal_id,
            document_type="offer",
            title=f"{words}: offer",
            uri=f"https://files.example.com/offers/{'2026-' * 12}offer.pdf?{words}".replace(" ", "_"),
        )
        lines = {}
        for kind in (CommissionType.EXCLUSIVE, CommissionType.CO_BROKE, CommissionType.REFERRAL):
            new = NewCommission(
                agent_id=anna,
                commission_type=kind,
                basis_amount=Decimal("12345678.90"),
                commission_rate=Decimal("0.0150"),
            )
            lines[kind] = record_commission(session, SYSTEM, deal_id, new).id
        move_commission(session, manager, lines[CommissionType.EXCLUSIVE], CommissionStatus.CONFIRMED)
        adjust_commission(
            session,
            manager,
            lines[CommissionType.EXCLUSIVE],
            adjustment_type=AdjustmentType.CLAWBACK,
            amount=Decimal("1500.00"),
            note=f"{words}: fee shared",
        )
        open_dispute(
            session,
            Actor("user", anna, Role.AGENT),
            lines[CommissionType.CO_BROKE],
            amount=Decimal("7500.00"),
            reason=f"{words} says the introducer was not named in the letter of 3 May",
            evidence=[f"https://files.example.com/letters/{words}.pdf".replace(" ", "_")],
        )
        new = NewCommission(
            agent_id=anna,
            commission_type=CommissionType.EXCLUSIVE,
            basis_amount=Decimal("950000.00"),
            commission_rate=Decimal("0.0200"),
        )
        pending = [lines[CommissionType.REFERRAL], record_commission(session, SYSTEM, closed_id, new).id]
    return Desk(office, words, deal_id, closed_id, lines[CommissionType.CO_BROKE], pending)


@dataclass(frozen=True)
class Scene:
    """How something comes to be seen: `open` leads there and waits; `part` is what is looked at, the page if empty."""

    open: Callable[[Page, Desk], None]
    part: str = ""
    is_long: bool = False


def _page(path: str, ready: str) -> Callable[[Page, Desk], None]:
    def go(page: Page, desk: Desk) -> None:
        page.goto(desk.office.address + path.format(anna=desk.office.agency.agents["Anna Lim"]))
        expect(page.locator(ready).first).to_be_visible()

    return go


def _drawer(page: Page, desk: Desk, deal_id: str = "") -> Locator:
    page.goto(f"{desk.office.address}{BOARD}?deal={deal_id or desk.deal_id}")
    drawer = page.locator(".drawer")
    expect(drawer.locator(".timeline-item").first).to_be_visible()
    return drawer


def _ask(button: str, title: str, *, is_closed: bool = False, typed: dict[str, str] | None = None) -> Scene:
    """Return the scene of a drawer's dialog, with what was typed wrongly refused where there is something to type."""

    def go(page: Page, desk: Desk) -> None:
        _drawer(page, desk, desk.closed_id if is_closed else "").get_by_role("button", name=button).first.click()
        dialog = page.get_by_role("dialog", name=title)
        expect(dialog).to_be_visible()
        for label, value in (typed or {}).items():
            dialog.get_by_label(label).first.fill(value)
        if typed:
            dialog.locator('button[type="submit"]').click()
            expect(dialog.get_by_role("alert")).to_be_visible()

    return Scene(go, "dialog[open]")


def _menu(item: str, title: str) -> Scene:
    def go(page: Page, desk: Desk) -> None:
        _drawer(page, desk).get_by_role("button", name="Move").first.click()
        page.get_by_role("menuitem", name=item).click()
        expect(page.get_by_role("dialog", name=title)).to_be_visible()

    return Scene(go, "dialog[open]")


def _open_menu(page: Page, desk: Desk) -> None:
    _drawer(page, desk).get_by_role("button", name="Move").first.click()
    expect(page.get_by_role("menu", name="Move to")).to_be_visible()


def _open_proof(page: Page, desk: Desk) -> None:
    badge = _drawer(page, desk).locator(".record").first
    for _ in range(60):  # the server signs within seconds; a drawer shows what was signed when it was opened
        if badge.get_attribute("data-state") != "recorded":
            break
        page.wait_for_timeout(1000)
        badge = _drawer(page, desk).locator(".record").first
    badge.locator("summary").first.click()
    expect(badge).to_have_attribute("data-state", "verified")
    badge.locator(".record-path > summary").click()


def _open_new(page: Page, desk: Desk) -> None:
    _page(BOARD, ".deal")(page, desk)
    page.get_by_role("button", name="New deal").click()
    expect(page.get_by_role("dialog", name="New deal")).to_be_visible()


def _line(commission_id: str) -> str:
    return f'[data-commission="{commission_id}"]'


def _open_bulk(page: Page, desk: Desk) -> None:
    _page(COMMISSIONS, ".queue tbody tr")(page, desk)
    for commission_id in desk.pending_ids:
        page.locator(_line(commission_id)).get_by_role("checkbox").check()
    page.get_by_role("button", name="Confirm 2 chosen").click()
    expect(page.get_by_role("dialog", name="Confirm 2 commissions")).to_be_visible()


def _settle(commission: Callable[[Desk], str], button: str, title: str) -> Scene:
    def go(page: Page, desk: Desk) -> None:
        _page(COMMISSIONS, ".queue tbody tr")(page, desk)
        page.locator(_line(commission(desk))).get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog", name=title)).to_be_visible()

    return Scene(go, "dialog[open]")


def _give_files(page: Page, desk: Desk) -> Path:
    folder = desk.office.settings.home.parent / "paper"
    folder.mkdir(exist_ok=True)
    mapping, deals = folder / "paper.toml", folder / f"{desk.words[:20].replace('/', '')} deals.csv"
    mapping.write_text(MAPPING)
    rows = [
        [f"P{n}", "Anna Lim", desk.words, "Offer", f"{n},500,000.00", "40", f"2026-01-0{n}", ""] for n in range(1, 7)
    ]
    rows[2][3] = desk.words  # no stage has this name
    with deals.open("w", newline="") as file:
        csv.writer(file).writerows([DEALS.split(","), *rows])
    _page("/agents/performance/imports", ".drop-zone")(page, desk)
    page.locator('.drop-zone input[type="file"]').set_input_files([str(mapping), str(deals)])
    expect(page.locator(".preview-table .rejected").first).to_be_visible()
    return deals


def _try_import(page: Page, desk: Desk) -> None:
    _give_files(page, desk)
    page.get_by_role("button", name="Try it").click()
    expect(page.locator(".import-outcome")).to_have_attribute("data-outcome", "dry_run")


SCENES: dict[str, Scene] = {
    "home": Scene(_page("/agents/performance/home", "#team tbody tr"), is_long=True),
    "pipeline": Scene(_page(BOARD, ".deal")),
    "performance": Scene(_page("/agents/performance?period=365d", "#chart-sources svg"), is_long=True),
    "agent": Scene(_page("/agents/performance?period=365d&agent_id={anna}", "#chart-sources svg"), is_long=True),
    "commissions": Scene(_page(COMMISSIONS, ".queue tbody tr"), is_long=True),
    "imports": Scene(_page("/agents/performance/imports", ".drop-zone"), is_long=True),
    "log": Scene(_page("/agents/performance/log", "[data-entry]"), is_long=True),
    "deal": Scene(lambda page, desk: expect(_drawer(page, desk)).to_be_visible()),
    "deal-closed": Scene(lambda page, desk: expect(_drawer(page, desk, desk.closed_id)).to_be_visible(), ".drawer"),
    "deal-proof": Scene(_open_proof, ".drawer"),
    "menu-move": Scene(_open_menu, "#move-menu"),
    "dialog-new": Scene(_open_new, "dialog[open]"),
    "dialog-edit": _ask("Edit", "Edit the deal", typed={"Estimated value": "a lot"}),
    "dialog-cancel": _ask("Cancel the deal", "Cancel the deal", typed={"Reason": " "}),
    "dialog-hand-over": _ask("Hand over", "Hand the deal over"),
    "dialog-reopen": _ask("Reopen", "Reopen the deal", is_closed=True, typed={"Why": " "}),
    "dialog-close": _menu("Closed won", "Close as won"),
    "dialog-note": _menu("With a note…", "Move with a note"),
    "dialog-contact": _ask("Add a contact", "Add a contact", typed={"Notes": " "}),
    "dialog-document": _ask("Add a document", "Add a document", typed={"Title": "Offer", "Address": "nowhere"}),
    "dialog-commission": _ask("Record a commission", "Record a commission", typed={"Rate in percent": "200"}),
    "dialog-erase": _ask("Erase", "Erase the contact"),
    "dialog-bulk-confirm": Scene(_open_bulk, "dialog[open]"),
    "dialog-dispute": _settle(lambda desk: desk.pending_ids[0], "Dispute", "Dispute the commission"),
    "dialog-resolve": _settle(lambda desk: desk.disputed_id, "Resolve", "Resolve the dispute"),
    "imports-preview": Scene(lambda page, desk: _give_files(page, desk) and None, is_long=True),
    "imports-tried": Scene(_try_import, is_long=True),
}
