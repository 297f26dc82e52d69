"""Processes that write to one deal at once, as service, command line and refresh may: none is told to wait."""

import multiprocessing

import pytest

from ledger import deals
from ledger.actors import Actor
from ledger.log.audit import audit_log
from ledger.settings import Settings
from ledger.store import Ledger
from tests.support.ledger import Staff, open_some_deal, run

PROCESSES, EACH = 3, 60


def change(settings: Settings, actor: Actor, deal_id: str, number: int) -> list[int]:
    """Change the deal again and again, in a process of its own; return the revisions made."""
    ledger = Ledger.open(settings=settings)
    made = [
        run(ledger, deals.change_deal, actor, deal_id, {"lead_source": f"{number} {turn}"}).revision
        for turn in range(EACH)
    ]
    ledger.close()
    return made


@pytest.mark.only_on("sqlite")
def test_processes_on_one_deal_neither_fork_nor_fail(ledger: Ledger, staff: Staff) -> None:
    """Every change succeeds and gets a place of its own in the chain; log and tables verify."""
    deal = open_some_deal(ledger, staff.agent)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        jobs = [(ledger.settings, staff.agent, deal.id, number) for number in range(PROCESSES)]
        made = [revision for found in pool.starmap(change, jobs) for revision in found]
        pool.close()
        pool.join()
    assert sorted(made) == list(range(2, PROCESSES * EACH + 2))
    with ledger.read() as session:
        assert audit_log(session, ledger.settings, with_state=True).exit_code == 0
