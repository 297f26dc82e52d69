"""Writes that are committed together are as much apart as those that are not."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ledger import access, deals
from ledger.actors import SYSTEM
from ledger.errors import DealNotFound, NotPermitted, RevisionStale
from ledger.group_commit import write_together
from ledger.log.verify import verify_chains
from ledger.tables import AgentDeal
from ledger.vocabulary import PipelineStage
from tests.support.ledger import build_ledger, new_deal, open_some_deal, record_staff


def test_a_write_that_fails_leaves_nothing_and_does_not_touch_its_neighbours(tmp_path: Path) -> None:
    """Three at once, the second raises after it has written: its deal is gone from table and log, theirs are there."""
    ledger = build_ledger(tmp_path)
    agent = record_staff(ledger).agent

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
    ledger.close()


def test_each_sees_what_those_before_it_wrote(tmp_path: Path) -> None:
    """A right that is withdrawn by one is gone for the next, and a revision that one has moved is stale for it."""
    ledger = build_ledger(tmp_path)
    staff = record_staff(ledger)
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
    ledger.close()


def test_nobody_hears_of_success_or_refusal_when_the_commit_fails(tmp_path: Path) -> None:
    """A refusal may rest on what a neighbour wrote; when that is not kept, the refusal is not true either."""
    ledger = build_ledger(tmp_path)
    staff = record_staff(ledger)

    def open_deal(session: Session) -> str:
        return deals.open_deal(session, staff.agent, new_deal(staff.agent)).id

    def refuse(_: Session) -> None:
        raise DealNotFound("a deal")

    def spoil_the_commit(session: Session) -> None:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        session.execute(text("INSERT INTO import_rejects (import_id, file_name, line, reason) VALUES ('none','',1,'')"))

    outcomes = write_together(ledger, [open_deal, refuse, spoil_the_commit])
    assert [type(outcome.error) for outcome in outcomes] == [IntegrityError] * 3
    with ledger.read() as session:
        assert session.execute(text("SELECT COUNT(*) FROM agent_deals")).scalar_one() == 0
    ledger.close()


@pytest.mark.parametrize("count", [1, 2])
def test_one_alone_is_committed_like_several(tmp_path: Path, count: int) -> None:
    """What a write returns comes back, and what it wrote is there for another connection."""
    ledger = build_ledger(tmp_path)
    agent = record_staff(ledger).agent
    outcomes = write_together(ledger, [lambda session: open_one(session, agent)] * count)
    assert [outcome.error for outcome in outcomes] == [None] * count
    with ledger.read() as session:
        assert all(session.get(AgentDeal, outcome.value) for outcome in outcomes)
    ledger.close()


def open_one(session: Session, agent: access.Actor) -> str:
    return deals.open_deal(session, agent, new_deal(agent)).id
