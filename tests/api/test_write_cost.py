"""What a change costs: bounds on what is sent to the database, so that it does not creep up unseen."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from ledger.settings import Settings
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
