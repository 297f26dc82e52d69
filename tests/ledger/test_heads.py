"""An entry over all heads proves which entry was a chain's last; it is written once a day and never for itself."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
import time_machine
from sqlalchemy import select

from ledger import deals
from ledger.actors import SYSTEM
from ledger.errors import ProofInvalid
from ledger.log.audit import audit_log
from ledger.log.checkpoint import make_checkpoint
from ledger.log.entry import Draft
from ledger.log.heads import (
    AllHeads,
    Head,
    find_heads,
    find_last_heads,
    read_heads,
    record_heads,
    record_heads_of_the_day,
)
from ledger.log.tree import check_inclusion
from ledger.store import Ledger
from ledger.tables import AuditLog
from tests.support.ledger import Staff, log_size, new_deal, read_log, run
from tests.support.living_ledger import append, append_deals


def stated_by_hand(ledger: Ledger, size: int) -> list[str]:
    """The receipts of all heads among the first `size` entries, found by walking the log."""
    with ledger.read() as session:
        rows = session.execute(select(AuditLog.chain, AuditLog.seq, AuditLog.hash).order_by(AuditLog.n).limit(size))
        last = {chain: f"{chain};{seq};{digest.hex()}" for chain, seq, digest in rows}
    return [last[chain] for chain in sorted(last)]


def test_the_heads_at_any_size_are_those_that_a_walk_through_the_log_finds(ledger: Ledger, staff: Staff) -> None:
    """Also where chains went on afterwards, and where they were not there yet."""
    for turn in range(3):
        deal = run(ledger, deals.open_deal, staff.agent, new_deal(staff.agent))
        run(ledger, deals.change_deal, staff.agent, deal.id, {"lead_source": f"fair {turn}"})
        append_deals(ledger, 2)
    with ledger.read() as session:
        for size in range(log_size(ledger) + 1):
            assert [head.receipt for head in read_heads(session, size)] == stated_by_hand(ledger, size)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_chain_proves_its_head_under_the_stated_root_and_no_other(ledger: Ledger, count: int) -> None:
    """The leaf is the receipt: a later or another entry in its place leads to another root."""
    append_deals(ledger, count)
    with ledger.write() as session:
        seq, _ = record_heads(session, SYSTEM)
    with ledger.read() as session:
        entry = find_heads(session, seq)
        heads = read_heads(session, entry.data["size"])
        all_heads = AllHeads(heads)
        root = bytes.fromhex(entry.data["root"])
        assert (entry.n, entry.data["size"], entry.data["chains"]) == (log_size(ledger) - 1, entry.n, len(heads))
        for head in heads:
            index, path = all_heads.prove(head.chain)
            leaf = sha256(b"\0" + f"{head.chain};{head.seq};{head.hash.hex()}".encode()).digest()
            check_inclusion(leaf, index, len(heads), root, path)
            with pytest.raises(ProofInvalid):
                check_inclusion(Head(head.chain, head.seq + 1, head.hash).leaf, index, len(heads), root, path)
        with pytest.raises(ProofInvalid):
            all_heads.prove("deal:nothing")


def test_heads_alone_are_no_reason_for_heads(ledger: Ledger) -> None:
    """Asked again with nothing new, the log stays as it is; about another dossier it is another statement."""
    append_deals(ledger, 1)
    first, _ = run(ledger, record_heads, SYSTEM)
    size = log_size(ledger)
    assert run(ledger, record_heads, SYSTEM)[0] == first
    assert log_size(ledger) == size
    about = {"deal_id": "d", "files": []}
    assert [run(ledger, record_heads, SYSTEM, about)[0] for _ in range(2)] == [first + 1, first + 1]
    append_deals(ledger, 1)
    assert run(ledger, record_heads, SYSTEM, about)[0] == first + 2


def test_they_are_written_once_a_day_and_only_with_something_to_tell(ledger: Ledger) -> None:
    """The first day of a log needs none; a day without news adds none, whoever asks how often."""
    start = datetime.now(UTC)
    append_deals(ledger, 1)
    assert not record_heads_of_the_day(ledger)
    with time_machine.travel(start + timedelta(days=1), tick=False):
        assert [record_heads_of_the_day(ledger) for _ in range(3)] == [True, False, False]
        append_deals(ledger, 1)
        assert not record_heads_of_the_day(ledger), "one a day is enough"
    with time_machine.travel(start + timedelta(days=2), tick=False):
        assert record_heads_of_the_day(ledger)
    with time_machine.travel(start + timedelta(days=3), tick=False):
        assert not record_heads_of_the_day(ledger), "nothing has happened"
    assert [entry["data"]["size"] for entry in read_log(ledger) if entry["type"] == "heads.recorded"] == [2, 4]


def test_an_entry_that_states_other_heads_is_found(ledger: Ledger) -> None:
    """Whoever can write entries could state a false root; verification compares it with the chains."""
    append_deals(ledger, 2)
    with ledger.read() as session:
        false = AllHeads(read_heads(session, log_size(ledger))[1:]).root.hex()
    append(ledger, Draft("sys", "heads.recorded", "log", "x", {"size": log_size(ledger), "chains": 3, "root": false}))
    make_checkpoint(ledger)
    with ledger.read() as session:
        last = find_last_heads(session)
        report = audit_log(session, ledger.settings)
    assert last is not None
    [finding] = report.findings
    assert (finding.n, finding.chain) == (last.n, "sys")
    assert "heads" in finding.problem
