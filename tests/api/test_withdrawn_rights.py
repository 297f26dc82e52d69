"""Where many write at once, a right that another transaction is taking away is waited for, and then gone."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from ledger import access, deals
from ledger.actors import SYSTEM, Actor
from ledger.store import Ledger
from ledger.tables import AgentDeal
from ledger.vocabulary import PipelineStage, Role
from tests.api.conftest import People, problem_of
from tests.api.test_deals import open_deal
from tests.support.served_api import wait_until

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def move_amid(
    client: TestClient, ledger: Ledger, people: People, deal_id: str, withdraw: Callable[[Session], object]
) -> Any:
    """Send Anna's move while a withdrawal is written and not committed; it must wait. Return what it then gets."""
    answers: list[Any] = []

    def move() -> None:
        headers = people.anna.auth | {"If-Match": "*"}
        answers.append(client.post(f"/api/v1/deals/{deal_id}/stage", json={"to_stage": "proposal"}, headers=headers))

    def has_met_it() -> bool:
        with ledger.read() as looking:
            return bool(answers) or bool(looking.scalar(WAITING))

    sender = threading.Thread(target=move)
    with ledger.write() as session:
        withdraw(session)
        sender.start()
        wait_until(has_met_it, "the request neither waits nor answers")
        assert answers == [], "it did not wait"
    sender.join(60)
    [answer] = answers
    return answer


@pytest.mark.only_on("postgresql")
def test_a_deal_that_is_being_handed_over_is_waited_for_and_gone(
    client: TestClient, ledger: Ledger, people: People
) -> None:
    """The assignment is written and not committed; its former agent's move comes, waits for the deal, and gets 404."""
    deal_id = open_deal(client, people.anna)["id"]
    answer = move_amid(
        client, ledger, people, deal_id,
        lambda session: deals.assign_deal(session, SYSTEM, deal_id, agent_id=people.ben.id),
    )  # fmt: skip
    assert answer.status_code == 404, answer.text
    with ledger.read() as session:
        assert session.get_one(AgentDeal, deal_id).pipeline_stage == PipelineStage.LEAD_CAPTURED


def take_token(session: Session, people: People) -> None:
    token = next(token for token in access.list_tokens(session, SYSTEM) if token.user_id == people.anna.id)
    access.revoke_token(session, SYSTEM, token.id)


def let_go(session: Session, people: People) -> None:
    access.change_user(session, SYSTEM, people.anna.id, {"active": False})


def make_viewer(session: Session, people: People) -> None:
    access.change_user(session, SYSTEM, people.anna.id, {"role": Role.VIEWER})


@pytest.mark.only_on("postgresql")
@pytest.mark.parametrize("withdraw", [take_token, let_go, make_viewer])
def test_a_withdrawal_that_is_being_written_is_waited_for_and_heard(
    client: TestClient, ledger: Ledger, people: People, withdraw: Callable[[Session, People], None]
) -> None:
    """It is written and not committed when a move comes; that was allowed when it began, and is refused at its end."""
    deal_id = open_deal(client, people.anna)["id"]
    answer = move_amid(client, ledger, people, deal_id, lambda session: withdraw(session, people))
    assert (answer.status_code, problem_of(answer)) == (403, "not-permitted"), answer.text
    with ledger.read() as session:
        assert session.get_one(AgentDeal, deal_id).pipeline_stage == PipelineStage.LEAD_CAPTURED


@pytest.mark.parametrize("withdraw", [take_token, let_go, make_viewer])
def test_no_change_is_committed_after_a_withdrawal_that_came_after_it_began(
    client: TestClient, ledger: Ledger, people: People, withdraw: Callable[[Session, People], None]
) -> None:
    """A move is done and not yet committed: the withdrawal waits for it. On SQLite it waits for every other write."""
    deal_id = open_deal(client, people.anna)["id"]
    token = people.anna.auth["Authorization"].removeprefix("Bearer ")
    order: list[str] = []

    def take_away() -> None:
        with ledger.write() as session:
            withdraw(session, people)
            order.append("withdrawn")

    withdrawing = threading.Thread(target=take_away)
    with ledger.begin_writing() as connection:
        with ledger.session_on(connection) as session:
            actor = access.find_token(session, token)
            assert isinstance(actor, Actor)
            deals.advance_stage(session, actor, deal_id, PipelineStage.PROPOSAL)
        withdrawing.start()
        withdrawing.join(1)
        order.append("moved")
    withdrawing.join(60)
    assert order == ["moved", "withdrawn"]
    with ledger.read() as session:
        assert session.get_one(AgentDeal, deal_id).pipeline_stage == PipelineStage.PROPOSAL
