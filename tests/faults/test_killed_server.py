"""A server that is killed in the middle of writing loses nothing that it acknowledged and breaks nothing."""

import random
import threading
import time
from itertools import count

import pytest

from tests.faults.conftest import DEAL, Office
from tests.faults.receipts import Receipts
from tests.support.campaigns import Campaign, rounds
from tests.support.served_api import ConnectionLost, wait_until

WRITERS = 6


class Writer(threading.Thread):
    """Writes without pause, on deals of its own and on one that all share, until it is told to stop."""

    def __init__(self, office: Office, receipts: Receipts, shared: str, seed: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self._office = office
        self._receipts = receipts
        self._deals = [shared]
        self._rng = random.Random(seed)
        self._stopping = stopping
        self.unexpected: list[str] = []
        self.lost = 0

    def run(self) -> None:
        caller = self._office.caller()
        for number in count():
            if self._stopping.is_set():
                break
            method, path, body = self._next(number)
            try:
                answer = caller.send(method, path, body, If_Match="*")
            except ConnectionLost:
                self.lost += 1
                continue
            if answer.status not in (200, 201):
                self.unexpected.append(f"{method} {path} {body}: {answer.status} {answer.content[:300]!r}")
                break
            self._receipts.keep(answer)
            if path == "/api/v1/deals":
                self._deals.append(answer.json()["id"])
        caller.close()

    def _next(self, number: int) -> tuple[str, str, dict[str, str]]:
        if self._rng.random() < 0.1:
            return "POST", "/api/v1/deals", DEAL | {"agent_id": self._office.people.anna.id}
        deal = f"/api/v1/deals/{self._rng.choice(self._deals[:1] + self._deals[-3:])}"
        if self._rng.random() < 0.5:
            return "POST", f"{deal}/contacts", {"name": f"Contact {number}", "company": "Harbour"}
        # A value that nobody else sends: what does not differ would be refused.
        return "PATCH", deal, {"title": f"Tower {self.ident} {number}"}


@pytest.mark.soak
def test_no_acknowledged_write_is_lost_when_the_server_is_killed(office: Office, campaign: Campaign) -> None:
    """50 times SIGKILL amid six writers (1,000 in the long form).

    Each receipt that a client holds is in the log with its hash, every chain and checkpoint verifies, and the tables
    are the fold of the log.
    """
    receipts, stopping = Receipts(), threading.Event()
    caller = office.caller()
    shared = office.open_deal(caller)
    caller.close()
    writers = [Writer(office, receipts, shared, campaign.rng.randrange(2**32), stopping) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    acknowledged = 0
    for number in campaign.each(rounds(50, 1000), "kills"):
        wait_until(
            lambda: receipts.has_new(WRITERS) or not all(writer.is_alive() for writer in writers),
            f"no writes in round {number}",
        )
        time.sleep(campaign.rng.random() * 0.03)  # not a wait for anything: it spreads the kills over the writes
        office.served.kill()
        with office.ledger.read() as session:
            acknowledged += receipts.check_new(session)
        office.served.start()
        assert all(writer.is_alive() for writer in writers), [writer.unexpected for writer in writers]
    stopping.set()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
        assert not writer.unexpected
    with office.ledger.read() as session:
        acknowledged += receipts.check_new(session)
    office.assert_sound()
    lost = sum(writer.lost for writer in writers)
    assert lost >= WRITERS, "no request was under way when the server was killed: the campaign tried nothing"
    campaign.say(f"{acknowledged:,} acknowledged writes, {lost:,} requests cut off")
