"""The import path: same rules, same entries, nothing twice, and one bad item spoils no other."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from ledger import commissions, deals
from ledger.actors import SYSTEM
from ledger.bulk import (
    BulkImport,
    ImportedAdjustment,
    ImportedCommission,
    ImportedDispute,
    ImportedPerson,
    ImportedStage,
    ImportedStageEvent,
    finish_import,
    record_rejects,
    start_import,
)
from ledger.errors import NothingToChange, NotPermitted
from ledger.fold import TABLE_OF
from ledger.imports import list_rejects
from ledger.log.chain import now_utc
from ledger.log.verify import verify_chains
from ledger.rebuild import compare_tables, rebuild_tables
from ledger.store import Ledger
from ledger.tables import AgentDeal, Commission, CommissionAdjustment, CommissionDispute, DealContact, StageEvent, User
from ledger.vocabulary import (
    AdjustmentType,
    CommissionStatus,
    CommissionType,
    DealStatus,
    DisputeOutcome,
    PipelineStage,
    Role,
)
from tests.support.ledger import (
    LONG_AGO,
    Staff,
    find_all,
    import_items,
    imported_deal,
    log_size,
    new_deal,
    read_log,
    record_some_commission,
    run,
)


def after(days: float) -> datetime:
    return LONG_AGO + timedelta(days=days)


def stages(*path: tuple[PipelineStage, float]) -> list[ImportedStage]:
    return [ImportedStage(stage, after(days)) for stage, days in path]


CLOSED = stages((PipelineStage.LEAD_CAPTURED, 0), (PipelineStage.CLOSED_WON, 30))


def imported_commission(staff: Staff, **changes: Any) -> ImportedCommission:
    values: dict[str, Any] = {
        "deal_external_ref": "crm:1",
        "agent_id": staff.agent.id,
        "commission_type": CommissionType.EXCLUSIVE,
        "basis_amount": Decimal("1000.20"),
        "basis_currency": "SGD",
        "commission_rate": Decimal("0.0250"),
        "introduced_at": after(1),
        "statuses": [(CommissionStatus.CONFIRMED, after(10)), (CommissionStatus.INVOICED, after(40))],
        "adjustments": [(AdjustmentType.CLAWBACK, Decimal("5.00"), after(50), "Left early")] * 2,
        "disputes": [(Decimal("3.00"), after(20), after(25), DisputeOutcome.DENIED, "Split")],
    }
    return ImportedCommission(**values | changes)


def only_deal(ledger: Ledger) -> AgentDeal:
    with ledger.read() as session:
        [deal] = find_all(session, AgentDeal)
        return deal


def kinds(outcomes: list[Any]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


def test_a_new_deal_brings_its_whole_path(ledger: Ledger, staff: Staff) -> None:
    before = log_size(ledger)
    item = imported_deal(staff.agent, stages=CLOSED, actual_close_date=date(2025, 2, 6), company="Acme")
    [outcome] = import_items(ledger, "deals", [item])
    assert (outcome.kind, outcome.entries) == ("created", 3)
    assert [entry["type"] for entry in read_log(ledger, before)] == [
        "import.started",
        "deal.opened",
        "deal.stage_changed",
        "contact.recorded",
    ]
    deal = only_deal(ledger)
    assert deal.id == outcome.id
    assert (deal.status, deal.actual_close_date, deal.revision) == (DealStatus.CLOSED_WON, date(2025, 2, 6), 3)
    with ledger.read() as session:
        assert [event.effective_at for event in find_all(session, StageEvent)] == [after(0), after(30)]


def test_the_files_close_date_belongs_to_the_last_closing_alone(ledger: Ledger, staff: Staff) -> None:
    path = [*CLOSED, *stages((PipelineStage.PROPOSAL, 40), (PipelineStage.CLOSED_LOST, 50))]
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=path, actual_close_date=date(2025, 2, 27))])
    dates = [entry["data"]["set"]["actual_close_date"] for entry in read_log(ledger) if entry["chain"][:4] == "deal"]
    assert dates == [None, "2025-02-05", None, "2025-02-27"]


def test_the_same_import_again_adds_nothing_to_the_log(ledger: Ledger, staff: Staff) -> None:
    people = [ImportedPerson("Cara Ng"), ImportedPerson("Dan Ho", "dan@example.com")]
    stated: dict[str, Any] = {"metadata": {"row": "1"}, "confidence": Decimal("0.5")}
    items = [imported_deal(staff.agent, f"crm:{i}", company=f"Company {i}", **stated) for i in range(5)]
    items.append(imported_deal(staff.agent, "crm:won", stages=CLOSED, actual_close_date=date(2025, 2, 6)))
    items.append(imported_deal(staff.agent, "crm:gone", is_cancelled=True, cancelled_at=after(20)))
    items.append(imported_deal(staff.agent, "crm:gone too", is_cancelled=True))
    events = [ImportedStageEvent("crm:2", PipelineStage.AGREEMENT, after(60))]
    lines = [imported_commission(staff, deal_external_ref=f"crm:{i}") for i in range(3)]
    batches = [("people", people), ("deals", items), ("stage_events", events), ("commissions", lines)]
    for verb, batch in batches:
        assert "refused" not in kinds(import_items(ledger, verb, batch)), verb
    size = log_size(ledger)
    for verb, batch in batches:
        outcomes = import_items(ledger, verb, batch)
        assert set(kinds(outcomes)) == {"unchanged"}, verb
        assert all(outcome.id for outcome in outcomes)
    assert log_size(ledger) == size


def test_a_deal_twice_in_one_batch_is_opened_once(ledger: Ledger, staff: Staff) -> None:
    item = imported_deal(staff.agent)
    outcomes = import_items(ledger, "deals", [item, item, replace(item, title="Renamed")])
    assert kinds(outcomes) == ["created", "unchanged", "changed"]
    assert only_deal(ledger).title == "Renamed"


def test_a_newer_file_changes_what_differs_and_adds_what_is_new(ledger: Ledger, staff: Staff) -> None:
    item = imported_deal(staff.agent, description="kept")
    import_items(ledger, "deals", [item])
    size = log_size(ledger)
    newer = replace(
        item,
        title="New title",
        description=None,
        agent_id=staff.other_agent.id,
        stages=[*item.stages, ImportedStage(PipelineStage.AGREEMENT, after(30))],
    )
    [outcome] = import_items(ledger, "deals", [newer])
    assert (outcome.kind, outcome.entries) == ("changed", 3)
    assert [entry["type"] for entry in read_log(ledger, size)] == [
        "import.started",
        "deal.stage_changed",
        "deal.changed",
        "deal.assigned",
    ]
    deal = only_deal(ledger)
    assert (deal.title, deal.description, deal.agent_id) == ("New title", "kept", staff.other_agent.id)
    assert deal.pipeline_stage is PipelineStage.AGREEMENT


def test_a_late_stage_event_is_history_and_moves_nothing(ledger: Ledger, staff: Staff) -> None:
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    late = ImportedStageEvent("crm:1", PipelineStage.QUALIFICATION, after(3))
    [outcome] = import_items(ledger, "stage_events", [late])
    assert outcome.kind == "changed"
    entry = read_log(ledger)[-1]
    assert (entry["data"]["set"], entry["data"]["stage_event"]["from"]) == ({}, "lead_captured")
    assert only_deal(ledger).pipeline_stage is PipelineStage.NEGOTIATION


def test_events_of_one_moment_count_in_order_of_arrival(ledger: Ledger, staff: Staff) -> None:
    same_day = stages((PipelineStage.LEAD_CAPTURED, 0), (PipelineStage.PROPOSAL, 0), (PipelineStage.AGREEMENT, 0))
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=same_day)])
    assert only_deal(ledger).pipeline_stage is PipelineStage.AGREEMENT
    import_items(ledger, "stage_events", [ImportedStageEvent("crm:1", PipelineStage.CLOSED_LOST, after(0))])
    assert only_deal(ledger).status is DealStatus.CLOSED_LOST


def test_an_import_may_know_of_events_before_the_deals_first(ledger: Ledger, staff: Staff) -> None:
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    [outcome] = import_items(
        ledger, "stage_events", [ImportedStageEvent("crm:1", PipelineStage.QUALIFICATION, after(-5))]
    )
    assert outcome.kind == "changed"
    assert read_log(ledger)[-1]["data"]["stage_event"]["from"] is None


def stated(*path: tuple[PipelineStage, float, str | None]) -> list[ImportedStage]:
    return [
        ImportedStage(stage, after(days), confidence=None if confidence is None else Decimal(confidence))
        for stage, days, confidence in path
    ]


def confidences(ledger: Ledger, since: int = 0) -> list[tuple[str, str | None]]:
    """Type and confidence of the entries that say something of it."""
    return [
        (entry["type"], entry["data"]["set"]["confidence"])
        for entry in read_log(ledger, since)
        if "confidence" in entry["data"].get("set", {})
    ]


def is_what_the_log_says(ledger: Ledger) -> bool:
    with ledger.read() as session:
        return compare_tables(session) == []


STATED = stated(
    (PipelineStage.LEAD_CAPTURED, 0, "0.1"),
    (PipelineStage.PROPOSAL, 7, "0.4"),
    (PipelineStage.NEGOTIATION, 14, None),
    (PipelineStage.AGREEMENT, 21, "0.7"),
)


def test_each_stage_brings_the_confidence_that_was_stated_then(ledger: Ledger, staff: Staff) -> None:
    """In the entry of the move; what the deal's own row says differs from the last, so it comes on top."""
    item = imported_deal(staff.agent, stages=STATED, confidence=Decimal("0.6"))
    import_items(ledger, "deals", [item])
    assert confidences(ledger) == [
        ("deal.opened", "0.10"),
        ("deal.stage_changed", "0.40"),
        ("deal.stage_changed", "0.70"),
        ("deal.changed", "0.60"),
    ]
    assert only_deal(ledger).confidence == Decimal("0.60")
    assert is_what_the_log_says(ledger)
    assert kinds(import_items(ledger, "deals", [item])) == ["unchanged"]


