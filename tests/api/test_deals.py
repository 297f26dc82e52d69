"""Deals over REST: what each route does, what it refuses, and what an outsider can not tell."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.main import create_app
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People, Person, problem_of

OFFICE = {
    "title": "Level 12, Harbour Tower",
    "asset_type": "office",
    "deal_type": "lease",
    "lead_source": "referral",
    "estimated_value_amount": "1250000.00",
    "estimated_value_currency": "SGD",
    "confidence": "0.40",
    "expected_close_date": "2026-12-15",
    "metadata": {"account": "Harbour Holdings"},
}


def open_deal(client: TestClient, person: Person, **fields: Any) -> dict[str, Any]:
    response = client.post("/api/v1/deals", json=OFFICE | fields, headers=person.auth)
    assert response.status_code == 201, response.text
    deal: dict[str, Any] = response.json()
    return deal


def move(client: TestClient, person: Person, deal: dict[str, Any], stage: str, **fields: Any) -> Any:
    return client.post(
        f"/api/v1/deals/{deal['id']}/stage",
        json={"to_stage": stage, **fields},
        headers=person.auth | {"If-Match": f'"{deal["revision"]}"'},
    )


def test_an_agent_opens_a_deal_of_their_own(client: TestClient, people: People) -> None:
    """Money comes back as it was written, with its currency; the answer says where the deal is and proves its entry."""
    response = client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth)
    deal = response.json()
    assert response.status_code == 201
    assert {name: deal[name] for name in OFFICE} == OFFICE
    assert (deal["agent_id"], deal["pipeline_stage"], deal["status"]) == (people.anna.id, "lead_captured", "open")
    assert response.headers["location"] == f"/api/v1/deals/{deal['id']}"
    assert response.headers["etag"] == f'"{deal["revision"]}"' == '"1"'
    chain, seq, digest = response.headers["audit-receipt"].split(";")
    assert (chain, seq, len(digest)) == (f"deal:{deal['id']}", "1", 64)
    read = client.get(f"/api/v1/deals/{deal['id']}", headers=people.viewer.auth)
    assert (read.json(), read.headers["etag"]) == (deal, '"1"')


def test_a_deal_needs_only_title_and_types(client: TestClient, people: People) -> None:
    """The rest is unknown, and the currency is the reporting one."""
    body = {"title": "Shop", "asset_type": "retail", "deal_type": "lease"}
    deal = client.post("/api/v1/deals", json=body, headers=people.anna.auth).json()
    assert (deal["estimated_value_amount"], deal["estimated_value_currency"]) == (None, "SGD")
    assert (deal["confidence"], deal["metadata"], deal["expected_close_date"]) == (None, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": ""},
        {"title": None},
        {"asset_type": "castle"},
        {"estimated_value_amount": 1250000.0},
        {"estimated_value_amount": "1250000.001"},
        {"estimated_value_amount": "NaN"},
        {"estimated_value_amount": "1e400"},
        {"estimated_value_currency": "sgd"},
        {"confidence": "1.01"},
        {"confidence": "0.555"},
        {"expected_close_date": "15/12/2026"},
        {"effective_at": "2026-01-01T00:00:00"},
        {"colour": "blue"},
        {"status": "closed_won"},
    ],
)
def test_what_can_not_be_a_deal_is_refused_by_field(client: TestClient, people: People, wrong: dict[str, Any]) -> None:
    """Unknown fields too: a misspelt one would otherwise be lost in silence. Nothing is written."""
    response = client.post("/api/v1/deals", json=OFFICE | wrong, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")
    assert response.json()["errors"][0]["location"] == f"body.{next(iter(wrong))}"
    assert client.get("/api/v1/deals", headers=people.anna.auth).json()["items"] == []


@pytest.mark.parametrize(("days", "code"), [(1, "effective-in-future")])
def test_rules_of_the_ledger_come_back_as_their_own_problems(
    client: TestClient, people: People, days: int, code: str
) -> None:
    """A fact of the ledger keeps its code, so that a client can act on it."""
    moment = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    response = client.post("/api/v1/deals", json=OFFICE | {"effective_at": moment}, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (422, code)


def test_json_that_is_none_is_refused(client: TestClient, people: People) -> None:
    """A body that can not be read is the caller's mistake, told as such."""
    headers = people.anna.auth | {"Content-Type": "application/json"}
    response = client.post("/api/v1/deals", content=b'{"title": ', headers=headers)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")
    response = client.post("/api/v1/deals", content=b'{"title": "\xff"}', headers=headers)
    assert (response.status_code, problem_of(response)) == (400, "request-malformed")


