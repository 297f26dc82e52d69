"""The rules of deals, each with the entry that it promises."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger import deals
from ledger.errors import (
    AmountInvalid,
    ContactNotFound,
    CursorInvalid,
    DealNotClosed,
    DealNotFound,
    DealNotOpen,
    EffectiveInFuture,
    EffectiveTooEarly,
    Invalid,
    NoteRequired,
    NothingToChange,
    RevisionStale,
    StageNotReachable,
    TimeNaive,
    UserNotFound,
    WordUnknown,
)
from ledger.log.texts import read_texts
from ledger.store import Ledger
from ledger.tables import AgentDeal, AuditText, DealContact, StageEvent
from ledger.vocabulary import DealStatus, PipelineStage
from tests.support.ledger import (
    LONG_AGO,
    Staff,
    entries_of,
    find_all,
    log_size,
    new_deal,
    open_some_deal,
    read_log,
    run,
)

OPEN_STAGES = [stage for stage in PipelineStage if stage.is_open]


@pytest.fixture
def deal(ledger: Ledger, staff: Staff) -> AgentDeal:
    return open_some_deal(ledger, staff.agent)


def close(ledger: Ledger, staff: Staff, deal: AgentDeal, **named: Any) -> AgentDeal:
    return run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.CLOSED_WON, **named)


def test_opening_writes_one_entry_that_holds_every_column(ledger: Ledger, staff: Staff) -> None:
    [entry] = entries_of(ledger, deals.open_deal, staff.agent, new_deal(staff.agent, confidence=Decimal("0.6")))
    assert entry["type"] == "deal.opened"
    assert entry["chain"] == f"deal:{entry['subject']['id']}"
    assert (entry["seq"], entry["prev"]) == (1, "00" * 32)
    assert entry["effective_at"] == "2025-01-06T01:30:00.000000Z"
    assert entry["actor"] == {"kind": "user", "id": staff.agent.id, "role": "agent"}
    values = entry["data"]["set"]
    assert values["estimated_value_amount"] == "1200000.00"
    assert values["confidence"] == "0.60"
    assert values["pipeline_stage"] == "lead_captured"
    assert set(values) == {*deals.CHANGEABLE, "agent_id", "external_ref", "pipeline_stage", "status"}
    assert entry["data"]["stage_event"]["from"] is None


def test_texts_stand_in_the_log_as_commitments_only(ledger: Ledger, staff: Staff) -> None:
    secret = "Confidential: Mr Tan sells"
    [entry] = entries_of(ledger, deals.open_deal, staff.agent, new_deal(staff.agent, description=secret, note=secret))
    assert secret not in repr(entry)
    with ledger.read() as session:
        commitment = entry["data"]["set"]["description"]
        assert read_texts(session, [commitment]) == {commitment: secret}


def test_a_deal_does_not_open_closed(ledger: Ledger, staff: Staff) -> None:
    with pytest.raises(StageNotReachable) as caught:
        open_some_deal(ledger, staff.agent, pipeline_stage=PipelineStage.CLOSED_WON)
    assert caught.value.reachable == OPEN_STAGES


def test_a_deal_needs_an_existing_agent(ledger: Ledger, staff: Staff) -> None:
    with pytest.raises(UserNotFound):
        run(ledger, deals.open_deal, staff.manager, new_deal(staff.agent, agent_id="nobody"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"estimated_value_amount": Decimal(-1)}, AmountInvalid),
        ({"estimated_value_amount": 0.1}, AmountInvalid),
        ({"confidence": Decimal(60)}, AmountInvalid),
        ({"estimated_value_currency": "sgd"}, WordUnknown),
        ({"asset_type": "castle"}, WordUnknown),
        ({"title": "  "}, Invalid),
        ({"title": "\ud800"}, Invalid),
        ({"opened_at": datetime(2026, 1, 1)}, TimeNaive),  # noqa: DTZ001 - the point of the test
        ({"opened_at": datetime(2999, 1, 1, tzinfo=UTC)}, EffectiveInFuture),
        ({"actual_close_date": date(2026, 1, 1)}, Invalid),
    ],
)
def test_what_a_deal_cannot_be_is_refused_and_not_recorded(
    ledger: Ledger, staff: Staff, changes: dict[str, Any], error: type[Invalid]
) -> None:
    before = log_size(ledger)
    with pytest.raises(error):
        open_some_deal(ledger, staff.agent, **changes)
    assert log_size(ledger) == before


def test_a_change_is_one_entry_with_what_was_there_before(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    changes = {"estimated_value_amount": Decimal(1300000), "title": "Marina tower, level 14", "lead_source": None}
    [entry] = entries_of(ledger, deals.change_deal, staff.agent, deal.id, changes, revision=1)
    assert entry["type"] == "deal.changed"
    assert entry["data"]["was"] == {"estimated_value_amount": "1200000.00"}
    assert set(entry["data"]["set"]) == {"estimated_value_amount", "title"}
    with ledger.read() as session:
        found = deals.get_deal(session, staff.agent, deal.id)
        assert (found.title, found.estimated_value_amount, found.revision) == (
            "Marina tower, level 14",
            Decimal("1300000.00"),
            2,
        )


def test_a_change_of_nothing_is_refused(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(NothingToChange):
        run(ledger, deals.change_deal, staff.agent, deal.id, {"title": deal.title})


@pytest.mark.parametrize("column", ["pipeline_stage", "status", "agent_id", "id", "external_ref", "revision"])
def test_columns_with_a_verb_of_their_own_are_not_changed_sideways(
    ledger: Ledger, staff: Staff, deal: AgentDeal, column: str
) -> None:
    with pytest.raises(WordUnknown):
        run(ledger, deals.change_deal, staff.manager, deal.id, {column: "closed_won"})


def test_a_stale_revision_is_refused_with_the_current_one(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    run(ledger, deals.change_deal, staff.agent, deal.id, {"title": "New"}, revision=1)
    with pytest.raises(RevisionStale) as caught:
        run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL, revision=1)
    assert caught.value.current == 2


@pytest.mark.parametrize("source", OPEN_STAGES)
@pytest.mark.parametrize("target", PipelineStage)
def test_an_open_deal_moves_to_any_other_stage(source: PipelineStage, target: PipelineStage) -> None:
    assert (target in source.reachable) == (target is not source)


def test_a_move_writes_one_entry_and_one_stage_event(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    [entry] = entries_of(
        ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.NEGOTIATION, note="They called"
    )
    assert entry["type"] == "deal.stage_changed"
    assert entry["data"]["set"] == {"pipeline_stage": "negotiation", "status": "open", "actual_close_date": None}
    event = entry["data"]["stage_event"]
    assert (event["from"], event["to"]) == ("lead_captured", "negotiation")
    with ledger.read() as session:
        row = session.get_one(StageEvent, event["id"])
        assert (row.from_stage, row.to_stage, row.note) == ("lead_captured", "negotiation", "They called")
        assert row.changed_by == staff.agent.id


def test_moving_to_the_same_stage_names_those_that_are_reachable(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(StageNotReachable) as caught:
        run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.LEAD_CAPTURED)
    assert len(caught.value.reachable) == 9


def test_closing_sets_status_and_close_date_in_the_business_time_zone(
    ledger: Ledger, staff: Staff, deal: AgentDeal
) -> None:
    late_evening_utc = datetime(2025, 3, 31, 17, 0, tzinfo=UTC)  # already 1 April in Singapore
    closed = close(ledger, staff, deal, effective_at=late_evening_utc)
    assert (closed.status, closed.actual_close_date) == (DealStatus.CLOSED_WON, date(2025, 4, 1))


def test_a_closed_deal_does_not_move(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    close(ledger, staff, deal)
    with pytest.raises(StageNotReachable, match="manager can reopen") as caught:
        run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
    assert caught.value.reachable == []


def test_reopening_clears_the_close_date(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    close(ledger, staff, deal)
    [entry] = entries_of(
        ledger, deals.reopen_deal, staff.manager, deal.id, to_stage=PipelineStage.NEGOTIATION, note="Buyer is back"
    )
    assert entry["type"] == "deal.reopened"
    assert entry["data"]["set"] == {"pipeline_stage": "negotiation", "status": "open", "actual_close_date": None}
    with ledger.read() as session:
        found = deals.get_deal(session, staff.manager, deal.id)
        assert (found.status, found.actual_close_date) == (DealStatus.OPEN, None)


def test_reopening_needs_a_note_a_closed_deal_and_an_open_stage(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(DealNotClosed):
        run(ledger, deals.reopen_deal, staff.manager, deal.id, to_stage=PipelineStage.PROPOSAL, note="x")
    close(ledger, staff, deal)
    with pytest.raises(NoteRequired):
        run(ledger, deals.reopen_deal, staff.manager, deal.id, to_stage=PipelineStage.PROPOSAL, note=" ")
    with pytest.raises(StageNotReachable):
        run(ledger, deals.reopen_deal, staff.manager, deal.id, to_stage=PipelineStage.CLOSED_LOST, note="x")


def test_cancelling_needs_a_reason_and_can_be_reopened(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(NoteRequired):
        run(ledger, deals.cancel_deal, staff.agent, deal.id, reason="")
    [entry] = entries_of(ledger, deals.cancel_deal, staff.agent, deal.id, reason="Landlord withdrew")
    assert (entry["type"], entry["data"]["set"]) == ("deal.cancelled", {"status": "cancelled"})
    with pytest.raises(DealNotOpen):
        run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
    with pytest.raises(DealNotOpen):
        run(ledger, deals.cancel_deal, staff.agent, deal.id, reason="again")
    back = run(
        ledger, deals.reopen_deal, staff.manager, deal.id, to_stage=PipelineStage.LEAD_CAPTURED, note="Came back"
    )
    assert (back.status, back.cancelled_at) == (DealStatus.OPEN, None)


def test_assigning_names_both_agents(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    [entry] = entries_of(ledger, deals.assign_deal, staff.manager, deal.id, agent_id=staff.other_agent.id)
    assert entry["type"] == "deal.assigned"
    assert entry["data"] == {"set": {"agent_id": staff.other_agent.id}, "was": {"agent_id": staff.agent.id}}


def test_a_late_paper_does_not_move_a_deal_back(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.AGREEMENT)
    [entry] = entries_of(
        ledger,
        deals.advance_stage,
        staff.agent,
        deal.id,
        PipelineStage.PROPOSAL,
        effective_at=LONG_AGO + timedelta(days=3),
    )
    assert entry["data"]["set"] == {}
    assert entry["data"]["stage_event"]["from"] == "lead_captured"
    with ledger.read() as session:
        assert deals.get_deal(session, staff.agent, deal.id).pipeline_stage is PipelineStage.AGREEMENT


def test_an_event_is_neither_in_the_future_nor_before_the_deal(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(EffectiveInFuture):
        close(ledger, staff, deal, effective_at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(EffectiveTooEarly):
        close(ledger, staff, deal, effective_at=LONG_AGO - timedelta(seconds=1))


def test_contacts_are_committed_and_can_be_erased(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    contact = run(ledger, deals.add_contact, staff.agent, deal.id, name="Tan Ah Kow", company="Acme", phone="+65 1")
    [entry] = entries_of(ledger, deals.erase_contact, staff.agent, deal.id, contact.id)
    assert entry["type"] == "contact.erased"
    with ledger.read() as session:
        row = session.get_one(DealContact, contact.id)
        assert (row.name, row.company, row.phone) == (None, None, None)
        assert row.erased_at is not None
        assert "Tan Ah Kow" not in {text.text for text in find_all(session, AuditText)}
        assert sum(text.erased_at is not None for text in find_all(session, AuditText)) == 3
    assert "Tan Ah Kow" not in repr(read_log(ledger))
    with pytest.raises(ContactNotFound):
        run(ledger, deals.erase_contact, staff.agent, deal.id, "none")


def test_a_document_is_recorded_with_its_digest(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    [entry] = entries_of(
        ledger,
        deals.add_document,
        staff.agent,
        deal.id,
        document_type="agreement",
        title="Option to purchase",
        uri="https://files.example.com/1",
        sha256="a" * 64,
    )
    assert entry["type"] == "document.recorded"
    assert entry["data"]["set"]["sha256"] == "a" * 64
    assert entry["data"]["set"]["uri"] != "https://files.example.com/1"


def test_the_timeline_measures_each_stage(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    second, third = LONG_AGO + timedelta(days=2), LONG_AGO + timedelta(days=2, hours=1)
    for stage, moment in ((PipelineStage.PROPOSAL, second), (PipelineStage.CLOSED_LOST, third)):
        run(ledger, deals.advance_stage, staff.agent, deal.id, stage, effective_at=moment, note=f"to {stage}")
    with ledger.read() as session:
        items = deals.list_timeline(session, deal.id)
    assert [item.duration_seconds for item in items] == [2 * 86_400, 3600, None]
    assert [item.is_current for item in items] == [False, False, True]
    assert items[1].data["stage_event"]["note"] == "to proposal"
    assert [item.to_stage for item in items] == ["lead_captured", "proposal", "closed_lost"]
    assert items[0].hash == items[0].hash.lower()
    assert [item.seq for item in items] == [1, 2, 3]


def test_pages_show_every_deal_once_in_order(ledger: Ledger, staff: Staff) -> None:
    opened = [open_some_deal(ledger, staff.agent, title=f"Deal {i}").id for i in range(7)]
    seen: list[str] = []
    cursor = None
    with ledger.read() as session:
        while True:
            page, cursor = deals.list_deals(session, staff.agent, None, cursor, limit=3)
            seen += [row.id for row in page]
            if cursor is None:
                break
    assert seen == opened[::-1]


def test_a_made_up_cursor_is_refused(ledger: Ledger, staff: Staff) -> None:
    for cursor in ("x", "////", "AAAA", "é"):
        with ledger.read() as session, pytest.raises(CursorInvalid):
            deals.list_deals(session, staff.agent, cursor=cursor)


def test_deals_are_found_by_words_in_title_and_company(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    open_some_deal(ledger, staff.agent, title="100% occupied mall")
    run(ledger, deals.add_contact, staff.agent, deal.id, company="Acme Holdings")
    with ledger.read() as session:
        for words, count in (("MARINA", 1), ("acme", 1), ("100%", 1), ("%", 1), ("nothing", 0)):
            found, _ = deals.list_deals(session, staff.agent, deals.DealFilter(q=words))
            assert len(found) == count, words


def test_an_agent_lists_only_their_own_deals(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with ledger.read() as session:
        assert deals.list_deals(session, staff.other_agent)[0] == []
        assert len(deals.list_deals(session, staff.viewer)[0]) == 1
        with pytest.raises(DealNotFound):
            deals.get_deal(session, staff.other_agent, deal.id)
        with pytest.raises(DealNotFound):
            deals.list_timeline(session, deal.id, staff.other_agent)


def test_the_board_counts_open_deals_by_stage_and_currency(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    open_some_deal(ledger, staff.agent, estimated_value_amount=Decimal("100.10"), confidence=Decimal("0.35"))
    open_some_deal(ledger, staff.agent, estimated_value_amount=Decimal(7), estimated_value_currency="USD")
    won = open_some_deal(ledger, staff.agent)
    close(ledger, staff, won)
    with ledger.read() as session:
        counts = {count.stage: count for count in deals.pipeline_counts(session, staff.manager)}
        assert all(count.deals == 0 for count in deals.pipeline_counts(session, staff.other_agent))
    lead = counts[PipelineStage.LEAD_CAPTURED]
    assert list(counts) == OPEN_STAGES
    assert lead.deals == 3
    assert lead.totals == {"SGD": Decimal("1200100.10"), "USD": Decimal("7.00")}
    assert lead.weighted == {"SGD": Decimal("35.04")}  # 35.035, half to even
    assert lead.without_confidence == {"SGD": Decimal("1200000.00"), "USD": Decimal("7.00")}