def test_a_closing_states_no_confidence(ledger: Ledger, staff: Staff) -> None:
    path = [*STATED, *stated((PipelineStage.CLOSED_WON, 28, "1"), (PipelineStage.PROPOSAL, 35, "0.3"))]
    path += stated((PipelineStage.CLOSED_LOST, 42, "0"))
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=path)])
    assert [confidence for _, confidence in confidences(ledger)] == ["0.10", "0.40", "0.70", "0.30"]
    assert only_deal(ledger).confidence == Decimal("0.30")


def test_a_path_that_states_none_leaves_the_opening_what_the_row_says(ledger: Ledger, staff: Staff) -> None:
    closed = stated((PipelineStage.LEAD_CAPTURED, 0, None), (PipelineStage.CLOSED_LOST, 30, "0"))
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=closed, confidence=Decimal("0.6"))])
    assert confidences(ledger) == [("deal.opened", "0.60")]


def late(*path: tuple[PipelineStage, float, str | None]) -> list[ImportedStageEvent]:
    return [
        ImportedStageEvent("crm:1", each.to_stage, each.effective_at, None, each.confidence) for each in stated(*path)
    ]


LATE = late(
    (PipelineStage.LEAD_CAPTURED, 0, "0.15"),  # known
    (PipelineStage.QUALIFICATION, 3, "0.2"),
    (PipelineStage.NEEDS_ANALYSIS, 5, "0.3"),
    (PipelineStage.AGREEMENT, 20, "0.8"),
)


