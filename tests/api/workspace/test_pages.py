"""What pages say and offer, to whom: told by NiceGUI's simulated user, without a browser."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from nicegui.testing.user import User

from api.workspace.context import NAVIGATION
from ledger.access import SYSTEM
from ledger.commission_rules import NewCommission
from ledger.commissions import open_dispute, record_commission
from ledger.deal_rules import NewDeal
from ledger.deals import advance_stage, open_deal
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import Commission
from ledger.vocabulary import AssetType, CommissionType, DealType, PipelineStage
from tests.api.conftest import People, Person
from tests.support.published_file import publish_sample
from tests.support.simulated_user import SignIn, list_texts, tell

HOME, BOARD, NUMBERS, MONEY, FILES, LOG = (
    f"/agents/performance{path}" for path in ("/home", "/pipeline", "", "/commissions", "/imports", "/log")
)
Tell = Callable[[Callable[[SignIn], object]], None]


@pytest.fixture
def story(settings: Settings, ledger: Ledger) -> Tell:
    return lambda told: tell(settings, ledger, told)  # type: ignore[arg-type]


def make_deal(ledger: Ledger, agent: Person, title: str, *, is_won: bool = False) -> str:
    with ledger.write() as session:
        new = NewDeal(
            agent_id=agent.id,
            title=title,
            asset_type=AssetType.OFFICE,
            deal_type=DealType.LEASE,
            estimated_value_amount=Decimal("1000000.00"),
        )
        deal = open_deal(session, SYSTEM, new)
        if is_won:
            advance_stage(session, SYSTEM, deal.id, PipelineStage.CLOSED_WON)
    return deal.id


def make_commission(ledger: Ledger, deal_id: str, agent: Person) -> str:
    with ledger.write() as session:
        new = NewCommission(
            agent_id=agent.id,
            commission_type=CommissionType.EXCLUSIVE,
            basis_amount=Decimal("1000000.00"),
            commission_rate=Decimal("0.0200"),
        )
        return record_commission(session, SYSTEM, deal_id, new).id


def list_pages(user: User) -> list[str]:
    """Return the words of the navigation."""
    words = [title for title, _, _ in NAVIGATION]
    return [text for text in list_texts(user, "a") if text in words]


async def see(user: User, words: str) -> None:
    """Wait until the page says so, also when it takes a while to be read."""
    await user.should_see(words, retries=100)


# ---- who gets in, and where they land


def test_a_stranger_is_told_how_to_sign_in_wherever_they_come(story: Tell, ledger: Ledger, people: People) -> None:
    """No page says anything about the agency before somebody has signed in; the way in is explained."""
    deal_id = make_deal(ledger, people.anna, "A secret penthouse")

    async def told(sign_in: SignIn) -> None:
        stranger = await sign_in(None)
        for path in (HOME, BOARD, f"{BOARD}?deal={deal_id}", NUMBERS, MONEY, FILES, LOG):
            await stranger.open(path)
            await stranger.should_see("dealbook login-link")
            assert not [text for text in list_texts(stranger) if "Lim" in text or "penthouse" in text]

    story(told)


def test_everyone_lands_where_their_work_is_and_is_offered_their_pages(story: Tell, people: People) -> None:
    """An agent on the board, a viewer and an administrator on the numbers, a manager on Today; each with own links."""
    manager_pages = [title for title, _, _ in NAVIGATION]
    expected = {
        people.anna: ("Pipeline", ["Pipeline", "Performance", "Commissions"]),
        people.viewer: ("Performance", ["Pipeline", "Performance", "Commissions", "Log"]),
        people.manager: ("Today", manager_pages),
        people.admin: ("Performance", ["Pipeline", "Performance", "Commissions", "Log"]),
    }

    async def told(sign_in: SignIn) -> None:
        for person, (landing, pages) in expected.items():
            user = await sign_in(person.id)
            await user.open(HOME)
            assert list_texts(user, "h1") == [landing], person.role
            assert list_pages(user) == pages, person.role

    story(told)


def test_a_session_that_ends_takes_the_page_away(story: Tell, ledger: Ledger, people: People) -> None:
    """Who signs out in one window can do nothing any more in another: the next press leads to the sign-in page."""
    commission_id = make_commission(ledger, make_deal(ledger, people.anna, "Sold", is_won=True), people.anna)

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(MONEY)
        await see(user, "Sold")
        answer = await user.http_client.post("/logout", headers={"Origin": "http://test"})
        assert answer.status_code == 303
        user.find(kind=None, content="Confirm").click()
        await see(user, "dealbook login-link")

    story(told)
    with ledger.read() as session:
        assert session.get_one(Commission, commission_id).status == "pending"


# ---- what is offered


def test_what_a_role_may_not_do_to_a_deal_is_not_offered(story: Tell, ledger: Ledger, people: People) -> None:
    """A viewer looks; an agent works their own deal and knows no other; handing over and reopening are a manager's."""
    own = make_deal(ledger, people.anna, "Of Anna")
    won = make_deal(ledger, people.anna, "Won by Anna", is_won=True)
    work = ["Move", "Edit", "Cancel the deal"]

    async def told(sign_in: SignIn) -> None:
        async def offered(person: Person, deal_id: str) -> list[str]:
            user = await sign_in(person.id)
            await user.open(f"{BOARD}?deal={deal_id}")
            await see(user, "Timeline")
            words = list_texts(user, "button")
            return [each for each in words if each in (*work, "Hand over", "Reopen", "Add", "Record", "New deal")]

        assert await offered(people.viewer, own) == []
        assert await offered(people.anna, own) == ["New deal", *work, "Record", "Add", "Add"]
        assert await offered(people.manager, own) == [
            "New deal",
            "Move",
            "Edit",
            "Hand over",
            work[-1],
            "Record",
            "Add",
            "Add",
        ]
        assert "Reopen" not in await offered(people.anna, won)
        assert "Reopen" in await offered(people.manager, won)
        ben = await sign_in(people.ben.id)
        await ben.open(f"{BOARD}?deal={own}")
        await see(ben, "No such deal")
        await ben.open(f"{BOARD}?agent_id={people.anna.id}")
        await see(ben, "No deals here yet")
        assert "Of Anna" not in list_texts(ben)

    story(told)


