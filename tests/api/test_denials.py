"""Log-ins and denials stand in the log, and nobody can flood it with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from fastapi.testclient import TestClient
from sqlalchemy import select

from api import denials
from api.denials import MOST_A_MINUTE, Denials
from api.main import create_app
from ledger import access
from ledger.log.texts import read_texts
from ledger.settings import Settings
from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.api.conftest import People
from tests.api.test_deals import open_deal
from tests.support.ledger import read_log

SOON = (datetime.now(UTC) + timedelta(minutes=2)).replace(second=20, microsecond=0)


def written(ledger: Ledger) -> list[dict[str, Any]]:
    return [entry for entry in read_log(ledger) if entry["chain"] == "auth"]


def flush(client: TestClient) -> None:
    client.app.state.service.denials.flush()  # type: ignore[attr-defined]


def address_behind(ledger: Ledger, entry: dict[str, Any]) -> str | None:
    commitment = entry["data"]["address"]
    with ledger.read() as session:
        return read_texts(session, [commitment])[commitment]


def test_a_log_in_is_an_entry_of_its_user(client: TestClient, people: People, ledger: Ledger) -> None:
    """Written with the use of the link; the address it came from is only committed to."""
    with ledger.write() as session:
        link = access.create_login_link(session, people.anna.id)
    client.get("/login", params={"link": link}, follow_redirects=False)
    [entry] = written(ledger)
    assert (entry["type"], entry["seq"], entry["actor"]["id"]) == ("auth.logged_in", 1, people.anna.id)
    assert address_behind(ledger, entry) == "testclient"
    assert "testclient" not in str(entry)


def test_bad_tokens_of_a_minute_are_one_entry(client: TestClient, people: People, ledger: Ledger) -> None:
    """Two hundred guesses and thirty bad links add two entries with their counts; good requests add none."""
    with time_machine.travel(SOON, tick=False):
        for number in range(200):
            client.get("/api/v1/me", headers={"Authorization": f"Bearer guess{number}"})
        for number in range(30):
            client.get("/login", params={"link": f"guess{number}"})
        client.get("/api/v1/me", headers=people.anna.auth)
        client.get("/api/v1/me")
        assert written(ledger) == []
        flush(client)
        flush(client)
        told = [(entry["type"], entry["data"]["reason"], entry["data"]["count"]) for entry in written(ledger)]
    assert told == [("auth.denied", "bad_credential", 200), ("auth.denied", "bad_link", 30)]
    assert {entry["data"]["minute"] for entry in written(ledger)} == {f"{SOON:%Y-%m-%dT%H:%M}:00.000000Z"}
    assert {address_behind(ledger, entry) for entry in written(ledger)} == {"testclient"}


def test_a_refused_right_names_who_was_refused(client: TestClient, people: People, ledger: Ledger) -> None:
    """Though the refused request itself was rolled back."""
    deal = open_deal(client, people.anna)
    for _ in range(3):
        refused = client.post(
            f"/api/v1/deals/{deal['id']}/assign",
            json={"agent_id": people.ben.id, "note": "mine"},
            headers=people.anna.auth,
        )
        assert refused.status_code == 403
    assert client.get("/api/v1/tokens", headers=people.manager.auth).status_code == 403
    flush(client)
    told = {(entry["subject"]["id"], entry["data"]["reason"], entry["data"]["count"]) for entry in written(ledger)}
    assert told == {(people.anna.id, "not_permitted", 3), (people.manager.id, "not_permitted", 1)}


def test_a_thousand_addresses_add_few_entries(ledger: Ledger) -> None:
    """Beyond the first, those of a minute are counted together, and none is lost."""
    counted = Denials(ledger)
    with time_machine.travel(SOON, tick=False):
        for number in range(1_000):
            counted.note("bad_credential", f"192.0.{number // 250}.{number % 250}")
        counted.close()
    entries = written(ledger)
    assert len(entries) == MOST_A_MINUTE + 1
    assert sum(entry["data"]["count"] for entry in entries) == 1_000
    assert [entry["data"]["count"] for entry in entries if entry["data"]["address"] is None] == [1_000 - MOST_A_MINUTE]


def test_a_regular_stop_writes_what_is_left(settings: Settings, ledger: Ledger) -> None:
    """Nobody gains by guessing just before a restart."""
    with TestClient(create_app(settings, with_workspace=False)) as client:
        client.get("/api/v1/me", headers={"Authorization": "Bearer guess"})
        assert written(ledger) == []
    assert [entry["data"]["count"] for entry in written(ledger)] == [1]


def test_what_can_not_be_written_now_is_written_later(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk or a busy ledger loses no count."""
    counted = Denials(ledger)
    counted.note("bad_credential", "192.0.2.7")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(denials, "record_denials", fail)
        counted.flush()
    assert "could not be written" in caplog.text
    assert written(ledger) == []
    counted.note("bad_credential", "192.0.2.7")
    counted.close()
    assert sum(entry["data"]["count"] for entry in written(ledger)) == 2


def test_denials_are_written_by_themselves(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the minute is over, without another request."""
    counted = Denials(ledger)
    monkeypatch.setattr(denials.time, "time", lambda: 59.99)
    counted.note("bad_credential", "192.0.2.7")
    timer = counted._timer
    assert timer is not None
    timer.join(30)
    assert [entry["data"]["count"] for entry in written(ledger)] == [1]
    counted.close()


def test_the_rows_of_the_log_say_so_too(client: TestClient, people: People, ledger: Ledger) -> None:
    """Chain and type stand in the indexed columns, where the rest of the house looks."""
    client.get("/api/v1/me", headers={"Authorization": "Bearer guess"})
    flush(client)
    with ledger.read() as session:
        row = session.scalars(select(AuditLog).where(AuditLog.chain == "auth")).one()
    assert (row.type, row.actor_id, row.subject_id) == ("auth.denied", access.SYSTEM.id, "unknown")
