"""While the API serves, the log is signed within seconds; an old copy of the ledger can be read but not written."""

from datetime import UTC, datetime, timedelta

import time_machine
from fastapi.testclient import TestClient

from api.checkpoints import CheckpointKeeper
from api.main import create_app
from ledger.log.checkpoint import make_checkpoint
from ledger.log.signer_state import signed_size
from ledger.settings import Settings
from ledger.store import Ledger
from tests.api.conftest import People, problem_of
from tests.support.ledger import log_size, read_log
from tests.support.living_ledger import append_deals, tamper


def test_a_log_that_has_grown_is_signed_after_the_set_time_and_not_before(ledger: Ledger) -> None:
    keeper = CheckpointKeeper(ledger, seconds=5)
    assert not keeper.look(100.0)
    assert keeper.look(104.0)
    assert signed_size(ledger.settings) == log_size(ledger)
    assert not keeper.look(200.0), "nothing new: nothing to sign"
    append_deals(ledger, 1)
    assert not keeper.look(300.0)
    assert not keeper.look(303.0)
    assert keeper.look(304.0)


def test_the_first_checkpoint_of_a_day_covers_all_heads(ledger: Ledger) -> None:
    """From the log's second day on, and once; what the keeper itself wrote is no growth to it."""
    keeper = CheckpointKeeper(ledger, seconds=5)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=1), tick=False):
        append_deals(ledger, 1)
        keeper.look(100.0)
        assert keeper.look(104.0)
        assert read_log(ledger)[-1]["type"] == "heads.recorded"
        assert signed_size(ledger.settings) == log_size(ledger)
        assert not keeper.look(200.0)
        assert not keeper.look(300.0), "an entry over the heads must not call for the next"
        append_deals(ledger, 1)
        keeper.look(400.0)
        assert keeper.look(500.0)
        assert read_log(ledger)[-1]["type"] == "deal.opened"


def test_many_entries_are_signed_at_once(ledger: Ledger) -> None:
    keeper = CheckpointKeeper(ledger, seconds=3600)
    append_deals(ledger, 10_000)
    assert keeper.look(100.0)
    assert signed_size(ledger.settings) == log_size(ledger)


def test_what_is_unsigned_at_shutdown_is_signed_then(settings: Settings, ledger: Ledger) -> None:
    slow = settings.model_copy(update={"checkpoint_seconds": 3600})
    with TestClient(create_app(slow, with_workspace=False)):
        append_deals(ledger, 3)
        assert signed_size(settings) < log_size(ledger)
    assert signed_size(settings) == log_size(ledger)


def test_at_zero_the_api_never_signs(settings: Settings, ledger: Ledger) -> None:
    never = settings.model_copy(update={"checkpoint_seconds": 0})
    with TestClient(create_app(never, with_workspace=False)):
        append_deals(ledger, 3)
    assert signed_size(settings) < log_size(ledger)


def test_a_ledger_older_than_what_was_signed_answers_reads_and_refuses_writes(
    settings: Settings, people: People, ledger: Ledger, client: TestClient
) -> None:
    body = {"title": "Orchard shop", "asset_type": "retail", "deal_type": "lease"}
    made = client.post("/api/v1/deals", json=body, headers=people.anna.auth)
    assert made.status_code == 201
    make_checkpoint(ledger)
    tamper(ledger, "DELETE FROM audit_logs WHERE n = (SELECT max(n) FROM audit_logs)")
    assert client.get("/api/v1/deals", headers=people.anna.auth).status_code == 200
    refused = client.post("/api/v1/deals", json=body, headers=people.anna.auth)
    assert refused.status_code == 503
    assert problem_of(refused) == "log-not-continued"
