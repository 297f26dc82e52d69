"""A deal's entries over REST: enough for a client to recompute every hash by itself."""

import json
from hashlib import sha256
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import People, problem_of
from tests.api.test_attachments import GRACE
from tests.api.test_deals import move, open_deal


def read_chain(client: TestClient, people: People, deal_id: str, limit: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        parameters = {"limit": str(limit), **cursor}
        page = client.get(f"/api/v1/deals/{deal_id}/audit", params=parameters, headers=people.viewer.auth).json()
        entries += page["items"]
        if page["next_cursor"] is None:
            return entries
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("limit", [1, 2, 200])
def test_a_client_can_follow_the_chain_to_its_receipt(client: TestClient, people: People, limit: int) -> None:
    """Each hash is that of its bytes, each prev the hash before, the last the hash of the receipt that was left."""
    deal = open_deal(client, people.anna)
    open_deal(client, people.ben)
    move(client, people.anna, deal, "proposal")
    added = client.post(f"/api/v1/deals/{deal['id']}/contacts", json=GRACE, headers=people.anna.auth)
    entries = read_chain(client, people, deal["id"], limit)
    assert [entry["type"] for entry in entries] == ["deal.opened", "deal.stage_changed", "contact.recorded"]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    prev = "0" * 64
    for entry in entries:
        assert entry["hash"] == sha256(b"\0" + entry["body"].encode()).hexdigest()
        assert entry["prev"] == json.loads(entry["body"])["prev"] == prev
        assert json.loads(entry["body"])["at"] == entry["at"]
        prev = entry["hash"]
    assert added.headers["audit-receipt"] == f"deal:{deal['id']};3;{prev}"
    assert "nmistakable" not in str(entries), "the log holds commitments to personal data, not the data"


def test_who_may_not_see_the_deal_sees_no_entry(client: TestClient, people: People) -> None:
    """Hidden and missing are the same bytes; a cursor of another list is refused."""
    deal = open_deal(client, people.anna)
    hidden = client.get(f"/api/v1/deals/{deal['id']}/audit", headers=people.ben.auth)
    missing = client.get("/api/v1/deals/nothing/audit", headers=people.ben.auth)
    assert (hidden.status_code, hidden.content) == (404, missing.content)
    wrong = client.get(f"/api/v1/deals/{deal['id']}/audit", params={"cursor": "x"}, headers=people.anna.auth)
    assert (wrong.status_code, problem_of(wrong)) == (422, "cursor-invalid")
