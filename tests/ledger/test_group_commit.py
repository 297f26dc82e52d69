"""Writes that are committed together are as much apart as those that are not."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ledger import access, deals
from ledger.actors import SYSTEM
from ledger.databases import defer_foreign_keys
from ledger.errors import DealNotFound, NotPermitted, RevisionStale
from ledger.group_commit import write_together
from ledger.log.verify import verify_chains
from ledger.store import Ledger
from ledger.tables import AgentDeal
from ledger.vocabulary import PipelineStage
from tests.support.ledger import Staff, new_deal, open_some_deal

WON = PipelineStage.CLOSED_WON


def test_a_write_that_fails_leaves_nothing_and_does_not_touch_its_neighbours(ledger: Ledger, staff: Staff) -> None:
    """Three at once, the second raises after it has written: its deal is gone from table and log, theirs are there."""
    agent = staff.agent

    def open_deal(title: str) -> Any:
        return lambda session: deals.open_deal(session, agent, new_deal(agent, title=title)).id

    def open_and_fail(session: Session) -> None:
        open_deal("never")(session)
        raise DealNotFound("another")

    first, second, third = write_together(ledger, [open_deal("one"), open_and_fail, open_deal("two")])
    assert isinstance(second.error, DealNotFound)
    with ledger.read() as session:
        assert sorted(session.execute(text("SELECT title FROM agent_deals")).scalars()) == ["one", "two"]
        assert {session.get_one(AgentDeal, outcome.value).title for outcome in (first, third)} == {"one", "two"}
        assert verify_chains(session).is_sound
        leaves = session.execute(text("SELECT n FROM audit_logs ORDER BY n")).scalars().all()
        assert leaves == list(range(len(leaves)))


def test_each_sees_what_those_before_it_wrote(ledger: Ledger, staff: Staff) -> None:
    """A right that is withdrawn by one is gone for the next, and a revision that one has moved is stale for it."""
    deal = open_some_deal(ledger, staff.agent)
    with ledger.write() as session:
        token, secret = access.create_token(session, SYSTEM, staff.agent.id, name="phone")

    def move(session: Session) -> Any:
        actor = access.find_token(session, secret)
        if actor is None:
            raise NotPermitted("no token")
        return deals.advance_stage(session, actor, deal.id, PipelineStage.PROPOSAL, revision=deal.revision).revision

    def revoke(session: Session) -> None:
        access.revoke_token(session, staff.admin, token.id)

    moved, stale, _, refused = write_together(ledger, [move, move, revoke, move])
    assert moved.value == deal.revision + 1
    assert isinstance(stale.error, RevisionStale)
    assert isinstance(refused.error, NotPermitted)


def test_nobody_hears_of_success_or_refusal_when_the_commit_fails(ledger: Ledger, staff: Staff) -> None:
    """A refusal may rest on what a neighbour wrote; when that is not kept, the refusal is not true either."""

    def open_deal(session: Session) -> str:
        return deals.open_deal(session, staff.agent, new_deal(staff.agent)).id

    def refuse(_: Session) -> None:
        raise DealNotFound("a deal")

    def spoil_the_commit(session: Session) -> None:
        defer_foreign_keys(session.connection())
        session.execute(text("INSERT INTO import_rejects (import_id, file_name, line, reason) VALUES ('none','',1,'')"))

    outcomes = write_together(ledger, [open_deal, refuse, spoil_the_commit])
    assert [type(outcome.error) for outcome in outcomes] == [IntegrityError] * 3
    with ledger.read() as session:
        assert session.execute(text("SELECT COUNT(*) FROM agent_deals")).scalar_one() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_one_alone_is_committed_like_several(ledger: Ledger, staff: Staff, count: int) -> None:
    """What a write returns comes back, and what it wrote is there for another connection."""
    agent = staff.agent
    outcomes = write_together(ledger, [lambda session: open_one(session, agent)] * count)
    assert [outcome.error for outcome in outcomes] == [None] * count
    with ledger.read() as session:
        assert all(session.get(AgentDeal, outcome.value) for outcome in outcomes)


@pytest.mark.only_on("postgresql")
def test_two_groups_that_wait_for_each_other_lose_nothing(ledger: Ledger, staff: Staff) -> None:
    """One holds the first deal and wants the second, the other the other way round: the database ends the circle by
    failing one of them, and that one is run again. All four are written."""
    first, second = (open_some_deal(ledger, staff.agent).id for _ in range(2))
    met = threading.Barrier(2)

    def move(deal_id: str, *, meets: bool) -> Any:
        runs = iter(range(9))

        def work(session: Session) -> int:
            revision = deals.advance_stage(session, staff.agent, deal_id, PipelineStage.PROPOSAL).revision
            if meets and next(runs) == 0:
                met.wait(60)
            return revision

        return work

    groups = [[move(one, meets=True), change(other, staff)] for one, other in ((first, second), (second, first))]
    with ThreadPoolExecutor(2) as pool:
        outcomes = [outcome for found in pool.map(partial(write_together, ledger), groups) for outcome in found]
    assert [outcome.error for outcome in outcomes] == [None] * 4
    with ledger.read() as session:
        assert {session.get_one(AgentDeal, deal_id).revision for deal_id in (first, second)} == {3}
        assert verify_chains(session).is_sound


def test_what_a_change_returns_is_what_is_stored(ledger: Ledger, staff: Staff) -> None:
    """A changed row is not read again: it is made of what was read and what was written, in the types of a reading."""
    deal = open_some_deal(ledger, staff.agent)
    changes = {
        "title": "Harbour", "asset_type": "retail", "estimated_value_amount": Decimal("12.5"),
        "confidence": Decimal("0.4"), "expected_close_date": date(2027, 1, 31), "metadata": {"b": [1.5, None], "a": 0},
    }  # fmt: skip
    moment = datetime.now(timezone(timedelta(hours=8)))
    steps: list[Any] = [
        lambda session: deals.change_deal(session, staff.agent, deal.id, changes),
        lambda session: deals.advance_stage(
            session, staff.agent, deal.id, PipelineStage.CLOSED_WON, effective_at=moment
        ),
        lambda session: deals.reopen_deal(
            session, staff.manager, deal.id, to_stage=PipelineStage.PROPOSAL, note="They came back"
        ),
        lambda session: deals.assign_deal(session, staff.manager, deal.id, agent_id=staff.other_agent.id),
        lambda session: deals.cancel_deal(session, staff.manager, deal.id, reason="Withdrawn"),
    ]
    for step in steps:
        with ledger.write() as session:
            returned = plain(step(session))
        with ledger.read() as session:
            assert returned == plain(session.get_one(AgentDeal, deal.id))


def plain(deal: AgentDeal) -> dict[str, tuple[type, str]]:
    """Return the columns of a deal, each with its type and its look, so that 1.0 and 1.00 differ."""
    return {name: (type(value), repr(value)) for name, value in vars(deal).items() if not name.startswith("_sa_")}


def change(deal_id: str, staff: Staff) -> Any:
    return lambda session: deals.change_deal(session, staff.agent, deal_id, {"lead_source": "again"}).revision


def open_one(session: Session, agent: access.Actor) -> str:
    return deals.open_deal(session, agent, new_deal(agent)).id
