"""What a page asks for is what the ledger allows: moves, their undoing, closing days, forms; and nothing beyond."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from api.workspace import moves, wording
from api.workspace.board import BoardReader, read_stage_rules
from api.workspace.commissions import read_queues
from api.workspace.deal_view import DealView, duration, read_deal, say_item
from ledger.access import SYSTEM, Actor
from ledger.commission_rules import NewCommission
from ledger.commissions import adjust_commission, move_commission, record_commission
from ledger.deal_cards import read_log_size
from ledger.deal_lists import DealFilter
from ledger.deal_rules import NewDeal
from ledger.deals import add_contact, advance_stage, assign_deal, cancel_deal, erase_contact, get_deal, open_deal
from ledger.errors import (
    AmountInvalid,
    DealNotFound,
    EffectiveTooEarly,
    Invalid,
    NotPermitted,
    RevisionStale,
    StageNotReachable,
    TextInvalid,
)
from ledger.imported import ImportedStage
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AgentDeal
from ledger.vocabulary import AdjustmentType, AssetType, CommissionStatus, CommissionType, DealType, PipelineStage
from tests.api.conftest import People, Person
from tests.support.ledger import LONG_AGO, import_items, imported_deal

NOW = datetime.now(UTC)
FORM = {"title": "Shophouse", "asset_type": "retail", "deal_type": "lease", "currency": "sgd"}


def actor_of(person: Person) -> Actor:
    return Actor("user", person.id, person.role)


def make_deal(ledger: Ledger, agent: Person, title: str = "Shophouse") -> str:
    with ledger.write() as session:
        new = NewDeal(
            agent_id=agent.id,
            title=title,
            asset_type=AssetType.RETAIL,
            deal_type=DealType.LEASE,
            estimated_value_amount=Decimal("1000.00"),
            opened_at=NOW - timedelta(days=30),
        )
        return open_deal(session, SYSTEM, new).id


def move(ledger: Ledger, actor: Actor, deal_id: str, stage: PipelineStage, **more: object) -> None:
    with ledger.write() as session:
        moves.move_deal(session, actor, deal_id, stage, now=datetime.now(UTC), **more)  # type: ignore[arg-type]


def stage_of(ledger: Ledger, deal_id: str) -> PipelineStage:
    with ledger.read() as session:
        return get_deal(session, SYSTEM, deal_id).pipeline_stage


def view_of(ledger: Ledger, settings: Settings, actor: Actor, deal_id: str) -> DealView:
    with ledger.read() as session:
        rules = read_stage_rules(settings.dbt_project_dir)
        return read_deal(session, actor, deal_id, rules, datetime.now(UTC))


def test_a_move_is_undone_within_ten_minutes_and_not_later(ledger: Ledger, people: People) -> None:
    """Undoing leads back to the stage before; eleven minutes later the same asks in vain and writes nothing."""
    anna = actor_of(people.anna)
    deal_id = make_deal(ledger, people.anna)
    move(ledger, anna, deal_id, PipelineStage.PROPOSAL)
    with ledger.write() as session, pytest.raises(StageNotReachable, match="last ten minutes"):
        moves.undo_move(session, anna, deal_id, now=datetime.now(UTC) + timedelta(minutes=11))
    with ledger.write() as session:
        moves.undo_move(session, anna, deal_id, now=datetime.now(UTC) + timedelta(minutes=9))
    assert stage_of(ledger, deal_id) is PipelineStage.LEAD_CAPTURED


def test_only_who_may_reopen_undoes_a_closing(ledger: Ledger, settings: Settings, people: People) -> None:
    """An agent who closed by mistake is not offered to undo it and cannot; a manager is and can."""
    anna, manager = actor_of(people.anna), actor_of(people.manager)
    deal_id = make_deal(ledger, people.anna)
    move(ledger, anna, deal_id, PipelineStage.CLOSED_LOST)
    assert view_of(ledger, settings, anna, deal_id).undo_stage is None
    with ledger.write() as session, pytest.raises(NotPermitted):
        moves.undo_move(session, anna, deal_id, now=datetime.now(UTC))
    assert view_of(ledger, settings, manager, deal_id).undo_stage is PipelineStage.LEAD_CAPTURED
    with ledger.write() as session:
        moves.undo_move(session, manager, deal_id, now=datetime.now(UTC))
    assert stage_of(ledger, deal_id) is PipelineStage.LEAD_CAPTURED


def test_opening_and_cancelling_are_no_moves_to_undo(ledger: Ledger, people: People) -> None:
    """A deal in its first stage, or cancelled, has nothing to go back to."""
    anna = actor_of(people.anna)
    deal_id = make_deal(ledger, people.anna)
    with ledger.write() as session, pytest.raises(StageNotReachable):
        moves.undo_move(session, anna, deal_id, now=datetime.now(UTC))
    move(ledger, anna, deal_id, PipelineStage.PROPOSAL)
    with ledger.write() as session:
        cancel_deal(session, anna, deal_id, reason="Withdrawn")
    with ledger.write() as session, pytest.raises(StageNotReachable):
        moves.undo_move(session, anna, deal_id, now=datetime.now(UTC))


def test_a_deal_closes_on_the_day_that_is_given(ledger: Ledger, settings: Settings, people: People) -> None:
    """A past day becomes the close date; a day before the deal entered its stage would not close it, and is refused."""
    anna = actor_of(people.anna)
    deal_id = make_deal(ledger, people.anna)
    with ledger.write() as session:
        advance_stage(session, SYSTEM, deal_id, PipelineStage.PROPOSAL, effective_at=NOW - timedelta(days=10))
    today = NOW.astimezone(settings.time_zone).date()
    with pytest.raises(EffectiveTooEarly, match="cannot have closed before"):
        move(ledger, anna, deal_id, PipelineStage.CLOSED_WON, closed_on=today - timedelta(days=11))
    with pytest.raises(Invalid, match="future"):
        move(ledger, anna, deal_id, PipelineStage.CLOSED_WON, closed_on=today + timedelta(days=2))
    move(ledger, anna, deal_id, PipelineStage.CLOSED_WON, closed_on=today - timedelta(days=3))
    with ledger.read() as session:
        assert get_deal(session, SYSTEM, deal_id).actual_close_date == today - timedelta(days=3)
    view = view_of(ledger, settings, SYSTEM, deal_id)
    assert [lines for _, lines in (say_item(item, view) for item in view.timeline)] == [
        [],
        [],
        [f"Closed on: {wording.day(today - timedelta(days=3))}"],
    ]


def test_a_move_from_an_old_picture_is_refused(ledger: Ledger, people: People) -> None:
    """A page that has not seen the latest change of a deal cannot move it."""
    deal_id = make_deal(ledger, people.anna)
    move(ledger, SYSTEM, deal_id, PipelineStage.PROPOSAL)
    with pytest.raises(RevisionStale):
        move(ledger, actor_of(people.anna), deal_id, PipelineStage.AGREEMENT, revision=1)


def test_forced_changes_are_refused_and_write_nothing(ledger: Ledger, people: People) -> None:
    """Whatever a page sends, the ledger's rights decide: for a viewer no, for a colleague there is no such deal."""
    deal_id = make_deal(ledger, people.anna)
    with ledger.read() as session:
        size = read_log_size(session)
    for person, fact in ((people.viewer, NotPermitted), (people.ben, DealNotFound)):
        actor = actor_of(person)
        with pytest.raises(fact):
            move(ledger, actor, deal_id, PipelineStage.CLOSED_WON, closed_on=NOW.date())
        with ledger.write() as session, pytest.raises(fact):
            moves.undo_move(session, actor, deal_id, now=NOW)
        with ledger.write() as session, pytest.raises(fact):
            moves.change_from_form(session, actor, deal_id, FORM, revision=1)
        with ledger.write() as session, pytest.raises((fact, NotPermitted)):
            moves.open_from_form(session, actor, FORM | {"agent_id": people.anna.id})
    with ledger.read() as session:
        assert read_log_size(session) == size