def test_nobody_settles_their_own_line_and_agents_none(story: Tell, ledger: Ledger, people: People) -> None:
    """A manager confirms, resolves and chooses others' lines, not their own; agents dispute theirs; a viewer looks."""
    deal_id = make_deal(ledger, people.anna, "Shared", is_won=True)
    make_commission(ledger, deal_id, people.anna)
    make_commission(ledger, make_deal(ledger, people.anna, "Sold by both", is_won=True), people.manager)
    disputed = make_commission(ledger, make_deal(ledger, people.ben, "Of Ben", is_won=True), people.ben)
    with ledger.write() as session:
        open_dispute(session, SYSTEM, disputed, amount=Decimal("7500.00"), reason="The introducer was not named")

    async def told(sign_in: SignIn) -> None:
        async def offered(person: Person) -> list[str]:
            user = await sign_in(person.id)
            await user.open(MONEY)
            await see(user, "commission")
            words = ("Confirm", "Dispute", "Resolve", "Invoice", "Pay")
            return [each for each in list_texts(user, "button") if each in words]

        assert await offered(people.viewer) == []
        assert await offered(people.anna) == ["Dispute", "Dispute"]
        assert await offered(people.ben) == []
        assert sorted(await offered(people.manager)) == ["Confirm", "Dispute", "Dispute", "Resolve"]
        manager = await sign_in(people.manager.id)
        await manager.open(MONEY)
        await see(manager, "Of Ben")
        assert "SGD 7,500.00: The introducer was not named" in list_texts(manager)
        await manager.open(HOME)
        await see(manager, "Work on these")
        counts = [text for text in list_texts(manager, "span") if text.isdigit()]
        assert counts[:4] == ["1", "2", "0", "0"], "disputed, to confirm, to invoice, to pay"
        await manager.open(MONEY)
        await see(manager, "Of Ben")
        marks = [each for each in manager.current_layout.descendants() if each.props.get("type") == "checkbox"]
        assert [mark.props["aria-label"] for mark in marks] == ["Choose Shared"]

    story(told)


def test_a_page_that_is_not_for_everyone_says_for_whom_it_is(story: Tell, people: People) -> None:
    """Imports are for managers and the log for those who see all deals, also when their address is typed in."""

    async def told(sign_in: SignIn) -> None:
        anna = await sign_in(people.anna.id)
        await anna.open(FILES)
        await anna.should_see("Managers import files")
        await anna.should_not_see("Choose files or drop them here")
        await anna.open(LOG)
        await anna.should_see("for those who see all deals")
        viewer = await sign_in(people.viewer.id)
        await viewer.open(LOG)
        await see(viewer, "Leaf")
        await viewer.should_not_see("Roll back to it")
        assert not [words for words in list_texts(viewer, "td") if words.startswith(("Auth", "User"))]

    story(told)


# ---- empty, loading, stale, failed


@pytest.mark.parametrize(
    ("path", "title", "command"),
    [
        (HOME, "Nothing waits here.", "dealbook refresh"),
        (BOARD, "No deals here yet", "dealbook import FILE --mapping NAME"),
        (NUMBERS, "No numbers have been published yet", "dealbook refresh"),
        (MONEY, "Nothing is waiting", ""),
        (FILES, "Nothing has been imported yet.", ""),
        (LOG, "Nothing has been published yet; the first refresh does it.", ""),
    ],
)
def test_an_empty_page_says_why_and_what_to_do(
    story: Tell, people: People, path: str, title: str, command: str
) -> None:
    """Before the first deal and the first refresh each page explains itself, and names the command that helps."""

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(path)
        await see(user, title)
        assert command in ("", *list_texts(user, "code"))
        await user.should_see("no numbers yet")

    story(told)


