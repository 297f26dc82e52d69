"""Where many write at once, a right that another transaction is taking away is waited for, and then gone."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from ledger import deals
from ledger.actors import SYSTEM
from ledger.store import Ledger
from ledger.tables import AgentDeal
from ledger.vocabulary import PipelineStage
from tests.api.conftest import People
from tests.api.test_deals import open_deal
from tests.support.served_api import wait_until

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


@pytest.mark.only_on("postgresql")
def test_a_deal_that_is_being_handed_over_is_waited_for_and_gone(
    client: TestClient, ledger: Ledger, people: People
) -> None:
    """The assignment is written and not committed; its former agent's move comes, waits for the deal, and gets 404."""
    deal_id = open_deal(client, people.anna)["id"]
    answers: list[Any] = []

    def move() -> None:
        headers = people.anna.auth | {"If-Match": "*"}
        answers.append(client.post(f"/api/v1/deals/{deal_id}/stage", json={"to_stage": "proposal"}, headers=headers))

    def has_met_it() -> bool:
        with ledger.read() as looking:
            return bool(answers) or bool(looking.scalar(WAITING))

    sender = threading.Thread(target=move)
    with ledger.write() as session:
        deals.assign_deal(session, SYSTEM, deal_id, agent_id=people.ben.id)
        sender.start()
        wait_until(has_met_it, "the request neither waits nor answers")
        assert answers == [], "it did not wait"
    sender.join(60)
    [answer] = answers
    assert answer.status_code == 404, answer.text
    with ledger.read() as session:
        assert session.get_one(AgentDeal, deal_id).pipeline_stage == PipelineStage.LEAD_CAPTURED