def test_a_form_becomes_exact_values(ledger: Ledger, people: People) -> None:
    """Separators are read, percent becomes a share, blank clears, and money is never a float."""
    form = FORM | {
        "value": "1,250,000.50",
        "confidence": "62.5",
        "expected_close_date": "2027-01-31",
        "company": "Acme",
    }
    with pytest.raises(AmountInvalid), ledger.write() as session:
        moves.open_from_form(session, actor_of(people.anna), form)  # half a percent more than the ledger keeps
    with ledger.write() as session:
        deal_id = moves.open_from_form(session, actor_of(people.anna), form | {"confidence": "62"})
    with ledger.read() as session:
        deal = get_deal(session, SYSTEM, deal_id)
        assert (deal.estimated_value_amount, deal.confidence) == (Decimal("1250000.50"), Decimal("0.62"))
        assert (deal.estimated_value_currency, deal.agent_id) == ("SGD", people.anna.id)
    with ledger.write() as session:
        moves.change_from_form(session, actor_of(people.anna), deal_id, FORM, revision=deal.revision)
    with ledger.read() as session:
        assert get_deal(session, SYSTEM, deal_id).estimated_value_amount is None
    for wrong in ({"value": "much"}, {"confidence": "140"}, {"expected_close_date": "soon"}):
        with pytest.raises(Invalid):
            moves.read_deal_form(FORM | wrong)
    with ledger.write() as session, pytest.raises(TextInvalid):
        moves.open_from_form(session, actor_of(people.anna), FORM | {"title": "x" * 501})