def test_who_may_open_a_deal(client: TestClient, people: People) -> None:
    """Viewers and admins may not; an agent may not for another; a manager may for anyone who exists."""
    for person in (people.viewer, people.admin):
        response = client.post("/api/v1/deals", json=OFFICE, headers=person.auth)
        assert (response.status_code, problem_of(response)) == (403, "not-permitted")
    response = client.post("/api/v1/deals", json=OFFICE | {"agent_id": people.ben.id}, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (403, "not-permitted")
    assert open_deal(client, people.manager, agent_id=people.ben.id)["agent_id"] == people.ben.id
    response = client.post("/api/v1/deals", json=OFFICE | {"agent_id": "nobody"}, headers=people.manager.auth)
    assert (response.status_code, problem_of(response)) == (404, "user-not-found")


def test_a_hidden_deal_and_a_missing_one_are_the_same_bytes(client: TestClient, people: People) -> None:
    """Another agent's deal can not be told from one that does not exist, on any route."""
    deal = open_deal(client, people.ben)
    current = {"If-Match": '"1"'}
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "", None),
        ("GET", "/timeline", None),
        ("GET", "/commissions", None),
        ("PATCH", "", {"title": "Mine"}),
        ("POST", "/stage", {"to_stage": "proposal"}),
        ("POST", "/cancel", {"reason": "no"}),
        ("POST", "/reopen", {"to_stage": "proposal", "note": "why"}),
        ("POST", "/assign", {"agent_id": people.anna.id, "note": "mine"}),
        (
            "POST",
            "/commissions",
            {"commission_type": "referral", "basis_amount": "1.00", "basis_currency": "SGD", "commission_rate": "0.1"},
        ),
    ]
    for method, tail, body in calls:
        hidden, missing = (
            client.request(method, f"/api/v1/deals/{deal_id}{tail}", json=body, headers=people.anna.auth | current)
            for deal_id in (deal["id"], "0198c6a2-0000-7000-8000-000000000000")
        )
        assert (hidden.status_code, problem_of(hidden)) == (404, "deal-not-found"), (method, tail)
        assert hidden.content == missing.content
    assert client.get("/api/v1/deals", headers=people.anna.auth).json()["items"] == []


