"""Users and tokens over REST: administrators alone, secrets shown once, revoked at once."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from ledger.store import Ledger
from ledger.tables import IdempotencyKey
from tests.api.conftest import People, problem_of
from tests.support.ledger import log_size, read_log, stored


def make_token(client: TestClient, people: People, user_id: str, **headers: str) -> Any:
    body = {"user_id": user_id, "name": "nightly export", "expires_in_days": 30}
    return client.post("/api/v1/tokens", json=body, headers=people.admin.auth | headers)


def test_a_token_lets_its_user_in_until_it_is_revoked(client: TestClient, people: People, ledger: Ledger) -> None:
    """It works from the answer on and stops with the next request after the DELETE; both are entries in `sys`."""
    made = make_token(client, people, people.anna.id)
    assert made.status_code == 201, made.text
    assert made.headers["audit-receipt"].startswith("sys;")
    auth = {"Authorization": f"Bearer {made.json()['token']}"}
    assert client.get("/api/v1/me", headers=auth).json()["id"] == people.anna.id
    address = f"/api/v1/tokens/{made.json()['id']}"
    revoked = client.delete(address, headers=people.admin.auth)
    assert (revoked.status_code, revoked.content) == (204, b"")
    assert client.get("/api/v1/me", headers=auth).status_code == 401
    size = log_size(ledger)
    assert client.delete(address, headers=people.admin.auth).status_code == 204
    assert log_size(ledger) == size
    assert [entry["type"] for entry in read_log(ledger)[-2:]] == ["token.created", "token.revoked"]
    assert read_log(ledger)[-1]["actor"]["id"] == people.admin.id


def test_a_secret_is_in_one_answer_and_nowhere_else(client: TestClient, people: People, ledger: Ledger) -> None:
    """Not in the list, not in the answer kept for a retry, not in any file of the ledger."""
    key = {"Idempotency-Key": "token-1"}
    made = make_token(client, people, people.anna.id, **key).json()
    repeated = make_token(client, people, people.anna.id, **key)
    assert repeated.status_code == 201
    assert repeated.json() == made | {"token": None}
    [listed] = client.get("/api/v1/tokens", params={"limit": 1}, headers=people.admin.auth).json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "token"}
    assert made["hint"] == made["token"][-4:]
    with ledger.read() as session:
        assert len(session.scalars(select(IdempotencyKey.body)).all()) == 1
    for content in stored(ledger):
        assert made["token"].encode() not in content


def test_tokens_and_users_come_in_pages(client: TestClient, people: People) -> None:
    """Each once, newest first, narrowed by filters."""
    for path, known in (("/api/v1/tokens", 5), ("/api/v1/users", 5)):
        seen: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = client.get(path, params={"limit": "2", **cursor}, headers=people.admin.auth).json()
            seen += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len({row["id"] for row in seen}) == len(seen) == known
        assert [row["created_at"] for row in seen] == sorted((row["created_at"] for row in seen), reverse=True)
        broken = client.get(path, params={"cursor": "nonsense"}, headers=people.admin.auth)
        assert (broken.status_code, problem_of(broken)) == (422, "cursor-invalid")
    agents = client.get("/api/v1/users", params={"role": "agent"}, headers=people.admin.auth).json()["items"]
    assert {row["id"] for row in agents} == {people.anna.id, people.ben.id}
    hers = client.get("/api/v1/tokens", params={"user_id": people.anna.id}, headers=people.admin.auth).json()["items"]
    assert [row["user_id"] for row in hers] == [people.anna.id]


def test_a_user_is_added_once(client: TestClient, people: People) -> None:
    """By e-mail address; the answer is what the list shows."""
    body = {"name": "Lee Chan", "email": "LEE@example.com", "role": "agent"}
    added = client.post("/api/v1/users", json=body, headers=people.admin.auth)
    assert added.status_code == 201, added.text
    assert (added.json()["email"], added.json()["active"]) == ("lee@example.com", True)
    assert client.get("/api/v1/users", headers=people.admin.auth).json()["items"][0] == added.json()
    again = client.post("/api/v1/users", json=body, headers=people.admin.auth)
    assert (again.status_code, problem_of(again)) == (409, "email-taken")
    wrong = client.post("/api/v1/users", json=body | {"email": "nowhere"}, headers=people.admin.auth)
    assert (wrong.status_code, problem_of(wrong)) == (422, "text-invalid")


@pytest.mark.parametrize("role", ["viewer", "anna", "manager"])
def test_nobody_but_an_administrator_manages_access(client: TestClient, people: People, role: str) -> None:
    """Not even a look, and no token for oneself."""
    person = getattr(people, role)
    token = {"user_id": person.id, "name": "mine"}
    user = {"name": "New", "role": "admin"}
    for response in (
        client.get("/api/v1/tokens", headers=person.auth),
        client.post("/api/v1/tokens", json=token, headers=person.auth),
        client.delete("/api/v1/tokens/nothing", headers=person.auth),
        client.get("/api/v1/users", headers=person.auth),
        client.post("/api/v1/users", json=user, headers=person.auth),
    ):
        assert (response.status_code, problem_of(response)) == (403, "not-permitted")


def test_what_does_not_exist_gets_no_token_and_none_is_revoked(client: TestClient, people: People) -> None:
    """404 names what is missing."""
    made = make_token(client, people, "nobody")
    assert (made.status_code, problem_of(made)) == (404, "user-not-found")
    revoked = client.delete("/api/v1/tokens/nothing", headers=people.admin.auth)
    assert (revoked.status_code, problem_of(revoked)) == (404, "token-not-found")
