"""A client that lost the answer repeats its request under the same key: one effect, and the answer that was lost."""

import threading
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy import func, select

from ledger.tables import AuditLog
from tests.faults.conftest import DEAL, Office
from tests.faults.receipts import Receipts
from tests.support.campaigns import Campaign, rounds, size
from tests.support.served_api import DIE_HEADER, Answer, ConnectionLost

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation", "agreement")
KEPT_HEADERS = ("content-type", "etag", "location", "audit-receipt")


@pytest.mark.soak
def test_a_repeated_request_has_one_effect_and_one_answer(office: Office, campaign: Campaign) -> None:
    """100 requests sent 5 times each, the server of every fifth killed between commit and answer.

    In the long form 1,000 requests 10 times, and 200 kills. The log grows by one entry for each, every answer has the
    same status, bytes and headers, and no key keeps anybody out.
    """
    total, times = rounds(100, 1000), size(5, 10)
    caller = office.caller()
    deal = office.open_deal(caller)
    receipts, stages = Receipts(), cycle(STAGES)
    for number in campaign.each(total, "requests"):
        path, body = _request(office, deal, campaign, stages, number)
        headers = {"If_Match": "*", "Idempotency_Key": f"key {campaign.seed} {number}"}
        before = _count(office)
        if number % 5 == 0:
            with pytest.raises(ConnectionLost):
                caller.send("POST", path, body, **headers, **{DIE_HEADER: "1"})
            assert office.served.wait() == -9, "the server was to be killed"
            assert _count(office) == before + 1, "it was to be killed after the commit"
            office.served.start()
        # What is under way twice at once may not take effect twice either.
        answers = _send_at_once(office, 2, path, body, headers)
        answers += [caller.send("POST", path, body, **headers) for _ in range(times - len(answers))]
        told = {(a.status, a.content, *(a.headers.get(name) for name in KEPT_HEADERS)) for a in answers}
        assert len(told) == 1, told
        assert answers[0].status in (200, 201), answers[0].content
        assert _count(office) == before + 1
        receipts.keep(answers[-1])
        other = caller.send("POST", path, body | {"note": "another body"}, **headers)
        assert (other.status, other.json()["type"]) == (422, "/problems/idempotency-key-reused"), path
        if path == "/api/v1/deals":
            deal = answers[0].json()["id"]
    caller.close()
    with office.ledger.read() as session:
        assert receipts.check_new(session) == total
    office.assert_sound()


def _request(
    office: Office, deal: str, campaign: Campaign, stages: Iterator[str], number: int
) -> tuple[str, dict[str, Any]]:
    """Return an address and a body; what it asks for is possible whatever came before."""
    match campaign.rng.randrange(4):
        case 0:
            return "/api/v1/deals", DEAL | {"agent_id": office.people.anna.id, "title": f"Tower {number}"}
        case 1:
            return f"/api/v1/deals/{deal}/contacts", {"name": f"Contact {number}"}
        case 2:
            return f"/api/v1/deals/{deal}/stage", {"to_stage": next(stages), "note": f"{number}"}
        case _:
            return f"/api/v1/deals/{deal}/documents", {
                "document_type": "lease",
                "title": f"{number}",
                "uri": "https://files.example/1",
            }


def _send_at_once(
    office: Office, number: int, path: str, body: dict[str, Any], headers: dict[str, str]
) -> list[Answer]:
    answers: list[Answer] = []

    def send() -> None:
        caller = office.caller()
        answers.append(caller.send("POST", path, body, **headers))
        caller.close()

    threads = [threading.Thread(target=send) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == number
    return answers


def _count(office: Office) -> int:
    with office.ledger.read() as session:
        return session.scalar(select(func.count()).select_from(AuditLog).where(AuditLog.chain.like("deal:%"))) or 0