def test_late_history_leaves_the_deal_the_confidence_that_it_has(ledger: Ledger, staff: Staff) -> None:
    """The moves state theirs as of then; one entry more, as of now, says that the deal has its own still."""
    import_items(ledger, "deals", [imported_deal(staff.agent, confidence=Decimal("0.6"))])
    size = log_size(ledger)
    outcomes = import_items(ledger, "stage_events", LATE)
    assert [(outcome.kind, outcome.entries) for outcome in outcomes] == [
        ("unchanged", 0), ("changed", 1), ("changed", 1), ("changed", 2),
    ]  # fmt: skip
    assert confidences(ledger, size) == [
        ("deal.stage_changed", "0.20"),
        ("deal.stage_changed", "0.30"),
        ("deal.stage_changed", "0.80"),
        ("deal.changed", "0.60"),
    ]
    assert (only_deal(ledger).confidence, only_deal(ledger).pipeline_stage) == (Decimal("0.60"), "agreement")
    assert is_what_the_log_says(ledger)
    assert set(kinds(import_items(ledger, "stage_events", LATE))) == {"unchanged"}


def test_late_history_is_all_that_a_deal_without_a_confidence_has(ledger: Ledger, staff: Staff) -> None:
    closed = stages((PipelineStage.LEAD_CAPTURED, 0), (PipelineStage.CLOSED_WON, 30))
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=closed, actual_close_date=date(2025, 2, 5))])
    outcomes = import_items(ledger, "stage_events", LATE)
    assert sum(outcome.entries for outcome in outcomes) == 3
    deal = only_deal(ledger)
    assert (deal.confidence, deal.status, deal.actual_close_date) == (Decimal("0.80"), "closed_won", date(2025, 2, 5))
    earlier = late((PipelineStage.PROPOSAL, 9, "0.5"))
    assert import_items(ledger, "stage_events", earlier)[0].entries == 2
    assert only_deal(ledger).confidence == Decimal("0.80")
    assert is_what_the_log_says(ledger)


