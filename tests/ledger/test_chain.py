"""Chains neither fork nor lose an entry, whoever writes at the same time; whatever is tampered with is found."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import text
from sqlalchemy.orm import Session

from ledger import deals
from ledger.actors import SYSTEM
from ledger.errors import EntryInvalid, LogForked
from ledger.fold import record_entries
from ledger.log.chain import append_entries
from ledger.log.entry import Draft, hash_leaf
from ledger.log.verify import verify_chains
from ledger.store import Ledger
from ledger.vocabulary import PipelineStage
from tests.support.ledger import Staff, entries_of, log_size, open_some_deal, read_log, run
from tests.support.living_ledger import tamper


def findings(ledger: Ledger, since_n: int = 0) -> list[str]:
    with ledger.read() as session:
        return [finding.problem for finding in verify_chains(session, since_n=since_n).findings]


def test_each_entry_names_the_one_before_it(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    for stage in (PipelineStage.PROPOSAL, PipelineStage.AGREEMENT):
        run(ledger, deals.advance_stage, staff.agent, deal.id, stage)
    with ledger.read() as session:
        rows = session.execute(
            text("SELECT n, seq, prev, hash, body FROM audit_logs WHERE chain = :chain ORDER BY seq"),
            {"chain": f"deal:{deal.id}"},
        ).all()
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [row.prev for row in rows] == [bytes(32), rows[0].hash, rows[1].hash]
    assert all(row.hash == hash_leaf(row.body) for row in rows)
    assert findings(ledger) == []


def test_eight_threads_on_one_deal_lose_nothing_and_fork_nothing(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    before = log_size(ledger)
    errors: list[Exception] = []

    def write(worker: int) -> None:
        try:
            for turn in range(10):
                run(ledger, deals.change_deal, staff.agent, deal.id, {"lead_source": f"{worker}-{turn}"})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    written = read_log(ledger, before)
    assert [entry["seq"] for entry in written] == list(range(2, 82))
    assert {entry["data"]["set"]["lead_source"] for entry in written} == {
        f"{worker}-{turn}" for worker in range(8) for turn in range(10)
    }
    assert findings(ledger) == []


def test_processes_on_one_deal_lose_nothing_and_fork_nothing(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    program = f"""
from ledger import deals
from ledger.actors import SYSTEM
from ledger.settings import Settings
from ledger.store import initialise
import sys
ledger = initialise(Settings(**{ledger.settings.model_dump(include={"home", "ledger_url"}, mode="json")!r}))
for turn in range(15):
    with ledger.write() as session:
        deals.change_deal(session, SYSTEM, {deal.id!r}, {{"lead_source": sys.argv[1] + str(turn)}})
ledger.close()
"""
    root = Path(__file__).parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", program, f"w{i}-"], cwd=root) for i in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    with ledger.read() as session:
        assert deals.get_deal(session, SYSTEM, deal.id).revision == 61
    assert findings(ledger) == []


def test_a_stale_head_rolls_the_writer_back(ledger: Ledger, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock keeps writers apart; should it ever fail, the compare-and-set still refuses to fork."""
    deal = open_some_deal(ledger, staff.agent)
    chain = f"deal:{deal.id}"
    before = log_size(ledger)
    import ledger.log.chain as module

    read = module._read_heads

    def read_wrongly(session: Session, chains: set[str]) -> dict[str, tuple[int, bytes, datetime]]:
        return {name: (seq + 5, digest, at) for name, (seq, digest, at) in read(session, chains).items()}

    monkeypatch.setattr(module, "_read_heads", read_wrongly)
    with pytest.raises(LogForked), ledger.write() as session:
        append_entries(session, SYSTEM, [Draft(chain, "deal.changed", "deal", deal.id, {"set": {}, "was": {}})])
    monkeypatch.setattr(module, "_read_heads", lambda session, chains: {})
    with pytest.raises(LogForked), ledger.write() as session:
        append_entries(session, SYSTEM, [Draft(chain, "deal.changed", "deal", deal.id, {"set": {}, "was": {}})])
    assert log_size(ledger) == before


