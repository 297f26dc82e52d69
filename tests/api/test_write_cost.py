"""What a change costs: bounds on what is sent to the database, so that it does not creep up unseen."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text

from ledger.access import get_deal
from ledger.actors import SYSTEM
from ledger.databases import is_sqlite
from ledger.log.verify import verify_chains
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People
from tests.api.test_deals import OFFICE, open_deal

MOVE = 13
"""Who calls; the deal, its path, its chain's head, the log's name and size; the entry, the head, the event, the deal;
the deal's entries and their texts; BEGIN and COMMIT around them."""

OPENING = 13


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Without the keeper of checkpoints, which asks for the size of the log now and then."""
    return settings.model_copy(update={"checkpoint_seconds": 0})


@pytest.fixture
def statements(client: TestClient) -> list[str]:
    """Every statement that SQLite hears from the app from now on; what is sent is the same on every database."""
    heard: list[str] = []
    engine: Any = client.app.state.service.ledger.writer  # type: ignore[attr-defined]
    event.listen(engine, "checkout", lambda connection, *_: connection.set_trace_callback(heard.append))
    return heard


@pytest.mark.only_on("sqlite")
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


@pytest.mark.only_on("sqlite")
def test_opening_a_deal_sends_few_statements(client: TestClient, people: People, statements: list[str]) -> None:
    """Whom it belongs to, and the texts that its entry commits to, come on top; path and timeline are not read."""
    client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth)
    statements.clear()
    assert client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth).status_code == 201
    sent = [statement for statement in statements if not statement.startswith("--")]
    assert len(sent) <= OPENING, "\n".join(sent)


def test_what_waits_together_is_committed_together(client: TestClient, ledger: Ledger, people: People) -> None:
    """Six changes of a deal that wait for another writer: two commits at most, six entries, and each its own answer."""
    deal_id = open_deal(client, people.anna)["id"]
    writers: Any = client.app.state.service.writers  # type: ignore[attr-defined]
    answers: dict[str, Any] = {}
    count = count_commits(client, ledger)

    def change(title: str) -> None:
        headers = people.anna.auth | {"If-Match": "*"}
        answers[title] = client.patch(f"/api/v1/deals/{deal_id}", json={"title": title}, headers=headers)

    threads = [threading.Thread(target=change, args=(f"Tower {number}",)) for number in range(6)]
    with ledger.write() as session:
        get_deal(session, SYSTEM, deal_id)
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while writers.unsettled < 6:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert count() <= 2
    assert {title: answer.json()["title"] for title, answer in answers.items()} == {title: title for title in answers}
    assert sorted(answer.json()["revision"] for answer in answers.values()) == [2, 3, 4, 5, 6, 7]
    with ledger.read() as session:
        assert verify_chains(session).is_sound


def count_commits(client: TestClient, ledger: Ledger) -> Callable[[], int]:
    """Return what counts the commits of changes from now on.

    SQLite says what it hears. PostgreSQL keeps the transaction that wrote a row; entries get there with their leaf
    index, which their writer gives them right after its commit.
    """
    writer: Any = client.app.state.service.ledger.writer  # type: ignore[attr-defined]
    if is_sqlite(writer.dialect):
        heard: list[str] = []
        event.listen(writer, "checkout", lambda connection, *_: connection.set_trace_callback(heard.append))
        return lambda: heard.count("COMMIT")

    def count() -> int:
        with ledger.read() as session:
            query = text("SELECT count(DISTINCT xmin::text) FROM audit_logs WHERE type = 'deal.changed'")
            return int(session.scalar(query) or 0)

    return count