def test_what_people_stated_since_is_left_alone_and_what_moved_since_counts(ledger: Ledger, staff: Staff) -> None:
    [outcome] = import_items(ledger, "deals", [imported_deal(staff.agent, stages=STATED)])
    run(ledger, deals.change_deal, staff.agent, outcome.id, changes={"confidence": None})
    import_items(ledger, "stage_events", late((PipelineStage.DUE_DILIGENCE, 40, "0.9")))
    assert (only_deal(ledger).confidence, only_deal(ledger).pipeline_stage) == (None, "due_diligence")
    moved = ImportedStageEvent("crm:1", PipelineStage.AWAITING_CLOSURE, now_utc(), None, Decimal("0.95"))
    assert import_items(ledger, "stage_events", [moved])[0].entries == 1
    assert only_deal(ledger).confidence == Decimal("0.95")
    assert is_what_the_log_says(ledger)


def test_a_known_deal_takes_new_moves_and_keeps_what_its_row_does_not_say(ledger: Ledger, staff: Staff) -> None:
    item = imported_deal(staff.agent, confidence=Decimal("0.6"))
    import_items(ledger, "deals", [item])
    size = log_size(ledger)
    newer = replace(item, title="Renamed", confidence=None, stages=[*item.stages, *STATED[3:]])
    assert import_items(ledger, "deals", [newer])[0].entries == 2
    assert confidences(ledger, size) == [("deal.stage_changed", "0.70"), ("deal.changed", "0.60")]
    assert read_log(ledger)[-1]["data"]["was"]["confidence"] == "0.70"
    assert import_items(ledger, "deals", [replace(newer, confidence=Decimal("0.9"))])[0].entries == 1
    assert only_deal(ledger).confidence == Decimal("0.90")
    assert is_what_the_log_says(ledger)


