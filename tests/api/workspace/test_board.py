"""The board adds up: weighted as METRICS has it, closed stages beside open ones, and nobody's deals for nobody else."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from api.workspace.board import Board, BoardReader, Column, StageRule, Stretch, read_stage_rules
from ledger.access import SYSTEM, Actor
from ledger.deal_rules import NewDeal
from ledger.deals import add_contact, advance_stage, cancel_deal, open_deal
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.vocabulary import AssetType, DealType, PipelineStage, Role
from tests.api.conftest import People, Person

NOW = datetime.now(UTC)


def read_board(ledger: Ledger, settings: Settings, actor: Actor, agent_id: str | None = None, cards: int = 20) -> Board:
    with ledger.read() as session:
        rules = read_stage_rules(settings.dbt_project_dir)
        return BoardReader(session, actor, agent_id, rules, "SGD").read_board(cards)


def column_of(board: Board, stage: PipelineStage) -> Column:
    return next(column for column in board.columns if column.stage is stage)


def make_deal(
    ledger: Ledger, agent: Person, value: str | None, confidence: str | None = None, currency: str = "SGD"
) -> str:
    with ledger.write() as session:
        new = NewDeal(
            agent_id=agent.id,
            title="Shophouse",
            asset_type=AssetType.RETAIL,
            deal_type=DealType.LEASE,
            estimated_value_amount=None if value is None else Decimal(value),
            estimated_value_currency=currency,
            confidence=None if confidence is None else Decimal(confidence),
            opened_at=NOW - timedelta(days=30),
        )
        return open_deal(session, SYSTEM, new).id


def test_totals_keep_currencies_apart_and_weigh_by_confidence(
    ledger: Ledger, settings: Settings, people: People
) -> None:
    """A stated confidence weighs; a deal without one takes its stage's default; a deal without a value only counts."""
    make_deal(ledger, people.anna, "1000.00", "0.50")
    make_deal(ledger, people.ben, "200.00")
    make_deal(ledger, people.ben, "70.00", "0.10", currency="USD")
    make_deal(ledger, people.ben, None)
    column = column_of(read_board(ledger, settings, SYSTEM), PipelineStage.LEAD_CAPTURED)
    default = read_stage_rules(settings.dbt_project_dir)[PipelineStage.LEAD_CAPTURED].default_confidence
    assert column.count == 4
    assert {total.currency: (total.total, total.weighted) for total in column.totals} == {
        "SGD": (Decimal("1200.00"), Decimal("500.00") + Decimal("200.00") * default),
        "USD": (Decimal("70.00"), Decimal("7.00")),
    }


def test_closed_deals_stand_in_their_columns_and_cancelled_in_none(
    ledger: Ledger, settings: Settings, people: People
) -> None:
    """Won and lost have a column each; a cancelled deal leaves the board."""
    won, lost, gone = (make_deal(ledger, people.anna, "100.00") for _ in range(3))
    with ledger.write() as session:
        advance_stage(session, SYSTEM, won, PipelineStage.CLOSED_WON)
        advance_stage(session, SYSTEM, lost, PipelineStage.CLOSED_LOST)
        cancel_deal(session, SYSTEM, gone, reason="Owner withdrew")
    board = read_board(ledger, settings, SYSTEM)
    assert [column.stage for column in board.columns] == list(PipelineStage)
    assert {column.stage: column.count for column in board.columns if column.count} == {
        PipelineStage.CLOSED_WON: 1,
        PipelineStage.CLOSED_LOST: 1,
    }
    assert [card.deal_id for card in column_of(board, PipelineStage.CLOSED_WON).cards] == [won]


def test_a_column_is_read_from_any_place(ledger: Ledger, settings: Settings, people: People) -> None:
    """Stretches laid end to end give every deal once, newest first; one past the end of a shorter column is moved."""
    made = [make_deal(ledger, people.anna, "100.00") for _ in range(7)]
    stage = PipelineStage.LEAD_CAPTURED
    with ledger.read() as session:
        reader = BoardReader(session, SYSTEM, None, read_stage_rules(settings.dbt_project_dir), "SGD")
        seen = [card.deal_id for first in (0, 3, 6) for card in reader.read_cards(stage, Stretch(first, 3))]
        column = column_of(reader.read_board(5, {stage: Stretch(6, 3)}), stage)
    assert seen == made[::-1]
    assert (column.count, column.first, [card.deal_id for card in column.cards]) == (7, 4, seen[4:])


def test_a_card_knows_its_company_its_age_and_what_was_done_last(
    ledger: Ledger, settings: Settings, people: People
) -> None:
    """Its clock starts with the last stage, not with the deal; it names the first company and the newest entry."""
    deal_id = make_deal(ledger, people.anna, "100.00")
    entered = NOW - timedelta(days=5)
    with ledger.write() as session:
        advance_stage(session, SYSTEM, deal_id, PipelineStage.PROPOSAL, effective_at=entered)
        add_contact(session, SYSTEM, deal_id, name="No company")
        add_contact(session, SYSTEM, deal_id, company="First Pte Ltd")
        add_contact(session, SYSTEM, deal_id, company="Second Pte Ltd")
    (card,) = column_of(read_board(ledger, settings, SYSTEM), PipelineStage.PROPOSAL).cards
    assert (card.company, card.agent_name, card.stage_entered_at) == ("First Pte Ltd", people.anna.name, entered)
    assert card.latest_kind == "contact.recorded"
    assert card.latest_at > entered


@pytest.mark.parametrize(("days", "level"), [(14, ""), (15, "amber"), (28, "amber"), (29, "red")])
def test_a_deal_that_stands_still_changes_colour(
    ledger: Ledger, settings: Settings, people: People, days: int, level: str
) -> None:
    """Amber past the stage's limit, red past twice that."""
    make_deal(ledger, people.anna, "100.00")
    rules = dict.fromkeys(PipelineStage, StageRule(Decimal("0.50"), 14))
    with ledger.read() as session:
        (card,) = BoardReader(session, SYSTEM, None, rules, "SGD").read_cards(
            PipelineStage.LEAD_CAPTURED, Stretch(0, 5)
        )
    assert card.level(days) == level


def test_an_agent_gets_only_their_own_whoever_is_asked_for(ledger: Ledger, settings: Settings, people: People) -> None:
    """Rights are the ledger's, not the page's: asking for a colleague's board gives an agent an empty one."""
    make_deal(ledger, people.anna, "100.00")
    make_deal(ledger, people.ben, "100.00")
    ben = Actor("user", people.ben.id, Role.AGENT)
    counts = [
        sum(column.count for column in read_board(ledger, settings, ben, agent_id).columns)
        for agent_id in (None, people.ben.id, people.anna.id)
    ]
    assert counts == [1, 1, 0]
