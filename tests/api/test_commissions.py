"""Commissions over REST: from recorded to paid, corrected and disputed, and never settled by who earns them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.store import Ledger
from tests.api.conftest import People, Person, problem_of
from tests.api.test_deals import open_deal
from tests.support.ledger import read_log

LINE = {
    "commission_type": "exclusive",
    "basis_amount": "480000.00",
    "basis_currency": "SGD",
    "commission_rate": "0.0250",
}


@pytest.fixture
def deal(client: TestClient, people: People) -> dict[str, Any]:
    return open_deal(client, people.anna)


def record(client: TestClient, person: Person, deal: dict[str, Any], **fields: Any) -> Any:
    return client.post(f"/api/v1/deals/{deal['id']}/commissions", json=LINE | fields, headers=person.auth)


def settle(client: TestClient, person: Person, line: dict[str, Any], status: str, **fields: Any) -> Any:
    return client.post(
        f"/api/v1/commissions/{line['id']}/status",
        json={"to_status": status, **fields},
        headers=person.auth | {"If-Match": f'"{line["revision"]}"'},
    )


def test_a_line_is_recorded_once_for_each_kind(client: TestClient, people: People, deal: dict[str, Any]) -> None:
    """Pending, for the deal's agent unless another is named, with its receipt; twice is a conflict."""
    response = record(client, people.anna, deal)
    line = response.json()
    assert response.status_code == 201
    assert (line["agent_id"], line["status"], line["commission_amount"]) == (people.anna.id, "pending", None)
    assert {name: line[name] for name in LINE} == LINE
    assert response.headers["audit-receipt"].startswith(f"deal:{deal['id']};2;")
    again = record(client, people.anna, deal)
    assert (again.status_code, problem_of(again)) == (409, "commission-already-recorded")
    other = record(client, people.anna, deal, agent_id=people.ben.id, commission_type="co_broke")
    assert other.status_code == 201
    unknown = record(client, people.manager, deal, agent_id="nobody")
    assert (unknown.status_code, problem_of(unknown)) == (404, "user-not-found")
    listed = client.get(f"/api/v1/deals/{deal['id']}/commissions", headers=people.viewer.auth).json()["items"]
    assert {row["id"] for row in listed} == {line["id"], other.json()["id"]}


@pytest.mark.parametrize(
    "wrong",
    [{"basis_amount": 480000}, {"commission_rate": "1.5"}, {"basis_currency": "S$"}, {"commission_type": "gift"}],
)
def test_what_can_not_be_a_commission_is_refused(
    client: TestClient, people: People, deal: dict[str, Any], wrong: dict[str, Any]
) -> None:
    """By field, and nothing is recorded."""
    response = record(client, people.anna, deal, **wrong)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")


def test_a_line_is_confirmed_invoiced_and_paid_by_a_manager(
    client: TestClient, people: People, deal: dict[str, Any]
) -> None:
    """Each step in turn, under the revision that was read; the amount is basis x rate."""
    line = record(client, people.anna, deal).json()
    refused = settle(client, people.anna, line, "confirmed")
    assert (refused.status_code, problem_of(refused)) == (403, "not-permitted")
    skipped = settle(client, people.manager, line, "paid")
    assert (skipped.status_code, problem_of(skipped)) == (409, "commission-status-not-reachable")
    assert skipped.json()["reachable"] == ["confirmed", "written_off"]
    address = f"/api/v1/commissions/{line['id']}/status"
    blind = client.post(address, json={"to_status": "confirmed"}, headers=people.manager.auth)
    assert (blind.status_code, problem_of(blind)) == (428, "revision-required")
    for status in ("confirmed", "invoiced", "paid"):
        stale = settle(client, people.manager, line | {"revision": line["revision"] + 7}, status)
        assert (stale.status_code, problem_of(stale)) == (412, "revision-stale")
        response = settle(client, people.manager, line, status)
        assert response.status_code == 200, response.text
        line = response.json()
        assert response.headers["etag"] == f'"{line["revision"]}"'
        assert (line["status"], line[f"{status}_at"] is not None) == (status, True)
    assert line["commission_amount"] == "12000.00"


def test_a_move_brings_the_paper_that_it_rests_on(
    client: TestClient, people: People, ledger: Ledger, deal: dict[str, Any]
) -> None:
    """The deal has the document and the move's entry names it; a refused move leaves no document behind."""
    line = record(client, people.manager, deal).json()
    paper = {"document_type": "invoice", "title": "Invoice 7", "uri": "https://files.example/7"}
    refused = settle(client, people.manager, line, "paid", document=paper)
    assert (refused.status_code, problem_of(refused)) == (409, "commission-status-not-reachable")
    address = f"/api/v1/deals/{deal['id']}/documents"
    assert client.get(address, headers=people.manager.auth).json()["items"] == []
    assert settle(client, people.manager, line, "confirmed", document=paper).status_code == 200
    [document] = client.get(address, headers=people.manager.auth).json()["items"]
    assert {name: document[name] for name in paper} == paper
    added, moved = read_log(ledger)[-2:]
    assert (added["type"], moved["type"]) == ("document.recorded", "commission.status_changed")
    assert added["subject"]["id"] == document["id"]
    assert moved["data"]["document_id"] == document["id"]