def test_a_row_that_says_what_a_late_move_said_says_it_as_of_now(ledger: Ledger, staff: Staff) -> None:
    """Else the deal would have what the late move stated, though another was stated after it."""
    item = imported_deal(staff.agent, stages=STATED)
    import_items(ledger, "deals", [item])
    size = log_size(ledger)
    path = [STATED[0], *stated((PipelineStage.QUALIFICATION, 3, "0.2")), *STATED[1:]]
    import_items(ledger, "deals", [replace(item, stages=path, confidence=Decimal("0.2"))])
    assert confidences(ledger, size) == [("deal.stage_changed", "0.20"), ("deal.changed", "0.20")]
    assert read_log(ledger)[-1]["data"]["was"] == {"confidence": "0.70"}
    assert is_what_the_log_says(ledger)


def last_stated(ledger: Ledger, deal_id: str | None) -> Decimal | None:
    """The confidence of a deal as the warehouse folds it: by the time at which each was stated."""
    entries = [entry for entry in read_log(ledger) if entry["chain"] == f"deal:{deal_id}"]
    said = [
        entry["data"]["set"]["confidence"]
        for entry in sorted(entries, key=lambda entry: (entry["effective_at"], entry["seq"]))
        if "confidence" in entry["data"].get("set", {})
        and (entry["type"] != "deal.opened" or entry["data"]["set"]["confidence"] is not None)
    ]
    return Decimal(said[-1]) if said and said[-1] is not None else None


def test_however_a_history_comes_the_deal_has_what_was_stated_last(ledger: Ledger, staff: Staff) -> None:
    """Parts of random histories, with deals and alone, and changes by people between them."""
    rng = Random(3)

    def some_confidence() -> Decimal | None:
        return None if rng.random() < 0.3 else Decimal(rng.randrange(0, 101, 5)) / 100

    for number in range(25):
        reference = f"crm:{number}"
        days = sorted(rng.sample(range(60), rng.randint(3, 8)))
        path = [ImportedStage(rng.choice([*PipelineStage]), after(day), None, some_confidence()) for day in days]
        item = imported_deal(staff.agent, reference, stages=path[:: rng.randint(1, 3)], confidence=some_confidence())
        [outcome] = import_items(ledger, "deals", [item])
        for _ in range(3):
            part = [stage for stage in path if rng.random() < 0.6]
            match rng.randrange(3):
                case 0:
                    events = [
                        ImportedStageEvent(reference, s.to_stage, s.effective_at, None, s.confidence) for s in part
                    ]
                    import_items(ledger, "stage_events", events)
                case 1:
                    import_items(ledger, "deals", [replace(item, stages=path, confidence=some_confidence())])
                case _:
                    with suppress(NothingToChange):
                        run(ledger, deals.change_deal, staff.manager, outcome.id, {"confidence": some_confidence()})
        with ledger.read() as session:
            assert session.get_one(AgentDeal, outcome.id).confidence == last_stated(ledger, outcome.id), number
    assert is_what_the_log_says(ledger)


def test_a_confidence_alone_adds_nothing_to_a_known_move(ledger: Ledger, staff: Staff) -> None:
    item = imported_deal(staff.agent)
    import_items(ledger, "deals", [item])
    told = replace(item, stages=[replace(stage, confidence=Decimal("0.5")) for stage in item.stages])
    assert kinds(import_items(ledger, "deals", [told])) == ["unchanged"]
    events = [
        ImportedStageEvent("crm:1", each.to_stage, each.effective_at, None, each.confidence) for each in told.stages
    ]
    assert set(kinds(import_items(ledger, "stage_events", events))) == {"unchanged"}


def test_leaving_a_closed_stage_is_a_reopening(ledger: Ledger, staff: Staff) -> None:
    path = [*CLOSED, ImportedStage(PipelineStage.NEGOTIATION, after(40))]
    import_items(ledger, "deals", [imported_deal(staff.agent, stages=path)])
    assert read_log(ledger)[-1]["type"] == "deal.reopened"
    deal = only_deal(ledger)
    assert (deal.status, deal.actual_close_date) == (DealStatus.OPEN, None)


