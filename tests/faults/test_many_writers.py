"""Many clients write to one deal at once: nothing forks, nothing is lost, and of those who read the same, one wins."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from ledger.tables import AgentDeal, AuditLog
from tests.faults.conftest import Office
from tests.faults.receipts import Receipts
from tests.support.campaigns import Campaign, rounds, size
from tests.support.served_api import Caller

STAGES = ("qualification", "needs_analysis", "proposal", "negotiation", "agreement")


def run_at_once(office: Office, number: int, work: Callable[[int, Caller], None]) -> None:
    """Run `work(i, caller)` in threads with a connection each, all let go together; raise what any of them raised."""
    barrier = threading.Barrier(number)
    failures: list[BaseException] = []

    def run(index: int) -> None:
        caller = office.caller()
        try:
            barrier.wait(60)
            work(index, caller)
        except BaseException as error:
            failures.append(error)
            barrier.abort()
        finally:
            caller.close()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3600)
    if failures:
        raise failures[0]


@pytest.mark.soak
def test_writers_on_one_deal_neither_fork_nor_lose_anything(office: Office, campaign: Campaign) -> None:
    """16 clients send 500 changes each to one deal (64 x 10,000 in the long form).

    Every one succeeds, each answer names another place in the deal's chain, the chain has exactly these entries, and at
    the end everything verifies. Amid them each client asks for what is refused: that costs nobody else a change.
    """
    writers, each = size(16, 64), rounds(500, 10_000)
    receipts = Receipts()
    first = office.caller()
    deal = f"/api/v1/deals/{office.open_deal(first)}"
    first.close()

    def write(index: int, caller: Caller) -> None:
        for number in campaign.each(each, "changes of the first client") if index == 0 else range(each):
            if number % 50 == 49:
                answer = caller.send("POST", f"{deal}/contacts", {"name": f"{index} {number}"})
            else:
                answer = caller.send("PATCH", deal, {"title": f"{index} {number}"}, If_Match="*")
            assert answer.status in (200, 201), answer.content
            receipts.keep(answer)
            if number % 5 == 2:
                refused = caller.send("POST", f"{deal}/stage", {"to_stage": "lead_captured"}, If_Match="*")
                assert refused.status == 409, refused.content

    run_at_once(office, writers, write)
    expected = writers * each
    assert len({seq for _, seq, _ in receipts.kept}) == expected
    with office.ledger.read() as session:
        assert receipts.check_new(session) == expected
        chain = f"deal:{deal.rpartition('/')[2]}"
        found = session.execute(
            select(func.count(), func.max(AuditLog.seq), func.count(AuditLog.hash.distinct())).where(
                AuditLog.chain == chain
            )
        ).one()
    assert tuple(found) == (expected + 1, expected + 1, expected + 1), "the opening of the deal and the changes, alone"
    office.assert_sound()
    assert not office.served.printed, "the server complained"


@pytest.mark.soak
def test_of_those_who_read_the_same_revision_exactly_one_wins(office: Office, campaign: Campaign) -> None:
    """50 rounds of 16 clients with the same `If-Match` (1,000 of 32): one 200, the others 412, one entry a round."""
    clients, total = size(16, 32), rounds(50, 1000)
    first = office.caller()
    deal = f"/api/v1/deals/{office.open_deal(first)}"
    first.close()
    barrier = threading.Barrier(clients)
    tag = ['"1"']
    answers: list[list[int]] = [[] for _ in range(total)]

    def race(index: int, caller: Caller) -> None:
        for number in campaign.each(total) if index == 0 else range(total):
            barrier.wait(60)
            sent = tag[0]
            if number % 2:
                stage = STAGES[number // 2 % len(STAGES)]
                answer = caller.send("POST", f"{deal}/stage", {"to_stage": stage, "note": f"{index}"}, If_Match=sent)
            else:
                answer = caller.send("PATCH", deal, {"title": f"{index} {number}"}, If_Match=sent)
            answers[number].append(answer.status)
            if barrier.wait(60) == 0:  # one of them reads what the next round begins with
                read = caller.send("GET", deal)
                tag[0] = read.headers["etag"]

    run_at_once(office, clients, race)
    for number, round_ in enumerate(answers):
        assert Counter(round_) == {200: 1, 412: clients - 1}, number
    with office.ledger.read() as session:
        assert session.scalar(select(AgentDeal.revision)) == total + 1
    office.assert_sound()