def test_who_earns_a_commission_does_not_settle_it(client: TestClient, people: People, deal: dict[str, Any]) -> None:
    """A manager's own line needs another manager."""
    line = record(client, people.manager, deal, agent_id=people.manager.id, commission_type="bonus").json()
    response = settle(client, people.manager, line, "confirmed")
    assert (response.status_code, problem_of(response)) == (403, "not-permitted")


def test_adjustments_are_recorded_beside_the_line(client: TestClient, people: People, deal: dict[str, Any]) -> None:
    """The line itself stays as it was confirmed."""
    line = settle(client, people.manager, record(client, people.anna, deal).json(), "confirmed").json()
    address = f"/api/v1/commissions/{line['id']}/adjustments"
    body = {"adjustment_type": "clawback", "amount": "1500.00", "note": "Tenant left within a year"}
    assert problem_of(client.post(address, json=body, headers=people.anna.auth)) == "not-permitted"
    response = client.post(address, json=body, headers=people.manager.auth)
    assert response.status_code == 201
    assert (response.json()["amount"], response.json()["currency"]) == ("1500.00", "SGD")
    assert response.headers["audit-receipt"]
    negative = client.post(address, json=body | {"amount": "-1.00"}, headers=people.manager.auth)
    assert (negative.status_code, problem_of(negative)) == (422, "amount-invalid")
    bare = client.post(address, json={"adjustment_type": "bonus", "amount": "1.00"}, headers=people.manager.auth)
    assert problem_of(bare) == "request-invalid"


def test_a_resolved_dispute_restores_the_status_before(
    client: TestClient, people: People, deal: dict[str, Any]
) -> None:
    """Opened by the agent, resolved once, by a manager."""
    line = settle(client, people.manager, record(client, people.anna, deal).json(), "confirmed").json()
    address = f"/api/v1/commissions/{line['id']}/disputes"
    body = {"amount": "3000.00", "reason": "The introduction was ours", "evidence": ["https://files.example/letter"]}
    opened = client.post(address, json=body, headers=people.anna.auth)
    assert opened.status_code == 201, opened.text
    dispute = opened.json()
    assert (dispute["status_before"], dispute["outcome"], dispute["hold"]) == ("confirmed", None, True)
    twice = client.post(address, json=body, headers=people.anna.auth)
    assert (twice.status_code, problem_of(twice)) == (409, "commission-status-not-reachable")
    queue = client.get("/api/v1/commissions", params={"status": "disputed"}, headers=people.manager.auth).json()
    assert [row["id"] for row in queue["items"]] == [line["id"]]
    resolve = f"/api/v1/disputes/{dispute['id']}/resolve"
    outcome = {"outcome": "partial", "note": "Half of it"}
    assert problem_of(client.post(resolve, json=outcome, headers=people.anna.auth)) == "not-permitted"
    resolved = client.post(resolve, json=outcome, headers=people.manager.auth)
    assert (resolved.status_code, resolved.json()["outcome"]) == (200, "partial")
    again = client.post(resolve, json=outcome, headers=people.manager.auth)
    assert (again.status_code, problem_of(again)) == (409, "dispute-already-resolved")
    listed = client.get("/api/v1/commissions", headers=people.manager.auth).json()["items"]
    assert [row["status"] for row in listed] == ["confirmed"]


def test_agents_see_their_lines_and_those_of_their_deals(
    client: TestClient, people: People, deal: dict[str, Any]
) -> None:
    """Ben's line on Anna's deal is in both their lists; Anna's own line is not in Ben's."""
    mine = record(client, people.anna, deal).json()
    his = record(client, people.anna, deal, agent_id=people.ben.id, commission_type="referral").json()

    def listed(person: Person, **parameters: str) -> set[str]:
        rows = client.get("/api/v1/commissions", params=parameters, headers=person.auth).json()["items"]
        return {row["id"] for row in rows}

    assert listed(people.anna) == {mine["id"], his["id"]}
    assert listed(people.ben) == {his["id"]}
    assert listed(people.manager, agent_id=people.ben.id) == {his["id"]}
    first = client.get("/api/v1/commissions", params={"limit": 1}, headers=people.manager.auth).json()
    rest = client.get(
        "/api/v1/commissions", params={"limit": 1, "cursor": first["next_cursor"]}, headers=people.manager.auth
    ).json()
    assert {row["id"] for row in first["items"] + rest["items"]} == {mine["id"], his["id"]}


