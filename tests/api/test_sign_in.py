"""Who gets in, how long, and what a foreign page can not do in their name."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from ledger import access
from ledger.store import Ledger
from tests.api.conftest import People, Person, problem_of

ORIGIN = {"Origin": "http://testserver"}


def sign_in(client: TestClient, ledger: Ledger, person: Person) -> None:
    with ledger.write() as session:
        link = access.create_login_link(session, person.id)
    response = client.get("/login", params={"link": link}, follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (303, "/agents/performance/home")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert link not in cookie


def test_every_bad_credential_gets_the_same_answer(client: TestClient, people: People, ledger: Ledger) -> None:
    """Missing, malformed, unknown, expired and revoked are one 401 body: which it was would help only a guesser."""
    with ledger.write() as session:
        past = datetime.now(UTC) - timedelta(minutes=1)
        _, expired = access.create_token(session, access.SYSTEM, people.anna.id, name="old", expires_at=past)
        token, revoked = access.create_token(session, access.SYSTEM, people.anna.id, name="gone")
        access.revoke_token(session, access.SYSTEM, token.id)
    credentials: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {people.anna.token[:-1]}x"},
        {"Authorization": f"Basic {people.anna.token}"},
        {"Authorization": f"Bearer {expired}"},
        {"Authorization": f"Bearer {revoked}"},
        {"Cookie": "dealbook_session=nonsense"},
    ]
    answers = [client.get("/api/v1/me", headers=headers) for headers in credentials]
    assert {(answer.status_code, problem_of(answer)) for answer in answers} == {(401, "not-signed-in")}
    assert len({answer.content for answer in answers}) == 1
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in answers)


def test_a_revoked_token_stops_at_the_next_request(client: TestClient, people: People, ledger: Ledger) -> None:
    """Nothing is cached between requests."""
    with ledger.write() as session:
        token, secret = access.create_token(session, access.SYSTEM, people.anna.id, name="second")
    auth = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/me", headers=auth).status_code == 200
    with ledger.write() as session:
        access.revoke_token(session, access.SYSTEM, token.id)
    assert client.get("/api/v1/me", headers=auth).status_code == 401


def test_me_says_who_and_what_they_may_do(client: TestClient, people: People) -> None:
    """The caller's role shows in the actions listed."""
    mine = client.get("/api/v1/me", headers=people.anna.auth).json()
    assert (mine["id"], mine["name"], mine["role"]) == (people.anna.id, "Anna Lim", "agent")
    assert "write_deal" in mine["actions"]
    assert "write_deal" not in client.get("/api/v1/me", headers=people.viewer.auth).json()["actions"]


def test_a_link_signs_in_once(client: TestClient, people: People, ledger: Ledger) -> None:
    """The cookie then answers for its holder, and the same link a second time for nobody."""
    with ledger.write() as session:
        link = access.create_login_link(session, people.anna.id)
    assert client.get("/login", params={"link": link}, follow_redirects=False).status_code == 303
    assert client.get("/api/v1/me").json()["id"] == people.anna.id
    again = client.get("/login", params={"link": link}, follow_redirects=False)
    assert again.status_code == 401
    assert "dealbook login-link" in again.text
    assert "set-cookie" not in again.headers
    assert client.get("/login", follow_redirects=False).status_code == 401


def test_signing_out_ends_the_session_itself(client: TestClient, people: People, ledger: Ledger) -> None:
    """Not only the cookie goes: a copy of it is worth nothing afterwards."""
    sign_in(client, ledger, people.anna)
    copy = client.cookies["dealbook_session"]
    response = client.post("/logout", headers=ORIGIN, follow_redirects=False)
    assert response.status_code == 303
    assert "dealbook_session" not in client.cookies
    assert client.get("/api/v1/me", headers={"Cookie": f"dealbook_session={copy}"}).status_code == 401


@pytest.mark.parametrize("origin", [{}, {"Origin": "http://elsewhere.example"}, {"Origin": "null"}])
def test_a_foreign_page_can_not_sign_anyone_out(
    client: TestClient, people: People, ledger: Ledger, origin: dict[str, str]
) -> None:
    """A change by cookie needs a page of this server behind it."""
    sign_in(client, ledger, people.anna)
    response = client.post("/logout", headers=origin, follow_redirects=False)
    assert (response.status_code, problem_of(response)) == (403, "cross-site-request")
    assert client.get("/api/v1/me").status_code == 200
