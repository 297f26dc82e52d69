"""Two changes of one deal at the same moment, each allowed as long as the other is not there: the second hears of it.

Where many write at once, a transaction holds the deal from when it reads it. The head of the deal's chain, held when
the entry is written, would be too late: by then the entry was made of what has changed.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from ledger import commissions, deals
from ledger.commissions import NewCommission
from ledger.errors import (
    CommissionAlreadyRecorded,
    CommissionStatusNotReachable,
    DealNotFound,
    DealNotOpen,
    DisputeAlreadyResolved,
    NothingToChange,
    RevisionStale,
    StageNotReachable,
)
from ledger.log.audit import audit_log
from ledger.store import Ledger
from ledger.vocabulary import AdjustmentType, CommissionStatus, CommissionType, DisputeOutcome, PipelineStage
from tests.support.ledger import Staff, log_size, open_some_deal, record_some_commission, run
from tests.support.served_api import wait_until

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@dataclass(frozen=True)
class Case:
    """A deal of Anna's with a commission in dispute and one confirmed, and who acts on it."""

    staff: Staff
    deal: str
    confirmed: str
    dispute: str


Change = Callable[[Session, Case], Any]


def cancel(session: Session, case: Case) -> None:
    deals.cancel_deal(session, case.staff.agent, case.deal, reason="withdrawn")


def win(session: Session, case: Case) -> None:
    deals.advance_stage(session, case.staff.agent, case.deal, PipelineStage.CLOSED_WON)


def propose(session: Session, case: Case) -> None:
    deals.advance_stage(session, case.staff.agent, case.deal, PipelineStage.PROPOSAL)


def rename(session: Session, case: Case) -> None:
    deals.change_deal(session, case.staff.agent, case.deal, {"title": "Harbour"})


def rename_what_was_read(session: Session, case: Case) -> None:
    deals.change_deal(session, case.staff.agent, case.deal, {"title": "Pier"}, revision=5)


def hand_over(session: Session, case: Case) -> None:
    deals.assign_deal(session, case.staff.manager, case.deal, agent_id=case.staff.other_agent.id)


def write_off(session: Session, case: Case) -> None:
    commissions.move_commission(session, case.staff.manager, case.confirmed, CommissionStatus.WRITTEN_OFF)


def invoice(session: Session, case: Case) -> None:
    commissions.move_commission(session, case.staff.manager, case.confirmed, CommissionStatus.INVOICED)


def adjust(session: Session, case: Case) -> None:
    commissions.adjust_commission(
        session, case.staff.manager, case.confirmed,
        adjustment_type=AdjustmentType.BONUS, amount=Decimal(1), note="found later",
    )  # fmt: skip


def resolve(session: Session, case: Case) -> None:
    commissions.resolve_dispute(session, case.staff.manager, case.dispute, outcome=DisputeOutcome.PARTIAL)


def record_bonus(session: Session, case: Case) -> None:
    agent = case.staff.agent
    new = NewCommission(agent.id, CommissionType.BONUS, Decimal(100), Decimal("0.5"))
    commissions.record_commission(session, agent, case.deal, new)


@pytest.mark.only_on("postgresql")
@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (cancel, propose, DealNotOpen),
        (cancel, win, DealNotOpen),
        (win, cancel, DealNotOpen),
        (win, propose, StageNotReachable),
        (propose, propose, StageNotReachable),
        (rename, rename, NothingToChange),
        (rename, rename_what_was_read, RevisionStale),
        (hand_over, propose, DealNotFound),
        (record_bonus, record_bonus, CommissionAlreadyRecorded),
        (write_off, invoice, CommissionStatusNotReachable),
        (write_off, adjust, CommissionStatusNotReachable),
        (resolve, resolve, DisputeAlreadyResolved),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_second_of_two_that_exclude_each_other_is_refused(
    ledger: Ledger, staff: Staff, first: Change, second: Change, refused: type[Exception]
) -> None:
    """The first is written and not committed when the second comes; that waits, and then it is told what it met."""
    case = make_case(ledger, staff)
    met: list[Exception | None] = []

    def follow() -> None:
        try:
            run(ledger, second, case)
        except Exception as error:
            met.append(error)
        else:
            met.append(None)

    def has_come() -> bool:
        with ledger.read() as looking:
            return bool(met) or bool(looking.scalar(WAITING))

    before = log_size(ledger)
    follower = threading.Thread(target=follow)
    with ledger.write() as session:
        first(session, case)
        follower.start()
        wait_until(has_come, "the second neither waits nor ends")
        assert met == [], "it did not wait"
    follower.join(60)
    assert [type(error) for error in met] == [refused]
    assert log_size(ledger) == before + 1
    with ledger.read() as session:
        assert audit_log(session, ledger.settings, with_state=True).findings == []


def make_case(ledger: Ledger, staff: Staff) -> Case:
    """Write the five entries of a deal with two commissions."""
    deal = open_some_deal(ledger, staff.agent)
    confirmed = record_some_commission(ledger, staff.agent, deal)
    run(ledger, commissions.move_commission, staff.manager, confirmed.id, CommissionStatus.CONFIRMED)
    disputed = record_some_commission(ledger, staff.agent, deal, commission_type=CommissionType.INTRODUCER)
    opened = run(ledger, commissions.open_dispute, staff.agent, disputed.id, amount=Decimal(5), reason="ours")
    return Case(staff, deal.id, confirmed.id, opened.id)
