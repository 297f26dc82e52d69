"""What a change costs: bounds on what is sent to the database, so that it does not creep up unseen."""

import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from ledger.databases import is_sqlite
from ledger.log.verify import verify_chains
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People
from tests.api.test_deals import OFFICE, open_deal

MOVE = 15
"""Who calls; the deal, its path, its chain's head, the log's name and size; the entry, the head, the event, the deal;
the deal as it is now, its entries and their texts; and a mode, BEGIN, COMMIT around them."""

OPENING = 14


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without the keeper of checkpoints, which asks for the size of the log now and then."""
    return settings.model_copy(update={"checkpoint_seconds": 0})


@pytest.fixture
def statements(client: TestClient) -> list[str]:
    """Every statement that SQLite hears from the app from now on."""
    heard: list[str] = []
    engine: Any = client.app.state.service.ledger.engine  # type: ignore[attr-defined]
    if not is_sqlite(engine.dialect):
        pytest.skip("what is sent is the same on every database, and only SQLite says what it hears")
    event.listen(engine, "checkout", lambda connection, *_: connection.set_trace_callback(heard.append))
    return heard


def test_a_move_sends_few_statements(client: TestClient, people: People, statements: list[str]) -> None:
    """It was 25 once. A row that is read again, or a query that a refactoring adds, shows here."""
    deal = open_deal(client, people.anna)
    headers = people.anna.auth | {"If-Match": "*"}
    for stage in ("proposal", "negotiation"):
        statements.clear()
        answer = client.post(f"/api/v1/deals/{deal['id']}/stage", json={"to_stage": stage}, headers=headers)
        assert answer.status_code == 200
    sent = [statement for statement in statements if not statement.startswith("--")]
    assert sum(statement.startswith("BEGIN") for statement in sent) == 1, sent
    assert sum(statement.startswith("COMMIT") for statement in sent) == 1, sent
    assert len(sent) <= MOVE, "\n".join(sent)


def test_opening_a_deal_sends_few_statements(client: TestClient, people: People, statements: list[str]) -> None:
    """Whom it belongs to, and the texts that its entry commits to, come on top; path and timeline are not read."""
    client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth)
    statements.clear()
    assert client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth).status_code == 201
    sent = [statement for statement in statements if not statement.startswith("--")]
    assert len(sent) <= OPENING, "\n".join(sent)


def test_what_waits_together_is_committed_together(
    client: TestClient, ledger: Ledger, people: People, statements: list[str]
) -> None:
    """Six changes that wait for another writer: two commits at most, six entries, and each its own answer."""
    deal_ids = [open_deal(client, people.anna)["id"] for _ in range(6)]
    writers: Any = client.app.state.service.writers  # type: ignore[attr-defined]
    answers: dict[str, Any] = {}

    def move(deal_id: str) -> None:
        headers = people.anna.auth | {"If-Match": '"1"'}
        answers[deal_id] = client.post(f"/api/v1/deals/{deal_id}/stage", json={"to_stage": "proposal"}, headers=headers)

    threads = [threading.Thread(target=move, args=(deal_id,)) for deal_id in deal_ids]
    statements.clear()
    with ledger.write():
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while writers.unsettled < 6:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert sum(statement.startswith("COMMIT") for statement in statements) <= 2
    assert {deal_id: answers[deal_id].json()["deal"]["id"] for deal_id in deal_ids} == {key: key for key in deal_ids}
    assert {answer.json()["deal"]["revision"] for answer in answers.values()} == {2}
    with ledger.read() as session:
        assert verify_chains(session).is_sound
