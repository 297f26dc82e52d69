"""A POST that is sent twice: one change, one answer."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from fastapi.testclient import TestClient

from tests.api.conftest import People, problem_of
from tests.api.test_deals import OFFICE, open_deal


def test_the_same_request_gets_the_same_bytes_and_changes_nothing_twice(client: TestClient, people: People) -> None:
    """A client that lost the answer may simply ask again."""
    headers = people.anna.auth | {"Idempotency-Key": "order-1"}
    first = client.post("/api/v1/deals", json=OFFICE, headers=headers)
    second = client.post("/api/v1/deals", json=OFFICE, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    for name in ("content-type", "etag", "location", "audit-receipt"):
        assert second.headers[name] == first.headers[name]
    assert second.headers["idempotent-replay"] == "true"
    assert len(client.get("/api/v1/deals", headers=people.anna.auth).json()["items"]) == 1


def test_a_key_belongs_to_one_request_of_one_caller(client: TestClient, people: People) -> None:
    """Another body is refused; another caller's key of the same name is another key."""
    headers = {"Idempotency-Key": "order-1"}
    client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth | headers)
    other = client.post("/api/v1/deals", json=OFFICE | {"title": "Other"}, headers=people.anna.auth | headers)
    assert (other.status_code, problem_of(other)) == (422, "idempotency-key-reused")
    assert client.post("/api/v1/deals", json=OFFICE, headers=people.ben.auth | headers).status_code == 201
    assert "idempotent-replay" not in client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth).headers
    too_long = client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth | {"Idempotency-Key": "k" * 256})
    assert (too_long.status_code, problem_of(too_long)) == (422, "request-invalid")


def test_a_refused_request_leaves_its_key_free(client: TestClient, people: People) -> None:
    """What failed may be corrected and sent again under the same key."""
    headers = people.anna.auth | {"Idempotency-Key": "order-1"}
    assert client.post("/api/v1/deals", json=OFFICE | {"title": ""}, headers=headers).status_code == 422
    assert client.post("/api/v1/deals", json=OFFICE, headers=headers).status_code == 201


def test_a_repeated_stage_move_replays_although_its_revision_is_old_by_then(client: TestClient, people: People) -> None:
    """Without the key the second would be 412; with it the first answer comes back."""
    deal = open_deal(client, people.anna)
    headers = people.anna.auth | {"If-Match": '"1"', "Idempotency-Key": "move-1"}
    address = f"/api/v1/deals/{deal['id']}/stage"
    first, second = (client.post(address, json={"to_stage": "proposal"}, headers=headers) for _ in range(2))
    assert (second.status_code, second.content) == (200, first.content)


def test_the_same_key_at_the_same_time_is_one_change(client: TestClient, people: People) -> None:
    """Ten at once: one deal, ten equal answers."""
    answers: list[Any] = []
    headers = people.anna.auth | {"Idempotency-Key": "order-1"}

    def send() -> None:
        answers.append(client.post("/api/v1/deals", json=OFFICE, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert len(client.get("/api/v1/deals", headers=people.anna.auth).json()["items"]) == 1


def test_money_moves_once_for_good(client: TestClient, people: People) -> None:
    """The answer is forgotten after 30 days, the entry is not: the same key never records an adjustment twice."""
    deal = open_deal(client, people.anna)
    line = {"commission_type": "bonus", "basis_amount": "1.00", "basis_currency": "SGD", "commission_rate": "0.1000"}
    made = client.post(f"/api/v1/deals/{deal['id']}/commissions", json=line, headers=people.manager.auth).json()
    address = f"/api/v1/commissions/{made['id']}/adjustments"
    body = {"adjustment_type": "bonus", "amount": "1.00", "note": "Early"}
    headers = people.manager.auth | {"Idempotency-Key": "pay-1"}
    assert client.post(address, json=body, headers=headers).status_code == 201
    with time_machine.travel(datetime.now(UTC) + timedelta(days=40), tick=False):
        other = people.manager.auth | {"Idempotency-Key": "pay-2"}
        assert client.post(address, json=body, headers=other).status_code == 201, "this one sweeps the old answers"
        again = client.post(address, json=body, headers=headers)
        assert (again.status_code, problem_of(again)) == (409, "recorded-before")
    assert len(client.get(address, headers=people.manager.auth).json()["items"]) == 2