def test_recording_time_never_runs_backwards_in_a_chain(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    with time_machine.travel(datetime.now(UTC) - timedelta(days=2), tick=False):
        [entry] = entries_of(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
        closed = run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.CLOSED_WON)
    assert closed.pipeline_stage is PipelineStage.CLOSED_WON
    first = next(found for found in read_log(ledger) if found["type"] == "deal.opened")
    assert entry["at"] >= first["at"]
    assert findings(ledger) == []


def test_an_entry_does_not_take_effect_after_it_is_recorded(ledger: Ledger) -> None:
    later = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(EntryInvalid), ledger.write() as session:
        record_entries(session, SYSTEM, [Draft("sys", "token.revoked", "token", "x", {}, later)])


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE audit_logs SET body = CAST(replace(body, 'agent', 'agenX') AS BLOB) WHERE n = 6",
            "hash is not that of the body",
        ),
        ("UPDATE audit_logs SET hash = zeroblob(32) WHERE n = 6", "hash is not that of the body"),
        ("UPDATE audit_logs SET type = 'deal.closed' WHERE n = 6", "column type differs"),
        ("UPDATE audit_logs SET actor_id = 'x' WHERE n = 6", "column actor_id differs"),
        ("UPDATE audit_logs SET at = '2020-01-01T00:00:00.000000Z' WHERE n = 6", "column at differs"),
        ("UPDATE audit_logs SET at = 'yesterday' WHERE n = 6", "column at differs"),
        ("UPDATE audit_logs SET effective_at = 'yesterday' WHERE n = 6", "column effective_at differs"),
        ("DELETE FROM audit_logs WHERE n = 7", "leaf index 8 follows where 7 was due"),
        ("DELETE FROM audit_logs WHERE n = 8", "head is not the chain's last entry"),
        ("DELETE FROM audit_logs WHERE n >= 6", "a head but no entries"),
        ("UPDATE audit_chains SET seq = 9 WHERE chain LIKE 'deal:%'", "head is not the chain's last entry"),
        ("UPDATE log_identity SET origin = 'elsewhere'", "belongs to another log"),
    ],
)
def test_tampering_is_found(ledger: Ledger, staff: Staff, statement: str, problem: str) -> None:
    deal = open_some_deal(ledger, staff.agent)
    for stage in (PipelineStage.PROPOSAL, PipelineStage.AGREEMENT):
        run(ledger, deals.advance_stage, staff.agent, deal.id, stage)
    assert log_size(ledger) == 9
    assert findings(ledger) == []
    tamper(ledger, statement)
    assert any(problem in found for found in findings(ledger)), findings(ledger)


def test_swapped_entries_are_found(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
    tamper(
        ledger,
        "UPDATE audit_logs SET n = 99 WHERE n = 6",
        "UPDATE audit_logs SET n = 6 WHERE n = 7",
        "UPDATE audit_logs SET n = 7 WHERE n = 99",
    )
    assert findings(ledger)


def test_verifying_only_what_is_new_still_checks_the_link_to_what_is_old(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    size = log_size(ledger)
    run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
    assert findings(ledger, since_n=size) == []
    tamper(ledger, f"UPDATE audit_logs SET hash = zeroblob(32) WHERE n = {size - 1}")
    assert "prev is not the hash of the entry before it" in findings(ledger, since_n=size)


def test_one_chain_is_verified_alone(ledger: Ledger, staff: Staff) -> None:
    deal = open_some_deal(ledger, staff.agent)
    open_some_deal(ledger, staff.agent)
    run(ledger, deals.advance_stage, staff.agent, deal.id, PipelineStage.PROPOSAL)
    with ledger.read() as session:
        report = verify_chains(session, chain=f"deal:{deal.id}")
    assert (report.entries, report.chains, report.is_sound) == (2, 1, True)
