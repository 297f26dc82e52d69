"""A full disk stops writing, says so, and harms nothing else."""

import resource

import pytest

from tests.faults.conftest import Office
from tests.faults.receipts import Receipts
from tests.support.campaigns import Campaign, rounds
from tests.support.served_api import Caller

FULL = {(507, "/problems/disk-full"), (503, "/problems/ledger-not-answering")}


@pytest.mark.only_on("sqlite")
@pytest.mark.soak
def test_a_full_disk_is_said_readers_go_on_and_writing_resumes(office: Office, campaign: Campaign) -> None:
    """10 times the server may not make any file longer (100 in the long form), as on a full disk.

    Writes that do not fit are answered 507 or 503 with a problem that says what to do, reads go on, the next write
    after room was made succeeds without a restart, and every write that was acknowledged is there.
    """
    receipts = Receipts()
    caller = office.caller()
    deal = f"/api/v1/deals/{office.open_deal(caller)}"
    refused = 0
    for number in campaign.each(rounds(10, 100)):
        write(caller, deal, f"before {number}", receipts)
        # The limit of the running process; it holds for its files and is lifted from outside, as room is made.
        limit = campaign.rng.choice([0, 4096, 100_000, 200_000])
        resource.prlimit(office.served.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for attempt in range(2000):
            answer = caller.send("PATCH", deal, {"title": f"full {number} {attempt} {'x' * 400}"}, If_Match="*")
            if answer.status == 200:
                receipts.keep(answer)
                continue
            problem = answer.json()
            assert (answer.status, problem["type"]) in FULL, answer.content
            assert int(answer.headers["retry-after"]) > 0
            assert "othing was changed" in problem["detail"]
            refused += 1
            if campaign.rng.random() < 0.3:
                break
        else:
            pytest.fail("the disk never was full")
        read = caller.send("GET", deal)
        assert read.status == 200
        assert read.json()["title"] != f"full {number} {attempt} {'x' * 400}", "what was refused is not there"
        assert caller.send("GET", "/api/v1/deals?limit=200").status == 200
        resource.prlimit(office.served.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        write(caller, deal, f"after {number}", receipts)
        with office.ledger.read() as session:
            receipts.check_new(session)
    caller.close()
    office.assert_sound()
    campaign.say(f"{len(receipts.kept):,} writes acknowledged, {refused:,} refused")


def write(caller: Caller, deal: str, title: str, receipts: Receipts) -> None:
    answer = caller.send("PATCH", deal, {"title": title}, If_Match="*")
    assert answer.status == 200, answer.content
    receipts.keep(answer)