def test_old_numbers_are_called_old_before_any_figure(story: Tell, settings: Settings, people: People) -> None:
    """When refreshes have failed for longer than allowed, the chip and a notice say since when."""
    publish_sample(settings.published_dir, published_at=datetime.now(UTC) - timedelta(days=3))

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(f"{NUMBERS}?agent_id=team")
        await see(user, "These numbers are older than they should be.")
        await user.should_see("published 3 days ago")
        await user.should_see("as of 30 Jun 2025, stale")

    story(told)


def test_numbers_of_another_version_say_so(story: Tell, settings: Settings, people: People) -> None:
    """After an upgrade the published file may lack a column: the page says what to do, and the queue is still there."""
    name = publish_sample(settings.published_dir)
    with duckdb.connect(str(settings.published_dir / name)) as connection:
        connection.execute("ALTER TABLE agent_performance_snapshots DROP COLUMN open_days")

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(HOME)
        await see(user, "These numbers are of another version")
        assert "dealbook refresh" in list_texts(user, "code")
        await user.should_see("Nothing waits here.")

    story(told)


def test_a_part_that_fails_leaves_the_rest_usable(
    story: Tell, settings: Settings, ledger: Ledger, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """A published file that cannot be read makes a plain message, not a broken page; the log has the reason."""
    publish_sample(settings.published_dir)
    make_deal(ledger, people.anna, "Still on the board")
    broken = settings.published_dir / "marts-000000000999-broken.duckdb"
    broken.write_bytes(b"not a database")

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(NUMBERS)
        await see(user, "Win rate")
        (settings.published_dir / "CURRENT").write_text(broken.name)
        await user.open(NUMBERS)
        await see(user, "This could not be read")
        await user.open(BOARD)
        await see(user, "1 open deal")

    story(told)
    assert any("could not" in record.message for record in caplog.records)


# ---- what tables contain


def test_the_team_table_is_the_published_day(story: Tell, settings: Settings, people: People) -> None:
    """Names, won, win rate and value won of each agent, the most deals won first, as the marts have them."""
    publish_sample(settings.published_dir)

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(f"{NUMBERS}?agent_id=team&period=as_of")
        await see(user, "Leaderboard")
        (table,) = [each for each in user.current_layout.descendants() if each.props.get("id") == "team"]
        cells = [getattr(each, "text", "") for each in table.descendants()]
        words = [text for text in cells if text]
        start = words.index("Anna Lim")
        assert words[start : start + 4] == ["Anna Lim", "6", "60.0 % of 10", "6,000"]

    story(told)


def test_a_value_that_no_rate_converts_says_so_and_what_to_do(story: Tell, settings: Settings, people: People) -> None:
    """A zero for want of an exchange rate is never shown as a figure: notice, tile and table name it and the remedy."""
    name = publish_sample(settings.published_dir)
    with duckdb.connect(str(settings.published_dir / name)) as connection:
        connection.execute(
            "UPDATE agent_performance_snapshots SET won_value = 0, closed_unconverted_count = 6, unconverted_count = 2"
            " WHERE agent_name = 'Anna Lim'"
        )

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(f"{NUMBERS}?agent_id=team&period=as_of")
        await see(
            user, "Money is missing here: 6 closed deals and 2 open deals in a currency without an exchange rate."
        )
        assert "dealbook reference fx_rates.csv && dealbook refresh" in list_texts(user, "code")
        notes = list_texts(user, "p")
        assert notes.count("6 closed deals left out: no exchange rate") == 3, "won, lost, average"
        assert notes.count("2 open deals left out: no exchange rate") == 2
        assert "worth SGD 0" not in notes
        assert "6 without rate" in list_texts(user, "td")

    story(told)


def test_a_card_says_what_the_ledger_knows(story: Tell, ledger: Ledger, people: People) -> None:
    """Title, value, age, kind, agent and what was recorded last; the column counts and sums."""
    make_deal(ledger, people.anna, "Level 12")
    make_deal(ledger, people.ben, "Level 13")

    async def told(sign_in: SignIn) -> None:
        user = await sign_in(people.manager.id)
        await user.open(BOARD)
        await see(user, "2 open deals")
        cards = [each.props["deal"] for each in user.current_layout.descendants() if "deal" in each.props]
        assert [card["title"] for card in cards] == ["Level 13", "Level 12"]
        shown = {key: cards[1][key] for key in ("company", "value", "age", "kind", "agent", "initials", "latest")}
        assert shown == {
            "company": "No company yet",
            "value": "SGD 1,000,000",
            "age": "0 days",
            "kind": "Office, lease",
            "agent": "Anna Lim",
            "initials": "AL",
            "latest": "just now: opened",
        }
        assert "2,000,000" in list_texts(user, "span")

    story(told)