def test_an_old_file_does_not_undo_a_reopening(ledger: Ledger, staff: Staff) -> None:
    won = imported_deal(staff.agent, stages=CLOSED, actual_close_date=date(2025, 2, 6))
    gone = imported_deal(staff.agent, "crm:gone", is_cancelled=True, cancelled_at=after(20))
    outcomes = import_items(ledger, "deals", [won, gone])
    for outcome in outcomes:
        run(ledger, deals.reopen_deal, staff.manager, outcome.id, to_stage=PipelineStage.PROPOSAL, note="back")
    assert kinds(import_items(ledger, "deals", [won, gone])) == ["unchanged", "unchanged"]


def test_an_erased_contact_does_not_come_back(ledger: Ledger, staff: Staff) -> None:
    item = imported_deal(staff.agent, contact_name="Tan Ah Kow", company="Acme")
    [outcome] = import_items(ledger, "deals", [item])
    with ledger.read() as session:
        [contact] = find_all(session, DealContact)
    run(ledger, deals.erase_contact, staff.manager, outcome.id, contact.id)
    assert kinds(import_items(ledger, "deals", [item])) == ["unchanged"]


def test_a_refused_item_spoils_no_other_and_leaves_no_trace(ledger: Ledger, staff: Staff) -> None:
    future = datetime.now(UTC) + timedelta(days=1)
    bad: list[tuple[dict[str, Any], str]] = [
        ({"agent_id": "nobody"}, "No such user"),
        ({"estimated_value_amount": Decimal(-1)}, "cannot be negative"),
        ({"confidence": Decimal(60)}, "probability from 0 to 1"),
        ({"stages": [ImportedStage(PipelineStage.PROPOSAL, after(0), None, Decimal(60))]}, "probability from 0 to 1"),
        ({"title": " "}, "cannot be empty"),
        ({"stages": [*CLOSED, ImportedStage(PipelineStage.PROPOSAL, future)]}, "in the future"),
        ({"actual_close_date": date(2025, 2, 1)}, "open deal has no actual_close_date"),
        ({"stages": CLOSED, "is_cancelled": True}, "only an open deal can be cancelled"),
        ({"opened_at": datetime(2025, 1, 1), "stages": []}, "no time zone"),  # noqa: DTZ001 - the point
    ]
    items = [imported_deal(staff.agent, f"crm:bad{i}", **changes) for i, (changes, _) in enumerate(bad)]
    outcomes = import_items(ledger, "deals", [imported_deal(staff.agent), *items, imported_deal(staff.agent, "crm:2")])
    assert kinds(outcomes) == ["created", *["refused"] * len(bad), "created"]
    for outcome, (_, reason) in zip(outcomes[1:-1], bad, strict=True):
        assert reason in (outcome.reason or "")
    with ledger.read() as session:
        assert {deal.external_ref for deal in find_all(session, AgentDeal)} == {"crm:1", "crm:2"}
    assert outcomes[3].column == "confidence"


def test_people_are_found_again_and_get_no_rights_by_import(ledger: Ledger, staff: Staff) -> None:
    items = [
        ImportedPerson("Anna Lim"),  # known by name
        ImportedPerson("Anna Lim-Wong", "ANNA.LIM@example.com", Role.ADMIN),  # known by e-mail, renamed
        ImportedPerson("New Boss", None, Role.MANAGER),
        ImportedPerson("New Agent"),
        ImportedPerson(" "),
    ]
    outcomes = import_items(ledger, "people", items, staff.manager)
    assert kinds(outcomes) == ["unchanged", "changed", "refused", "created", "refused"]
    assert outcomes[0].id == outcomes[1].id == staff.agent.id
    with ledger.read() as session:
        anna = session.get_one(User, staff.agent.id)
        assert (anna.name, anna.role, anna.active) == ("Anna Lim-Wong", Role.AGENT, True)


