"""The rules of commissions, each with the entry that it promises."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ledger import commissions
from ledger.errors import (
    AmountInvalid,
    CommissionAlreadyConfirmed,
    CommissionAlreadyRecorded,
    CommissionNotFound,
    CommissionStatusNotReachable,
    DisputeAlreadyResolved,
    EffectiveTooEarly,
    Invalid,
    NoteRequired,
)
from ledger.store import Ledger
from ledger.tables import AgentDeal, Commission
from ledger.vocabulary import AdjustmentType, CommissionStatus, DisputeOutcome
from tests.support.ledger import LONG_AGO, Staff, entries_of, open_some_deal, record_some_commission, run

WAY_TO = {
    CommissionStatus.PENDING: [],
    CommissionStatus.CONFIRMED: [CommissionStatus.CONFIRMED],
    CommissionStatus.INVOICED: [CommissionStatus.CONFIRMED, CommissionStatus.INVOICED],
    CommissionStatus.PAID: [CommissionStatus.CONFIRMED, CommissionStatus.INVOICED, CommissionStatus.PAID],
    CommissionStatus.WRITTEN_OFF: [CommissionStatus.WRITTEN_OFF],
}


@pytest.fixture
def deal(ledger: Ledger, staff: Staff) -> AgentDeal:
    return open_some_deal(ledger, staff.agent)


@pytest.fixture
def commission(ledger: Ledger, staff: Staff, deal: AgentDeal) -> Commission:
    return record_some_commission(ledger, staff.agent, deal)


def lead_to(ledger: Ledger, staff: Staff, commission: Commission, status: CommissionStatus) -> None:
    for step in WAY_TO[status]:
        run(ledger, commissions.move_commission, staff.manager, commission.id, step)


def dispute(ledger: Ledger, staff: Staff, commission: Commission, **named: Any) -> str:
    values = {"amount": Decimal("500.00"), "reason": "Wrong split"} | named
    return run(ledger, commissions.open_dispute, staff.agent, commission.id, **values).id


def status_of(ledger: Ledger, commission: Commission) -> CommissionStatus:
    with ledger.read() as session:
        return session.get_one(Commission, commission.id).status


def test_recording_is_one_entry_and_leaves_the_amount_open(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    new = commissions.NewCommission(
        agent_id=staff.agent.id,
        commission_type="referral",  # type: ignore[arg-type]
        basis_amount=Decimal(1000),
        commission_rate=Decimal("0.025"),
    )
    [entry] = entries_of(ledger, commissions.record_commission, staff.agent, deal.id, new)
    assert entry["type"] == "commission.recorded"
    assert entry["chain"] == f"deal:{deal.id}"
    assert entry["data"]["set"] == {
        "deal_id": deal.id,
        "agent_id": staff.agent.id,
        "commission_type": "referral",
        "basis_amount": "1000.00",
        "basis_currency": "SGD",
        "commission_rate": "0.0250",
        "commission_amount": None,
        "status": "pending",
    }


def test_one_commission_per_deal_agent_and_type(
    ledger: Ledger, staff: Staff, deal: AgentDeal, commission: Commission
) -> None:
    with pytest.raises(CommissionAlreadyRecorded):
        record_some_commission(ledger, staff.agent, deal)


def test_a_commission_does_not_precede_its_deal(ledger: Ledger, staff: Staff, deal: AgentDeal) -> None:
    with pytest.raises(EffectiveTooEarly):
        record_some_commission(ledger, staff.agent, deal, introduced_at=LONG_AGO - timedelta(days=1))


def test_confirming_computes_basis_times_rate(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    [entry] = entries_of(ledger, commissions.move_commission, staff.manager, commission.id, CommissionStatus.CONFIRMED)
    assert entry["type"] == "commission.status_changed"
    assert entry["data"] == {"from": "pending", "to": "confirmed", "set": {"commission_amount": "30000.00"}}
    assert entry["subject"] == {"kind": "commission", "id": commission.id, "rev": 2}


def test_confirming_takes_the_amount_that_is_given(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    moved = run(
        ledger,
        commissions.move_commission,
        staff.manager,
        commission.id,
        CommissionStatus.CONFIRMED,
        commission_amount=Decimal("29999.99"),
    )
    assert (moved.commission_amount, moved.status) == (Decimal("29999.99"), CommissionStatus.CONFIRMED)
    assert moved.confirmed_at is not None
    with pytest.raises(Invalid, match="adjustment"):
        run(
            ledger,
            commissions.move_commission,
            staff.manager,
            commission.id,
            CommissionStatus.INVOICED,
            commission_amount=Decimal(1),
        )


@pytest.mark.parametrize("status", WAY_TO)
def test_each_status_reaches_what_it_may_and_nothing_else(
    ledger: Ledger, staff: Staff, commission: Commission, status: CommissionStatus
) -> None:
    lead_to(ledger, staff, commission, status)
    for target in CommissionStatus:
        if target not in status.reachable:
            with pytest.raises(CommissionStatusNotReachable) as caught:
                run(ledger, commissions.move_commission, staff.manager, commission.id, target)
            assert caught.value.reachable == list(status.reachable)


@pytest.mark.parametrize("status", [status for status in WAY_TO if status.can_be_disputed])
@pytest.mark.parametrize("outcome", DisputeOutcome)
def test_leaving_disputed_restores_the_status_before(
    ledger: Ledger, staff: Staff, commission: Commission, status: CommissionStatus, outcome: DisputeOutcome
) -> None:
    lead_to(ledger, staff, commission, status)
    dispute_id = dispute(ledger, staff, commission)
    assert status_of(ledger, commission) is CommissionStatus.DISPUTED
    [entry] = entries_of(ledger, commissions.resolve_dispute, staff.manager, dispute_id, outcome=outcome)
    assert entry["data"] == {"commission_id": commission.id, "outcome": outcome.value, "to": status.value}
    assert status_of(ledger, commission) is status


def test_a_dispute_is_one_entry_that_remembers_the_status(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    [entry] = entries_of(
        ledger, commissions.open_dispute, staff.agent, commission.id, amount=Decimal(500), reason="Wrong split"
    )
    assert (entry["type"], entry["subject"]["kind"]) == ("dispute.opened", "dispute")
    assert entry["data"]["from"] == "pending"
    assert entry["data"]["set"]["amount"] == "500.00"
    assert entry["data"]["set"]["hold"] is True
    assert "Wrong split" not in repr(entry)


def test_a_dispute_may_end_in_a_write_off(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    dispute_id = dispute(ledger, staff, commission)
    resolve = {"outcome": DisputeOutcome.APPROVED, "is_written_off": True, "note": "Client insolvent"}
    run(ledger, commissions.resolve_dispute, staff.manager, dispute_id, **resolve)
    assert status_of(ledger, commission) is CommissionStatus.WRITTEN_OFF
    with pytest.raises(CommissionStatusNotReachable):
        dispute(ledger, staff, commission)
    with pytest.raises(DisputeAlreadyResolved):
        run(ledger, commissions.resolve_dispute, staff.manager, dispute_id, **resolve)


def test_a_disputed_commission_neither_moves_nor_is_disputed_twice(
    ledger: Ledger, staff: Staff, commission: Commission
) -> None:
    dispute(ledger, staff, commission)
    with pytest.raises(CommissionStatusNotReachable, match="Resolve the dispute first"):
        run(ledger, commissions.move_commission, staff.manager, commission.id, CommissionStatus.CONFIRMED)
    with pytest.raises(CommissionStatusNotReachable):
        dispute(ledger, staff, commission)


def test_figures_change_while_pending_and_are_fixed_by_confirming(
    ledger: Ledger, staff: Staff, commission: Commission
) -> None:
    [entry] = entries_of(
        ledger, commissions.change_commission, staff.agent, commission.id, {"commission_rate": Decimal("0.02")}
    )
    assert entry["data"] == {"set": {"commission_rate": "0.0200"}, "was": {"commission_rate": "0.0250"}}
    lead_to(ledger, staff, commission, CommissionStatus.CONFIRMED)
    with pytest.raises(CommissionAlreadyConfirmed, match="adjustment"):
        run(ledger, commissions.change_commission, staff.agent, commission.id, {"basis_amount": Decimal(1)})


def test_an_adjustment_is_one_entry_in_the_commissions_currency(
    ledger: Ledger, staff: Staff, commission: Commission
) -> None:
    [entry] = entries_of(
        ledger,
        commissions.adjust_commission,
        staff.manager,
        commission.id,
        adjustment_type=AdjustmentType.CLAWBACK,
        amount=Decimal(250),
        note="Tenant left early",
    )
    assert (entry["type"], entry["data"]["commission_id"]) == ("commission.adjusted", commission.id)
    assert (entry["data"]["set"]["amount"], entry["data"]["set"]["currency"]) == ("250.00", "SGD")


def test_only_corrections_may_be_negative(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    def adjust(kind: AdjustmentType, amount: str, note: str = "why") -> None:
        run(
            ledger,
            commissions.adjust_commission,
            staff.manager,
            commission.id,
            adjustment_type=kind,
            amount=Decimal(amount),
            note=note,
        )

    adjust(AdjustmentType.CORRECTION, "-3.50")
    for kind in (AdjustmentType.CLAWBACK, AdjustmentType.BONUS):
        with pytest.raises(AmountInvalid):
            adjust(kind, "-3.50")
    with pytest.raises(AmountInvalid):
        adjust(AdjustmentType.BONUS, "0")
    with pytest.raises(NoteRequired):
        adjust(AdjustmentType.BONUS, "1", note="")


def test_statuses_follow_each_other_in_time(ledger: Ledger, staff: Staff, commission: Commission) -> None:
    with pytest.raises(EffectiveTooEarly):
        run(
            ledger,
            commissions.move_commission,
            staff.manager,
            commission.id,
            CommissionStatus.CONFIRMED,
            effective_at=LONG_AGO,
        )


def test_agents_list_their_own_lines_and_those_of_their_deals(
    ledger: Ledger, staff: Staff, deal: AgentDeal, commission: Commission
) -> None:
    co_broke = record_some_commission(ledger, staff.manager, deal, agent_id=staff.other_agent.id)
    elsewhere = open_some_deal(ledger, staff.other_agent)
    record_some_commission(ledger, staff.other_agent, elsewhere)

    def listed(actor: Any) -> set[str]:
        with ledger.read() as session:
            return {row.id for row in commissions.list_commissions(session, actor)[0]}

    assert listed(staff.agent) == {commission.id, co_broke.id}
    assert len(listed(staff.other_agent)) == 2
    assert len(listed(staff.viewer)) == 3
    with pytest.raises(CommissionNotFound):
        run(ledger, commissions.change_commission, staff.other_agent, commission.id, {"basis_amount": Decimal(1)})


def test_commission_pages_show_each_once(ledger: Ledger, staff: Staff) -> None:
    made = [record_some_commission(ledger, staff.agent, open_some_deal(ledger, staff.agent)).id for _ in range(5)]
    seen: list[str] = []
    cursor = None
    with ledger.read() as session:
        while True:
            page, cursor = commissions.list_commissions(session, staff.agent, None, cursor, limit=2)
            seen += [row.id for row in page]
            if cursor is None:
                break
    assert seen == made[::-1]
