"""Who settles a commission has seen it as it is: whatever changes its status changes its revision."""

from typing import Any

from fastapi.testclient import TestClient

from tests.api.conftest import People, problem_of
from tests.api.test_commissions import record, settle
from tests.api.test_deals import open_deal


def test_a_settlement_decided_before_a_dispute_began_or_ended_is_refused(client: TestClient, people: People) -> None:
    """Opened, resolved, opened again: each is a revision of its own, and what was read before it no longer counts."""
    line = record(client, people.anna, open_deal(client, people.anna)).json()
    address = f"/api/v1/commissions/{line['id']}"

    def read() -> dict[str, Any]:
        answer = client.get(address, headers=people.manager.auth)
        found: dict[str, Any] = answer.json()
        assert answer.headers["etag"] == f'"{found["revision"]}"'
        return found

    seen = [line]
    for outcome in ("denied", "partial"):
        opened = client.post(f"{address}/disputes", json={"amount": "1.00", "reason": "Ours"}, headers=people.anna.auth)
        assert opened.status_code == 201, opened.text
        seen.append(read())
        resolved = client.post(
            f"/api/v1/disputes/{opened.json()['id']}/resolve",
            json={"outcome": outcome, "note": "Heard"},
            headers=people.manager.auth,
        )
        assert resolved.status_code == 200, resolved.text
        seen.append(read())
    assert [row["status"] for row in seen] == ["pending", "disputed", "pending", "disputed", "pending"]
    assert len({row["revision"] for row in seen}) == 5
    for stale in seen[:-1]:
        refused = settle(client, people.manager, stale, "confirmed")
        assert (refused.status_code, problem_of(refused)) == (412, "revision-stale")
    confirmed = settle(client, people.manager, seen[-1], "confirmed")
    assert (confirmed.status_code, confirmed.json()["status"]) == (200, "confirmed")
    assert confirmed.json() == read()