def test_a_commission_brings_its_whole_history(ledger: Ledger, staff: Staff) -> None:
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    size = log_size(ledger)
    [outcome] = import_items(ledger, "commissions", [imported_commission(staff)])
    assert (outcome.kind, outcome.entries) == ("created", 7)
    assert [entry["type"] for entry in read_log(ledger, size + 1)] == [
        "commission.recorded",
        "commission.status_changed",
        "dispute.opened",
        "dispute.resolved",
        "commission.status_changed",
        "commission.adjusted",
        "commission.adjusted",
    ]
    with ledger.read() as session:
        [commission] = find_all(session, Commission)
        assert (commission.status, commission.commission_amount) == (CommissionStatus.INVOICED, Decimal("25.01"))
        assert (commission.confirmed_at, commission.invoiced_at) == (after(10), after(40))
        assert len(find_all(session, CommissionAdjustment)) == 2
        [dispute] = find_all(session, CommissionDispute)
        assert (dispute.status_before, dispute.outcome) == (CommissionStatus.CONFIRMED, DisputeOutcome.DENIED)


def test_a_newer_file_leads_a_commission_on(ledger: Ledger, staff: Staff) -> None:
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    open_dispute = imported_commission(staff, statuses=[], adjustments=[], disputes=[(Decimal(3), after(20))])
    import_items(ledger, "commissions", [open_dispute])
    newer = replace(
        open_dispute,
        disputes=[(Decimal(3), after(20), after(25), DisputeOutcome.PARTIAL)],
        statuses=[(CommissionStatus.CONFIRMED, after(30))],
    )
    size = log_size(ledger)
    assert kinds(import_items(ledger, "commissions", [newer])) == ["changed"]
    assert [entry["type"] for entry in read_log(ledger, size + 1)] == ["dispute.resolved", "commission.status_changed"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"deal_external_ref": "crm:none"}, "No such deal"),
        ({"agent_id": "nobody"}, "No such user"),
        ({"commission_rate": Decimal("2.5")}, "share from 0 to 1"),
        ({"introduced_at": LONG_AGO - timedelta(days=1)}, "is before"),
        ({"statuses": [(CommissionStatus.PAID, LONG_AGO + timedelta(days=9))]}, "not to paid"),
        ({"statuses": [(CommissionStatus.DISPUTED, LONG_AGO + timedelta(days=9))]}, "give it as a dispute"),
        ({"disputes": [(Decimal(1), LONG_AGO + timedelta(days=20), LONG_AGO + timedelta(days=21))]}, "both a time"),
    ],
)
def test_a_refused_commission_leaves_no_trace(
    ledger: Ledger, staff: Staff, changes: dict[str, Any], reason: str
) -> None:
    import_items(ledger, "deals", [imported_deal(staff.agent)])
    size = log_size(ledger)
    [outcome] = import_items(ledger, "commissions", [imported_commission(staff, **changes)])
    assert outcome.kind == "refused"
    assert reason in (outcome.reason or "")
    assert log_size(ledger) == size


def test_an_import_is_a_managers_right(ledger: Ledger, staff: Staff) -> None:
    for actor in (staff.agent, staff.viewer, staff.admin):
        with pytest.raises(NotPermitted), ledger.write() as session:
            BulkImport(session, actor, "any")


def test_the_record_of_an_import_is_in_the_log_once_it_added_something(ledger: Ledger, staff: Staff) -> None:
    with ledger.write() as session:
        import_id = start_import(session, staff.manager, file_name="a.csv", file_sha256="a" * 64, mapping="m")
        BulkImport(session, staff.manager, import_id).deals([imported_deal(staff.agent)])
        reject = {"file_name": "a.csv", "line": 3, "column": "amount", "value": "?", "reason": "no number"}
        record_rejects(session, import_id, [reject])
        finish_import(session, import_id, 2, 1, 1, actor=staff.manager)
    chain = [entry for entry in read_log(ledger) if entry["chain"] == f"import:{import_id}"]
    assert [entry["type"] for entry in chain] == ["import.started", "import.finished"]
    assert chain[0]["data"]["sha256"] == "a" * 64
    assert "a.csv" not in repr(chain)
    assert chain[1]["data"] == {"rows": 2, "accepted": 1, "rejected": 1}
    with ledger.read() as session:
        assert [(row.line, row.reason) for row in list_rejects(session, import_id)] == [(3, "no number")]