def test_the_view_offers_what_the_role_may_do(ledger: Ledger, settings: Settings, people: People) -> None:
    """The table of rights decides what a drawer offers: nothing to a viewer, no handing over to an agent."""
    deal_id = make_deal(ledger, people.anna)
    offered = {}
    for person in (people.viewer, people.anna, people.manager):
        view = view_of(ledger, settings, actor_of(person), deal_id)
        offered[person.role.value] = (view.may_write, view.may_assign, view.may_reopen)
    assert offered == {"viewer": (False,) * 3, "agent": (True, False, False), "manager": (True,) * 3}


def test_a_confidence_is_told_with_the_stage_it_came_with(ledger: Ledger, settings: Settings, people: People) -> None:
    """Opened, moved, closed, reopened: each as the CRM's history had it; a closing states none."""
    path = [
        (PipelineStage.LEAD_CAPTURED, "0.1"),
        (PipelineStage.PROPOSAL, "0.45"),
        (PipelineStage.CLOSED_LOST, "0"),
        (PipelineStage.NEGOTIATION, "0.7"),
    ]
    stages = [
        ImportedStage(stage, LONG_AGO + timedelta(days=day), confidence=Decimal(confidence))
        for day, (stage, confidence) in enumerate(path)
    ]
    import_items(ledger, "deals", [imported_deal(actor_of(people.anna), stages=stages)])
    with ledger.read() as session:
        [deal_id] = session.scalars(select(AgentDeal.id))
    view = view_of(ledger, settings, SYSTEM, deal_id)
    said = [lines for title, lines in (say_item(item, view) for item in view.timeline) if "added" not in title]
    closed = f"Closed on: {wording.day((LONG_AGO + timedelta(days=2)).astimezone(settings.time_zone).date())}"
    assert said == [["Confidence: 10 %"], ["Confidence: 45 %"], [closed], ["Confidence: 70 %"]]