def test_a_change_is_refused_without_the_revision_and_when_it_is_stale(client: TestClient, people: People) -> None:
    """428 asks for If-Match, 412 says that someone was faster; only the current revision changes anything."""
    deal = open_deal(client, people.anna)
    address = f"/api/v1/deals/{deal['id']}"
    body = {"confidence": "0.70", "description": "Second viewing"}
    without = client.patch(address, json=body, headers=people.anna.auth)
    assert (without.status_code, problem_of(without)) == (428, "revision-required")
    for stale in ('"7"', 'W/"1"', "1", "nonsense"):
        refused = client.patch(address, json=body, headers=people.anna.auth | {"If-Match": stale})
        assert (refused.status_code, problem_of(refused)) == (412, "revision-stale"), stale
    changed = client.patch(address, json=body, headers=people.anna.auth | {"If-Match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["confidence"], changed.json()["description"]) == ("0.70", "Second viewing")
    assert changed.json()["title"] == OFFICE["title"]
    assert changed.headers["etag"] == '"2"'
    cleared = client.patch(address, json={"confidence": None}, headers=people.anna.auth | {"If-Match": "*"})
    assert cleared.json()["confidence"] is None


def test_changes_that_change_nothing_or_clear_what_must_stay(client: TestClient, people: People) -> None:
    """They are errors, not entries."""
    deal = open_deal(client, people.anna)
    headers = people.anna.auth | {"If-Match": '"1"'}
    same = client.patch(f"/api/v1/deals/{deal['id']}", json={"title": OFFICE["title"]}, headers=headers)
    assert (same.status_code, problem_of(same)) == (422, "nothing-to-change")
    bare = client.patch(f"/api/v1/deals/{deal['id']}", json={"title": None}, headers=headers)
    assert bare.status_code == 422
    stage = client.patch(f"/api/v1/deals/{deal['id']}", json={"pipeline_stage": "proposal"}, headers=headers)
    assert (stage.status_code, problem_of(stage)) == (422, "request-invalid")


def test_a_stage_move_answers_with_the_deal_and_its_timeline(client: TestClient, people: People) -> None:
    """Durations are there, and each entry with its hash and leaf index."""
    opened_at = datetime.now(UTC) - timedelta(days=3)
    deal = open_deal(client, people.anna, effective_at=opened_at.isoformat())
    moved_at = (opened_at + timedelta(days=1)).isoformat()
    response = move(client, people.anna, deal, "negotiation", note="Offer received", effective_at=moved_at)
    assert response.status_code == 200
    assert response.json()["deal"]["pipeline_stage"] == "negotiation"
    first, second = response.json()["timeline"]
    assert (first["kind"], first["from_stage"], first["to_stage"]) == ("deal.opened", None, "lead_captured")
    assert first["duration_seconds"] == 86_400
    assert (second["kind"], second["from_stage"], second["is_current"]) == ("deal.stage_changed", "lead_captured", True)
    assert second["duration_seconds"] > 86_400
    assert second["data"]["stage_event"]["note"] == "Offer received"
    assert response.headers["audit-receipt"].endswith(second["hash"])
    timeline = client.get(f"/api/v1/deals/{deal['id']}/timeline", headers=people.anna.auth).json()["items"]
    assert timeline[1]["n"] > timeline[0]["n"]
    timeline = client.get(f"/api/v1/deals/{deal['id']}/timeline", headers=people.viewer.auth).json()
    assert [item["hash"] for item in timeline["items"]] == [first["hash"], second["hash"]]


def test_closing_cancelling_and_reopening(client: TestClient, people: People) -> None:
    """A closed deal moves no further, says what is reachable, and goes on only when a manager reopens it."""
    deal = open_deal(client, people.anna)
    closed = move(client, people.anna, deal, "closed_won").json()["deal"]
    assert closed["status"] == "closed_won"
    assert closed["actual_close_date"]
    stuck = move(client, people.anna, closed, "proposal")
    assert (stuck.status_code, problem_of(stuck)) == (409, "stage-not-reachable")
    address = f"/api/v1/deals/{deal['id']}"
    cancelled = client.post(f"{address}/cancel", json={"reason": "no"}, headers=people.anna.auth)
    assert (cancelled.status_code, problem_of(cancelled)) == (409, "deal-not-open")
    body = {"to_stage": "negotiation", "note": "The buyer came back"}
    refused = client.post(f"{address}/reopen", json=body, headers=people.anna.auth)
    assert (refused.status_code, problem_of(refused)) == (403, "not-permitted")
    reopened = client.post(f"{address}/reopen", json=body, headers=people.manager.auth).json()
    assert (reopened["status"], reopened["actual_close_date"]) == ("open", None)
    again = client.post(f"{address}/reopen", json=body, headers=people.manager.auth)
    assert (again.status_code, problem_of(again)) == (409, "deal-not-closed")
    cancelled = client.post(f"{address}/cancel", json={"reason": "Owner withdrew"}, headers=people.anna.auth)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_a_refused_move_names_what_is_reachable(client: TestClient, people: People) -> None:
    """The client can offer what is possible instead."""
    deal = open_deal(client, people.anna)
    response = move(client, people.anna, deal, "lead_captured")
    assert (response.status_code, problem_of(response)) == (409, "stage-not-reachable")
    assert "negotiation" in response.json()["reachable"]
    assert "lead_captured" not in response.json()["reachable"]


def test_a_manager_hands_a_deal_over(client: TestClient, people: People) -> None:
    """The new agent sees it, the former one no longer does; stale revisions are refused here too when sent."""
    deal = open_deal(client, people.anna)
    address = f"/api/v1/deals/{deal['id']}/assign"
    body = {"agent_id": people.ben.id, "note": "Anna is on leave"}
    assert problem_of(client.post(address, json=body, headers=people.anna.auth)) == "not-permitted"
    stale = client.post(address, json=body, headers=people.manager.auth | {"If-Match": '"9"'})
    assert problem_of(stale) == "revision-stale"
    assert client.post(address, json=body, headers=people.manager.auth).json()["agent_id"] == people.ben.id
    assert client.get(f"/api/v1/deals/{deal['id']}", headers=people.anna.auth).status_code == 404
    assert client.get(f"/api/v1/deals/{deal['id']}", headers=people.ben.auth).status_code == 200


def test_lists_are_filtered_searched_sorted_and_paged(client: TestClient, people: People) -> None:
    """Pages joined are every deal once, in order."""
    for number in range(5):
        open_deal(client, people.anna, title=f"Unit {number}", asset_type="retail" if number % 2 else "office")
    open_deal(client, people.ben, title="Warehouse", property_id="P-1", project_id="J-1")
    titles: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"agent_id": people.anna.id, "sort": "created_at", "limit": "2"} | (
            {"cursor": cursor} if cursor else {}
        )
        page = client.get("/api/v1/deals", params=parameters, headers=people.viewer.auth).json()
        assert len(page["items"]) <= 2
        titles += [deal["title"] for deal in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert titles == [f"Unit {number}" for number in range(5)]
    expected = {
        "asset_type=retail": 2,
        "asset_type=retail&stage=lead_captured&status=open&deal_type=lease": 2,
        "status=closed_won": 0,
        "q=wareH": 1,
        "property_id=P-1": 1,
        "project_id=J-1": 1,
        "updated_since=2020-01-01T00:00:00Z": 6,
        "updated_since=2999-01-01T00:00:00%2B08:00": 0,
    }
    for query, number in expected.items():
        found = client.get(f"/api/v1/deals?{query}", headers=people.manager.auth).json()["items"]
        assert len(found) == number, query
    assert len(client.get("/api/v1/deals", headers=people.ben.auth).json()["items"]) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("agentid=x", "request-invalid"),
        ("limit=201", "request-invalid"),
        ("limit=0", "request-invalid"),
        ("sort=title", "request-invalid"),
        ("stage=won", "request-invalid"),
        ("updated_since=2020-01-01", "request-invalid"),
        ("updated_since=0001-01-01T00:00:00%2B14:00", "request-invalid"),
        ("updated_since=9999-12-31T23:59:59-12:00", "request-invalid"),
        ("stage=proposal&stage=negotiation", "request-invalid"),
        ("cursor=nonsense", "cursor-invalid"),
    ],
)
def test_unknown_and_impossible_parameters_are_refused(
    client: TestClient, people: People, query: str, code: str
) -> None:
    """A filter that does not exist must not return everything."""
    response = client.get(f"/api/v1/deals?{query}", headers=people.viewer.auth)
    assert (response.status_code, problem_of(response)) == (422, code)


