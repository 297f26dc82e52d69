"""Contacts and documents over REST: kept with the deal, and what is personal can be erased without breaking the log."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from ledger.log.entry import decode_body
from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.api.conftest import People, Person, problem_of
from tests.api.test_deals import open_deal

GRACE = {
    "contact_type": "counterparty",
    "name": "Grace Teo-Unmistakable",
    "email": "grace@unmistakable.example",
    "phone": "+65 5550 1234",
    "company": "Unmistakable Holdings",
    "notes": "Unmistakable: call after six",
}
LEASE = {
    "document_type": "lease",
    "title": "Unmistakable lease",
    "uri": "https://files.example/unmistakable.pdf",
    "mime_type": "application/pdf",
    "sha256": "ab" * 32,
    "metadata": {"page": "unmistakable"},
}
BODIES: dict[str, dict[str, Any]] = {"contacts": GRACE, "documents": LEASE}
PERSONAL = {"contacts": ("name", "email", "phone", "company", "notes"), "documents": ("title", "uri", "metadata")}


@pytest.fixture
def deal(client: TestClient, people: People) -> dict[str, Any]:
    return open_deal(client, people.anna)


def add(client: TestClient, person: Person, deal: dict[str, Any], what: str, **headers: str) -> Any:
    return client.post(f"/api/v1/deals/{deal['id']}/{what}", json=BODIES[what], headers=person.auth | headers)


@pytest.mark.parametrize("what", BODIES)
def test_what_is_added_is_listed_as_it_was_sent(
    client: TestClient, people: People, deal: dict[str, Any], what: str
) -> None:
    """With its receipt, for everyone who sees the deal."""
    added = add(client, people.anna, deal, what)
    assert added.status_code == 201, added.text
    assert {name: added.json()[name] for name in BODIES[what]} == BODIES[what]
    assert added.headers["audit-receipt"].startswith(f"deal:{deal['id']};2;")
    for person in (people.anna, people.manager, people.viewer):
        listed = client.get(f"/api/v1/deals/{deal['id']}/{what}", headers=person.auth).json()
        assert listed == {"items": [added.json()], "next_cursor": None}


@pytest.mark.parametrize("what", BODIES)
def test_erasing_leaves_no_trace_of_the_person_but_the_commitment(
    client: TestClient, people: People, ledger: Ledger, deal: dict[str, Any], what: str
) -> None:
    """Not in the list, the timeline, or the answer kept for a retry; the entry still gives its hash."""
    key = {"Idempotency-Key": "add-1"}
    added = add(client, people.anna, deal, what, **key).json()
    recorded = _entry(ledger, added["id"])
    address = f"/api/v1/deals/{deal['id']}/{what}/{added['id']}"
    erased = client.delete(address, headers=people.anna.auth)
    assert (erased.status_code, erased.content) == (204, b"")
    assert erased.headers["audit-receipt"].startswith(f"deal:{deal['id']};3;")
    assert client.delete(address, headers=people.anna.auth).headers["audit-receipt"] == erased.headers["audit-receipt"]
    [left] = client.get(f"/api/v1/deals/{deal['id']}/{what}", headers=people.anna.auth).json()["items"]
    assert left["erased_at"]
    assert [left[name] for name in PERSONAL[what]] == [None] * len(PERSONAL[what])
    replayed = add(client, people.anna, deal, what, **key)
    assert (replayed.status_code, replayed.json()["id"]) == (201, added["id"])
    timeline = client.get(f"/api/v1/deals/{deal['id']}/timeline", headers=people.anna.auth)
    for text in (replayed.text, timeline.text):
        assert "nmistakable" not in text
    assert _entry(ledger, added["id"]) == recorded
    assert all(len(decode_body(recorded)["data"]["set"][name]) == 64 for name in PERSONAL[what])


def _entry(ledger: Ledger, subject_id: str) -> bytes:
    query = select(AuditLog.body).where(AuditLog.subject_id == subject_id).order_by(AuditLog.n)
    with ledger.read() as session:
        return session.scalars(query).all()[0]


@pytest.mark.parametrize("what", BODIES)
def test_only_those_who_may_write_the_deal_add_and_erase(
    client: TestClient, people: People, deal: dict[str, Any], what: str
) -> None:
    """Others' deals do not exist for an agent; viewers and administrators see, and are refused."""
    added = add(client, people.manager, deal, what).json()
    address = f"/api/v1/deals/{deal['id']}/{what}"
    for person in (people.viewer, people.admin):
        assert add(client, person, deal, what).status_code == 403
        assert client.delete(f"{address}/{added['id']}", headers=person.auth).status_code == 403
    for request in (
        client.get(address, headers=people.ben.auth),
        add(client, people.ben, deal, what),
        client.delete(f"{address}/{added['id']}", headers=people.ben.auth),
    ):
        assert (request.status_code, problem_of(request)) == (404, "deal-not-found")
    other = open_deal(client, people.anna)
    elsewhere = client.delete(f"/api/v1/deals/{other['id']}/{what}/{added['id']}", headers=people.anna.auth)
    assert (elsewhere.status_code, problem_of(elsewhere)) == (404, f"{what[:-1]}-not-found")


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("contacts", dict.fromkeys(("name", "email", "phone", "company", "notes"))),
        ("contacts", {"contact_type": ""}),
        ("contacts", {"nickname": "G"}),
        ("documents", {"uri": "javascript:alert(1)"}),
        ("documents", {"uri": "javascript://example.com/%0aalert(1)"}),
        ("documents", {"uri": "data:text/html,x"}),
        ("documents", {"sha256": "AB"}),
        ("documents", {"mime_type": "pdf"}),
    ],
)
def test_what_can_not_be_kept_is_refused(
    client: TestClient, people: People, deal: dict[str, Any], what: str, changes: dict[str, Any]
) -> None:
    """Nothing is recorded; an address that a browser would run never gets in."""
    address = f"/api/v1/deals/{deal['id']}/{what}"
    assert client.post(address, json=BODIES[what] | changes, headers=people.anna.auth).status_code == 422
    assert client.get(address, headers=people.anna.auth).json()["items"] == []