def test_everything_in_a_timeline_has_words(ledger: Ledger, settings: Settings, people: People) -> None:
    """Each kind of entry is said in words of its own, names instead of ids; erased texts are said to be erased."""
    deal_id = make_deal(ledger, people.anna)
    with ledger.write() as session:
        contact = add_contact(session, SYSTEM, deal_id, name="Lee Hui")
        new = NewCommission(people.anna.id, CommissionType.EXCLUSIVE, Decimal("1000.00"), Decimal("0.0200"))
        commission = record_commission(session, SYSTEM, deal_id, new)
        move_commission(session, SYSTEM, commission.id, CommissionStatus.CONFIRMED)
        adjust_commission(
            session,
            SYSTEM,
            commission.id,
            adjustment_type=AdjustmentType.CLAWBACK,
            amount=Decimal("5.00"),
            note="Shared",
        )
        assign_deal(session, SYSTEM, deal_id, agent_id=people.ben.id)
        erase_contact(session, SYSTEM, deal_id, contact.id)
    view = view_of(ledger, settings, SYSTEM, deal_id)
    said = [say_item(item, view) for item in view.timeline]
    assert [title for title, _ in said] == [
        "Opened in Lead captured",
        "Contact added",
        "Exclusive commission of Anna Lim recorded",
        "Exclusive commission of Anna Lim: confirmed",
        "Clawback of SGD 5.00 on Exclusive commission of Anna Lim",
        "Handed from Anna Lim to Ben Ong",
        "Contact erased",
    ]
    assert "Lee Hui" not in str(said)
    assert view.commissions[0].net == Decimal("15.00")


def test_the_queue_holds_what_waits_and_says_who_may_settle(ledger: Ledger, people: People) -> None:
    """Agents see their own lines and settle none; a line on a colleague's deal shows no title of that deal."""
    deal_id = make_deal(ledger, people.anna, "Anna's own")
    with ledger.write() as session:
        for person in (people.anna, people.ben, people.manager):
            new = NewCommission(person.id, CommissionType.CO_BROKE, Decimal("1000.00"), Decimal("0.0100"))
            record_commission(session, SYSTEM, deal_id, new)

    def pending(person: Person) -> dict[str, tuple[str | None, bool]]:
        with ledger.read() as session:
            found = read_queues(session, actor_of(person), "", {})
        rows = next(queue.rows for queue in found.queues if queue.status is CommissionStatus.PENDING)
        return {row.commission.agent_name: (row.title, row.commission.may_settle) for row in rows}

    assert pending(people.ben) == {people.ben.name: (None, False)}
    assert pending(people.manager) == {
        people.anna.name: ("Anna's own", True),
        people.ben.name: ("Anna's own", True),
        people.manager.name: ("Anna's own", False),
    }


def test_a_narrowed_board_counts_what_it_shows(ledger: Ledger, settings: Settings, people: People) -> None:
    """Search and types narrow counts and totals of open and closed stages as they narrow the cards."""
    wanted = make_deal(ledger, people.anna, "Lighthouse")
    won = make_deal(ledger, people.anna, "Old lighthouse")
    make_deal(ledger, people.anna, "Anything else")
    move(ledger, SYSTEM, won, PipelineStage.CLOSED_WON)
    with ledger.read() as session:
        rules = read_stage_rules(settings.dbt_project_dir)
        for narrowing, count in ((DealFilter(q="LIGHTHOUSE"), 1), (DealFilter(asset_type=AssetType.LAND), 0)):
            reader = BoardReader(session, SYSTEM, None, rules, "SGD", narrowing=narrowing)
            columns = {column.stage: column for column in reader.read_board(20).columns}
            for stage, deal_id in ((PipelineStage.LEAD_CAPTURED, wanted), (PipelineStage.CLOSED_WON, won)):
                assert columns[stage].count == count
                assert [card.deal_id for card in columns[stage].cards] == [deal_id] * count
                assert [total.total for total in columns[stage].totals] == [Decimal("1000.00")] * count


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "under a minute"), (90, "1 min"), (7200, "2 h"), (3 * 86400, "3 days")]
)
def test_durations_are_said_in_the_unit_that_fits(seconds: float, words: str) -> None:
    """Minutes, hours up to two days, then days."""
    assert duration(seconds) == words