def test_of_many_moves_on_one_revision_exactly_one_wins(
    settings: Settings, ledger: Ledger, people: People, client: TestClient
) -> None:
    """Twelve agents' clicks at once: one 200, eleven 412, two entries in the chain."""
    deal = open_deal(client, people.anna)
    statuses: list[int] = []
    barrier = threading.Barrier(12)

    def click() -> None:
        barrier.wait()
        statuses.append(move(client, people.anna, deal, "proposal").status_code)

    threads = [threading.Thread(target=click) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 11
    timeline = client.get(f"/api/v1/deals/{deal['id']}/timeline", headers=people.anna.auth).json()
    assert len(timeline["items"]) == 2


def test_more_writers_than_worker_threads_all_get_through(client: TestClient, people: People) -> None:
    """Writers wait their turn without holding the threads that the one at work needs."""
    statuses: list[int] = []

    def write() -> None:
        statuses.append(client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth).status_code)

    threads = [threading.Thread(target=write) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 100


@pytest.mark.only_on("sqlite")  # made to fail by a PRAGMA
def test_a_failed_commit_is_never_a_201(client: TestClient, people: People, ledger: Ledger) -> None:
    """The answer is sent after the commit: when that fails, the client hears 500 and nothing is there."""
    with ledger.writer.begin() as connection:
        # A deferred constraint fails at COMMIT, and only there.
        connection.execute(
            text(
                "CREATE TABLE trap (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES trap(id)"
                " DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        connection.execute(
            text("CREATE TRIGGER spring AFTER INSERT ON agent_deals BEGIN INSERT INTO trap (parent) VALUES (-1); END")
        )
    response = client.post("/api/v1/deals", json=OFFICE, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (500, "unexpected-error")
    assert client.get("/api/v1/deals", headers=people.anna.auth).json()["items"] == []


def test_a_change_by_cookie_needs_a_page_of_ours_behind_it(
    client: TestClient, people: People, ledger: Ledger, settings: Settings
) -> None:
    """A browser sends its cookie whoever asks; only with our own Origin does it change anything."""
    from ledger import access

    with ledger.write() as session:
        secret = access.create_session(session, people.anna.id)
    with TestClient(create_app(settings, with_workspace=False), cookies={"dealbook_session": secret}) as browser:
        assert browser.get("/api/v1/deals").status_code == 200
        for headers in ({}, {"Origin": "https://elsewhere.example"}):
            refused = browser.post("/api/v1/deals", json=OFFICE, headers=headers)
            assert (refused.status_code, problem_of(refused)) == (403, "cross-site-request")
        made = browser.post("/api/v1/deals", json=OFFICE, headers={"Origin": "http://testserver"})
        assert made.status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"expected_close_date": 0},
        {"expected_close_date": "0"},
        {"effective_at": 0},
        {"effective_at": "1764100000"},
        {"confidence": 0.5},
        {"estimated_value_amount": "1e3"},
    ],
)
def test_numbers_are_no_dates_and_no_amounts(client: TestClient, people: People, changes: dict[str, Any]) -> None:
    """A number would be read as seconds since 1970, and may lose cents: only what the description allows goes in."""
    response = client.post("/api/v1/deals", json=OFFICE | changes, headers=people.anna.auth)
    assert (response.status_code, problem_of(response)) == (422, "request-invalid")


def test_a_nul_character_is_refused_wherever_it_comes_in(client: TestClient, people: People) -> None:
    """PostgreSQL keeps none in a text; both databases say the same, and neither answers 500."""
    body = {"title": "Marina\x00tower", "asset_type": "retail", "deal_type": "lease"}
    refused = client.post("/api/v1/deals", json=body, headers=people.anna.auth)
    assert (refused.status_code, problem_of(refused)) == (422, "request-invalid")
    assert refused.json()["errors"][0]["message"].startswith("Write at least one character that can be seen")
    for address in ("deals?q=a%00b", "deals?agent_id=%00", "deals?cursor=%00", "deals/%00", "deals/%00/timeline"):
        assert client.get(f"/api/v1/{address}", headers=people.manager.auth).status_code == 422, address
    pinned = {"metadata": {"a": ["b", {"c": "\x00"}]}}
    kept = client.post("/api/v1/deals", json=OFFICE | pinned, headers=people.anna.auth)
    assert kept.json()["metadata"] == pinned["metadata"], "there it is kept: as JSON it is written with an escape"