IGNORED = {"id", "deal_id", "commission_id", "external_ref", "revision", "audit_log_seq", "created_at", "updated_at",
           "recorded_at", "deal", "uploaded_at"}  # fmt: skip


def comparable(ledger: Ledger) -> dict[str, list[list[str]]]:
    """The folded tables without keys and recording times."""
    with ledger.read() as session:
        tables = rebuild_tables(session)
    return {
        kind: sorted([f"{c}={v}" for c, v in sorted(row.items()) if c not in IGNORED] for row in tables[kind].values())
        for kind in TABLE_OF
        if kind != "user"
    }


def test_both_paths_give_the_same_fold(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One deal with a commission, told in bulk and one by one, ends in the same tables."""
    from tests.support.ledger import build_ledger

    bulk, single = (build_ledger(tmp_path_factory.mktemp(name)) for name in ("bulk", "single"))
    agents = []
    for ledger in (bulk, single):
        [outcome] = import_items(ledger, "people", [ImportedPerson("Anna Lim")])
        agents.append(outcome.id)
    item = imported_deal(SYSTEM, agent_id=agents[0], metadata={"a": "b"}, contact_name="Tan", confidence=Decimal("0.4"))
    import_items(bulk, "deals", [item])
    statuses = [(CommissionStatus.CONFIRMED, after(10))]
    line = ImportedCommission(
        "crm:1",
        agents[0] or "",
        CommissionType.BONUS,
        Decimal("99.90"),
        "SGD",
        Decimal("0.1"),
        after(1),
        statuses=statuses,
        disputes=[ImportedDispute(Decimal(3), after(20), after(21), DisputeOutcome.DENIED, "r")],
        adjustments=[ImportedAdjustment(AdjustmentType.CORRECTION, Decimal(-1), after(30), "n")],
    )
    import_items(bulk, "commissions", [line])

    new = new_deal(
        SYSTEM,
        agent_id=agents[1],
        title=item.title,
        asset_type=item.asset_type,
        deal_type=item.deal_type,
        estimated_value_amount=item.estimated_value_amount,
        metadata={"a": "b"},
        confidence=Decimal("0.4"),
    )
    deal = run(single, deals.open_deal, SYSTEM, new)
    for stage in item.stages[1:]:
        run(single, deals.advance_stage, SYSTEM, deal.id, stage.to_stage, effective_at=stage.effective_at)
    run(single, deals.add_contact, SYSTEM, deal.id, name="Tan")
    named = {
        "commission_type": CommissionType.BONUS,
        "basis_amount": Decimal("99.90"),
        "commission_rate": Decimal("0.1"),
    }
    commission = record_some_commission(single, SYSTEM, deal, **named)
    run(
        single,
        commissions.move_commission,
        SYSTEM,
        commission.id,
        CommissionStatus.CONFIRMED,
        effective_at=after(10),
    )
    dispute = run(
        single,
        commissions.open_dispute,
        SYSTEM,
        commission.id,
        amount=Decimal(3),
        reason="r",
        effective_at=after(20),
    )
    run(single, commissions.resolve_dispute, SYSTEM, dispute.id, outcome=DisputeOutcome.DENIED, effective_at=after(21))
    run(
        single,
        commissions.adjust_commission,
        SYSTEM,
        commission.id,
        adjustment_type=AdjustmentType.CORRECTION,
        amount=Decimal(-1),
        note="n",
        effective_at=after(30),
    )
    expected = comparable(single)
    found = comparable(bulk)
    assert str(found).replace(str(agents[0]), "agent") == str(expected).replace(str(agents[1]), "agent")
    for ledger in (bulk, single):
        with ledger.read() as session:
            assert verify_chains(session).is_sound
            assert compare_tables(session) == []
        ledger.close()
