"""A board with a thousand open deals in one stage stays light, scrolls to its end and can be worked anywhere."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from ledger.access import SYSTEM, create_user
from ledger.deal_rules import NewDeal
from ledger.deals import change_deal, open_deal
from ledger.settings import Settings
from ledger.store import initialise
from ledger.vocabulary import AssetType, DealType, PipelineStage, Role
from tests.browser.agency import Agency
from tests.browser.conftest import Office, Visitors
from tests.browser.desk import card, column, count_of, open_board, total_of
from tests.support.browser import serve

pytestmark = pytest.mark.browser
CROWDED, NEXT = PipelineStage.QUALIFICATION, PipelineStage.NEEDS_ANALYSIS  # side by side, and in sight on a laptop
DEALS = 1000
MOST_CARDS = 60


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, list[str]]]:
    """An office of one agent with a thousand deals in one stage, and their ids, the last changed first."""
    settings = Settings(home=tmp_path_factory.mktemp("crowd") / "home")
    ledger = initialise(settings)
    with ledger.write() as session:
        anna = create_user(session, SYSTEM, name="Anna Lim", email="anna@example.com", role=Role.AGENT).id
        ids = [
            open_deal(
                session,
                SYSTEM,
                NewDeal(
                    agent_id=anna,
                    title=f"Deal number {number}" + " with a long title" * (number % 3),
                    asset_type=AssetType.OFFICE,
                    deal_type=DealType.LEASE,
                    estimated_value_amount=Decimal(1000),
                    pipeline_stage=CROWDED,
                ),
            ).id
            for number in range(DEALS)
        ]
    with serve(settings.home) as address:
        yield Office(Agency({"Anna Lim": anna}, "", ""), ledger, settings, address), ids[::-1]
    ledger.close()


@pytest.fixture
def page(visitors: Visitors, crowded: tuple[Office, list[str]]) -> Page:
    office, _ = crowded
    opened = visitors.open(office.address, link=office.make_link(office.agency.agents["Anna Lim"]))
    return open_board(opened, office)


def scroll_to(page: Page, share: float) -> None:
    """Scroll the crowded column to a share of its height in one go, as pulling its scroll bar does."""
    place = column(page, CROWDED).locator(".stage-cards")
    place.evaluate("(place, share) => { place.scrollTop = share * place.scrollHeight; }", share)


def list_shown(page: Page) -> list[str]:
    """Return the ids of the cards that the crowded column has, in order."""
    ids: list[str] = column(page, CROWDED).evaluate(
        "stage => [...stage.querySelectorAll('.deal')].map(card => card.dataset.deal)"
    )
    return ids


def test_a_column_of_a_thousand_scrolls_with_few_cards(page: Page, crowded: tuple[Office, list[str]]) -> None:
    """It counts and sums all; wherever it is scrolled, the cards in sight are the right ones, and never many."""
    _, ids = crowded
    assert count_of(page, CROWDED) == DEALS
    assert total_of(page, CROWDED) == DEALS * 1000
    for share in (0.3, 1.0, 0.55, 0.0):
        scroll_to(page, share)
        # In sight is what the scroll bar's place says: every card there is the one of that number.
        page.wait_for_function(
            """([stage, ids]) => {
                const place = document.querySelector(`.stage[data-stage="${stage}"] .stage-cards`);
                const { top, bottom } = place.getBoundingClientRect();
                const seen = [...place.querySelectorAll(".deal")].filter((card) => {
                    const box = card.getBoundingClientRect();
                    return box.bottom > top + 8 && box.top < bottom - 8;
                });
                if (!seen.length) return false;
                const first = Math.floor((seen[0].getBoundingClientRect().top - top + place.scrollTop)
                    / ((place.scrollHeight - 8) / ids.length));
                const covered = seen.at(-1).getBoundingClientRect().bottom - seen[0].getBoundingClientRect().top;
                return covered > place.clientHeight * 0.7
                    && seen.every((card, index) => card.dataset.deal === ids[first + index]);
            }""",
            arg=[CROWDED.value, ids],
        )
        shown = list_shown(page)
        assert len(shown) <= MOST_CARDS
        start = ids.index(shown[0])
        assert shown == ids[start : start + len(shown)]
    assert page.locator(".deal").count() <= MOST_CARDS


def test_the_last_of_a_thousand_is_dragged_on(page: Page, crowded: tuple[Office, list[str]]) -> None:
    """A card from the far end moves as any other; the column stays where it was scrolled to and counts one less."""
    _, ids = crowded
    scroll_to(page, 1.0)
    last = card(page, ids[-1], CROWDED)
    expect(last).to_be_in_viewport()
    last.drag_to(column(page, NEXT).locator(".stage-cards"))
    expect(card(page, ids[-1], NEXT)).to_be_visible()
    assert (count_of(page, CROWDED), count_of(page, NEXT)) == (DEALS - 1, 1)
    expect(card(page, ids[-2], CROWDED)).to_be_in_viewport()
    page.locator(".message").get_by_role("button", name="Undo").click()
    expect(card(page, ids[-1], NEXT)).to_have_count(0)
    assert count_of(page, CROWDED) == DEALS
    expect(card(page, ids[-2], CROWDED)).to_be_in_viewport()
    ids.insert(0, ids.pop())  # the last changed comes first


def test_somebody_elses_change_does_not_move_what_is_looked_at(page: Page, crowded: tuple[Office, list[str]]) -> None:
    """With the column scrolled to its middle, a deal that jumps to the top leaves the cards in sight where they are."""
    office, ids = crowded
    scroll_to(page, 0.5)
    middle = card(page, ids[DEALS // 2], CROWDED)
    expect(middle).to_be_in_viewport()
    place = middle.bounding_box()
    start = ids.index(list_shown(page)[0])
    with office.ledger.write() as session:
        change_deal(session, SYSTEM, ids[-1], {"title": "Changed by another"})
    ids.insert(0, ids.pop())  # every other deal has one more above it
    page.wait_for_function(
        "([stage, id]) => document.querySelector(`.stage[data-stage='${stage}'] .deal`).dataset.deal === id",
        arg=[CROWDED.value, ids[start]],
    )
    now = middle.bounding_box()
    assert place is not None and now is not None
    assert now["y"] == pytest.approx(place["y"], abs=2), "a card is about 150 pixels high"
    assert len(list_shown(page)) <= MOST_CARDS