def test_a_hidden_line_and_a_missing_one_are_the_same_bytes(
    client: TestClient, people: People, deal: dict[str, Any]
) -> None:
    """Neither can be told from the other, nor can a hidden dispute."""
    line = record(client, people.anna, deal).json()
    body = {"amount": "1.00", "reason": "x"}
    dispute = client.post(f"/api/v1/commissions/{line['id']}/disputes", json=body, headers=people.anna.auth).json()
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"/api/v1/commissions/{line['id']}/status", {"to_status": "confirmed"}),
        (f"/api/v1/commissions/{line['id']}/adjustments", {"adjustment_type": "bonus", "amount": "1.00", "note": "x"}),
        (f"/api/v1/commissions/{line['id']}/disputes", body),
        (f"/api/v1/disputes/{dispute['id']}/resolve", {"outcome": "denied", "note": "x"}),
    ]
    for address, payload in calls:
        missing_address = address.replace(line["id"], "nothing").replace(dispute["id"], "nothing")
        headers = people.ben.auth | {"If-Match": '"1"'}
        hidden = client.post(address, json=payload, headers=headers)
        missing = client.post(missing_address, json=payload, headers=headers)
        assert hidden.status_code == 404, (address, hidden.text)
        assert hidden.content == missing.content


def test_a_line_is_read_by_whom_its_deal_or_itself_belongs_to(
    client: TestClient, people: People, deal: dict[str, Any]
) -> None:
    """Ben reads his own line on Anna's deal with its adjustments and disputes; of Anna's he learns nothing."""
    mine = record(client, people.anna, deal).json()
    his = record(client, people.anna, deal, agent_id=people.ben.id, commission_type="referral").json()
    bonus = {"adjustment_type": "bonus", "amount": "10.00", "note": "Early"}
    address = f"/api/v1/commissions/{his['id']}"
    adjusted = client.post(f"{address}/adjustments", json=bonus, headers=people.manager.auth).json()
    reason = {"amount": "1.00", "reason": "Too little"}
    disputed = client.post(f"{address}/disputes", json=reason, headers=people.ben.auth).json()
    for person in (people.ben, people.anna, people.manager, people.viewer, people.admin):
        read = client.get(address, headers=person.auth)
        assert (read.status_code, read.json()["id"]) == (200, his["id"])
        assert read.headers["etag"] == f'"{read.json()["revision"]}"'
        assert client.get(f"{address}/adjustments", headers=person.auth).json()["items"] == [adjusted]
        assert client.get(f"{address}/disputes", headers=person.auth).json()["items"] == [disputed]
    for part in ("", "/adjustments", "/disputes"):
        hidden = client.get(f"/api/v1/commissions/{mine['id']}{part}", headers=people.ben.auth)
        missing = client.get(f"/api/v1/commissions/nothing{part}", headers=people.ben.auth)
        assert (hidden.status_code, hidden.content) == (404, missing.content)


def test_a_line_is_overdue_thirty_days_after_its_last_step(client: TestClient, people: People) -> None:
    """Confirmed and not invoiced, or invoiced and not paid; pending, paid and disputed lines never are."""
    now = datetime.now(UTC)
    long_ago = (now - timedelta(days=200)).isoformat()

    def line(*steps: tuple[str, timedelta]) -> dict[str, Any]:
        deal = open_deal(client, people.anna, effective_at=long_ago)
        introduced = (now - timedelta(days=190)).isoformat()
        made: dict[str, Any] = record(client, people.anna, deal, effective_at=introduced).json()
        for status, age in steps:
            made = settle(client, people.manager, made, status, effective_at=(now - age).isoformat()).json()
        return made

    over, under = timedelta(days=30, minutes=1), timedelta(days=29, hours=23)
    late = {
        line(("confirmed", over))["id"],
        line(("confirmed", timedelta(days=90)), ("invoiced", over))["id"],
    }
    line()
    line(("confirmed", timedelta(days=90)), ("invoiced", under))
    line(("confirmed", timedelta(days=90)), ("invoiced", timedelta(days=80)), ("paid", timedelta(days=70)))
    disputed = line(("confirmed", timedelta(days=90)))
    client.post(
        f"/api/v1/commissions/{disputed['id']}/disputes",
        json={"amount": "1.00", "reason": "x"},
        headers=people.anna.auth,
    )

    def listed(**parameters: str) -> set[str]:
        answer = client.get("/api/v1/commissions", params=parameters, headers=people.manager.auth).json()
        return {row["id"] for row in answer["items"]}

    assert listed(overdue="true") == late
    assert listed(overdue="false") == listed() - late
    assert len(listed()) == 6
    assert listed(overdue="true", status="paid") == set()
